"""Results as a table of their own, beside that of the spots."""

from __future__ import annotations

import shutil

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from cut_off import Killed, cut_off
from slot_updates import reread
from spatialdata import SpatialData

import phg2st_sc as phg2st
from phg2st_sc import _keys
from phg2st_sc._slide import open_slides, write_table
from phg2st_sc._slide._disk._process import Process


def result_table(sdata, value=1.0):
    names = sdata["table"].obs_names[5:20]
    return ad.AnnData(np.full((15, 2), value, np.float32), obs=pd.DataFrame(index=names))


def test_a_table_of_its_own_annotates_the_same_spots(stored):
    write_table(stored, "pred", result_table(stored), source="table", write=True)
    table = SpatialData.read(stored.path)["pred"]
    source = stored["table"].obs.loc[table.obs_names]
    assert list(table.obs["region"].astype(str)) == list(source["region"].astype(str))
    assert list(table.obs["instance_id"]) == list(source["instance_id"])
    assert open_slides(stored)[0].table is stored["table"], "results do not make the table of the spots ambiguous"


def test_replacing_a_table_of_its_own(stored):
    write_table(stored, "pred", result_table(stored), source="table", write=True)
    with pytest.raises(ValueError, match="overwrite=True"):
        write_table(stored, "pred", result_table(stored), source="table")
    write_table(stored, "pred", result_table(stored, 2.0), source="table", overwrite=True, write=True)
    assert (SpatialData.read(stored.path)["pred"].X == 2.0).all()
    with pytest.raises(ValueError, match="was not written by this package"):
        write_table(stored, "table", result_table(stored), source="table", overwrite=True)


def replace_table(sdata):
    write_table(sdata, "pred", result_table(sdata, 2.0), source="table", overwrite=True, write=True)


@pytest.fixture
def exchange(stored, tmp_path):
    """A table that is replaced, and the steps from the one before the exchange to the last."""
    write_table(stored, "pred", result_table(stored), source="table", write=True)
    shutil.copytree(stored.path, tmp_path / "counted.zarr")
    with cut_off(tmp_path / "counted.zarr", None, kill=False) as counts:
        replace_table(SpatialData.read(tmp_path / "counted.zarr"))
    return counts.first("old/tables/pred") - 1, counts.first(".done")


def test_a_failure_keeps_the_old_table(stored, exchange):
    for step in (0, 6, *range(exchange[0], exchange[0] + 3)):
        with cut_off(stored.path, step, kill=False), pytest.raises(OSError, match="No space"):
            replace_table(stored)
        assert (SpatialData.read(stored.path)["pred"].X == 1.0).all()
        assert (stored["pred"].X == 1.0).all()
        reread(stored)


def test_a_killed_exchange_of_tables_is_told_of_and_completed(stored, exchange, tmp_path, monkeypatch):
    monkeypatch.setattr(Process, "runs", lambda self: False)
    for step in range(*exchange, 2):
        path = tmp_path / f"{step}.zarr"
        shutil.copytree(stored.path, path)
        with cut_off(path, step, kill=True), pytest.raises(Killed):
            replace_table(SpatialData.read(path))
        left = SpatialData.read(path)
        marked = _keys.UNFINISHED in left["table"].uns
        assert marked or "pred" in left
        assert phg2st.io.recover(path) == ("new completed" if marked or (left["pred"].X == 2.0).all() else "old kept")
        assert ((2.0 if marked else left["pred"].X) == SpatialData.read(path)["pred"].X).all()
        reread(SpatialData.read(path))


def test_rows_that_no_spot_has(stored):
    table = result_table(stored)
    table.obs_names = ["other", *table.obs_names[1:]]
    with pytest.raises(ValueError, match=r"1 rows .*'other'"):
        write_table(stored, "pred", table, source="table")
    with pytest.raises(KeyError, match="No table 'x'"):
        write_table(stored, "pred", table, source="x")
    assert "pred" not in stored.tables
