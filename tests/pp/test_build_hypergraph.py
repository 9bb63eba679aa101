"""`pp.build_hypergraph`: slots, round trips, several slides, who reads them, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData

import phg2st_sc as phg2st
from phg2st_sc import _keys
from phg2st_sc._reading._hypergraph import stored_hypergraph
from phg2st_sc.graph import CombinedKNN, Given, PositionKNN

SLOTS = ("hypergraph_incidence", "hypergraph_connectivities", "hypergraph_distances")


@pytest.fixture
def embedded(spot_adata: AnnData) -> AnnData:
    """The lattice with 6 features that carry a record of coming from the image."""
    spot_adata.obsm["X_color"] = np.random.default_rng(7).normal(size=(120, 6)).astype(np.float32)
    spot_adata.uns[_keys.EMBEDDINGS] = {"X_color": {"source": "image", "encoder": "color"}}
    return spot_adata


def test_slots_hold_what_the_builder_built(embedded: AnnData) -> None:
    phg2st.pp.build_hypergraph(embedded)
    expected = CombinedKNN().build(embedded.obsm["spatial"] / 40.0, embedded.obsm["X_color"])
    for slot, matrix in zip(SLOTS, (expected.incidence, expected.connectivities, expected.distances), strict=True):
        stored = embedded.obsp[slot]
        assert stored.format == "csr"
        assert stored.dtype == np.float32
        np.testing.assert_allclose(stored.toarray(), matrix.toarray(), atol=1e-6)
    record = embedded.uns["hypergraph"]
    assert record["connectivities_key"] == SLOTS[1]
    assert record["distances_key"] == SLOTS[2]
    assert {"builder": "combined", "n_neighbors": 4, "use_rep": "X_color", "source": "image"}.items() <= record[
        "params"
    ].items()


def test_expression_plays_no_part(embedded: AnnData) -> None:
    other = embedded.copy()
    other.X = np.full(other.shape, np.nan, dtype=np.float32)
    phg2st.pp.build_hypergraph(embedded)
    phg2st.pp.build_hypergraph(other)
    for slot in SLOTS:
        assert (embedded.obsp[slot] != other.obsp[slot]).nnz == 0


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_slots_survive_the_disk_and_are_found_again(embedded: AnnData, tmp_path: Path, form: str) -> None:
    phg2st.pp.build_hypergraph(embedded, n_neighbors=3)
    path = tmp_path / f"a.{form}"
    getattr(embedded, f"write_{form}")(path)
    back = ad.read_h5ad(path) if form == "h5ad" else ad.read_zarr(path)
    found = stored_hypergraph(back)
    assert (found.incidence != embedded.obsp[SLOTS[0]]).nnz == 0
    assert (found.distances != embedded.obsp[SLOTS[2]]).nnz == 0
    assert found.params["n_neighbors"] == 3


def test_slides_are_built_one_by_one_and_never_connected(embedded: AnnData) -> None:
    embedded.obs["slide"] = np.where(np.random.default_rng(8).uniform(size=120) < 0.4, "a", "b")
    phg2st.pp.build_hypergraph(embedded, slide_key="slide")
    rows = np.flatnonzero(embedded.obs["slide"] == "a")
    alone = embedded[rows].copy()
    phg2st.pp.build_hypergraph(alone)
    for slot in SLOTS:
        matrix = embedded.obsp[slot]
        assert matrix[rows][:, np.setdiff1d(np.arange(120), rows)].nnz == 0
    np.testing.assert_allclose(
        embedded.obsp[SLOTS[0]][rows][:, rows].toarray(), alone.obsp[SLOTS[0]].toarray(), atol=1e-6
    )
    one = stored_hypergraph(embedded, rows)
    assert one.n_spots == len(rows)
    assert (one.connectivities != embedded.obsp[SLOTS[1]][rows][:, rows]).nnz == 0
    assert list(embedded.uns["hypergraph"]["params"]["slides"]) == ["a", "b"]


def test_the_order_of_the_table_plays_no_part(embedded: AnnData) -> None:
    shuffled = embedded[np.random.default_rng(9).permutation(120)].copy()
    phg2st.pp.build_hypergraph(embedded)
    phg2st.pp.build_hypergraph(shuffled)
    order = embedded.obs_names.get_indexer(shuffled.obs_names)
    assert (embedded.obsp[SLOTS[0]][order][:, order] != shuffled.obsp[SLOTS[0]]).nnz == 0


def test_a_stored_hypergraph_that_no_longer_fits_is_not_used(
    embedded: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    assert stored_hypergraph(embedded) is None
    phg2st.pp.build_hypergraph(embedded)
    assert stored_hypergraph(embedded) is not None
    assert stored_hypergraph(embedded, key="other") is None
    changed = [embedded[:60].copy(), embedded[::-1].copy(), ad.concat([embedded, embedded], index_unique="-")]
    changed[2].uns["hypergraph"] = embedded.uns["hypergraph"]
    with caplog.at_level(logging.INFO, logger="phg2st_sc"):
        assert all(stored_hypergraph(adata) is None for adata in changed)
    assert caplog.text.count("built anew") == 3


def test_squidpy_and_scanpy_read_it(embedded: AnnData) -> None:
    sq = pytest.importorskip("squidpy")
    sc = pytest.importorskip("scanpy")
    phg2st.pp.build_hypergraph(embedded)
    embedded.obs["side"] = np.where(embedded.obsm["spatial"][:, 0] > 280, "right", "left")
    embedded.obs["side"] = embedded.obs["side"].astype("category")
    sq.gr.interaction_matrix(embedded, "side", connectivity_key="hypergraph", weights=True)
    graph = embedded.obsp[SLOTS[1]].toarray()
    left = (embedded.obs["side"] == "left").to_numpy()
    np.testing.assert_allclose(
        embedded.uns["side_interactions"], [[graph[np.ix_(a, b)].sum() for b in (left, ~left)] for a in (left, ~left)]
    )
    assert sc.Neighbors(embedded, neighbors_key="hypergraph").connectivities.shape == (120, 120)


def test_a_spatialdata_stores_it(embedded: AnnData, tmp_path: Path) -> None:
    sd = pytest.importorskip("spatialdata")
    from spatialdata.models import ShapesModel, TableModel

    embedded.obs["region"] = "spots"
    embedded.obs["region"] = embedded.obs["region"].astype("category")
    embedded.obs["spot"] = np.arange(120)
    table = TableModel.parse(embedded, region="spots", region_key="region", instance_key="spot")
    shapes = ShapesModel.parse(embedded.obsm["spatial"], geometry=0, radius=10.0, index=np.arange(120))
    sd.SpatialData(shapes={"spots": shapes}, tables={"table": table}).write(tmp_path / "s.zarr")
    sdata = sd.read_zarr(tmp_path / "s.zarr")
    phg2st.pp.build_hypergraph(sdata, write=True)
    back = sd.read_zarr(tmp_path / "s.zarr")["table"]
    assert stored_hypergraph(back) is not None
    plain = embedded.copy()
    phg2st.pp.build_hypergraph(plain)
    assert (back.obsp[SLOTS[0]] != plain.obsp[SLOTS[0]]).nnz == 0


def test_other_builders_and_keys(spot_adata: AnnData) -> None:
    phg2st.pp.build_hypergraph(spot_adata, builder="radius", radius=1.0, key_added="ring")
    assert spot_adata.obsp["ring_incidence"][:, 25].nnz == 5
    phg2st.pp.build_hypergraph(spot_adata, builder=PositionKNN(n_neighbors=6), key_added="six")
    assert spot_adata.obsp["six_incidence"].nnz == 7 * 120
    assert spot_adata.uns["six"]["params"]["source"] == "positions"
    assert "hypergraph" not in spot_adata.uns


def test_a_given_hypergraph_needs_trust_and_stays_within_slides(spot_adata: AnnData) -> None:
    spot_adata.obs["slide"] = ["a"] * 60 + ["b"] * 60
    incidence = np.zeros((120, 3))
    incidence[:5, 0], incidence[70:80, 1] = 2.0, 1.0
    builder = Given(incidence=incidence)
    with pytest.raises(ValueError, match="trust_rep=True"):
        phg2st.pp.build_hypergraph(spot_adata, builder=builder)
    phg2st.pp.build_hypergraph(spot_adata, builder=builder, slide_key="slide", trust_rep=True)
    np.testing.assert_array_equal(spot_adata.obsp[SLOTS[0]].toarray()[:, :3], incidence)
    incidence[59, 1] = 1.0
    with pytest.raises(ValueError, match="different slides, such as 'spot59'"):
        phg2st.pp.build_hypergraph(
            spot_adata, builder=Given(incidence=incidence), slide_key="slide", trust_rep=True, key_added="new"
        )
    assert "new" not in spot_adata.uns


def test_features_of_unknown_origin_are_refused(embedded: AnnData) -> None:
    embedded.obsm["X_pca"] = embedded.obsm["X_color"] * 2
    with pytest.raises(ValueError, match="trust_rep=True"):
        phg2st.pp.build_hypergraph(embedded, use_rep="X_pca")
    phg2st.pp.build_hypergraph(embedded, use_rep="X_pca", trust_rep=True)
    assert embedded.uns["hypergraph"]["params"]["source"] == "unknown"


def test_errors_name_the_call_that_mends_them(spot_adata: AnnData) -> None:
    with pytest.raises(KeyError, match=r"extract_embeddings.*builder='position'"):
        phg2st.pp.build_hypergraph(spot_adata)
    with pytest.raises(ValueError, match="leave out `use_rep='X_uni'`"):
        phg2st.pp.build_hypergraph(spot_adata, builder="position", use_rep="X_uni")
    with pytest.raises(ValueError, match="view"):
        phg2st.pp.build_hypergraph(spot_adata[:10], builder="position")
    assert not spot_adata.obsp


def test_a_slide_without_features_is_built_from_positions_with_a_warning(embedded: AnnData) -> None:
    embedded.obs["slide"] = ["a"] * 60 + ["b"] * 60
    embedded.obsm["X_color"][60:] = np.nan
    with pytest.warns(UserWarning, match="'b' has no features.*positions alone"):
        phg2st.pp.build_hypergraph(embedded, slide_key="slide")
    alone = PositionKNN().build(embedded.obsm["spatial"][60:] / 40.0)
    np.testing.assert_allclose(embedded.obsp[SLOTS[0]][60:][:, 60:].toarray(), alone.incidence.toarray(), atol=1e-6)
    with pytest.raises(ValueError, match="'b' has no features.*needs"):
        phg2st.pp.build_hypergraph(embedded, slide_key="slide", builder="feature")


def test_a_real_section(real_data: Path) -> None:
    adata = phg2st.datasets.her2st(real_data / "her2st", sections=["B4"])["B4"]
    phg2st.pp.build_hypergraph(adata, builder="position")
    distances = adata.obsp[SLOTS[2]]
    assert 0.8 < np.median(distances.data) < 1.2
    assert distances.data.max() < 6


def test_more_neighbors_than_spots_are_all_of_them_and_said(spot_adata: AnnData) -> None:
    few = spot_adata[:6].copy()
    with pytest.warns(UserWarning, match="has 6 spots, so that n_neighbors=6 connects every spot with the 5 others"):
        phg2st.pp.build_hypergraph(few, builder="position", n_neighbors=6)
    assert few.obsp["hypergraph_incidence"].nnz == 36
