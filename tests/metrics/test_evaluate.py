"""tl.evaluate: scores the stored prediction at the spots that were held out from it, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from phg2st_sc import _keys
from phg2st_sc.metrics import score_section
from phg2st_sc.tl import evaluate

S = 1e4
LAYER = "phg2st"


@pytest.fixture
def predicted(spot_adata: AnnData, rng: np.random.Generator) -> AnnData:
    """A slide with a prediction of its first 20 genes from 24 prompts."""
    n = spot_adata.n_obs
    right = (spot_adata.obsm["spatial"][:, 0] - 60.0) / 440.0
    rate = np.full((n, 30), 3.0)
    rate[:, :10] += 9.0 * right[:, None]
    layer = np.log1p(S * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    layer[:, 20:] = np.nan
    used = np.zeros(n, bool)
    used[rng.choice(n, 24, replace=False)] = True
    spot_adata.layers[LAYER] = layer
    spot_adata.obs[_keys.used_prompts(LAYER)] = used
    spot_adata.var[_keys.predicted(LAYER)] = np.arange(30) < 20
    spot_adata.uns[LAYER] = {"target_sum": S}
    return spot_adata


def _heldout(adata: AnnData) -> np.ndarray:
    return ~adata.obs[_keys.used_prompts(LAYER)].to_numpy()


def test_scores_are_those_of_the_heldout_spots(predicted: AnnData) -> None:
    rows = np.flatnonzero(_heldout(predicted))
    x, y = predicted.obsm["spatial"][rows].T
    rows = rows[np.lexsort((y, x))]  # halves are drawn in the order of places, whatever that of the rows
    counts = predicted.X[rows].toarray()
    expected = score_section(
        counts[:, :20],
        counts.sum(axis=1),
        predicted.obsm["spatial"][rows] / 40.0,
        predicted.layers[LAYER][rows][:, :20],
        S,
        genes=list(predicted.var_names[:20]),
    )
    scores = evaluate(predicted)
    assert scores["method"].eq(LAYER).all()
    pd.testing.assert_frame_equal(scores[list(expected.columns)], expected)
    assert scores.attrs["protocol"] == "honest"
    (section,) = scores.attrs["sections"].values()
    assert section["n_spots"] == 96
    assert scores.attrs["means"][LAYER]["pcc"] == pytest.approx(expected["pcc"].mean())


def test_prompts_are_never_scored(predicted: AnnData, rng: np.random.Generator) -> None:
    before = evaluate(predicted, n_splits=1)
    counts = predicted.X.toarray()
    counts[~_heldout(predicted)] = rng.poisson(50, counts[~_heldout(predicted)].shape)
    predicted.X = counts
    predicted.layers[LAYER][~_heldout(predicted)] = 99.0
    pd.testing.assert_frame_equal(evaluate(predicted, n_splits=1), before)


def test_nothing_is_written(predicted: AnnData) -> None:
    before = predicted.copy()
    evaluate(predicted, n_splits=0)
    assert set(predicted.layers) == set(before.layers)
    assert list(predicted.obs) == list(before.obs)
    assert set(predicted.uns) == set(before.uns)


def test_another_mask_is_refused(predicted: AnnData) -> None:
    used = predicted.obs[_keys.used_prompts(LAYER)]
    same = evaluate(predicted, prompt_mask=used, n_splits=0)
    pd.testing.assert_frame_equal(same, evaluate(predicted, n_splits=0))
    other = used.copy()
    other.iloc[int(np.flatnonzero(~used)[0])] = True
    with pytest.raises(ValueError, match="not the mask that"):
        evaluate(predicted, prompt_mask=other)


def test_all_prompts_are_refused(predicted: AnnData) -> None:
    predicted.obs[_keys.used_prompts(LAYER)] = True
    with pytest.raises(ValueError, match="nothing is held out"):
        evaluate(predicted)


def test_missing_prediction_names_the_call(spot_adata: AnnData) -> None:
    with pytest.raises(KeyError, match=r"impute\(data, key_added='phg2st'\)"):
        evaluate(spot_adata)


def test_gap_in_the_prediction_is_refused(predicted: AnnData) -> None:
    predicted.layers[LAYER][np.flatnonzero(_heldout(predicted))[0], 3] = np.nan
    with pytest.raises(ValueError, match="is not finite"):
        evaluate(predicted)


def test_genes_pick_rows_and_leave_values_alone(predicted: AnnData) -> None:
    scores, some = evaluate(predicted), evaluate(predicted, genes=["g3", "g1"])
    expected = scores[scores["gene"].isin(["g1", "g3"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected, check_like=True)
    assert some.attrs["means"][LAYER]["pcc"] == pytest.approx(expected["pcc"].mean())
    with pytest.raises(ValueError, match="1 of `genes` were not predicted: 'g25'"):
        evaluate(predicted, genes=["g1", "g25"])


def test_counts_layer_and_top_genes(predicted: AnnData) -> None:
    expected = evaluate(predicted, top_genes=["g2"], n_splits=1)
    predicted.layers["raw"] = predicted.X.copy()
    predicted.X = np.log1p(predicted.X.toarray())
    pd.testing.assert_frame_equal(evaluate(predicted, counts_layer="raw", top_genes=["g2"], n_splits=1), expected)
    assert expected["top"].sum() == 1
    with pytest.raises(ValueError, match="counts_layer"):
        evaluate(predicted)


def test_slides_are_scored_apart(predicted: AnnData) -> None:
    predicted.obs["slide"] = np.where(predicted.obsm["spatial"][:, 1] < 240, "top", "bottom")
    both = evaluate(predicted, slide_key="slide", n_splits=0)
    top = predicted[predicted.obs["slide"] == "top"].copy()
    alone = evaluate(top, n_splits=0)
    rows = both[both["section"] == "top"].reset_index(drop=True)
    assert set(both["section"]) == {"top", "bottom"}
    np.testing.assert_allclose(rows["pcc"], alone["pcc"])
    assert both.attrs["means"][LAYER]["pcc"] == pytest.approx(both.groupby("section")["pcc"].mean().mean())


def test_other_methods_get_the_same_prompts(predicted: AnnData) -> None:
    scores = evaluate(predicted, compare=["prompt_mean", "idw"], n_splits=0)
    assert list(dict.fromkeys(scores["method"])) == [LAYER, "prompt_mean", "idw"]
    assert (scores.loc[scores["method"] == "prompt_mean", "pcc"] == 0).all()
    means = scores.attrs["means"]
    assert means[LAYER]["pcc"] > means["idw"]["pcc"] > 0


def test_published_protocol_warns(predicted: AnnData) -> None:
    with pytest.warns(UserWarning, match="pure noise"):
        scores = evaluate(predicted, protocol="published", compare=["idw"])
    assert scores.attrs["protocol"] == "published"
    assert {"pcc", "pcc_heldout"} <= set(scores.columns)
    with pytest.raises(ValueError, match="'honest' or 'published'"):
        evaluate(predicted, protocol="fair")


def test_further_scores_come_on_request(predicted: AnnData) -> None:
    plain = evaluate(predicted)
    assert "summary" not in plain.attrs
    scores = evaluate(predicted, compare="idw", extra=("ssim", "gene_correlation", "markers"), markers=["g1", "g2"])
    ours = scores[scores["method"] == LAYER].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours[list(plain.columns)], plain)
    assert {"ssim", "hotspot_kappa"} <= set(scores.columns)
    assert scores.attrs["means"][LAYER]["ssim"] == pytest.approx(ours["ssim"].mean())
    (section,) = scores.attrs["sections"].values()
    for method, summary in section["summary"].items():
        assert scores.attrs["summary"][method] == pytest.approx(summary)
    assert scores.attrs["summary"]["idw"]["n_markers"] == 2
    with pytest.raises(ValueError, match="leave out protocol='published'"):
        evaluate(predicted, extra="all", protocol="published")


def test_summaries_are_averaged_by_patient(predicted: AnnData) -> None:
    x, y = predicted.obsm["spatial"].T
    predicted.obs["slide"] = np.where(y >= 240, "bottom", np.where(x < 280, "left", "right"))
    predicted.obs["patient"] = np.where(y >= 240, "P", "Q")
    scores = evaluate(predicted, slide_key="slide", extra="gene_correlation", n_splits=1)
    parts = {
        name: section["summary"][LAYER]["gene_correlation_error"] for name, section in scores.attrs["sections"].items()
    }
    expected = (parts["bottom"] + (parts["left"] + parts["right"]) / 2) / 2
    assert scores.attrs["summary"][LAYER]["gene_correlation_error"] == pytest.approx(expected)


def test_spatialdata_scores_as_anndata(predicted: AnnData) -> None:
    sd = pytest.importorskip("spatialdata")
    expected = evaluate(predicted, n_splits=1)
    table = predicted.copy()
    shapes = sd.models.ShapesModel.parse(table.obsm.pop("spatial"), geometry=0, radius=11.0, index=table.obs_names)
    table.obs["region"] = pd.Categorical(["spots"] * table.n_obs)
    table.obs["spot"] = table.obs_names
    order = np.random.default_rng(0).permutation(table.n_obs)  # rows are matched by instance, not by order
    table = sd.models.TableModel.parse(table[order].copy(), region="spots", region_key="region", instance_key="spot")
    sdata = sd.SpatialData(shapes={"spots": shapes}, tables={"table": table})
    scores = evaluate(sdata, n_splits=1)
    columns = ["gene", "pcc", "pcc_lognorm", "ccc", "mae"]
    pd.testing.assert_frame_equal(scores[columns], expected[columns], rtol=1e-6)
