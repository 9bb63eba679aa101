"""Results as a table of their own, beside that of the spots."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from slot_updates import reread
from spatialdata import SpatialData

from phg2st_sc._slide import open_slides, write_table


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
