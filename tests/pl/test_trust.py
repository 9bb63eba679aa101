"""Promises, intervals and budgets: a point for each number, and gaps left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phg2st_sc import pl


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    trust = rng.uniform(0, 0.6, 50)
    frame = pd.DataFrame({"section": "s", "method": "phg2st", "gene": [f"g{i}" for i in range(50)], "trust": trust})
    frame["pcc"], frame["ceiling"] = trust + rng.normal(0, 0.02, 50), 0.8
    frame.loc[3, "trust"], frame.loc[4, "pcc"] = np.nan, np.nan
    return pd.concat([frame, frame.assign(method="kriging", trust=np.nan)], ignore_index=True)


def test_a_point_for_every_gene_that_has_both(scores, tmp_path):
    ax = pl.trust(scores, save=tmp_path / "t.png")
    points = ax.collections[0].get_offsets()
    rows = scores[(scores["method"] == "phg2st") & scores[["trust", "pcc"]].notna().all(axis=1)]
    np.testing.assert_allclose(points, rows[["trust", "pcc"]])
    assert len(points) == 48
    assert ax.get_xlim() == ax.get_ylim()
    words = ax.texts[0].get_text()
    assert f"mean {rows['trust'].mean():.2f} promised, {rows['pcc'].mean():.2f} reached" in words
    assert ax.get_xlabel() == "promised (48 genes)"
    assert "Spearman 0.9" in words
    assert (tmp_path / "t.png").stat().st_size > 1000


def test_what_noise_leaves_within_reach_is_told(scores):
    scores.attrs = {"sections": {"s": {"promise": {"rank_reachable": 0.987}}}}
    assert "of 0.99 within reach" in pl.trust(scores).texts[0].get_text()
    scores.attrs = {"sections": {"s": {"promise": {"rank_reachable": np.nan}}}}
    assert "within reach" not in pl.trust(scores).texts[0].get_text()


def test_without_ceilings_all_points_have_one_color(scores):
    ax = pl.trust(scores.drop(columns="ceiling"))
    assert ax.collections[0].get_array() is None
    assert len(ax.get_figure().axes) == 1


def test_trust_that_is_not_there(scores):
    with pytest.raises(KeyError, match=r"no column 'trust'.*tl.evaluate"):
        pl.trust(scores.drop(columns="trust"))
    with pytest.raises(ValueError, match=r"No gene has both a trust and a 'pcc'.*impute\(data, uncertainty=True\)"):
        pl.trust(scores.assign(trust=np.nan))
    with pytest.raises(ValueError, match="no method 'kringing'. Did you mean 'kriging'"):
        pl.trust(scores, method="kringing")
    with pytest.raises(TypeError, match="A DataFrame"):
        pl.trust({"trust": [1]})


def test_a_curve_of_coverage_for_every_group():
    frame = pd.DataFrame({"level": [0.5, 0.9] * 3, "coverage": [0.4, 0.8, 0.5, 0.9, 0.5, 0.7], "group": list("aabbcc")})
    ax = pl.coverage(frame)
    curves = [line for line in ax.lines if line.get_linestyle() == "-"]
    assert [list(line.get_ydata()) for line in curves] == [[0.4, 0.8], [0.5, 0.9], [0.5, 0.7]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]
    diagonal = next(line for line in ax.lines if line.get_linestyle() == "--")
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
    assert ax.get_xlim() == ax.get_ylim()
    together = pl.coverage(frame.drop(columns="group"))
    assert list(together.lines[-1].get_ydata()) == pytest.approx([1.4 / 3, 0.8])
    assert together.get_legend() is None


def test_coverage_in_percent_or_not_at_all():
    with pytest.raises(ValueError, match="divide percentages by 100"):
        pl.coverage(pd.DataFrame({"level": [50], "coverage": [49.0]}))
    with pytest.raises(ValueError, match="No row has both a level and a coverage"):
        pl.coverage(pd.DataFrame({"level": [0.5], "coverage": [np.nan]}))
    with pytest.raises(KeyError, match="no column 'coverage'"):
        pl.coverage(pd.DataFrame({"level": [0.5]}))


def test_a_line_and_a_band_for_every_design():
    frame = pd.DataFrame({"fraction": [0.2, 0.02, 0.1] * 2, "expected": [0.3, 0.1, 0.2, 0.25, 0.05, 0.15]})
    frame = frame.assign(lower=frame["expected"] - 0.05, upper=frame["expected"] + 0.05, design=["s"] * 3 + ["r"] * 3)
    ax = pl.budget(frame)
    curves = [line for line in ax.lines if line.get_linestyle() == "-"]
    assert [list(line.get_ydata()) for line in curves] == [[0.1, 0.2, 0.3], [0.05, 0.15, 0.25]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["s", "r"]
    assert len(ax.collections) == 2
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [line.get_ydata()[0] for line in dotted] == pytest.approx([0.05, 0.15, 0.0, 0.1])
    assert sorted(float(label.get_text()) for label in ax.get_xticklabels()) == [2, 10, 20]
    with pytest.raises(KeyError, match=r"no column 'expected'.*tl.expected_accuracy"):
        pl.budget(frame.drop(columns="expected"))
    with pytest.raises(ValueError, match="No row has both a fraction and an expected accuracy"):
        pl.budget(frame.assign(expected=np.nan))


def test_a_budget_is_of_one_slide():
    frame = pd.DataFrame({"slide": list("aabb"), "fraction": [0.1, 0.2] * 2, "expected": [0.1, 0.2, 0.3, 0.4]})
    assert [list(line.get_ydata()) for line in pl.budget(frame).lines] == [[0.1, 0.2]]
    assert list(pl.budget(frame, slide="b").lines[0].get_ydata()) == [0.3, 0.4]
    with pytest.raises(KeyError, match="No slide named 'c'; there are: 'a', 'b'"):
        pl.budget(frame, slide="c")
