"""The summary: patients weigh alike, sections are paired, what failed does not lead."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st


def test_summary_weighs_patients_alike_and_pairs_by_section():
    rows = []
    values = {("A", "A1"): (0.2, 0.1), ("A", "A2"): (0.4, 0.1), ("B", "B1"): (0.9, 1.0)}
    for (patient, section), pair in values.items():
        for method, value in zip(("x", "y"), pair, strict=True):
            for mask, shift in enumerate((-0.05, 0.05)):
                rows.append((patient, section, method, mask, value + shift))
    table = pd.DataFrame(rows, columns=["patient", "section", "method", "mask", "value"])
    table = table.assign(learned="section", seed=0, regime="random", metric="pcc", protocol="honest", fold="f")
    found = phg2st.tl.summarize_benchmark(table, reference="y").xs("random")
    assert found.loc[("x", "section"), "mean"] == pytest.approx((0.3 + 0.9) / 2)
    assert found.loc[("x", "section"), "difference"] == pytest.approx((0.1 + 0.3 - 0.1) / 3)
    assert found.loc[("x", "section"), "ahead"] == 2
    assert found.loc[("y", "section"), "difference"] == 0.0
    with pytest.raises(ValueError, match="The table has no method .z.* Methods there are: "):
        phg2st.tl.summarize_benchmark(table, reference="z")
    with pytest.raises(ValueError, match="Metrics there are: pcc"):
        phg2st.tl.summarize_benchmark(table, metric="ssim")


def test_a_method_that_failed_on_the_hard_section_does_not_lead():
    values = {"easy": (0.8, 0.9), "hard": (None, 0.2)}
    rows = [
        (section, section, method, value)
        for section, pair in values.items()
        for method, value in zip(("x", "y"), pair, strict=True)
        if value is not None
    ]
    table = pd.DataFrame(rows, columns=["patient", "section", "method", "value"])
    table = table.assign(learned="section", seed=0, mask=0, regime="random", metric="pcc", protocol="honest", fold="f")
    with pytest.warns(UserWarning, match="'x' have no score on some of the 2 sections, and stand last"):
        found = phg2st.tl.summarize_benchmark(table, reference="y")
    assert list(found.index.get_level_values("method")) == ["y", "x"]
    assert found.loc[("random", "x", "section"), "ratio"] == pytest.approx(0.8 / 0.9)
    assert found.loc[("random", "x", "section"), "difference"] == pytest.approx(-0.1)


def test_a_form_can_be_named_as_it_was_asked_for(both_forms):
    _, table = both_forms
    found = phg2st.tl.summarize_benchmark(table, reference="gene_kriging:section")
    assert found.loc[("random", "gene_kriging", "section"), "difference"] == 0.0
    with pytest.raises(ValueError, match=r"2 methods are called 'gene_kriging'.*'cohort'.*'section'"):
        phg2st.tl.summarize_benchmark(table, reference="gene_kriging")
    with pytest.raises(ValueError, match=r"The table has no method 'idw'.*kriging:"):
        phg2st.tl.summarize_benchmark(table, reference="idw")


def test_ahead_means_better_also_where_less_is_better(both_forms):
    _, table = both_forms
    found = phg2st.tl.summarize_benchmark(table, metric="mae", reference="gene_kriging:section")
    rows = found.loc[found.index.get_level_values("learned") != "reference"]
    better = rows["difference"] < -3 * rows["sd_difference"].fillna(np.inf)
    assert (rows.loc[better, "ahead"] == 3).all()
    assert (rows.loc[rows["ahead"] == 3, "difference"] < 0).all()


def test_another_protocol_is_named(both_forms):
    _, table = both_forms
    with pytest.raises(ValueError, match="no rows of protocol 'published', only of 'honest'"):
        phg2st.tl.summarize_benchmark(table, protocol="published")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ({"metric": "pc"}, "no metric 'pc'.* Did you mean `metric='pcc'`"),
        ({"reference": "krigin"}, "no method 'krigin'. Did you mean `reference='kriging'`"),
    ],
)
def test_a_misspelled_name_is_answered_with_what_was_meant(both_forms, asked, meant):
    with pytest.raises(ValueError, match=meant):
        phg2st.tl.summarize_benchmark(both_forms[1], **asked)


def test_what_failed_everywhere_is_told_of(both_forms):
    _, table = both_forms
    broken = table[table["method"] == "kriging"].iloc[:1].assign(method="lost", metric="error", error="no tiles")
    with pytest.warns(UserWarning, match="'lost' failed everywhere and is left out: no tiles"):
        phg2st.tl.summarize_benchmark(pd.concat([table, broken]))


def _two_methods(metric, **values):
    shared = {"protocol": "honest", "fold": "a", "section": "s", "patient": "p", "learned": "cohort", "seed": 0}
    rows = [{"method": name, "regime": "random", "mask": 0, "metric": metric, "value": v} for name, v in values.items()]
    return pd.DataFrame([{**shared, **row, "error": ""} for row in rows])


@pytest.mark.parametrize(
    ("metric", "best"), [("pcc", "high"), ("gene_correlation_rmse", "low"), ("mae_unsmoothed", "low")]
)
def test_the_best_stands_first(metric, best):
    found = phg2st.tl.summarize_benchmark(_two_methods(metric, low=0.1, high=0.5), metric=metric, reference="low")
    assert found.index[0][1] == best
    assert found["ahead"].droplevel(["regime", "learned"]).to_dict() == {"low": 0, "high": int(best == "high")}


def test_a_score_that_is_best_in_between_ranks_nothing():
    table = _two_methods("morans_i_ratio", far=3.0, near=1.0, low=0.2)
    found = phg2st.tl.summarize_benchmark(table, metric="morans_i_ratio", reference="near")
    assert list(found.index.get_level_values("method")) == ["far", "near", "low"]
    assert "ahead" not in found


def test_every_score_is_known_to_be_best_high_or_low_or_neither(slides):
    call = partial(phg2st.tl.benchmark, slides, methods=["idw"], folds=None, genes=None, strategies="random")
    metrics = sorted(set(call(extra="all", n_masks=1, n_splits=2, progress=False)["metric"]))
    kinds = {
        metric: "ahead"
        in phg2st.tl.summarize_benchmark(_two_methods(metric, a=0.0, b=1.0), metric=metric, reference="a")
        for metric in metrics
    }
    assert {metric for metric, ranked in kinds.items() if not ranked} == {
        "hotspot_chance", "morans_i", "morans_i_measured", "morans_i_ratio", "morans_i_ratio_noise_free", "n_genes_correlated",
        "n_genes_morans_i", "n_markers", "n_markers_missing",
    }  # fmt: skip
