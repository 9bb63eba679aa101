"""Writing results to an object in memory: all of it or none of it."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from slot_updates import assert_has, snapshot, untouched, update

from phg2st_sc._slide import SlotUpdate, write_slots


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
