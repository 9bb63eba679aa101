"""A benchmark on a cluster: the same rows as alone, whatever happens to the workers."""

from __future__ import annotations

import pandas as pd
import pytest
from on_cluster import idle, kill_a_busy_worker, once, press
from spatialdata import read_zarr
from spies import QUICK, Broken

import phg2st_sc as phg2st
from phg2st_sc.models import _registry

METHODS = ["gene_kriging", "idw"]
SETTINGS = {"methods": METHODS, "genes": 20, **QUICK}


def rows(table):
    """All that is no measurement of the machine."""
    return table[~table["metric"].str.contains(r"(?:seconds|_mb)$")].reset_index(drop=True)


@pytest.fixture(scope="module")
def slides():
    return phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=80, n_genes=30, image=False, progress=False)


@pytest.fixture(scope="module")
def alone(slides):
    return rows(phg2st.tl.benchmark(slides, **SETTINGS))


def test_rows_are_those_of_one_process(slides, alone, client, tmp_path):
    table = phg2st.tl.benchmark(slides, client=client, out=tmp_path / "b", **SETTINGS)
    pd.testing.assert_frame_equal(rows(table), alone, check_exact=True)
    again = phg2st.tl.benchmark(slides, out=tmp_path / "b", **SETTINGS)
    pd.testing.assert_frame_equal(again, table, check_exact=True)


def test_a_worker_that_dies_loses_nothing(slides, alone, client, tmp_path):
    units = tmp_path / "b" / "units"
    with once(lambda: any(units.glob("*.unit.csv")), kill_a_busy_worker(client)) as killed:
        table = phg2st.tl.benchmark(slides, client=client, out=tmp_path / "b", **SETTINGS)
    assert killed[0] is not None
    pd.testing.assert_frame_equal(rows(table), alone, check_exact=True)


def test_an_interrupted_call_cancels_its_tasks_and_goes_on(slides, alone, client, tmp_path):
    units = tmp_path / "b" / "units"
    with once(lambda: any(units.glob("*.unit.csv")), press), pytest.raises(KeyboardInterrupt):
        phg2st.tl.benchmark(slides, client=client, out=tmp_path / "b", **SETTINGS)
    assert idle(client)
    done = {path.name: path.stat().st_mtime_ns for path in units.iterdir()}
    assert 0 < len(done) < 9
    table = phg2st.tl.benchmark(slides, client=client, out=tmp_path / "b", **SETTINGS)
    assert done.items() <= {path.name: path.stat().st_mtime_ns for path in units.iterdir()}.items()
    pd.testing.assert_frame_equal(rows(table), alone, check_exact=True)


@pytest.fixture
def stored(tmp_path):
    made = phg2st.datasets.simulate(
        n_slides=2, n_patients=2, n_spots=60, n_genes=20, image=False, container="spatialdata", progress=False
    )
    for name, one in made.items():
        one.write(tmp_path / f"{name}.zarr")
    return {name: read_zarr(tmp_path / f"{name}.zarr") for name in made}


def test_workers_read_stores_themselves(stored, client):
    settings = {"methods": ["idw"], "genes": 12, **QUICK}
    alone = phg2st.tl.benchmark(stored, **settings)
    table = phg2st.tl.benchmark(stored, client=client, **settings)
    pd.testing.assert_frame_equal(rows(table), rows(alone), check_exact=True)


def test_what_was_changed_in_memory_alone_is_told_of(stored, client):
    name, changed = next(iter(stored.items()))
    table = next(iter(changed.tables.values()))
    table.X = table.X * 2
    with pytest.raises(ValueError, match=f"other counts.*'{name}'.*write=True"):
        phg2st.tl.benchmark(stored, client=client, methods=["idw"], genes=12, **QUICK)


def test_a_method_that_fails_is_told_of_as_alone(slides, client, monkeypatch):
    monkeypatch.setitem(_registry.METHODS, Broken.name, Broken)
    client.run(_register_broken)
    with pytest.warns(UserWarning, match=r"Method 'broken' failed in folds 'P1', 'P2', 'P3'") as said:
        table = phg2st.tl.benchmark(slides, client=client, methods=["broken", "idw"], genes=12, **QUICK)
    assert len([one for one in said if "failed" in str(one.message)]) == 1
    assert {"error", "pcc"} <= set(table["metric"])


def _register_broken():
    _registry.METHODS.setdefault(Broken.name, Broken)
