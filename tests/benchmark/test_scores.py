"""What a benchmark reads and scores: the same as by hand, with references beside it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from spies import QUICK, Spy, copies

import phg2st_sc as phg2st
from phg2st_sc.metrics import EXTRAS, score_section


def test_expression_that_is_not_prompted_reaches_no_method(slides):
    noisy = copies(slides)
    for name, adata in noisy.items():
        phg2st.pp.sample_prompts(adata, fraction=0.1, seed=0)
        hidden = ~adata.obs["prompt"].to_numpy()
        del adata.obs["prompt"]
        if name == "P1_S1":
            adata.X = adata.X.toarray()
            adata.X[hidden] = np.random.default_rng(1).poisson(9.0, (hidden.sum(), adata.n_vars))
    for data in (slides, noisy):
        phg2st.tl.benchmark(data, methods=["spy"], folds={"a": ["P1_S1"]}, strategies="random", **QUICK)
    (_, one), (_, other) = Spy.asked
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.totals, other.totals)


def test_the_same_scores_as_by_hand(slides):
    data = copies(slides)
    table = phg2st.tl.benchmark(data, methods=["gene_kriging", "kriging"], genes=None, strategies="block", **QUICK)
    new = data.pop("P2_S1")
    train = {name: adata for name, adata in data.items() if adata.obs["patient"].iloc[0] != "P2"}
    model = phg2st.tl.train(train, method="gene_kriging", progress=False)
    phg2st.pp.sample_prompts(new, fraction=0.1, strategy="block", seed=0)
    phg2st.tl.impute(new, model=model)
    by_hand = phg2st.tl.evaluate(new, n_splits=0).attrs["means"]["gene_kriging"]
    found = table.query("section == 'P2_S1' and method == 'gene_kriging' and learned == 'cohort'")
    found = found.set_index("metric")["value"]
    for metric in ("pcc", "pcc_unsmoothed", "ccc", "mae", "pcc_lognorm"):
        assert found[metric] == pytest.approx(by_hand[metric], rel=1e-5)


def test_references_are_those_of_score_section(slides):
    table = phg2st.tl.benchmark(
        slides, methods=["spy"], genes=None, folds={"a": ["P1_S1"]}, strategies="random", n_masks=1, progress=False
    )
    new = slides["P1_S1"].copy()
    phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    hidden = ~new.obs["prompt"].to_numpy()
    counts = new.X.toarray()[hidden]
    scores = score_section(
        counts, counts.sum(axis=1), new.obsm["spatial"][hidden] / 100.0, np.zeros(counts.shape), 1e4, n_splits=5, seed=0
    )
    value = table.query("metric == 'pcc'").set_index("method")["value"]
    assert value["noise_ceiling"] == pytest.approx(
        scores.attrs["means"]["ceiling"], abs=0.05
    )  # halves are drawn by order
    assert value["depth_only"] == pytest.approx(scores.attrs["means"]["pcc_depth_only"], rel=1e-4)
    assert value["spy"] == 0.0


def test_depth_alone_stands_on_the_scale_of_the_methods(slides):
    table = phg2st.tl.benchmark(
        slides, methods=["idw"], genes=None, folds={"a": ["P1_S1"]}, strategies="random", **QUICK
    )
    new = slides["P1_S1"].copy()
    phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    phg2st.tl.impute(new, prompt_mask="prompt", method="idw", genes=list(new.var_names))
    means = phg2st.tl.evaluate(new, layer="idw", n_splits=0).mean(numeric_only=True)
    value = table.query("metric == 'pcc_lognorm'").set_index("method")["value"]
    assert value["depth_only"] == pytest.approx(means["pcc_lognorm_depth_only"], rel=1e-4)
    assert value["idw"] == pytest.approx(means["pcc_lognorm"], rel=1e-4)


def test_further_scores_are_numbers(slides):
    call = partial(phg2st.tl.benchmark, slides, methods=["kriging"], folds=None, genes=None, strategies="random")
    settings = {
        "n_masks": 1,
        "n_splits": 2,
        "progress": False,
        "extra": "all",
        "markers": ["GENE0000", "GENE0001", "GENE0002"],
    }
    table = call(**settings)
    assert np.isfinite(table["value"]).all()
    of = {name: rows.groupby("metric")["value"].mean() for name, rows in table.groupby("method")}
    assert of["kriging"]["n_markers"] == 3
    assert of["kriging"]["gene_correlation_error_attenuated"] != of["kriging"]["gene_correlation_error"]
    assert not any("halves" in metric for metric in table["metric"])
    assert set(of["half_of_counts"].index) == {
        "ssim", "hotspot_kappa", "gene_correlation_error", "gene_correlation_agreement"
    }  # fmt: skip
    with pytest.raises(ValueError, match="None of the 1 `markers`"):
        call(**{**settings, "markers": ["nope"]})


def test_all_further_scores_in_either_spelling(slides):
    tables = [
        phg2st.tl.benchmark(slides, methods=["idw"], folds=None, genes=None, strategies="random", extra=extra, **QUICK)
        for extra in ("all", ["all"], EXTRAS)
    ]
    assert not (tables[0]["metric"] == "error").any()
    assert [set(table["metric"]) for table in tables] == [set(tables[0]["metric"])] * 3
    assert "ssim" in set(tables[0]["metric"])


def test_published_protocol_flatters_pure_noise():
    rng = np.random.default_rng(0)
    noise = phg2st.datasets.simulate(n_slides=1, n_spots=200, n_genes=30, image=False, progress=False)
    noise.X = rng.poisson(3.0, noise.shape).astype(np.float32)
    with pytest.warns(UserWarning, match="never to report accuracy"):
        table = phg2st.tl.benchmark(
            noise, methods=["idw"], folds=None, protocol=["honest", "published"], strategies="random", **QUICK
        )
    pcc = table.query("metric == 'pcc' and method == 'idw'").set_index("protocol")["value"]
    assert abs(pcc["honest"]) < 0.05
    assert pcc["published"] > 0.3
