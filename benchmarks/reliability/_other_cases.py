"""Folders of benchmarks and files of weights, damaged and made to harm."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _sandbox import run

import phg2st_sc as phg2st
from phg2st_sc.encoders import EncoderCard, WeightsFile, load_strictly, read_state

Rng = np.random.Generator
SETTINGS: dict[str, Any] = {
    "methods": ["idw", "gene_kriging"],
    "genes": 8,
    "strategies": "random",
    "n_masks": 1,
    "n_splits": 0,
    "progress": False,
}
_VICTIM = "theirs.txt"


# --- benchmarks -------------------------------------------------------------------------------------------------------
def compared(sections: dict[str, Any], folder: Path) -> list[Any]:
    """What a user would do: take the benchmark up again."""
    table = phg2st.tl.benchmark(sections, out=folder, **SETTINGS)
    timeless = table[~table["metric"].str.contains("seconds|_mb")]
    assert (folder.parent / _VICTIM).read_text() == "theirs"
    return timeless[["fold", "section", "method", "metric", "value"]].to_numpy().tolist()


def _unit(folder: Path, rng: Rng) -> Path:
    units = sorted((folder / "units").iterdir())
    return units[int(rng.integers(len(units)))]


def _spoil(path: Path, rng: Rng) -> str:
    content, how = path.read_bytes(), int(rng.integers(6))
    at = int(rng.integers(len(content)))
    flipped = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
    spoilt = (
        content[:at],
        bytes(len(content)),
        flipped,
        content[:at] + bytes(50) + content[at + 50 :],
        b"",
        content * 2,
    )
    path.write_bytes(spoilt[how])
    return f"{path.parent.name}/{path.name} spoilt in way {how}"


def _plan(folder: Path, rng: Rng) -> str:
    path = folder / "benchmark.json"
    plan = json.loads(path.read_text())
    key = list(plan)[int(rng.integers(len(plan)))]
    odd = (None, [], {}, "\x1b[31m", 10**400, {"a": {"method": "x" * 10**6}}, {"idw (section)": {"method": ["idw"]}})
    plan[key] = value = odd[int(rng.integers(len(odd)))]
    path.write_text(json.dumps(plan))
    return f"{key} of the plan is {value!r:.40}"


def _link(folder: Path, rng: Rng) -> str:
    victim, how = folder.parent / _VICTIM, int(rng.integers(5))
    path = (_unit(folder, rng), folder / "benchmark.json", folder / "benchmark.csv", folder / "units", None)[how]
    if path is None:
        for number in range(2000):
            (folder / f".benchmark.json.{number}").symlink_to(victim)
        return "links in the place of scratch files"
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    outside = folder.parent / "outside"
    outside.mkdir()
    path.symlink_to(outside if how == 3 else victim)
    return f"{path.name} is a link"


def _swap(folder: Path, rng: Rng) -> str:
    one, other = _unit(folder, rng), _unit(folder, rng)
    one.write_bytes(other.read_bytes())
    return "a unit in the place of another"


def benchmark_cases(home: Path, sections: dict[str, Any], n: int, seed: int, case: Callable[..., Any]) -> Iterator[Any]:
    """Folders of a finished benchmark."""
    first = home / "benchmark"
    first.mkdir()
    (first / _VICTIM).write_text("theirs")
    done = run(partial(compared, sections, first / "out"), first, seconds=600)
    if done.value is None:
        raise RuntimeError(done)
    rng = np.random.default_rng(seed + 1)
    for number in range(n):
        place = home / f"benchmark{number}"
        shutil.copytree(first, place)
        folder, how = place / "out", int(rng.integers(6))
        if how < 2:
            what = _spoil(_unit(folder, rng), rng)
        elif how == 2:
            what = _spoil(folder / "benchmark.json", rng)
        else:
            what = (_plan, _link, _swap)[how - 3](folder, rng)
        yield case("benchmark", what, partial(compared, sections, folder), place, done.value, sealed=False)


# --- weights ----------------------------------------------------------------------------------------------------------
class Payload:
    """Something that writes a file when it is unpickled."""

    def __init__(self, path: Path, way: int) -> None:
        self.path, self.way = path, way

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        ways = ((os.system, (f"touch {self.path}",)), (open, (str(self.path), "w")), (eval, ("1 + 1",)))
        return ways[self.way % len(ways)]


def loaded(file: Path) -> list[float]:
    """What an encoder does with a file of weights."""
    network = torch.nn.Linear(3, 2)
    load_strictly(network, read_state(file), EncoderCard("tiny", None, 224, 112.0), WeightsFile(file, file.name))
    return network(torch.ones(1, 3)).flatten().tolist()


def _weights(file: Path, rng: Rng, good: dict[str, torch.Tensor], bad: Payload) -> str:
    ways: dict[str, Callable[[], Any]] = {
        "an object beside tensors": lambda: torch.save({**good, "x": bad}, file),
        "an object": lambda: torch.save(bad, file),
        "a pickle": lambda: file.write_bytes(pickle.dumps(bad, protocol=int(rng.integers(6)))),
        "a whole network": lambda: torch.save(torch.nn.Linear(3, 2), file),
        "arrays of NumPy": lambda: torch.save({name: value.numpy() for name, value in good.items()}, file),
        "a wide view": lambda: torch.save({**good, "weight": torch.ones(1).expand(10**12)}, file),
        "not finite": lambda: torch.save({**good, "bias": torch.tensor([1.0, float("nan")])}, file),
        "odd names": lambda: torch.save({"\x1b[2J" + "x" * 10**5: good["bias"]}, file),
        "other kinds": lambda: torch.save({name: value.to(torch.int8) for name, value in good.items()}, file),
        "sparse": lambda: torch.save({**good, "weight": good["weight"].to_sparse()}, file),
        "on no device": lambda: torch.save({**good, "weight": good["weight"].to("meta")}, file),
        "complex": lambda: torch.save({**good, "weight": good["weight"].to(torch.complex64)}, file),
        "nested": lambda: torch.save({"model": {"model": good}}, file),
        "text": lambda: file.write_text("<html>log in to go on</html>"),
        "zeros": lambda: file.write_bytes(bytes(5000)),
        "noise": lambda: file.write_bytes(rng.bytes(3000)),
        "compressed": lambda: _compressed(file, good),
        "cut": lambda: (torch.save(good, file), os.truncate(file, int(rng.integers(file.stat().st_size)))),
        "a bit": lambda: (torch.save(good, file), _flip(file, rng)),
    }
    name = list(ways)[int(rng.integers(len(ways)))]
    ways[name]()
    return name


def _flip(file: Path, rng: Rng) -> None:
    content = bytearray(file.read_bytes())
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    file.write_bytes(bytes(content))


def _compressed(file: Path, good: dict[str, torch.Tensor]) -> None:
    torch.save(good, file)
    with zipfile.ZipFile(file) as archive:
        content = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items():
            archive.writestr(name, value + bytes(10**7))


def weight_cases(home: Path, n: int, seed: int, case: Callable[..., Any]) -> Iterator[Any]:
    """Files of weights of a small network."""
    rng = np.random.default_rng(seed + 2)
    torch.manual_seed(0)
    good = {name: value.detach().clone() for name, value in torch.nn.Linear(3, 2).state_dict().items()}
    for number in range(n):
        place = home / f"weights{number}"
        place.mkdir()
        file = place / ("w.safetensors" if rng.integers(4) == 0 else "w.bin")
        what = _weights(file, rng, good, Payload(home / "owned", number))
        yield case("weights", f"{file.name}: {what}", partial(loaded, file), place, None, sealed=True)
