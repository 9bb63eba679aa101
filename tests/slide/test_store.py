"""Writing results to a store on disk: all of it or none of it, whenever it fails."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from slot_updates import assert_has, beside, reread, untouched, update
from spatialdata import SpatialData

from phg2st_sc._slide import SlotUpdate, StoreLockedError, write_slots, write_table
from phg2st_sc._slide._disk import StoreWrite


def test_round_trip_and_replacement(stored):
    before = stored["table"].copy()
    for value in (1.0, 2.0):
        write_slots(stored, stored["table"], update(stored["table"], value), write=True)
        table = reread(stored)
        assert_has(table, value)
        untouched(table, before)
        np.testing.assert_array_equal(table.uns["mine"]["a"], np.arange(3))
    assert beside(stored) == ["s.zarr"]
    assert not list(Path(stored.path).glob(".*"))
    assert list(SpatialData.read(stored.path).images) == ["he", "he_1"]


def test_a_replaced_record_keeps_nothing_of_the_old_one(stored):
    table = stored["table"]
    write_slots(stored, table, SlotUpdate(uns={"r": {"old": 1}}), write=True)
    write_slots(stored, table, SlotUpdate(uns={"r": {"new": 2}}), write=True)
    assert reread(stored).uns["r"] == {"new": 2}


def test_removal_on_disk(stored):
    write_slots(stored, stored["table"], update(stored["table"]), write=True)
    gone = {"obsm": ["X_t", "none"], "obs": ["kind"], "uns": ["pred"], "layers": ["pred"]}
    write_slots(stored, stored["table"], SlotUpdate(remove=gone), write=True)
    table = reread(stored)
    assert "X_t" not in table.obsm
    assert "kind" not in table.obs
    assert "pred" not in table.uns
    assert "prompt" in table.obs


def test_only_the_new_keys_are_touched(stored):
    x = Path(stored.path) / "tables" / "table" / "X"
    stamps = {path: path.stat().st_mtime_ns for path in x.rglob("*")}
    stored["table"].X = stored["table"].X + 1
    write_slots(stored, stored["table"], update(stored["table"]), write=True)
    assert {path: path.stat().st_mtime_ns for path in x.rglob("*")} == stamps


def test_two_writers(stored):
    with StoreWrite(Path(stored.path), "table"), pytest.raises(StoreLockedError, match=r"Another thread.*wait for it"):
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
    assert "pred" not in reread(stored).layers
    write_slots(stored, stored["table"], update(stored["table"]), write=True)
    assert_has(reread(stored), 1.0)


def test_a_table_that_is_not_the_stored_one(stored):
    stored["extra"] = stored["table"].copy()
    with pytest.raises(ValueError, match=r"'extra' is not in the store.*write_element"):
        write_slots(stored, stored["extra"], update(stored["table"]), write=True)
    stored.tables["table"] = stored["table"][::-1].copy()
    with pytest.raises(ValueError, match="other obs_names"):
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
    with pytest.raises(ValueError, match="none of this SpatialData's"):
        write_slots(stored, stored["table"].copy(), update(stored["table"]), write=True)


def test_saving_is_quiet_and_keeps_the_filters_of_the_caller(stored):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # options of pandas that anndata and spatialdata still set are theirs to mend
        warnings.simplefilter("ignore", DeprecationWarning)
        filters = list(warnings.filters)
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
        write_table(stored, "extra", stored["table"][:, :1].copy(), source="table", write=True)
        assert warnings.filters == filters
