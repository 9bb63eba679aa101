"""Do the methods find what is there, and nothing where nothing is?"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from small_networks import SMALL

import phg2st_sc as phg2st
from phg2st_sc import models

SINGLE = [n for n in models.methods() if not models.get_method(n).needs_fit]
NETWORKS = [n for n in SINGLE if issubclass(models.get_method(n), models.NetworkMethod)]
LINEAR = [n for n in SINGLE if n not in NETWORKS]


def _scores(adata, names, **settings):
    """PCC by gene (rows) and method."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = phg2st.tl.evaluate(adata, layer="prompt_mean", compare=names, n_splits=0, **settings)
    return table.pivot(index="gene", columns="method", values="pcc")


# --- nothing where nothing is -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def noise(make_section):
    """Genes that keep a constant share everywhere; totals differ from spot to spot."""
    adata = make_section(
        n_spots=300, n_genes=60, noise_fraction=1.0, space_fraction=0.0, mixed_fraction=0.0, prompts=0.2, seed=1
    )
    assert adata.var["is_noise"].all()
    phg2st.tl.impute(adata, method="prompt_mean")
    return adata


@pytest.fixture(scope="module")
def noise_scores(noise):
    for name in NETWORKS:
        phg2st.tl.impute(noise, method=name, key_added=f"small_{name}", **SMALL[name])
    return _scores(noise, {name: name for name in LINEAR} | {name: f"small_{name}" for name in NETWORKS})


@pytest.mark.parametrize("name", [n for n in SINGLE if n != "prompt_mean"])
def test_pure_noise_cannot_be_predicted(noise_scores, name):
    scores = noise_scores[name]
    error = scores.std() / np.sqrt(len(scores))
    assert abs(scores.mean()) < max(3 * error, 0.03)
    assert scores.std() > 0.02  # it is a prediction, not a constant


@pytest.mark.parametrize(
    "name",
    ["gene_kriging", "image_ridge", "regression_kriging", "space_image_kriging", "kriging", "phg2st", "phg2st_paper"],
)
def test_pure_noise_cannot_be_predicted_by_models(noise, trained, name):
    from phg2st_sc.metrics import score_section

    model = trained[name]
    adata = noise[:, : len(model.genes)].copy()
    out = phg2st.tl.predict(adata, model=model)
    held_out = ~adata.obs["prompt"].to_numpy()
    counts = adata.X.toarray()[held_out]
    positions = adata.obsm["spatial"][held_out] / 100.0
    scores = score_section(
        counts, counts.sum(axis=1), positions, {name: out.X[held_out]}, out.uns["target_sum"], n_splits=0
    )["pcc"]
    assert abs(scores.mean()) < max(3 * scores.std() / np.sqrt(len(scores)), 0.04)


def test_the_same_noise_under_the_published_protocol(noise):
    names = ["idw", "kriging"]
    published = _scores(noise, names, protocol="published")
    for name in names:
        assert published[name].mean() > 0.3


def test_depth_is_not_expression(make_section):
    """On log-normalised labels a spot's own total predicts genes that are pure noise; depth-free targets do not reward it."""
    settings = {"noise_fraction": 1.0, "space_fraction": 0.0, "mixed_fraction": 0.0, "depth": 250.0, "depth_sd": 0.8}
    adata = make_section(n_spots=300, n_genes=60, prompts=0.2, seed=2, **settings)
    phg2st.tl.impute(adata, method="prompt_mean")
    table = phg2st.tl.evaluate(adata, layer="prompt_mean", n_splits=0)
    assert abs(table["pcc_depth_only"].mean()) < 0.05
    assert abs(table["pcc_lognorm_depth_only"].mean()) > 0.1


# --- something where something is -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def scored(make_section, give_features):
    """Two sections: mean PCC of image-driven and space-driven genes by method."""
    tables = []
    for seed in (5, 6):
        adata = make_section(n_spots=300, n_genes=60, seed=seed, prompts=0.15)
        phg2st.tl.impute(adata, method="prompt_mean")
        scores = _scores(adata, LINEAR)
        kind = np.where(
            adata.var["image_driven"] > 0.9, "image", np.where(adata.var["space_driven"] > 0.9, "space", "other")
        )
        tables.append(scores.groupby(pd.Series(kind, index=adata.var_names)).mean())
    return sum(tables) / len(tables)


@pytest.mark.parametrize("name", ["image_ridge", "space_image_kriging", "regression_kriging"])
def test_image_methods_find_image_driven_genes(scored, name):
    assert scored.loc["image", name] > scored.loc["image", "prompt_mean"] + 0.3
    assert scored.loc["image", name] > scored.loc["image", "kriging"] + 0.1


@pytest.mark.parametrize("name", ["kriging", "gene_kriging", "idw", "space_image_kriging", "regression_kriging"])
def test_kriging_finds_space_driven_genes(scored, name):
    least = 0.15 if name == "regression_kriging" else 0.3  # its trend fits noise at genes that the image does not show
    assert scored.loc["space", name] > scored.loc["space", "prompt_mean"] + least


def test_the_image_alone_misses_space_driven_genes(scored):
    assert scored.loc["space", "image_ridge"] < scored.loc["space", "kriging"] - 0.2


def test_the_prompt_mean_knows_no_place(scored):
    np.testing.assert_allclose(scored["prompt_mean"], 0.0, atol=1e-6)


def test_best_simple_is_near_the_best(scored):
    overall = scored.mean()
    candidates = overall.drop(["best_simple", "prompt_mean"])
    assert overall["best_simple"] > candidates.max() - 0.05
    assert overall["best_simple"] > candidates.min() + 0.05


def test_cohort_gene_components_help(make_section):
    """Genes of other patients say which genes move together: better than every gene by itself from few, shallow spots."""
    slides = phg2st.datasets.simulate(
        n_slides=5, n_patients=5, n_spots=200, n_genes=80, image=False, depth=600.0, progress=False, seed=3
    )
    names = list(slides)
    model = phg2st.tl.train({n: slides[n] for n in names[:4]}, method="gene_kriging", progress=False)
    adata = slides[names[4]]
    phg2st.pp.sample_prompts(adata, fraction=0.12, seed=0)
    phg2st.tl.impute(adata, model=model, key_added="cohort")
    table = phg2st.tl.evaluate(adata, layer="cohort", compare=["kriging"], n_splits=0)
    means = table.groupby("method")["pcc"].mean()
    assert means["cohort"] > means["kriging"] + 0.03


def test_best_simple_records_its_choice(adata):
    phg2st.tl.impute(adata, method="best_simple")
    details = adata.uns["best_simple"]["details"]["P1_S1"]
    assert details["chosen"] in details["compared"]
    assert set(details["compared"]) == set(models.BestSimple().candidates)
    alone = phg2st.tl.predict(adata, method=details["chosen"])
    np.testing.assert_array_equal(adata.layers["best_simple"][:, adata.var["best_simple_predicted"]], alone.X)


def test_more_prompts_predict_better(make_section):
    adata = make_section(n_spots=300, n_genes=60, seed=8)
    few, many = {}, {}
    for fraction, out in ((0.05, few), (0.4, many)):
        phg2st.pp.sample_prompts(adata, fraction=fraction, seed=0)
        phg2st.tl.impute(adata, method="prompt_mean")
        out.update(_scores(adata, ["kriging", "image_ridge", "space_image_kriging"]).mean())
    for name in ("kriging", "image_ridge", "space_image_kriging"):
        assert many[name] > few[name] + 0.05


# --- the published networks -------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def unseen(give_features):
    """Three patients to train on, and one never seen, whose pictures tell most of the expression."""
    slides = phg2st.datasets.simulate(
        n_slides=4, n_patients=4, n_spots=150, n_genes=40, space_fraction=0.0, image=False, progress=False, seed=12
    )
    for seed, adata in enumerate(slides.values()):
        give_features(adata, seed=seed)
    *names, last = slides
    phg2st.pp.sample_prompts(slides[last], fraction=0.1, seed=0)
    phg2st.tl.impute(slides[last], method="prompt_mean")
    return {name: slides[name] for name in names}, slides[last]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_find_what_the_image_tells_of_a_patient_never_seen(unseen, name):
    training, adata = unseen
    model = phg2st.tl.train(training, method=name, progress=False, **SMALL[name])
    phg2st.tl.impute(adata, model=model, key_added=f"cohort_{name}")
    scores = _scores(adata, {name: f"cohort_{name}"}).mean()
    assert scores[name] > scores["prompt_mean"] + 0.1
