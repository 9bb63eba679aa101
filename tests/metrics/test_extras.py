"""Further scores of a section: what truth, depth, noise and smoothing get, and what may not change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from phg2st_sc.metrics import (
    EXTRAS,
    SCORES,
    depth_free_target,
    gene_correlation,
    hotspot_coverage,
    morans_i,
    neighbor_mean,
    score_section,
    ssim,
)

SIDE, GENES, S = 26, 80, 1e4


@pytest.fixture(scope="module")
def section() -> dict[str, np.ndarray]:
    """Counts with known rates that five programmes drive, at nine places out of ten."""
    rng = np.random.default_rng(0)
    positions = np.argwhere(np.ones((SIDE, SIDE))).astype(float)
    programs = np.sin(positions @ rng.normal(0, 0.35, (2, 5)) + rng.uniform(0, 6, 5))
    rate = np.exp(0.35 * programs @ rng.normal(0, 0.7, (5, GENES))) * rng.gamma(3.0, 1.0, GENES)
    rate /= rate.sum(axis=1, keepdims=True)
    counts = rng.poisson(600 * rng.gamma(4.0, 0.25, (SIDE**2, 1)) * rate)
    heldout = rng.random(SIDE**2) > 0.1
    return {"counts": counts[heldout], "positions": positions[heldout], "log_rate": np.log1p(S * rate[heldout])}


@pytest.fixture(scope="module")
def scores(section: dict[str, np.ndarray]) -> pd.DataFrame:
    counts, positions, truth = section.values()
    rng = np.random.default_rng(1)
    predictions = {
        "truth": truth,
        "smooth": neighbor_mean(truth, positions, radius=4),
        "patchy": truth + rng.normal(0, truth.std(axis=0), truth.shape),
        "depth": np.repeat(np.log(counts.sum(axis=1))[:, None], GENES, axis=1),
        "noise": rng.normal(5, 1, truth.shape),
        "flat": np.tile(truth.mean(axis=0), (len(truth), 1)),
    }
    return score_section(counts, counts.sum(axis=1), positions, predictions, S, extra="all")


def test_columns_are_the_functions(section: dict[str, np.ndarray]) -> None:
    counts, positions, truth = section.values()
    table = score_section(counts, counts.sum(axis=1), positions, truth, S, extra=EXTRAS)
    target, own = depth_free_target(counts, positions), depth_free_target(counts, None)
    np.testing.assert_allclose(table["ssim"], ssim(target, truth, positions))
    np.testing.assert_allclose(table["morans_i"], morans_i(truth, positions))
    np.testing.assert_allclose(table["morans_i_measured"], morans_i(own, positions))
    np.testing.assert_allclose(table["hotspot_coverage"], hotspot_coverage(target, truth))
    summary = table.attrs["summary"]
    found = gene_correlation(target, truth)
    assert summary["gene_correlation_error"] == pytest.approx(found.error, rel=1e-5)
    assert summary["gene_correlation_agreement"] == pytest.approx(found.agreement, rel=1e-5)
    assert table.attrs["means"]["ssim"] == pytest.approx(table["ssim"].mean())


def test_nothing_else_changes(section: dict[str, np.ndarray]) -> None:
    counts, positions, truth = section.values()
    plain = score_section(counts, counts.sum(axis=1), positions, truth, S)
    more = score_section(counts, counts.sum(axis=1), positions, truth, S, extra="all")
    assert list(plain.columns) == ["gene", *SCORES]
    pd.testing.assert_frame_equal(more[plain.columns], plain)
    assert "summary" not in plain.attrs
    assert more.attrs["means"].items() >= plain.attrs["means"].items()
    one = score_section(counts, counts.sum(axis=1), positions, truth, S, extra="ssim")
    assert list(one.columns) == ["gene", *SCORES, "ssim", "ssim_halves"]
    assert one.attrs["summary"] == {}


def test_blocks_and_sparse_counts_change_nothing(
    section: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, positions, truth = section.values()
    whole = score_section(counts, counts.sum(axis=1), positions, truth, S, extra="all")
    monkeypatch.setattr("phg2st_sc.metrics._targets._BLOCK_VALUES", 7 * len(counts))
    parts = score_section(sparse.csr_matrix(counts), counts.sum(axis=1), positions, truth, S, extra="all")
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-7)
    assert parts.attrs["summary"] == pytest.approx(whole.attrs["summary"], rel=1e-4)


def test_depth_and_noise_are_no_signal(scores: pd.DataFrame) -> None:
    means, summary = scores.attrs["means"], scores.attrs["summary"]
    for name in ("depth", "noise", "flat"):
        assert abs(means[name]["ssim"]) < 0.03, name
        assert abs(means[name]["hotspot_kappa"]) < 0.03, name
        assert abs(summary[name]["gene_correlation_agreement"]) < 0.03, name
        assert summary[name]["markers_covered"] == 0, name
    assert summary["depth"]["gene_correlation_error"] > 2 * summary["depth"]["gene_correlation_error_none"]
    assert means["truth"]["ssim"] > means["patchy"]["ssim"] > 0.2
    assert means["truth"]["hotspot_kappa"] > means["patchy"]["hotspot_kappa"] > 0.2
    assert summary["truth"]["markers_covered"] == 1


def test_flat_predictions_count_zero_not_nothing(scores: pd.DataFrame) -> None:
    flat = scores[scores["method"] == "flat"]
    assert (flat[["ssim", "morans_i_ratio"]] == 0).all(axis=None)
    assert flat["morans_i"].isna().all()
    np.testing.assert_allclose(flat["hotspot_kappa"], 0, atol=1e-12)
    summary = scores.attrs["summary"]["flat"]
    assert summary["gene_correlation_error"] == pytest.approx(summary["gene_correlation_error_none"])
    assert summary["morans_i_ratio_noise_free"] == 0


def test_truth_reaches_one_where_noise_is_taken_out(scores: pd.DataFrame) -> None:
    means, summary = scores.attrs["means"], scores.attrs["summary"]
    assert means["truth"]["morans_i_ratio"] > 2  # the measured map is noisy
    assert summary["truth"]["morans_i_ratio_noise_free"] == pytest.approx(1, abs=0.1)
    assert summary["smooth"]["morans_i_ratio_noise_free"] > summary["truth"]["morans_i_ratio_noise_free"]
    assert summary["patchy"]["morans_i_ratio_noise_free"] < 0.7
    truth = summary["truth"]
    assert truth["gene_correlation_error_attenuated"] < 0.9 * truth["gene_correlation_error_halves"]
    assert truth["gene_correlation_error_attenuated"] < 0.7 * truth["gene_correlation_error"]
    assert truth["gene_correlation_error_attenuated"] < 0.3 * truth["gene_correlation_error_none"]


def test_shallow_counts(section: dict[str, np.ndarray]) -> None:
    counts, positions, truth = section.values()
    shallow = np.random.default_rng(2).binomial(counts, 0.25)
    deep, thin = (score_section(c, c.sum(axis=1), positions, truth, S, extra="all") for c in (counts, shallow))
    for falls in ("ssim", "ssim_halves", "hotspot_kappa", "hotspot_kappa_halves", "morans_i_measured"):
        assert thin.attrs["means"][falls] < deep.attrs["means"][falls], falls
    assert thin.attrs["means"]["morans_i_ratio"] > 1.5 * deep.attrs["means"]["morans_i_ratio"]
    ratios = [table.attrs["summary"]["morans_i_ratio_noise_free"] for table in (deep, thin)]
    assert ratios[1] == pytest.approx(ratios[0], abs=0.1)
    plain, mended = (
        [table.attrs["summary"][key] for table in (deep, thin)]
        for key in ("gene_correlation_error", "gene_correlation_error_attenuated")
    )
    assert plain[1] > 1.5 * plain[0]
    assert mended[1] < 1.5 * mended[0]


def test_markers(section: dict[str, np.ndarray]) -> None:
    counts, positions, truth = section.values()
    names = [f"g{i}" for i in range(GENES)]
    wrong = truth.copy()
    wrong[:, 5] = -truth[:, 5]

    def score(**options: object) -> pd.DataFrame:
        return score_section(counts, counts.sum(axis=1), positions, wrong, S, genes=names, n_splits=0, **options)

    table = score(extra="markers", markers=["g4", "g5", "elsewhere"])
    summary = table.attrs["summary"]
    assert summary["markers_covered"] == 0.5
    assert (summary["n_markers"], summary["n_markers_missing"]) == (2, 1)
    assert summary["markers_pcc"] == pytest.approx(table["pcc"][[4, 5]].mean())
    assert summary["markers_hotspot_kappa"] == pytest.approx(table["hotspot_kappa"][[4, 5]].mean())
    assert score(extra="markers").attrs["summary"]["n_markers"] == GENES
    assert table["hotspot_kappa_halves"].isna().all()
    with pytest.raises(ValueError, match="None of the 1 `markers`"):
        score(extra="markers", markers=["elsewhere"])
    with pytest.raises(TypeError, match="not the name 'g4'"):
        score(extra="markers", markers="g4")


def test_without_splits_and_with_unseen_genes(section: dict[str, np.ndarray]) -> None:
    counts, positions, truth = section.values()
    counts = counts.copy()
    counts[:, 3] = 0
    for n_splits in (0, 1):
        table = score_section(counts, counts.sum(axis=1), positions, truth, S, extra="all", n_splits=n_splits)
        assert table.loc[3, ["ssim", "hotspot_kappa", "morans_i_ratio", "ssim_halves"]].isna().all()
        summary = table.attrs["summary"]
        assert summary["n_genes_correlated"] == GENES - 1
        assert np.isnan(summary["gene_correlation_error_attenuated"]) == (n_splits == 0)
        assert np.isnan(summary["morans_i_ratio_noise_free"]) == (n_splits == 0)


def test_unknown_names_are_told(section: dict[str, np.ndarray]) -> None:
    counts, positions, truth = section.values()
    with pytest.raises(ValueError, match="no further score 'psnr'.*'ssim'.*or 'all'"):
        score_section(counts, counts.sum(axis=1), positions, truth, S, extra=["ssim", "psnr"])


@pytest.mark.parametrize(("column", "length"), [("pcc", GENES), ("mine", GENES - 1)])
def test_columns_that_are_taken_or_too_short_are_refused(section, monkeypatch, column, length) -> None:
    from phg2st_sc.metrics._extras import Extra

    class Mine(Extra):
        def measured(self, section, maps):
            return {column: np.zeros(length)}

    monkeypatch.setitem(EXTRAS, "mine", Mine)
    counts, positions, truth = section.values()
    with pytest.raises(ValueError, match=f"column '{column}' of .* values"):
        score_section(counts, counts.sum(axis=1), positions, truth, S, extra="mine")
