"""Scores by gene, by distance and by the share of spots that is measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st
from phg2st_sc import pl


def _table(n_genes, **columns):
    pcc = np.linspace(-0.1, 0.7, n_genes)
    genes = [f"g{i}" for i in range(n_genes)]
    return pd.DataFrame({"section": "s", "method": "phg2st", "gene": genes, "pcc": pcc, "ceiling": 0.8} | columns)


def _line(ax, label):
    return next(line for line in ax.lines if line.get_label().startswith(label))


def test_few_genes_have_a_line_each_the_best_on_top():
    sections = pd.concat([_table(6), _table(6).assign(section="t", pcc=lambda t: t["pcc"] + 0.1)])
    ax = pl.scores(pd.concat([sections, sections.assign(method="idw", pcc=0.3)]))
    dots = _line(ax, "phg2st")
    top = dots.get_xdata()[np.argmax(dots.get_ydata())]
    assert top == pytest.approx(0.75)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["g5", "g4", "g3", "g2", "g1", "g0"]
    assert len(_line(ax, "noise ceiling").get_xdata()) == len(_line(ax, "idw").get_xdata()) == 6


def test_many_genes_are_points_and_gaps_are_left_out(tmp_path):
    table = _table(90)
    table.loc[7, "pcc"], table.loc[8, "ceiling"] = np.nan, np.nan
    ax = pl.scores(table, save=tmp_path / "s.png")
    points = _line(ax, "phg2st").get_ydata()
    assert len(points) == 89
    assert (np.diff(points) < 0).all()
    assert ax.get_xlabel() == "89 genes, the best first"
    assert (tmp_path / "s.png").stat().st_size > 1000
    without = pl.scores(table.assign(ceiling=np.nan))
    assert [text.get_text() for text in without.get_legend().get_texts()] == ["phg2st, mean 0.30"]


def test_scores_that_are_not_there():
    with pytest.raises(KeyError, match=r"no column 'ssim'.*tl.evaluate"):
        pl.scores(_table(5), score="ssim")
    with pytest.raises(ValueError, match="1 of 2 `genes` have no score: 'x'"):
        pl.scores(_table(5), genes=["g0", "x"])
    with pytest.raises(ValueError, match="No gene has a score 'pcc'"):
        pl.scores(_table(5).assign(pcc=np.nan))
    with pytest.raises(ValueError, match="no method 'a'"):
        pl.scores(_table(5), methods="a")


def test_distance_scores_every_held_out_spot_once(predicted):
    ax = pl.distance(predicted, key="kriging", edges=(0, 1.1, np.inf))
    numbers = [int(text.get_text().removeprefix("n=")) for text in ax.texts]
    assert sum(numbers) == 96
    mask = predicted.obs["kriging_prompt"].to_numpy()
    where = predicted.obsm["spatial"] / 40
    far = np.linalg.norm(where[~mask][:, None] - where[mask], axis=2).min(axis=1)
    assert numbers[0] == (far <= 1.1).sum()
    np.testing.assert_allclose(_line(ax, "mean").get_xdata(), [far[far <= 1.1].mean(), far[far > 1.1].mean()])


def test_one_bin_has_the_score_of_the_section(predicted):
    scores = phg2st.tl.evaluate(predicted, layer="kriging", n_splits=0, progress=False)
    ax = pl.distance(predicted, key="kriging", edges=(0, np.inf), n_splits=0)
    assert _line(ax, "mean").get_ydata() == pytest.approx(scores["pcc"].mean())
    ax = pl.distance(predicted, key="kriging", edges=(0, np.inf), score="mae")
    assert _line(ax, "mean").get_ydata() == pytest.approx(scores["mae"].mean())
    one = pl.distance(predicted, key="kriging", edges=(0, np.inf), genes=["g3"], n_splits=0)
    assert _line(one, "mean").get_ydata() == pytest.approx(scores.set_index("gene")["pcc"]["g3"])


def test_distance_needs_prompts_truth_and_spots(predicted):
    with pytest.raises(ValueError, match="fewer than 15 held-out spots"):
        pl.distance(predicted, key="kriging", edges=(100, 200))
    with pytest.raises(ValueError, match="not 'rmse'"):
        pl.distance(predicted, key="kriging", score="rmse")
    with pytest.raises(KeyError, match="tl.impute"):
        pl.distance(predicted)
    counts, mask = predicted.X.toarray(), predicted.obs["kriging_prompt"].to_numpy()
    counts[~mask] = 0
    predicted.X = counts
    with pytest.raises(ValueError, match="No spot that was held out has a count"):
        pl.distance(predicted, key="kriging")


def _benchmark(share):
    rows = [
        (method, learned, regime, section, value + share)
        for method, learned, value in (("a", "cohort", 0.3), ("a", "section", 0.2), ("noise_ceiling", "reference", 0.7))
        for regime in ("random", "block")
        for section in ("s1", "s2")
    ]
    frame = pd.DataFrame(rows, columns=["method", "learned", "regime", "section", "value"])
    return frame.assign(patient="p", seed=0, mask=0, metric="pcc", protocol="honest", fold="f")


def test_curves_of_a_benchmark():
    tables = {share: _benchmark(share) for share in (0.2, 0.05)}
    axes = pl.fraction(tables)
    assert [ax.get_title() for ax in axes[0]] == ["random", "block"]
    assert list(_line(axes[0, 0], "a (cohort)").get_ydata()) == pytest.approx([0.35, 0.5])
    assert list(_line(axes[0, 1], "a (section)").get_ydata()) == pytest.approx([0.25, 0.4])
    assert list(_line(axes[0, 0], "noise ceiling").get_xdata()) == [0.05, 0.2]
    joined = pd.concat(tables, names=["fraction"]).reset_index("fraction")
    again = pl.fraction(joined)
    assert list(_line(again[0, 0], "a (cohort)").get_ydata()) == pytest.approx([0.35, 0.5])


def test_curves_of_scores_by_gene():
    axes = pl.fraction({0.1: _table(9), 0.3: _table(9).assign(pcc=0.5)})
    assert axes.shape == (1, 1)
    assert list(_line(axes[0, 0], "phg2st").get_ydata()) == pytest.approx([0.3, 0.5])


def test_curves_that_are_not_there():
    with pytest.raises(KeyError, match="no column 'fraction'"):
        pl.fraction(_benchmark(0.1))
    with pytest.raises(ValueError, match="There are no scores to draw"):
        pl.fraction({})
    with pytest.raises(ValueError, match="no method 'b'"):
        pl.fraction({0.1: _benchmark(0.1)}, methods="b")
