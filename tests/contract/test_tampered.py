"""Whatever was changed in a saved folder is an error at load; what somebody sealed anew is refused too, or harmless."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from folders import change_arrays, change_settings
from forms import every_form
from safetensors.numpy import load_file

from phg2st_sc import models
from phg2st_sc.models import METHODS


@pytest.fixture(scope="module")
def saved(fitted_models, tmp_path_factory):
    """Folders of fitted methods by name; they are copied, not changed."""
    folders = {}

    def folder_of(name):
        if name not in folders:
            folders[name] = fitted_models[name].save(tmp_path_factory.mktemp("saved") / name)
        return folders[name]

    return folder_of


@pytest.fixture
def copied(saved, tmp_path):
    def copy(name):
        return shutil.copytree(saved(name), tmp_path / "model", dirs_exist_ok=True)

    return copy


FITTED = [
    "prompt_mean",
    "gene_kriging",
    "regression_kriging",
    "image_ridge",
    "phg2st",
    "phg2st_paper",
    "histogene",
    "bleep",
]
by_method = pytest.mark.parametrize("name", FITTED)


def is_refused(folder):
    with pytest.raises((ValueError, FileNotFoundError)) as told:
        models.load(folder)
    return len(str(told.value)) < 1500


@by_method
def test_every_array_is_needed_as_it_is(copied, name):
    folder = copied(name)
    arrays = load_file(folder / "arrays.safetensors")
    for key in list(arrays)[:: max(1, len(arrays) // 8)]:
        if not arrays[key].size:
            continue
        folder = copied(name)
        change_arrays(folder, lambda a, k=key: a.pop(k))
        assert is_refused(folder), key
        if arrays[key].dtype.kind == "f":
            for value in (np.nan, np.inf):
                folder = copied(name)
                change_arrays(folder, lambda a, k=key, v=value: a[k].reshape(-1).__setitem__(0, v))
                assert is_refused(folder), (key, value)
            folder = copied(name)
            change_arrays(folder, lambda a, k=key: a.update({k: a[k].astype(np.float16)}))
            assert is_refused(folder), key
        folder = copied(name)
        change_arrays(folder, lambda a, k=key: a.update({k: np.concatenate([a[k], a[k][:1]])}))
        assert is_refused(folder), key


@by_method
def test_every_name_in_the_settings_is_needed(copied, name):
    record = json.loads((copied(name) / "model.json").read_text())
    for key in record:
        folder = copied(name)
        change_settings(folder, lambda r, k=key: r.pop(k), sealed=False)
        assert is_refused(folder), key
    for key in record["state"]:
        folder = copied(name)
        change_settings(folder, lambda r, k=key: r["state"].pop(k))
        if not record["state"][key] or key == "learned":  # what may be `None` is that where it is left out
            continue
        assert is_refused(folder), key


@by_method
def test_what_is_learned_belongs_to_genes(copied, name):
    folder = copied(name)
    change_settings(folder, lambda record: record["state"].update(genes=None))
    assert is_refused(folder)


def without_arrays(folder, *prefixes):
    change_arrays(folder, lambda a: [a.pop(name) for name in list(a) if name.startswith(prefixes)], sealed=False)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("gene_kriging", "levels"), ("prompt_mean", "levels"), ("image_ridge", "levels"), ("histogene", "trained")],
)
def test_a_fitted_method_has_what_it_always_has(copied, name, attribute):
    folder = copied(name)
    without_arrays(folder, attribute)
    change_settings(folder, lambda record: record["state"].update({attribute: None}))
    with pytest.raises(ValueError, match=f"'{attribute}' is missing, which method '{name}' always has"):
        models.load(folder)


LIMITS = {
    "a negative scale": ("regression_kriging", lambda s: s["regression"]["radial"].update(scale=-1.0), "must be > 0"),
    "a kernel of no length": ("gene_kriging", lambda s: s["learned"]["kernel"].update(length_scale=0.0), "must be > 0"),
    "a mixture beyond 1": ("gene_kriging", lambda s: s["learned"]["kernel"].update(mix=1.5), "must be 0 to 1"),
    "a negative ratio": ("gene_kriging", lambda s: s["learned"].update(ratio=-0.1), "must be > 0"),
    "no slopes": ("phg2st", lambda s: s["knowledge"]["slopes"].pop(), "The slopes of .* are missing"),
    "no scale": ("phg2st_paper", lambda s: s["trained"].update(scale=0.0), "must be > 0"),
    "many digits": ("gene_kriging", lambda s: s["learned"].update(ratio=10**400), "not finite"),
    "a wide network": (
        "phg2st_paper",
        lambda s: s["trained"]["network"].update(hypergraph_width=10**9),
        "a far larger network than there are weights",
    ),
    "a deep network": (
        "histogene",
        lambda s: s["trained"]["network"].update(depth=10**9),
        "a far larger network than there are weights",
    ),
}


@pytest.mark.parametrize("case", LIMITS)
def test_numbers_are_bounded(copied, case):
    name, change, message = LIMITS[case]
    folder = copied(name)
    change_settings(folder, lambda record: change(record["state"]))
    with pytest.raises(ValueError, match=f"is damaged.*{message}"):
        models.load(folder)


@pytest.mark.parametrize("name", ["phg2st", "phg2st_paper", "regression_kriging"])
def test_arrays_of_no_sign(copied, name):
    folder = copied(name)
    key = {"phg2st": "knowledge.spread", "phg2st_paper": "trained.stats.scale"}.get(name, "levels")
    change_arrays(folder, lambda arrays: arrays.update({key: -arrays[key]}))
    with pytest.raises(ValueError, match=f"'{key}' must be >=? 0, and holds numbers that are not so"):
        models.load(folder)


SETTINGS = {
    "a folder of this machine": ("phg2st_paper", {"resume_from": "/home/me/last.ckpt"}, "names no folder or file"),
    "a place to write to": ("histogene", {"checkpoint_dir": "somewhere"}, "names no folder or file"),
    "weights somewhere": ("stnet", {"weights": "/home/me/w.bin", "inputs": "patches"}, "names no folder or file"),
    "a negative number": ("idw", {"power": -1.0}, "power=-1.0 of method 'idw' must be a finite number above 0"),
    "no seed": ("kriging", {"seed": -1}, "seed=-1 of method 'kriging' must be at least 0"),
    "endless tuning": ("stnet", {"fine_tune": 10**9}, "at least 0 and at most 10000"),
    "another kind": ("idw", {"n_neighbors": "many"}, "'n_neighbors' is 'many', and int is what it takes"),
    "a list for a text": ("phg2st", {"engine": ["auto"]}, r"'engine' is \['auto'\], and str is what it takes"),
    "a long text": ("phg2st", {"engine": "x" * 10**6}, "'engine' is 'xxx"),
    "an unknown setting": ("idw", {"hook": "os.system"}, "'idw' has no setting 'hook'"),
    "a former form": ("phg2st", {"fusion": "paper"}, "'phg2st' has no setting 'fusion'"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_are_those_of_the_class(tmp_path, case):
    name, changes, message = SETTINGS[case]
    folder = models.create(name).save(tmp_path / "model")
    change_settings(folder, lambda record: record["parameters"].update(changes))
    with pytest.raises(ValueError, match=f"is damaged.*{message}") as told:
        models.load(folder)
    assert len(str(told.value)) < 1000


CARDS = {
    "slides": (3, "'slides' is 3, which is no list"),
    "fingerprints": ([1], "'fingerprints.0' is 1, which is no str"),
    "reading": ({"counts_layer": {}}, "'reading.counts_layer' is {}, which is no plain value"),
    "target_sum": (-1.0, "'target_sum' must be > 0"),
    "features": ("uni", "'features' is 'uni', which is no dict"),
}


@pytest.mark.parametrize("name", CARDS)
def test_the_card_says_what_is_read(tmp_path, name):
    value, message = CARDS[name]
    folder = models.create("idw").save(tmp_path / "model")
    change_settings(folder, lambda record: record["card"].update({name: value}))
    with pytest.raises(ValueError, match=f"Of the card, {message}"):
        models.load(folder)
    model = models.create("idw")
    model.card = {name: value}
    with pytest.raises(ValueError, match="Of the card"):
        model.save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_no_network_is_trained_by_the_settings_of_a_folder(tmp_path, visium_adata):
    import phg2st_sc as phg2st

    phg2st.pp.sample_prompts(visium_adata, fraction=0.3)
    for model in (models.create("histogene"), models.create("best_simple", candidates=["stnet"])):
        folder = model.save(tmp_path / model.name)
        with pytest.raises(ValueError, match=f"holds settings of method '{model.name}', which is not trained"):
            phg2st.tl.predict(visium_adata, model=folder)
    assert METHODS["histogene"].trains_alone


def test_no_image_encoder_from_elsewhere():
    from phg2st_sc.models.published._pictures import Backbone

    for name in ("hf-hub:someone/net", "local-dir:/home/me/net"):
        with pytest.raises(ValueError, match="names a place to read from: give the plain name"):
            Backbone(name)


@every_form
def test_bits_and_bytes(make, tmp_path, name, fitted):
    """One flipped bit, or a lost end, anywhere in either file."""
    folder = make(name, fitted).save(tmp_path / "model")
    rng = np.random.default_rng(0)
    for file in ("model.json", "arrays.safetensors"):
        whole = (folder / file).read_bytes()
        for number in range(12):
            at = int(rng.integers(len(whole)))
            changed = bytearray(whole)
            changed[at] ^= 1 << int(rng.integers(8))
            (folder / file).write_bytes(bytes(changed) if number % 3 else whole[:at])
            try:
                loaded = models.load(folder)
            except (ValueError, KeyError):
                continue
            assert file == "model.json"  # a space became another, which says the same
            assert models._store.parameters(loaded) == models._store.parameters(make(name, fitted))
        (folder / file).write_bytes(whole)
    models.load(folder)
