"""Results that are too large for memory: block by block into the store, read from there when they are used."""

from __future__ import annotations

import errno
import shutil
import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import spatial_elements as make
import spatialdata as sd
import zarr
from cut_off import Killed, cut_off
from scipy import sparse
from spatialdata import SpatialData

import phg2st_sc as phg2st
from phg2st_sc import _keys
from phg2st_sc._slide import _scattered
from phg2st_sc._slide._disk import _process
from phg2st_sc.models import Prediction, RowBlocks
from phg2st_sc.tl import _results

WORK = ".phg2st-write"


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(_results, "MOST_IN_MEMORY", 1)
    monkeypatch.setattr(_scattered, "_VALUES", 40 * 16)


@pytest.fixture
def stored(tmp_path):
    """A section read from a store."""
    sdata = phg2st.datasets.simulate(container="spatialdata", n_spots=100, n_genes=24, progress=False, seed=0)
    phg2st.pp.sample_prompts(sdata, fraction=0.2)
    sdata.write(tmp_path / "s.zarr")
    return sd.read_zarr(tmp_path / "s.zarr")


def impute(sdata, **settings):
    phg2st.tl.impute(sdata, **{"method": "idw", "progress": False, "write": True, **settings})


def test_a_layer_goes_into_the_store_and_is_read_from_there(stored):
    expected = phg2st.tl.predict(stored, method="idw").to_df()
    impute(stored)
    layer = stored["table"].layers["idw"]
    assert not isinstance(layer, np.ndarray)
    read = sd.read_zarr(stored.path)
    back = read["table"]
    np.testing.assert_array_equal(back.layers["idw"], layer.compute())
    assert isinstance(back.layers["idw"], np.ndarray)
    shown = back.var["idw_predicted"].to_numpy()
    np.testing.assert_array_equal(back.layers["idw"][:, shown], expected.to_numpy())
    assert list(back.var_names[shown]) == list(expected.columns)
    chunks = zarr.open_array(Path(stored.path) / "tables/table/layers/idw", mode="r").chunks
    assert chunks[1] == back.n_vars
    assert chunks[0] < back.n_obs
    scores = [phg2st.tl.evaluate(data, layer="idw", n_splits=0, progress=False) for data in (stored, read)]
    pd.testing.assert_frame_equal(*scores)


def test_several_slides_whose_rows_alternate(training):
    slides = {name: one.copy() for name, one in training.items()}
    for one in slides.values():
        phg2st.pp.sample_prompts(one, fraction=0.2)
    table = anndata.concat(slides, label="slide", index_unique="-", merge="same", uns_merge="first")
    table = table[np.random.default_rng(0).permutation(table.n_obs)].copy()
    phg2st.tl.impute(table, method="idw", slide_key="slide", target_sum=1e4, progress=False)
    for name, one in slides.items():
        rows = table.obs["slide"] == name
        alone = phg2st.tl.predict(one, method="idw", genes=list(one.var_names), target_sum=1e4, progress=False)
        order = [str(label).removesuffix(f"-{name}") for label in table.obs_names[rows]]
        shown = table.var["idw_predicted"].to_numpy()
        np.testing.assert_array_equal(table.layers["idw"][rows][:, shown], alone[order, table.var_names[shown]].X)


def test_a_table_goes_into_the_store_and_is_read_from_there(stored):
    genes = list(stored["table"].var_names[[3, 1]])
    expected = phg2st.tl.predict(stored, method="idw", genes=genes)
    for _ in range(2):  # once more, over the first
        impute(stored, genes=genes, key_added="few", write="table")
        assert not isinstance(stored["few"].X, np.ndarray)
        back = sd.read_zarr(stored.path)["few"]
        for table in (stored["few"], back):
            np.testing.assert_array_equal(np.asarray(table.X), expected.X)
        assert list(back.var_names) == genes
        assert back.uns["method"] == "idw"


def test_what_is_read_from_the_store_is_never_something_else(stored):
    impute(stored)
    first = stored["table"].layers["idw"]
    other = sd.read_zarr(stored.path)
    impute(other, power=3.0)
    with pytest.raises(OSError, match="was replaced since"):
        first.compute()
    moved = Path(stored.path).with_name("moved.zarr")
    Path(stored.path).rename(moved)
    with pytest.raises(OSError, match="is not there any more"):
        other["table"].layers["idw"].compute()
    assert np.isfinite(sd.read_zarr(moved)["table"].layers["idw"]).any()


def test_a_table_that_is_written_anew_needs_its_layer_in_memory(stored):
    impute(stored)
    table = stored["table"]
    lazy = table.layers["idw"]
    table.layers["idw"] = lazy.compute()  # as the message says
    stored.delete_element_from_disk("table")
    with pytest.raises(OSError, match=r"`table.layers\['idw'\] = table.layers\['idw'\].compute\(\)`"):
        lazy.compute()
    stored.write_element("table")
    np.testing.assert_array_equal(sd.read_zarr(stored.path)["table"].layers["idw"], table.layers["idw"])
    impute(stored, key_added="few", write="table")
    values = stored["few"].X
    stored.delete_element_from_disk("few")
    with pytest.raises(OSError, match=r"`table.X = table.X.compute\(\)`"):
        values.compute()


def test_all_of_it_is_never_held(tmp_path, monkeypatch):
    monkeypatch.setattr(_scattered, "_VALUES", 1 << 18)
    n, n_genes = 2500, 4000
    data = SpatialData(
        shapes={"spots": make.circles(make.square(50, 10.0, 20.0), np.arange(n))},
        tables={"table": make.annotating({"spots": np.arange(n)}, n_genes=n_genes)},
    )
    data["table"].X = sparse.csr_matrix(data["table"].X)
    data["table"].obs["prompt"] = np.arange(n) % 25 == 0
    data.write(tmp_path / "wide.zarr")

    class Wide(phg2st.models.PromptMean):
        name = "wide"

        def predict(self, slide, prompts):
            def some(rows):
                return np.full((rows.stop - rows.start, prompts.n_genes), rows.start, dtype=np.float32)

            return Prediction(RowBlocks(slide.n_spots, prompts.n_genes, some, step=64))

    tracemalloc.start()
    try:
        impute(data, method=None, model=Wide(), key_added="wide")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert data["table"].layers["wide"].shape == (n, n_genes)
    assert np.bincount(data["table"].layers["wide"][:, -1].compute().astype(int))[::64].tolist() == [64] * 39 + [4]
    assert peak < n * n_genes * 4 / 2


# --- whole or not at all ----------------------------------------------------------------------------------------------
@pytest.fixture
def dead(monkeypatch):
    """Processes that wrote are gone, as far as can be seen."""
    monkeypatch.setattr(_process.Process, "runs", lambda self: False)


@pytest.fixture
def fresh(stored, tmp_path):
    """Copies of a store with a first result, each opened."""
    impute(stored, power=1.0)
    counter = iter(range(10_000))

    def make():
        path = tmp_path / f"copy{next(counter)}.zarr"
        shutil.copytree(stored.path, path)
        return sd.read_zarr(path)

    return make


def second(sdata):
    impute(sdata, power=3.0)


def state(sdata):
    table = sd.read_zarr(sdata.path)["table"]
    return float(np.nansum(table.layers["idw"])), table.uns["idw"]["parameters"]["power"]


def steps(sdata, how_many):
    with cut_off(sdata.path, None, kill=False) as counts:
        second(sdata)
    exchange, end = counts.first("journal.json"), counts.first(".done")
    blocks = [number for number, line in enumerate(counts.log) if "layers/idw/c/" in line]
    assert len(blocks) > 5, "every block is a step"
    return np.unique([blocks[0], blocks[-1], *np.linspace(exchange, end, how_many).astype(int)])


def test_a_full_disk_leaves_memory_and_store_as_they_were(fresh):
    sdata = fresh()
    before, after = state(sdata), None
    for step in steps(sdata, 3):
        sdata = fresh()
        old = np.asarray(sdata["table"].layers["idw"]).copy()
        failure = None
        with cut_off(sdata.path, step, kill=False):
            try:
                second(sdata)
            except OSError as error:
                failure = error
        if failure is not None:
            assert failure.errno == errno.ENOSPC
            assert "holds its old content" in " ".join(failure.__notes__)
            assert state(sdata) == before, step
            np.testing.assert_array_equal(sdata["table"].layers["idw"], old)
        second(sdata)
        after = after or state(sdata)
        assert state(sdata) == after != before, step


def test_a_process_killed_among_the_blocks_leaves_the_old(fresh, dead):
    sdata = fresh()
    before, outcomes = state(sdata), set()
    for step in steps(sdata, 3):
        sdata = fresh()
        with cut_off(sdata.path, step, kill=True), pytest.raises(Killed):
            second(sdata)
        outcome = phg2st.io.recover(sdata.path)
        outcomes.add(outcome)
        again = sd.read_zarr(sdata.path)
        assert _keys.UNFINISHED not in again["table"].uns
        assert (state(again) == before) == (outcome == "old kept"), step
        second(again)
        assert state(again)[1] == 3.0
        assert not any(path.name.startswith(WORK) for path in Path(sdata.path).iterdir())
    assert outcomes >= {"old kept", "new completed"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_fault_among_the_blocks_leaves_memory_and_store_as_they_were(fresh, monkeypatch, error):
    sdata = fresh()
    before, old = state(sdata), np.asarray(sdata["table"].layers["idw"]).copy()

    class Breaks(phg2st.models.IDW):
        def predict_genes(self, slide, prompts, genes):
            blocks = super().predict_genes(slide, prompts, genes).blocks

            def some(rows):
                if rows.start:
                    raise error
                return blocks.make(rows)

            return Prediction(RowBlocks(blocks.n, blocks.width, some, step=16))

        def predict(self, slide, prompts):
            return self.predict_genes(slide, prompts, np.arange(prompts.n_genes))

    with pytest.raises(error):
        impute(sdata, method=None, model=Breaks())
    assert state(sdata) == before
    np.testing.assert_array_equal(sdata["table"].layers["idw"], old)
    second(sdata)
    assert state(sdata) != before
