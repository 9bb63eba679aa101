"""Predictions on a cluster: the bits of one process, written by one process."""

from __future__ import annotations

from pickle import loads
from types import SimpleNamespace

import numpy as np
import pytest
from on_cluster import kill_a_busy_worker, once
from spatialdata import read_zarr

import phg2st_sc as phg2st
from phg2st_sc._cluster import _client, run_tasks
from phg2st_sc._cluster._client import packed
from phg2st_sc._reading import Reading, slide_arrays
from phg2st_sc.tl import _predict_on


def mean(tiles):
    return tiles.mean(axis=(1, 2))


@pytest.fixture(scope="module")
def slides():
    made = phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=80, n_genes=30, progress=False)
    for one in made.values():
        phg2st.pp.extract_embeddings(one, image="hires", encoder=mean, context=None, progress=False)
        phg2st.pp.sample_prompts(one, fraction=0.3, seed=0)
    return made


def copies(slides):
    return {name: one.copy() for name, one in slides.items()}


def same(one, other):
    """Whether two tables have the same layers, scores and columns, to the bit, and the same records."""
    assert set(one.layers) == set(other.layers)
    for key in (key for key in one.layers if key is not None):
        np.testing.assert_array_equal(np.asarray(one.layers[key]), np.asarray(other.layers[key]))
    for key in one.obsm:
        np.testing.assert_array_equal(np.asarray(one.obsm[key]), np.asarray(other.obsm[key]))
    assert one.obs.equals(other.obs)
    assert one.var.equals(other.var)
    return repr(one.uns.get("phg2st")) == repr(other.uns.get("phg2st"))


def test_several_objects_are_imputed_as_by_one_process(slides, client):
    alone, there = copies(slides), copies(slides)
    phg2st.tl.impute(alone, progress=False)
    phg2st.tl.impute(there, progress=False, client=client)
    assert all(same(there[name], alone[name]) for name in slides)


def test_slides_of_one_object_share_their_genes(slides, client):
    import anndata

    joined = anndata.concat(slides, label="slide", uns_merge="unique", index_unique="-")
    settings = {"slide_key": "slide", "method": "gene_kriging", "progress": False}
    alone = phg2st.tl.predict(joined, **settings)
    there = phg2st.tl.predict(joined, **settings, client=client)
    np.testing.assert_array_equal(there.X, alone.X)


def test_a_model_and_scores_in_place_of_a_layer(slides, client):
    *training, (_, last) = slides.items()
    model = phg2st.tl.train(dict(training), progress=False)
    alone, there = last.copy(), last.copy()
    for one, settings in ((alone, {}), (there, {"client": client})):
        phg2st.tl.impute(one, model=model, low_rank=8, progress=False, **settings)
    assert same(there, alone)
    assert "phg2st" not in there.layers
    assert "phg2st_scores" in there.obsm


def test_a_worker_that_dies_loses_nothing(slides, client):
    alone, there = copies(slides), copies(slides)
    phg2st.tl.impute(alone, progress=False)
    with once(lambda: any(client.processing().values()), kill_a_busy_worker(client)) as killed:
        phg2st.tl.impute(there, progress=False, client=client)
    assert killed[0] is not None
    assert all(same(there[name], alone[name]) for name in slides)


@pytest.fixture
def stored(tmp_path):
    made = phg2st.datasets.simulate(
        n_slides=2, n_patients=2, n_spots=60, n_genes=20, container="spatialdata", progress=False
    )
    phg2st.pp.extract_embeddings(made, encoder=mean, context=None, progress=False)
    for name, one in made.items():
        phg2st.pp.sample_prompts(one, fraction=0.3, seed=0)
        one.write(tmp_path / f"{name}.zarr")
    return {name: read_zarr(tmp_path / f"{name}.zarr") for name in made}


def test_large_image_sides_are_read_from_the_store(stored, client, monkeypatch):
    monkeypatch.setattr(_predict_on, "SENT_BYTES", 0)
    tables = {name: one["table"].copy() for name, one in stored.items()}
    phg2st.tl.impute(tables, progress=False)
    phg2st.tl.impute(stored, progress=False, write=True, client=client)
    for name, one in stored.items():
        for found in (one, read_zarr(one.path)):
            np.testing.assert_array_equal(found["table"].layers["phg2st"], tables[name].layers["phg2st"])


def test_embeddings_that_the_store_lacks_are_told_of(stored, client, monkeypatch):
    monkeypatch.setattr(_predict_on, "SENT_BYTES", 0)
    changed = next(iter(stored.values()))["table"]
    changed.obsm["X_mean"] = changed.obsm["X_mean"] * np.float32(2)
    with pytest.raises(ValueError, match=r"holds other places or embeddings.*write=True"):
        phg2st.tl.impute(stored, progress=False, client=client)
    monkeypatch.setattr(_predict_on, "SENT_BYTES", 1 << 26)
    phg2st.tl.impute(stored, progress=False, client=client)


def test_objects_share_what_a_prior_knows(slides, client, monkeypatch):
    *training, (_, last) = slides.items()
    prior = phg2st.tl.train(dict(training), use_network=False, keep_sections=False, progress=False)
    others = last[:, :-1].copy()
    objects = [last.copy(), last.copy(), others, others.copy()]
    sent = []
    monkeypatch.setattr(_predict_on, "run_tasks", lambda *_, shared, **__: sent.append(shared) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        phg2st.tl.impute(objects, prior=prior, progress=False, client=client)
    first, second, third, fourth = sent[0]
    assert first is second
    assert third is fourth
    assert first is not third
    assert first._lent[0].knowledge is third._lent[0].knowledge
    monkeypatch.undo()
    here, there = objects[1:3], [one.copy() for one in objects[1:3]]
    phg2st.tl.impute(here, prior=prior, progress=False)
    phg2st.tl.impute(there, prior=prior, progress=False, client=client)
    assert all(same(*pair) for pair in zip(here, there, strict=True))


def test_a_method_that_is_too_large_to_send_is_told_of(client, monkeypatch):
    monkeypatch.setattr(_client, "MOST_BYTES", 10_000)
    one = {"what": "Task", "what_shared": "The method", "progress": False, "unit": "slide"}
    with pytest.raises(ValueError, match="^The method would have to be sent to the workers"):
        run_tasks(client, max, {"a": (1,)}, print, shared=bytes(20_000), **one)


def test_patient_and_picture_are_those_in_memory(stored, monkeypatch):
    monkeypatch.setattr(_predict_on, "SENT_BYTES", 0)
    one = next(iter(stored.values()))
    one["table"].obs["patient"] = "someone"
    reading, image_side = Reading(), {"rep": "X_mean", "hypergraph_key": None, "patches": True}
    slide = reading.slides(one)[0]
    here = slide_arrays(slide, **image_side)
    asked = SimpleNamespace(reading=reading, image_side=image_side)
    side = _predict_on.ImageSide.of(one, asked, slide, "a call")
    assert side.arrays is None
    there = loads(packed(side, "The image side")).read()
    assert there.patient == here.patient == "someone"
    assert there.feature_record == here.feature_record
    pictures = [each.patches.read(np.arange(5), edge_um=100.0, size=8) for each in (here, there)]
    np.testing.assert_array_equal(*pictures)
