"""How far genes can be trusted: against a known truth, and what the promise must not depend on."""

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._evidence import LeftOut
from phg2st_sc.uncertainty import chances_below, discoveries
from phg2st_sc.uncertainty.shown import Shown


def section(*, seed=0, n_spots=300, n_genes=120, fraction=0.25, **settings):
    adata = phg2st.datasets.simulate(
        n_spots=n_spots, n_genes=n_genes, image=False, seed=seed, progress=False, **settings
    )
    phg2st.pp.sample_prompts(adata, fraction=fraction, seed=seed)
    return adata


def impute(adata, method="phg2st"):
    phg2st.tl.impute(adata, method=method, uncertainty=True, progress=False)
    return adata


@pytest.mark.parametrize("method", ["phg2st", "kriging", "idw"])
def test_trusted_genes_are_those_that_are_predicted(method):
    adata = impute(section(), method)
    scores = phg2st.tl.evaluate(adata, layer=method, n_splits=1, progress=False)
    promise = scores.attrs["sections"]["P1_S1"]["promise"]
    assert promise["rank_correlation"] > 0.6
    assert promise["rank_reachable"] <= 1
    assert promise["top_tenth"] > promise["reached"]
    assert abs(promise["promised"] - promise["reached"]) < 0.25
    assert scores["trust"].notna().all()
    noise = adata.var["is_noise"].to_numpy()
    trust = adata.var[f"{method}_trust"].to_numpy()
    assert trust[noise].mean() < trust[~noise].mean()


def test_spots_that_depart_from_their_neighbors_are_promised_less():
    off = []
    for seed in range(2):
        adata = impute(section(seed=seed, n_genes=200, fraction=0.2))
        scores = phg2st.tl.evaluate(adata, layer="phg2st", n_splits=0, progress=False)
        off.append(float(scores["trust"].mean() - scores["pcc"].mean()))
    # without what single spots depart by, 0.25 too much is promised here
    assert abs(np.mean(off)) < 0.15


def test_the_slide_gets_a_sentence_with_its_mean():
    adata = impute(section())
    (told,) = adata.uns["phg2st"]["trust"].values()
    assert told["expected_correlation"] == pytest.approx(adata.var["phg2st_trust"].mean(), abs=1e-3)
    assert f"{told['expected_correlation']:.2f} on average" in told["sentence"]


def test_rows_that_were_not_measured_change_no_bit():
    adata = section()
    hidden = adata.copy()
    hidden.X = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X, dtype=np.float32)
    hidden.X[~adata.obs["prompt"].to_numpy()] = np.nan
    for name in ("trust", "trust_se", "trust_null"):
        np.testing.assert_array_equal(
            impute(adata).var[f"phg2st_{name}"].to_numpy(), impute(hidden).var[f"phg2st_{name}"].to_numpy()
        )


def test_too_few_prompts_are_told():
    adata = section(fraction=8 / 300)
    impute(adata)
    (told,) = adata.uns["phg2st"]["trust"].values()
    assert "too few" in told["sentence"]
    assert "phg2st_trust" not in adata.var
    with pytest.raises(KeyError, match="8 prompts are too few"):
        phg2st.tl.reliable_genes(adata)


@pytest.mark.parametrize("noise_fraction", [0.15, 0.5])
def test_false_discoveries_stay_below_what_was_asked(noise_fraction):
    wrong, number = 0, 0
    for seed in range(3):
        adata = impute(section(seed=seed, n_spots=600, noise_fraction=noise_fraction), "kriging")
        found = phg2st.tl.reliable_genes(adata, fdr=0.1).index
        wrong, number = wrong + int(adata.var.loc[found, "is_noise"].sum()), number + len(found)
    assert number > 50
    assert wrong / number <= 0.13


def test_reliable_genes_come_surest_first_and_fewer_above_more():
    adata = impute(section(n_spots=600), "kriging")
    some, more = (phg2st.tl.reliable_genes(adata, fdr=fdr, layer="kriging") for fdr in (0.01, 0.2))
    assert set(some.index) <= set(more.index)
    assert (np.diff(more["wrong"]) >= 0).all()
    assert more["wrong"].mean() <= 0.2
    assert len(phg2st.tl.reliable_genes(adata, above=0.5)) < len(phg2st.tl.reliable_genes(adata))


@pytest.mark.parametrize(("name", "value"), [("fdr", 0), ("fdr", 1.0), ("above", -0.1), ("above", 1)])
def test_shares_that_are_none_are_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}`"):
        phg2st.tl.reliable_genes(section(), **{name: value})


def test_a_prediction_without_uncertainty_is_told():
    adata = section()
    phg2st.tl.impute(adata, progress=False, method="phg2st")
    with pytest.raises(KeyError, match="uncertainty=True"):
        phg2st.tl.reliable_genes(adata)
    assert "trust" not in phg2st.tl.evaluate(adata, n_splits=0, progress=False)


def test_discoveries_are_wrong_by_the_mean_of_their_chances():
    chances = np.array([0.3, 0.01, np.nan, 0.05, 0.9])
    np.testing.assert_array_equal(discoveries(chances, 0.13), [1, 3, 0])
    np.testing.assert_array_equal(discoveries(chances, 0.02), [1])
    assert not discoveries(chances, 0.001).size


def test_a_prediction_that_says_nothing_is_wrong_with_that_chance():
    below = chances_below(np.array([0.5, 0.5]), np.array([0.1, 0.1]), np.array([0.0, 0.4]), 0.0)
    np.testing.assert_allclose(below, [0, 0.4], atol=1e-6)


def test_maps_of_noise_are_found_to_say_nothing():
    rng = np.random.default_rng(0)
    n_prompts, n_genes = 100, 200
    level = np.full(n_genes, 1 / n_genes)
    real = np.arange(n_genes) < n_genes // 2
    rate = level * np.exp(rng.normal(0, 0.3, (n_prompts, n_genes)))
    truth = np.where(real, rate, level)
    counts = rng.poisson(4000 * truth / truth.sum(axis=1, keepdims=True)).astype(np.float32)
    folds = np.arange(n_prompts) % 5
    left_out = LeftOut(np.arange(n_prompts), folds, counts, counts.sum(axis=1), rate / rate.sum(axis=1, keepdims=True))
    shown = Shown.of(left_out, 1.0)
    chance = shown.says_nothing(1.0)
    assert chance[real].mean() < 0.1
    assert chance[~real].mean() > 0.8
    assert shown.slope(np.ones(n_genes), np.ones(5, dtype=bool)) == pytest.approx(0.5, abs=0.15)
