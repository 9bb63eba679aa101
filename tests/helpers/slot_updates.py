"""An update of every slot, and how tables and stores that have it, or have it not, are told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import zarr
from scipy import sparse
from spatialdata import SpatialData

from phg2st_sc._slide import SlotUpdate


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
