"""Files of weights that anybody may have written: nothing in them is run, followed or believed."""

from __future__ import annotations

import pickle
import traceback
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from phg2st_sc.encoders import EncoderCard, WeightsFile, load_strictly, read_state  # noqa: E402


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pytorch_model.bin"


OBJECTS = {
    "in an archive": lambda file, bad: torch.save({"a": torch.ones(3), "b": bad}, file),
    "in a pickle": lambda file, bad: file.write_bytes(pickle.dumps({"a": bad})),
    "in a newer pickle": lambda file, bad: file.write_bytes(pickle.dumps({"a": bad}, protocol=5)),
    "a whole network": lambda file, _: torch.save(torch.nn.Linear(2, 2), file),
    "arrays of numpy": lambda file, _: torch.save({"a": np.ones(3)}, file),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_no_object_is_made_and_no_advice_given_to_make_it(file, tmp_path, case, recwarn):
    OBJECTS[case](file, Payload(tmp_path / "owned"))
    with pytest.raises(
        ValueError, match=r"cannot be read as weights: it holds other objects.*model\.safetensors"
    ) as told:
        read_state(file)
    shown = "".join(traceback.format_exception(told.value))
    assert "weights_only" not in shown
    assert "trust" not in shown
    assert "\x1b" not in str(told.value)
    assert not (tmp_path / "owned").exists()
    assert not recwarn


def test_the_object_is_named(file, tmp_path):
    OBJECTS["in an archive"](file, Payload(tmp_path / "owned"))
    with pytest.raises(ValueError, match=r"other objects than tensors \(_?io\.open\)"):
        read_state(file)


def compressed(file, _):
    torch.save({"a": torch.zeros(100_000)}, file)
    with zipfile.ZipFile(file) as archive:
        content = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items():
            archive.writestr(name, value)


OTHERS = {
    "compressed": (compressed, "it is compressed, which torch never does"),
    "larger than the file": (lambda f, _: torch.save({"a": torch.ones(1).expand(10**11)}, f), "larger than the file"),
    "not finite": (
        lambda f, _: torch.save({"a": torch.tensor([1.0, np.nan])}, f),
        "a holds numbers that are not finite",
    ),
    "half": (lambda f, _: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2]), "Was the download complete"),
    "zeros": (lambda f, _: f.write_bytes(bytes(10_000)), "it is a tar archive"),
    "nothing": (lambda f, _: f.write_bytes(b""), "Was the download complete"),
    "text": (lambda f, _: f.write_text("hello world"), "cannot be read as weights"),
    "names that are none": (lambda f, _: torch.save({1: torch.ones(2)}, f), "holds no tensors by name"),
    "sparse": (lambda f, _: torch.save({"a": torch.ones(3).to_sparse()}, f), "is no array of plain numbers"),
    "on no device": (lambda f, _: torch.save({"a": torch.ones(3, device="meta")}, f), "is no array of plain numbers"),
    "odd names": (lambda f, _: torch.save({"\x1b[31m": torch.tensor(np.inf)}, f), r"'\\x1b\[31m' holds numbers"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_no_file_of_weights(file, case):
    torch.save({"a": torch.ones(1000)}, file)
    change, message = OTHERS[case]
    change(file, None)
    with pytest.raises(ValueError, match=message) as told:
        read_state(file)
    assert "weights_only" not in "".join(traceback.format_exception(told.value))
    assert len(str(told.value)) < 800


def test_kinds_of_numbers_are_those_of_the_network(file):
    network, card = torch.nn.Linear(2, 2), EncoderCard("tiny", None, 224, 112.0)
    half = {name: value.half() for name, value in network.state_dict().items()}
    load_strictly(network, half, card, WeightsFile(file, "w"))
    assert network.weight.dtype == torch.float32
    whole = {name: value.long() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match="weight is of int64"):
        load_strictly(network, whole, card, WeightsFile(file, "w"))
