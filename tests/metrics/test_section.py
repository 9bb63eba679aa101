"""The one function that scores a section: what it measures, and what may not change it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.spatial import cKDTree

from phg2st_sc.metrics import (
    SCORES,
    ccc,
    depth_free_target,
    lognorm_target,
    mae,
    noise_ceiling,
    partial_pcc,
    pcc,
    published_counts,
    score_published,
    score_section,
    share_target,
    smooth_published,
    summarize,
)

S = 1e4


def idw(values: np.ndarray, known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Inverse squared distances to the six nearest prompts."""
    distance, index = cKDTree(known).query(wanted, k=6)
    weight = 1 / np.maximum(distance, 1e-9) ** 2
    return np.einsum("nk,nkg->ng", weight / weight.sum(axis=1, keepdims=True), values[index])


@pytest.fixture
def section(rng: np.random.Generator) -> dict[str, np.ndarray]:
    positions = np.argwhere(np.ones((14, 14))).astype(float)
    rate = np.exp(0.5 * np.sin(positions @ rng.normal(0, 0.4, (2, 12)))) * rng.gamma(2.0, 1.0, 12)
    rate /= 2 * rate.sum(axis=1, keepdims=True)  # the other half of all counts is outside the panel
    depth = 600 * rng.gamma(4.0, 0.25, 196)
    counts = rng.poisson(depth[:, None] * rate)
    totals = counts.sum(axis=1) + rng.poisson(depth / 2)
    prediction = np.log1p(S * rate * rng.gamma(30.0, 1 / 30, rate.shape)).astype(np.float32)
    return {"counts": counts, "totals": totals.astype(float), "positions": positions, "prediction": prediction}


def test_every_column_is_what_it_says(section: dict[str, np.ndarray]) -> None:
    counts, totals, positions, prediction = section.values()
    scores = score_section(**section, target_sum=S, seed=4)
    free, share = depth_free_target(counts, positions), np.log1p(1e4 * np.expm1(prediction.astype(float)) / S)
    lognorm, rate = lognorm_target(counts, totals, target_sum=S), np.expm1(prediction.astype(float))
    expected = {
        "pcc": pcc(free, prediction),
        "pcc_share": pcc(free, rate / rate.sum(axis=1, keepdims=True)),
        "pcc_unsmoothed": pcc(depth_free_target(counts, None), prediction),
        "pcc_depth_only": pcc(free, np.log(counts.sum(axis=1))),
        "pcc_lognorm": pcc(lognorm, prediction),
        "pcc_lognorm_depth_only": pcc(lognorm, np.log(totals)),
        "pcc_lognorm_depth_adjusted": partial_pcc(lognorm, prediction, np.log(totals)),
        "ccc": ccc(share_target(counts, totals, positions), share),
        "ccc_unsmoothed": ccc(share_target(counts, totals, None), share),
        "mae": mae(share_target(counts, totals, positions), share),
        "mae_unsmoothed": mae(share_target(counts, totals, None), share),
        "ceiling": noise_ceiling(counts, positions, seed=4),
        "ceiling_unsmoothed": noise_ceiling(counts, None, seed=4),
    }
    assert list(scores.columns) == ["gene", *SCORES]
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    assert scores.attrs["means"]["pcc"] == pytest.approx(expected["pcc"].mean())
    assert scores.attrs["n_spots"] == 196


def test_blocks_of_genes_change_nothing(section: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score_section(**section, target_sum=S)
    monkeypatch.setattr("phg2st_sc.metrics._targets._BLOCK_VALUES", 5 * 196)
    sparse_section = section | {"counts": sparse.csr_matrix(section["counts"])}
    pd.testing.assert_frame_equal(score_section(**sparse_section, target_sum=S), whole, rtol=1e-9)


def test_order_of_spots_changes_nothing(section: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    order = rng.permutation(196)
    shuffled = {name: values[order] for name, values in section.items()}
    first, second = (score_section(**s, target_sum=S, n_splits=0) for s in (section, shuffled))
    pd.testing.assert_frame_equal(first, second, rtol=1e-9)


def test_several_predictions_share_the_truth(section: dict[str, np.ndarray]) -> None:
    good = section.pop("prediction")
    flat = np.tile(good.mean(axis=0), (196, 1))
    both = score_section(**section, prediction={"good": good, "flat": flat}, target_sum=S, n_splits=1)
    assert both["method"].tolist() == ["good"] * 12 + ["flat"] * 12
    alone = score_section(**section, prediction=good, target_sum=S, n_splits=1)
    pd.testing.assert_frame_equal(both[both["method"] == "good"].drop(columns="method"), alone)
    rows = both[both["method"] == "flat"]
    assert (rows[["pcc", "pcc_unsmoothed", "pcc_lognorm", "ccc"]] == 0).all(axis=None)
    assert both.attrs["means"]["good"]["pcc"] > 0.5 > both.attrs["means"]["flat"]["pcc"] == 0
    assert rows["ceiling"].tolist() == alone["ceiling"].tolist()


def test_unseen_gene_is_dropped_and_counted(section: dict[str, np.ndarray]) -> None:
    full = score_section(**section, target_sum=S, n_splits=0)
    section["counts"][:, 3] = 0
    scores = score_section(**section, target_sum=S, n_splits=1)
    assert scores["pcc"].isna().tolist() == [g == 3 for g in range(12)]
    assert scores.attrs["n_genes_dropped"] == 1
    assert full.attrs["n_genes_dropped"] == 0
    assert scores.attrs["means"]["pcc"] == pytest.approx(scores["pcc"].drop(3).mean())


def test_empty_spots_are_left_out_and_counted(section: dict[str, np.ndarray]) -> None:
    section["counts"][:5] = 0
    scores = score_section(**section, target_sum=S, n_splits=1)
    without = score_section(**{name: values[5:] for name, values in section.items()}, target_sum=S, n_splits=1)
    pd.testing.assert_frame_equal(scores, without)
    assert (scores.attrs["n_spots"], scores.attrs["n_spots_empty"]) == (191, 5)


def test_top_genes(section: dict[str, np.ndarray]) -> None:
    names = [f"g{i}" for i in range(12)]
    scores = score_section(**section, target_sum=S, genes=names, top_genes=["g2", "g7", "elsewhere"], n_splits=1)
    assert scores.loc[scores["top"], "gene"].tolist() == ["g2", "g7"]
    assert scores.attrs["means_top"]["pcc"] == pytest.approx(scores["pcc"][[2, 7]].mean())
    assert scores.attrs["n_genes_top"] == 2
    with pytest.raises(ValueError, match="None of the 1 `top_genes`"):
        score_section(**section, target_sum=S, genes=names, top_genes=["elsewhere"])


def test_section_ceiling_is_that_of_the_mean_correlation(section: dict[str, np.ndarray]) -> None:
    scores = score_section(**section, target_sum=S)
    r = scores["half_r"].mean()
    assert scores.attrs["means"]["ceiling"] == pytest.approx(np.sqrt(2 * r / (1 + r)))
    assert scores.attrs["means"]["pcc"] < scores.attrs["means"]["ceiling"]


def test_clear_errors(section: dict[str, np.ndarray]) -> None:
    broken = section["prediction"].copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match="is nan at spot 3, gene 2"):
        score_section(**section | {"prediction": broken}, target_sum=S)
    with pytest.raises(ValueError, match=r"`prediction` must be \(196, 12\)"):
        score_section(**section | {"prediction": broken[:, :4]}, target_sum=S)
    with pytest.raises(ValueError, match="Only 2 held-out spots have counts"):
        score_section(**{name: values[:2] for name, values in section.items()}, target_sum=S)
    with pytest.raises(ValueError, match="`totals` are over all genes"):
        score_section(**section | {"totals": np.ones(196)}, target_sum=S)
    with pytest.raises(ValueError, match=r"`positions` must be \(196, 2\)"):
        score_section(**section | {"positions": np.ones((5, 2))}, target_sum=S)
    with pytest.raises(ValueError, match="`genes` has 1 names for 12 genes"):
        score_section(**section, target_sum=S, genes=["a"])


@pytest.fixture(scope="module")
def noise() -> dict[str, np.ndarray]:
    """Genes without any spatial structure, at varying depth."""
    rng = np.random.default_rng(11)
    positions = np.argwhere(np.ones((22, 22))).astype(float)
    depth = rng.gamma(4.0, 500.0, (484, 1))
    prompts = np.zeros(484, bool)
    prompts[rng.choice(484, 48, replace=False)] = True
    return {"counts": rng.poisson(depth * rng.dirichlet(np.full(150, 2.0))), "positions": positions, "prompts": prompts}


def test_noise_scores_zero_under_the_honest_rules(noise: dict[str, np.ndarray]) -> None:
    counts, positions, prompts = noise.values()
    totals, heldout = counts.sum(axis=1), ~prompts
    known = np.log1p(S * counts[prompts] / totals[prompts, None])
    prediction = idw(known, positions[prompts], positions[heldout])
    scores = score_section(counts[heldout], totals[heldout], positions[heldout], prediction, S, n_splits=1)
    for name in ("pcc", "pcc_share", "pcc_unsmoothed", "pcc_lognorm", "ccc", "ccc_unsmoothed"):
        error = scores[name].std() / np.sqrt(150)
        assert abs(scores[name].mean()) < 3 * error + 1e-3, name


def test_the_same_noise_scores_high_as_published(noise: dict[str, np.ndarray]) -> None:
    counts, positions, prompts = noise.values()
    totals = counts.sum(axis=1)
    smoothed = published_counts(counts, totals, positions)
    known = np.log1p(S * smoothed[prompts] / smoothed[prompts].sum(axis=1, keepdims=True))
    prediction = idw(known, positions[prompts], positions)
    with pytest.warns(UserWarning, match="pure noise reaches a correlation above 0.3"):
        scores = score_published(counts, totals, positions, prediction, S, prompts)
    assert scores["pcc"].mean() > 0.4
    assert scores["pcc_heldout"].mean() > 0.3
    assert scores.attrs["protocol"] == "published"


def test_published_counts_carry_the_smoothed_labels(noise: dict[str, np.ndarray]) -> None:
    counts, positions, _ = noise.values()
    totals = counts.sum(axis=1)
    smoothed = published_counts(counts, totals, positions)
    labels = smooth_published(lognorm_target(counts, totals, target_sum=1e4), positions)
    np.testing.assert_array_equal(smoothed, np.round(smoothed))
    np.testing.assert_allclose(np.log1p(1e4 * smoothed / 1e6), labels, atol=0.01)


def test_means_weigh_sections_and_patients_equally() -> None:
    rows = [("A", "A1", 0, 0.1), ("A", "A1", 1, 0.3), ("A", "A2", 0, 0.6), ("B", "B1", 0, 0.0)]
    table = pd.concat(
        [
            pd.DataFrame({"patient": p, "section": s, "mask": m, "method": "x", "gene": ["g", "h"], "pcc": [v, np.nan]})
            for p, s, m, v in rows
        ]
    )
    assert summarize(table, by=("method", "section"))["pcc"].tolist() == pytest.approx([0.2, 0.6, 0.0])
    assert summarize(table, by=("method", "patient"))["pcc"].tolist() == pytest.approx([0.4, 0.0])
    overall = summarize(table, by="method").loc["x"]
    assert overall["pcc"] == pytest.approx(0.2)
    assert (overall["n_genes"], overall["n_genes_dropped"]) == (2, 1)
    with pytest.raises(ValueError, match="no column 'fold'"):
        summarize(table, by="fold")


def test_depth_predicts_log_normalized_but_not_depth_free_targets(real_data: Path) -> None:
    panel = (real_data / "her2st_genes.txt").read_text().split()
    raw = pd.read_csv(real_data / "her2st" / "ST-cnts" / "B4.tsv.gz", sep="\t", index_col=0)
    positions = np.array([[float(v) for v in name.split("x")] for name in raw.index])
    counts, totals = raw[panel].to_numpy(), raw.to_numpy().sum(axis=1)
    depth = np.repeat(np.log(totals)[:, None], len(panel), axis=1)
    means = score_section(counts, totals, positions, depth, 1e6, n_splits=3).attrs["means"]
    assert means["pcc_lognorm"] > 0.2
    assert abs(means["pcc"]) < 0.06
    assert 0.4 < means["ceiling"] < 0.7


@pytest.mark.parametrize("protocol", ["honest", "published"])
def test_blocks_of_genes_give_the_same_numbers(
    section: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    def scored() -> pd.DataFrame:
        if protocol == "honest":
            return score_section(**section, target_sum=S, n_splits=2)
        prompts = np.arange(196) % 5 == 0
        with pytest.warns(UserWarning, match="noise reaches"):
            return score_published(**section, target_sum=S, prompts=prompts)

    whole = scored()
    monkeypatch.setattr("phg2st_sc.metrics._targets._BLOCK_VALUES", 1)
    monkeypatch.setattr("phg2st_sc.metrics._targets._FEWEST_GENES", 5)
    pd.testing.assert_frame_equal(scored(), whole, rtol=1e-12)


def test_no_second_array_of_spots_and_genes_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    positions = np.argwhere(np.ones((50, 60)))
    counts = sparse.random_array((3000, 900), density=0.02, rng=rng, format="csr")
    counts.data = rng.poisson(2, counts.data.size) + 1.0
    totals, prediction = np.asarray(counts.sum(axis=1)), rng.random((3000, 900), dtype=np.float32)
    monkeypatch.setattr("phg2st_sc.metrics._targets._BLOCK_VALUES", 30_000)
    tracemalloc.start()
    try:
        score_section(counts, totals, positions, prediction, S, n_splits=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < prediction.nbytes
