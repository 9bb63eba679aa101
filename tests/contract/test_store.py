"""Saved and loaded, a model predicts the same; what is no model is spared and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from forms import every_form, predict

from phg2st_sc import models


@every_form
def test_saved_and_loaded(make, slide, draw, tmp_path, name, fitted):
    prompts = draw(slide, 30)
    model = make(name, fitted)
    folder = model.save(tmp_path / "model")
    loaded = models.load(folder)
    assert type(loaded) is type(model)
    assert loaded.genes == model.genes
    assert models._store.parameters(loaded) == models._store.parameters(model)
    np.testing.assert_array_equal(
        predict(loaded, slide.arrays, prompts).mean, predict(model, slide.arrays, prompts).mean
    )
    json.loads((folder / "model.json").read_text())
    assert sorted(p.name for p in folder.iterdir()) == ["arrays.safetensors", "model.json"]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(folder)
    model.save(folder, overwrite=True)
    assert type(type(model).load(folder)) is type(model)


def test_saving_spares_what_is_no_model(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not replaced"):
        models.create("idw").save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        models.load(tmp_path / "mine")


def test_loading_as_another_method(tmp_path):
    folder = models.create("idw", n_neighbors=3).save(tmp_path / "model")
    assert models.load(folder).n_neighbors == 3
    with pytest.raises(TypeError, match="'idw', not 'kriging'"):
        models.Kriging.load(folder)


def test_loading_what_a_later_version_wrote(tmp_path):
    folder = models.create("idw").save(tmp_path / "model")
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**record, "schema": 99}))
    with pytest.raises(ValueError, match="schema 99.*update phg2st-sc"):
        models.load(folder)


def test_a_damaged_or_foreign_model_file_is_named(tmp_path):
    folder = models.create("idw").save(tmp_path / "model")
    (folder / "model.json").write_text('{"name": "another tool"}')
    with pytest.raises(ValueError, match=r"model\.json was not written by `model.save"):
        models.load(folder)
    (folder / "model.json").write_text('{"schema": 1,')
    with pytest.raises(ValueError, match=r"model\.json is not readable JSON"):
        models.load(folder)


def test_saving_over_a_model_leaves_one_folder(tmp_path):
    models.create("idw", n_neighbors=3).save(tmp_path / "model")
    models.create("idw", n_neighbors=4).save(tmp_path / "model", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert models.load(tmp_path / "model").n_neighbors == 4
