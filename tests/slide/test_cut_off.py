"""Writes to a store that fail, or whose process dies, at any step."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from cut_off import Killed, cut_off
from slot_updates import assert_has, reread, snapshot, update
from spatialdata import SpatialData

import phg2st_sc as phg2st
from phg2st_sc import _keys
from phg2st_sc._slide import check_table, write_slots
from phg2st_sc._slide._disk import _process

WORK = ".phg2st-write"
REMOVED = {"layers": ["mine"], "obs": ["mine"]}


@pytest.fixture
def written(stored):
    """A store with a first result, which the second replaces."""
    write_slots(stored, stored["table"], update(stored["table"], 1.0), write=True)
    return stored


@pytest.fixture
def dead(monkeypatch):
    """Processes that wrote are gone, as far as can be seen."""
    monkeypatch.setattr(_process.Process, "runs", lambda self: False)


def second(sdata):
    write_slots(sdata, sdata["table"], update(sdata["table"], 2.0, remove=REMOVED), write=True)


def elements(path):
    """Content of every file of a store but the table's."""
    store = Path(path)
    return {
        str(file.relative_to(store)): file.read_bytes()
        for file in sorted(store.rglob("*"))
        if file.is_file() and file.relative_to(store).parts[0] in ("images", "shapes")
    }


@pytest.fixture
def fresh(written, tmp_path):
    """Copies of the store, each opened."""
    counter = iter(range(10_000))

    def make():
        path = tmp_path / f"copy{next(counter)}.zarr"
        shutil.copytree(written.path, path)
        return SpatialData.read(path)

    return make


def steps(sdata, how_many):
    """Some of the steps in which the second write is made ready, and as many of those in which it is exchanged."""
    with cut_off(sdata.path, None, kill=False) as counts:
        second(sdata)
    exchange, end = counts.first("journal.json"), counts.first(".done")
    assert exchange > 100, "every change of a file is a step"
    return np.unique(
        np.concatenate([np.linspace(0, exchange, how_many), np.linspace(exchange, end, how_many)]).astype(int)
    )


def error_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error
    return None


def is_clean(sdata):
    return not any(path.name.startswith(WORK) for path in Path(sdata.path).iterdir())


def is_second(table):
    assert_has(table, 2.0)
    return "mine" not in table.layers and "mine" not in table.obs


def test_a_full_disk_at_any_step_leaves_the_old_content_or_the_new(written, fresh):
    before, others = snapshot(reread(written)), elements(written.path)
    failures = []
    for step in steps(fresh(), 6):
        sdata = fresh()
        with cut_off(sdata.path, step, kill=False):
            failure = error_of(second, sdata)
        assert snapshot(reread(sdata)) == before if failure else is_second(reread(sdata)), step
        failures += [failure] if failure else []
        if (Path(sdata.path) / WORK).exists():  # what could not even be renamed at the end
            assert failure is None, step
            assert phg2st.io.recover(sdata.path) == "new completed"
        assert elements(sdata.path) == others, step
        second(sdata)
        assert is_second(reread(sdata)), step
        assert is_clean(sdata), step
    assert len(failures) > 4
    for failure in failures:
        assert failure.errno == errno.ENOSPC
        notes = " ".join(failure.__notes__)
        assert "holds its old content" in notes
        assert "in memory" in notes


def test_a_process_killed_at_any_step_leaves_old_or_new_or_says_so(written, fresh, dead):
    before, others = snapshot(reread(written)), elements(written.path)
    outcomes = []
    for step in steps(fresh(), 8):
        sdata = fresh()
        with cut_off(sdata.path, step, kill=True), pytest.raises(Killed):
            second(sdata)
        table = SpatialData.read(sdata.path)["table"]
        marked = _keys.UNFINISHED in table.uns
        if marked:
            with pytest.raises(ValueError, match=r"phg2st_sc\.io\.recover"):
                check_table(table)
        else:
            assert snapshot(table) == before or is_second(table), step
        outcome = phg2st.io.recover(sdata.path)
        outcomes.append(outcome)
        table = reread(sdata)
        assert outcome == "new completed" or not marked, step
        assert snapshot(table) == before or is_second(table), step
        assert outcome != "new completed" or is_second(table), step
        assert outcome != "old kept" or snapshot(table) == before, step
        assert elements(sdata.path) == others, step
        assert phg2st.io.recover(sdata.path) == "nothing to do", step
        second(SpatialData.read(sdata.path))
        assert is_second(reread(sdata)), step
    assert set(outcomes) == {"nothing to do", "old kept", "new completed"}
