"""Writing results: all of it or none of it, in memory and on disk."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse
from spatialdata import SpatialData

from phg2st_sc._slide import SlotUpdate, StoreLockedError, _store, _write, open_slides, write_slots, write_table


def update(table, value=1.0, **more):
    n, g = table.shape
    return SlotUpdate(
        layers={"pred": np.full((n, g), value, np.float32)},
        obsm={"X_t": np.full((n, 3), value, np.float32)},
        obsp={"graph": sparse.eye(n, format="csr", dtype=np.float32) * value},
        obs={"prompt": np.arange(n) % 2 == int(value) % 2, "kind": pd.Categorical(["a", "b"] * (n // 2))},
        var={"pred_predicted": np.full(g, bool(value))},
        uns={"pred": {"seed": int(value), "genes": np.array(table.var_names, dtype=object), "note": "x"}},
        **more,
    )


def snapshot(table):
    """Everything on a table, as comparable text."""
    parts = {
        f"{slot}/{key}": value for slot in ("layers", "obsm", "obsp") for key, value in getattr(table, slot).items()
    }
    dense = {key: (v.toarray() if sparse.issparse(v) else np.asarray(v)).tolist() for key, v in parts.items()}
    frames = [frame.to_json(orient="split") for frame in (table.obs, table.var)]
    dtypes = [str(frame.dtypes.to_dict()) for frame in (table.obs, table.var)]
    x = table.X.toarray() if sparse.issparse(table.X) else table.X
    return json.dumps([dense, frames, dtypes, x.tolist(), dict(table.uns)], sort_keys=True, default=str)


def assert_has(table, value):
    assert (np.asarray(table.layers["pred"]) == value).all()
    assert (table.obsm["X_t"] == value).all()
    assert (table.obsp["graph"].diagonal() == value).all()
    assert isinstance(table.obsp["graph"], (sparse.csr_matrix, sparse.csr_array))
    np.testing.assert_array_equal(table.obs["prompt"], np.arange(table.n_obs) % 2 == int(value) % 2)
    assert table.obs["kind"].dtype == "category"
    assert list(table.obs["kind"]) == ["a", "b"] * (table.n_obs // 2)
    assert (table.var["pred_predicted"] == bool(value)).all()
    assert table.uns["pred"]["seed"] == value
    assert list(table.uns["pred"]["genes"]) == list(table.var_names)


def untouched(table, before):
    """Whether the slots that were there before are as they were."""
    for slot in ("obs", "var"):
        pd.testing.assert_frame_equal(getattr(table, slot)[getattr(before, slot).columns], getattr(before, slot))
    for slot in ("layers", "obsm"):
        for key, value in getattr(before, slot).items():
            np.testing.assert_array_equal(getattr(table, slot)[key], value)
    np.testing.assert_array_equal(np.asarray(table.X), np.asarray(before.X))


# --- in memory ---------------------------------------------------------------------------------------------------------


def test_sets_and_replaces_and_leaves_the_rest(spot_adata):
    spot_adata.X = spot_adata.X.toarray()
    spot_adata.obs["mine"], spot_adata.layers["mine"] = "m", spot_adata.X * 2
    before = spot_adata.copy()
    write_slots(spot_adata, spot_adata, update(spot_adata))
    assert_has(spot_adata, 1.0)
    write_slots(spot_adata, spot_adata, update(spot_adata, 2.0))
    assert_has(spot_adata, 2.0)
    untouched(spot_adata, before)


def test_removes_what_is_there_only(spot_adata):
    write_slots(spot_adata, spot_adata, update(spot_adata))
    write_slots(spot_adata, spot_adata, SlotUpdate(remove={"obsm": ["X_t", "none"], "obs": ["kind"], "uns": ["pred"]}))
    assert "X_t" not in spot_adata.obsm
    assert list(spot_adata.obs.columns) == ["prompt"]
    assert "pred" not in spot_adata.uns
    assert "pred" in spot_adata.layers


def test_series_are_aligned_by_index(spot_adata):
    values = pd.Series(np.arange(120), index=spot_adata.obs_names)
    write_slots(spot_adata, spot_adata, SlotUpdate(obs={"order": values.sample(frac=1.0, random_state=0)}))
    assert list(spot_adata.obs["order"]) == list(range(120))
    with pytest.raises(ValueError, match=r"obs\['order'\].*index"):
        write_slots(spot_adata, spot_adata, SlotUpdate(obs={"order": values.rename(index={"spot3": "other"})}))


BAD = {
    "layer shape": (SlotUpdate(layers={"a": np.zeros((120, 3))}), ValueError, r"layers\['a'\]: shape \(120, 3\)"),
    "layer list": (SlotUpdate(layers={"a": [[1.0]]}), TypeError, "list"),
    "layer None": (SlotUpdate(layers={None: np.zeros((120, 30))}), TypeError, "must be a string, got None"),
    "obsm rows": (SlotUpdate(obsm={"a": np.zeros((3, 3))}), ValueError, r"\(3, 3\)"),
    "obsm flat": (SlotUpdate(obsm={"a": np.zeros(120)}), ValueError, r"\(120,\)"),
    "obsp COO": (SlotUpdate(obsp={"a": sparse.eye(120, format="coo")}), TypeError, "CSR or CSC, not COO"),
    "obsp shape": (SlotUpdate(obsp={"a": sparse.eye(3, format="csr")}), ValueError, r"\(3, 3\)"),
    "objects": (SlotUpdate(obsm={"a": np.full((120, 2), None)}), TypeError, "object"),
    "obs length": (SlotUpdate(obs={"a": np.zeros(3)}), ValueError, r"\(3,\)"),
    "obs mixed": (SlotUpdate(obs={"a": ["x"] * 119 + [1]}), TypeError, "strings holds 1"),
    "obs reserved": (SlotUpdate(obs={"_index": np.zeros(120)}), ValueError, "_index"),
    "slash": (SlotUpdate(uns={"a/b": 1}), ValueError, "'a/b'"),
    "nested slash": (SlotUpdate(uns={"a": {"b/c": 1}}), ValueError, "'b/c'"),
    "tuple": (SlotUpdate(uns={"a": {"b": (1, 2)}}), TypeError, r"uns\['a'\]\['b'\]: tuple"),
    "set": (SlotUpdate(uns={"a": {1, 2}}), TypeError, "set"),
    "path": (SlotUpdate(uns={"a": Path("x")}), TypeError, "Path"),
    "int key": (SlotUpdate(uns={"a": {1: 2}}), TypeError, "got 1"),
    "mixed list": (SlotUpdate(uns={"a": ["x", 1]}), TypeError, "only numbers or only strings"),
    "ragged list": (SlotUpdate(uns={"a": [[1], [1, 2]]}), TypeError, "ragged"),
    "unknown slot": (SlotUpdate(remove={"varm": ["a"]}), ValueError, "varm"),
}


@pytest.mark.parametrize("bad", BAD, ids=list(BAD))
def test_bad_values_change_nothing(spot_adata, bad):
    wrong, error, message = BAD[bad]
    wrong.layers = {"good": np.zeros((120, 30), np.float32), **wrong.layers}
    before = snapshot(spot_adata)
    with pytest.raises(error, match=message):
        write_slots(spot_adata, spot_adata, wrong)
    assert snapshot(spot_adata) == before


def test_a_failure_while_setting_takes_back_what_was_set(spot_adata, monkeypatch):
    from phg2st_sc._slide import _update

    write_slots(spot_adata, spot_adata, update(spot_adata))
    before = snapshot(spot_adata)
    real, calls = _update._set, []

    def failing(table, slot, key, value):
        calls.append(slot)
        if slot == "uns" and calls.count("uns") == 1:
            raise MemoryError("no room")
        real(table, slot, key, value)

    monkeypatch.setattr(_update, "_set", failing)
    with pytest.raises(MemoryError):
        write_slots(spot_adata, spot_adata, update(spot_adata, 2.0, remove={"obs": ["kind"]}))
    assert snapshot(spot_adata) == before


def test_views_are_refused(spot_adata):
    view = spot_adata[:5]
    with pytest.raises(ValueError, match=r"\.copy\(\)"):
        write_slots(view, view, SlotUpdate())


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_survives_files_of_anndata(spot_adata, tmp_path, suffix):
    write_slots(spot_adata, spot_adata, update(spot_adata))
    path = tmp_path / f"a.{suffix}"
    if suffix == "h5ad":
        spot_adata.write_h5ad(path)
        assert_has(ad.read_h5ad(path), 1.0)
    else:
        spot_adata.write_zarr(path)
        assert_has(ad.read_zarr(path), 1.0)


def test_write_needs_a_store(spot_adata, sdata):
    with pytest.raises(ValueError, match=r"write_h5ad\(path\)"):
        write_slots(spot_adata, spot_adata, update(spot_adata), write=True)
    assert "pred" not in spot_adata.layers
    with pytest.raises(ValueError, match=r"call `sdata.write\(path\)` first"):
        write_slots(sdata, sdata["table"], update(sdata["table"]), write=True)
    assert "pred" not in sdata["table"].layers


def test_keys_that_spatialdata_forbids(sdata):
    table = sdata["table"]
    with pytest.raises(ValueError, match="only letters"):
        write_slots(sdata, table, SlotUpdate(obs={"my key": np.zeros(50)}))
    with pytest.raises(ValueError, match=r"differ in case.*'region'"):
        write_slots(sdata, table, SlotUpdate(obs={"Region": np.zeros(50)}))


# --- on disk -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(sdata, tmp_path):
    table = sdata["table"]
    table.layers["mine"], table.obsm["mine"] = table.X * 2, np.ones((50, 2))
    table.obs["mine"] = pd.Categorical(["u"] * 50)
    table.uns["mine"] = {"a": np.arange(3)}
    sdata.write(tmp_path / "s.zarr")
    return SpatialData.read(tmp_path / "s.zarr")


def reread(sdata):
    """The table by SpatialData, after making sure that the consolidated record tells the same story as the folders."""
    table = SpatialData.read(sdata.path)["table"]
    listed = zarr.open_group(sdata.path, mode="r", use_consolidated=True)["tables/table"]
    for slot in ("layers", "obsm", "obsp", "uns"):
        # anndata 0.13 lists X among the layers, under None
        assert set(listed[slot].keys()) == set(getattr(table, slot)) - {None}, slot
    assert set(listed["obs"].keys()) >= set(table.obs.columns)
    return table


def beside(sdata):
    return sorted(path.name for path in Path(sdata.path).parent.iterdir())


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


# --- tables of their own -----------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("when", ["element", "metadata"])
def test_a_failure_keeps_the_old_table(stored, monkeypatch, when):
    write_table(stored, "pred", result_table(stored), source="table", write=True)

    def broken(*_args, **_kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(SpatialData, "write_element" if when == "element" else "write_consolidated_metadata", broken)
        with pytest.raises(OSError, match="disk full"):
            write_table(stored, "pred", result_table(stored, 2.0), source="table", overwrite=True, write=True)
    assert (SpatialData.read(stored.path)["pred"].X == 1.0).all()
    assert (stored["pred"].X == 1.0).all()
    reread(stored)


def test_rows_that_no_spot_has(stored):
    table = result_table(stored)
    table.obs_names = ["other", *table.obs_names[1:]]
    with pytest.raises(ValueError, match=r"1 rows .*'other'"):
        write_table(stored, "pred", table, source="table")
    with pytest.raises(KeyError, match="No table 'x'"):
        write_table(stored, "pred", table, source="x")
    assert "pred" not in stored.tables


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
