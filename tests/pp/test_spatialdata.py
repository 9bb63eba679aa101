import numpy as np
import pytest
from anndata import AnnData

import phg2st_sc as phg2st
from phg2st_sc._reading._counts import read_counts

sd = pytest.importorskip("spatialdata")


@pytest.fixture
def regions():
    """Two regions in one table, whose rows alternate between them and stand in another order than the shapes."""
    from spatialdata.models import ShapesModel, TableModel

    rng = np.random.default_rng(0)
    shapes, region, instance = {}, [], []
    for name in ("left", "right"):
        centers = np.argwhere(np.ones((8, 7))) * 50.0
        shapes[name] = ShapesModel.parse(centers, geometry=0, radius=20.0)
    for i in rng.permutation(56):
        region += ["left", "right"]
        instance += [i, 55 - i]
    table = AnnData(rng.poisson(4, size=(112, 20)).astype(np.float32))
    table.obs_names = [f"spot{i}" for i in range(112)]
    table.obs["region"] = region
    table.obs["region"] = table.obs["region"].astype("category")
    table.obs["instance"] = instance
    table = TableModel.parse(table, region=["left", "right"], region_key="region", instance_key="instance")
    return sd.SpatialData(shapes=shapes, tables={"table": table})


def test_regions_are_drawn_for_themselves_at_their_own_places(regions):
    phg2st.pp.sample_prompts(regions, n=9, strategy="block")
    obs = regions["table"].obs
    for name in ("left", "right"):
        mine = obs[(obs["region"] == name) & obs["prompt"]]
        assert len(mine) == 9
        centers = np.array([[p.x, p.y] for p in regions[name].loc[mine["instance"], "geometry"]])
        assert np.ptp(centers, axis=0).max() <= 5 * 50


def test_stored_with_write(regions, tmp_path):
    regions.write(tmp_path / "s.zarr")
    data = sd.read_zarr(tmp_path / "s.zarr")
    phg2st.pp.sample_prompts(data, write=True)
    phg2st.pp.normalize(data, write=True)
    table, back = data["table"], sd.read_zarr(tmp_path / "s.zarr")["table"]
    assert back.obs["prompt"].equals(table.obs["prompt"])
    assert back.obs["prompt"].dtype == bool
    np.testing.assert_array_equal(back.layers["phg2st_lognorm"], table.layers["phg2st_lognorm"])
    assert back.uns["phg2st_lognorm"]["n_genes"] == 20
    np.testing.assert_array_equal(read_counts(back, np.arange(3))[0], table.X[:3])


def test_panel_by_regions(regions):
    panel = phg2st.pp.select_genes(regions, n_top_genes=5)
    table = regions["table"]
    assert table.var_names[table.var["phg2st_panel"]].isin(panel).all()
    assert table.uns["phg2st_panel"]["n_slides_read"] == 2


def test_the_panel_is_saved_in_every_store(regions, tmp_path):
    regions.write(tmp_path / "a.zarr")
    panel = phg2st.pp.select_genes({"a": regions}, n_top_genes=5, write=True)
    back = sd.read_zarr(tmp_path / "a.zarr")["table"]
    assert set(back.var_names[back.var["phg2st_panel"]]) == set(panel)
    assert list(back.uns["phg2st_panel"]["genes"]) == panel
    plain = AnnData(back.X)
    plain.obsm["spatial"] = np.argwhere(np.ones((16, 7))).astype(float)
    with pytest.raises(ValueError, match="`write=True` adds to the zarr store behind a SpatialData"):
        phg2st.pp.select_genes(plain, n_top_genes=5, write=True)
