"""Folders of saved models: complete or not there, checked when they are read, and those of earlier versions still load."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from folders import change_arrays, change_settings, seal
from safetensors.numpy import load_file, save_file

from phg2st_sc import models


@pytest.fixture(scope="module")
def trained(cohort):
    return models.create("regression_kriging", n_components=3).fit(cohort)


@pytest.fixture
def folder(trained, tmp_path):
    return trained.save(tmp_path / "model")


ARRAYS = {
    "missing": (lambda a: a.pop("basis.vectors"), r"The array 'basis\.vectors' is missing"),
    "surplus": (lambda a: a.update(more=np.ones(2)), "There is no place for 'more'"),
    "not finite": (lambda a: a["levels"].__setitem__(0, np.nan), "'levels' holds numbers that are not finite"),
    "another shape": (lambda a: a.update(levels=a["levels"][:-1].copy()), r"'levels' is float64\[.*was saved"),
    "another dtype": (lambda a: a.update(levels=a["levels"].astype(np.float32)), r"'levels' is float32.*was saved"),
}


@pytest.mark.parametrize("damage", ARRAYS)
def test_damaged_arrays(folder, damage):
    change, message = ARRAYS[damage]
    change_arrays(folder, change)
    with pytest.raises(
        ValueError, match=f"saved model in .*model is damaged.*{message}.*Copy it again, or save it anew"
    ):
        models.load(folder)


def test_every_change_is_noticed(folder):
    change_arrays(folder, lambda arrays: arrays.update(levels=arrays["levels"][::-1].copy()), sealed=False)
    with pytest.raises(ValueError, match=r"arrays\.safetensors is not what model\.json says"):
        models.load(folder)
    seal(folder)
    models.load(folder)
    change_settings(folder, lambda record: record["state"]["genes"].reverse(), sealed=False)
    with pytest.raises(ValueError, match=r"model\.json was changed after it was saved"):
        models.load(folder)


def test_files_of_two_models(folder, cohort, tmp_path):
    other = models.create("regression_kriging", n_components=4).fit(cohort).save(tmp_path / "other")
    (folder / "arrays.safetensors").write_bytes((other / "arrays.safetensors").read_bytes())
    with pytest.raises(ValueError, match="or is of another model"):
        models.load(folder)


SETTINGS = {
    "twice the same gene": (lambda r: r["state"]["genes"].__setitem__(0, r["state"]["genes"][1]), "more than once"),
    "a gene too few": (lambda r: r["state"]["genes"].pop(), "'levels' has the shape .*'genes'"),
    "no levels": (lambda r: r["state"].update(levels=None), "no place for 'levels'"),
    "no kernel": (lambda r: r["state"]["learned"].pop("kernel"), r"'learned\.kernel' is missing"),
    "no number": (lambda r: r["state"]["learned"].update(ratio="large"), r"'learned\.ratio' is 'large'"),
}


@pytest.mark.parametrize("damage", SETTINGS)
def test_damaged_settings(folder, damage):
    change, message = SETTINGS[damage]
    change_settings(folder, change)
    with pytest.raises(ValueError, match=f"is damaged.*{message}"):
        models.load(folder)


def test_a_truncated_file(folder):
    whole = (folder / "arrays.safetensors").read_bytes()
    for kept in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        (folder / "arrays.safetensors").write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"is damaged\. arrays\.safetensors is not what model\.json says"):
            models.load(folder)
        seal(folder)
        with pytest.raises(ValueError, match=r"is damaged\. arrays\.safetensors is not readable"):
            models.load(folder)


def test_half_a_folder(folder):
    (folder / "arrays.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        models.load(folder)


@pytest.mark.parametrize("schema", [0, 4, 99])
def test_unknown_schemas(folder, schema):
    change_settings(folder, lambda record: record.update(schema=schema))
    with pytest.raises(ValueError, match=f"schema {schema}, and this version reads 1 to 3: update phg2st-sc"):
        models.load(folder)
    change_settings(folder, lambda record: record.update(schema="two"))
    with pytest.raises(ValueError, match="was not written by"):
        models.load(folder)


def test_an_unknown_method(folder):
    change_settings(folder, lambda record: record.update(method="of tomorrow"))
    with pytest.raises(KeyError, match="of tomorrow"):
        models.load(folder)


def test_an_interrupted_save_leaves_what_was_there(trained, folder, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match="No space"):
        trained.save(folder, overwrite=True)
    with pytest.raises(OSError, match="No space"):
        trained.save(folder.parent / "other")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_settings_under_their_former_names(tmp_path):
    class Renamed(models.IDW):
        name = "renamed_for_a_test"
        renamed: ClassVar = {"neighbours": "n_neighbors"}

    folder = models.create("idw", n_neighbors=3).save(tmp_path / "model")
    change_settings(
        folder, lambda record: record.update(method=Renamed.name, parameters={"neighbours": 5, "power": 2.0})
    )
    assert models.IDW.load(folder).n_neighbors == 5


# --- folders of version 0.1 -------------------------------------------------------------------------------------------
FORMER = {
    "basis.vectors": "basis",
    "basis.variance": "basis_variance",
    "regression.radial.": "regression_",
    "regression.center": "regression_centre",
    "regression.coefficients": "regression_coefficients",
}
FORMER_KNOWLEDGE = {
    "basis.vectors": "basis",
    "basis.variance": "basis_variance",
    "regression.radial.": "regression.",
    "regression.center": "regression.centre",
    "references.": "reference.",
}


def write_as_before(folder, names, state, more):
    """Change a folder to what version 0.1 wrote: flat names, and scalars of a regression as arrays."""
    arrays = load_file(folder / "arrays.safetensors")
    for new, old in names.items():
        arrays = {name.replace(new, old): array for name, array in arrays.items()}
    save_file({**arrays, **more}, folder / "arrays.safetensors")
    change_settings(folder, lambda r: (r.update(schema=1, state=state), r.pop("checksums")), sealed=False)


def same_predictions(one, other, slide, draw):
    prompts = draw(slide, 20)
    mean = one.predict(slide.arrays, prompts).mean
    np.testing.assert_array_equal(other.predict(slide.arrays, prompts).mean, mean)


def test_a_simple_method_of_the_last_version(trained, folder, slide, draw):
    learned, scale = trained.learned, trained.regression.radial.scale
    covariance = [learned.kernel.length_scale, learned.kernel.mix, learned.ratio]
    state = {"genes": list(trained.genes), "covariance": covariance}
    write_as_before(folder, FORMER, state, {"regression_scale": np.array([scale])})
    loaded = models.load(folder)
    assert loaded.learned == learned
    same_predictions(trained, loaded, slide, draw)
    change_arrays(folder, lambda arrays: arrays.pop("basis"), sealed=False)
    with pytest.raises(ValueError, match=r"is damaged.*'basis\.vectors' is missing"):
        models.load(folder)


def test_the_default_of_the_last_version(cohort, slide, draw, tmp_path):
    model = models.create("phg2st", n_components=3, use_network=False).fit(cohort)
    folder, known = model.save(tmp_path / "model"), model._knowledge
    knowledge = {
        "imaged_patients": sorted(known.imaged_patients),
        "references": [[one.name, one.patient] for one in known.references],
        "slopes": [[list(kinds), list(values)] for kinds, values in known.slopes.items()],
    }
    views = ("surroundings", "both", "own")
    more = {
        "knowledge.regression.scale": np.array([known.regression.radial.scale]),
        "knowledge.regression.view": np.array([views.index(known.regression.view)]),
    }
    former = {"preset": None, "prompt_fraction": None, "fusion": "propagate"}
    change_settings(folder, lambda record: record["parameters"].update(former))
    state = {"genes": list(model.genes), "record": {}, "knowledge": knowledge}
    write_as_before(folder, FORMER_KNOWLEDGE, state, more)
    loaded = models.load(folder)
    assert loaded._knowledge.references[0].name == known.references[0].name
    same_predictions(model, loaded, slide, draw)
