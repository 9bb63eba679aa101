"""Writing results to a store on disk: all of it or none of it, whenever it fails."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import zarr
from slot_updates import assert_has, beside, reread, snapshot, untouched, update
from spatialdata import SpatialData

from phg2st_sc._slide import SlotUpdate, StoreLockedError, _store, _write, write_slots, write_table


def test_round_trip_and_replacement(stored):
    before = stored["table"].copy()
    for value in (1.0, 2.0):
        write_slots(stored, stored["table"], update(stored["table"], value), write=True)
        table = reread(stored)
        assert_has(table, value)
        untouched(table, before)
        np.testing.assert_array_equal(table.uns["mine"]["a"], np.arange(3))
    assert beside(stored) == ["s.zarr"]
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


class Broken(BaseException):
    """Neither Exception nor OSError: like an interrupt."""


def break_at(monkeypatch, step, undo=True):
    """Make the given step of writing fail, counted over everything that touches the disk."""
    count = iter(range(10_000))

    def failing(real):
        def call(*args, **kwargs):
            if next(count) == step:
                raise Broken
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(_store, "_move", failing(_store._move))
    monkeypatch.setattr(_store.StoreWrite, "_note", failing(_store.StoreWrite._note))
    monkeypatch.setattr(ad.io, "write_elem", failing(ad.io.write_elem))
    monkeypatch.setattr(zarr.Group, "attrs", _FailingAttrs(zarr.Group.attrs, failing))
    monkeypatch.setattr(SpatialData, "write_consolidated_metadata", failing(SpatialData.write_consolidated_metadata))
    if not undo:
        # as if the process were killed: nothing is cleaned up but what the test does
        monkeypatch.setattr(_store, "_undo", lambda work: None)
        monkeypatch.setattr(_store, "_forget", lambda work: None)


class _FailingAttrs:
    """`Group.attrs` that counts as a step when the columns are listed anew."""

    def __init__(self, real, failing):
        self.real, self.failing = real, failing

    def __get__(self, group, owner=None):
        return _Attrs(self.real.__get__(group, owner), self.failing)


class _Attrs:
    def __init__(self, attrs, failing):
        self.attrs, self.failing = attrs, failing

    def __getattr__(self, name):
        return getattr(self.attrs, name)

    def __getitem__(self, key):
        return self.attrs[key]

    def __iter__(self):
        return iter(self.attrs)

    def __len__(self):
        return len(self.attrs)

    def __contains__(self, key):
        return key in self.attrs

    def __setitem__(self, key, value):
        if key == "column-order":
            self.failing(lambda: None)()
        self.attrs[key] = value


def fails(monkeypatch, stored, step, undo=True):
    """Whether a second write, which replaces and removes keys, breaks at a step."""
    with monkeypatch.context() as patch:
        break_at(patch, step, undo)
        try:
            write_slots(
                stored,
                stored["table"],
                update(stored["table"], 2.0, remove={"layers": ["mine"], "obs": ["mine"]}),
                write=True,
            )
        except Broken:
            return True
    return False


def test_a_failure_at_any_step_leaves_the_old_content(stored, monkeypatch):
    write_slots(stored, stored["table"], update(stored["table"], 1.0), write=True)
    before = snapshot(reread(stored))
    step = 0
    while fails(monkeypatch, stored, step):
        assert snapshot(reread(stored)) == before, f"step {step}"
        assert beside(stored) == ["s.zarr"], f"step {step}"
        step += 1
    assert step > 30, "every exchange is a step"
    table = reread(stored)
    assert_has(table, 2.0)
    assert "mine" not in table.layers
    assert "mine" not in table.obs


def test_a_process_killed_at_any_step_leaves_a_readable_store_that_the_next_write_restores(stored, monkeypatch):
    write_slots(stored, stored["table"], update(stored["table"], 1.0), write=True)
    before = snapshot(reread(stored))
    step = 0
    while True:
        broken = fails(monkeypatch, stored, step, undo=False)
        if not broken:
            break
        SpatialData.read(stored.path)
        with _store.StoreWrite(Path(stored.path)):
            pass
        assert snapshot(reread(stored)) == before, f"step {step}"
        assert beside(stored) == ["s.zarr"], f"step {step}"
        step += 3
    assert step > 30


def test_after_a_failure_on_disk_the_results_are_still_in_memory(stored, monkeypatch):
    def full(*_args):
        raise OSError("disk full")

    monkeypatch.setattr(_store, "_move", full)
    with pytest.raises(OSError, match="disk full") as caught:
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
    assert_has(stored["table"], 1.0)
    notes = " ".join(caught.value.__notes__)
    assert "holds its old content" in notes
    assert "results are in memory" in notes


def test_two_writers(stored):
    with _store.StoreWrite(Path(stored.path)), pytest.raises(StoreLockedError, match=r"has been writing.*Wait for it"):
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
    assert "pred" not in reread(stored).layers
    write_slots(stored, stored["table"], update(stored["table"]), write=True)
    assert_has(reread(stored), 1.0)


def test_lock_of_a_dead_process_is_explained(stored, monkeypatch):
    change = _store.StoreWrite(Path(stored.path))
    change.__enter__()
    monkeypatch.setattr(_store, "_runs", lambda pid: False)
    with pytest.raises(StoreLockedError, match=r"no longer runs: delete .*\.s\.zarr\.phg2st-lock and call again"):
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
    change.lock.unlink()
    write_slots(stored, stored["table"], update(stored["table"]), write=True)
    assert beside(stored) == ["s.zarr"]


def test_a_table_that_is_not_the_stored_one(stored):
    stored["extra"] = stored["table"].copy()
    with pytest.raises(ValueError, match=r"'extra' is not in the store.*write_element"):
        write_slots(stored, stored["extra"], update(stored["table"]), write=True)
    stored.tables["table"] = stored["table"][::-1].copy()
    with pytest.raises(ValueError, match="other obs_names"):
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
    with pytest.raises(ValueError, match="none of this SpatialData's"):
        write_slots(stored, stored["table"].copy(), update(stored["table"]), write=True)


def test_write_module_reads_the_writer_at_call_time():
    """The failure tests replace `anndata.io.write_elem`; they would test nothing had it been bound at import."""
    assert not hasattr(_write, "write_elem")


def test_saving_is_quiet_and_keeps_the_filters_of_the_caller(stored):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # options of pandas that anndata and spatialdata still set are theirs to mend
        warnings.simplefilter("ignore", DeprecationWarning)
        filters = list(warnings.filters)
        write_slots(stored, stored["table"], update(stored["table"]), write=True)
        write_table(stored, "extra", stored["table"][:, :1].copy(), source="table", write=True)
        assert warnings.filters == filters
