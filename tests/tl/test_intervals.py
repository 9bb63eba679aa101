"""`tl.intervals`: bounds that hold what they promise, at any level, of what stands in the object."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc import _keys


@pytest.fixture(scope="module")
def section():
    adata = phg2st.datasets.simulate(n_spots=400, n_genes=80, image=False, seed=1, progress=False)
    phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    impute(adata)
    return adata


def impute(adata, **settings):
    phg2st.tl.impute(adata, progress=False, **{"method": "phg2st", "uncertainty": True, **settings})


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def held_out(adata):
    return ~adata.obs["phg2st_prompt"].to_numpy()


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_counts_fall_between_the_bounds_as_often_as_promised(section, level):
    counts = dense(section.X)
    depth = counts.sum(axis=1)
    bounds = phg2st.tl.intervals(section, level=level, kind="count", depth=depth)
    inside = (counts >= bounds.layers["lower"]) & (counts <= bounds.layers["upper"])
    there = held_out(section) & (depth > 0)
    # counts are whole numbers, and both bounds are inside: more are covered than promised, the more the fewer counts
    many = bounds.X[there] > 10
    assert level - 0.05 < inside[there][many].mean() < level + 0.12
    assert inside[there].mean() > level - 0.03


def test_true_rates_fall_between_the_bounds(section):
    scale = section.uns["phg2st"]["target_sum"]
    truth = np.log1p(scale * section.layers[_keys.TRUE_RATE])
    bounds = phg2st.tl.intervals(section, level=0.9)
    inside = (truth >= bounds.layers["lower"]) & (truth <= bounds.layers["upper"])
    # counts of equal rates are overdispersed here, which nothing tells from rates that differ from spot to spot
    assert 0.88 < inside[held_out(section)].mean() < 0.99


def test_a_count_is_less_certain_than_a_rate(section):
    depth = float(section.uns["phg2st"]["target_sum"])
    rate, count = phg2st.tl.intervals(section), phg2st.tl.intervals(section, kind="count", depth=depth)
    many = np.log1p(5.0) < rate.X
    width = (np.expm1(rate.layers["upper"]) - np.expm1(rate.layers["lower"]))[many]
    assert ((count.layers["upper"] - count.layers["lower"])[many] + 1.0).mean() > width.mean()
    np.testing.assert_allclose(np.log1p(count.X), rate.X, rtol=1e-5)


def test_levels_are_nested(section):
    narrow, wide = (phg2st.tl.intervals(section, level=level, kind="count") for level in (0.5, 0.9))
    assert (wide.layers["lower"] <= narrow.layers["lower"]).all()
    assert (wide.layers["upper"] >= narrow.layers["upper"]).all()


def test_deeper_spots_show_more(section):
    section.obs["deep"] = 1000.0
    section.obs.loc[section.obs_names[:5], "deep"] = 10_000.0
    few, many = (phg2st.tl.intervals(section, kind="count", depth=depth) for depth in (1000.0, "deep"))
    np.testing.assert_allclose(many.X[:5], 10 * few.X[:5], rtol=1e-5)
    np.testing.assert_array_equal(many.layers["upper"][5:], few.layers["upper"][5:])


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_what_was_written_and_read_gives_the_same_bits(section, form, tmp_path):
    before = phg2st.tl.intervals(section, level=0.7, kind="count")
    getattr(section, f"write_{form}")(tmp_path / f"a.{form}")
    back = getattr(ad, f"read_{form}")(tmp_path / f"a.{form}")
    after = phg2st.tl.intervals(back, level=0.7, kind="count")
    for name in ("lower", "upper"):
        np.testing.assert_array_equal(after.layers[name], before.layers[name])


def test_some_genes_and_spots_are_those_of_all(section):
    genes = list(section.var_names[[7, 3]])
    every = phg2st.tl.intervals(section, kind="count")
    few = phg2st.tl.intervals(section[:, 2:9].copy(), kind="count", genes=genes)
    assert list(few.var_names) == genes
    np.testing.assert_array_equal(few.layers["upper"], every[:, genes].layers["upper"])


def test_no_row_that_was_not_measured_is_read(section):
    hidden = section.copy()
    hidden.X = dense(section.X).astype(np.float32)
    hidden.X[held_out(section)] = np.nan
    impute(hidden)
    for kind in ("rate", "count"):
        one, other = (phg2st.tl.intervals(adata, kind=kind) for adata in (section, hidden))
        np.testing.assert_array_equal(one.layers["upper"], other.layers["upper"])


def test_two_slides_keep_their_own(section):
    other = phg2st.datasets.simulate(n_spots=200, n_genes=80, image=False, seed=5, progress=False)
    phg2st.pp.sample_prompts(other, fraction=0.2, seed=0)
    impute(other)
    both = ad.concat({"one": section, "two": other}, label="slide", index_unique="-")
    both.obsm["spatial"] = np.vstack([section.obsm["spatial"], other.obsm["spatial"]])
    for layer in ("phg2st", "phg2st_std"):  # of which joining lost the record
        del both.layers[layer]
    del both.obs["phg2st_prompt"], both.obs["phg2st_trust"]
    impute(both, slide_key="slide", target_sum=1e4, prompt_mask="prompt")
    bounds = phg2st.tl.intervals(both, kind="count")
    assert np.isfinite(bounds.layers["upper"]).all()
    impute(other, target_sum=1e4)
    alone = phg2st.tl.intervals(other, kind="count")
    np.testing.assert_allclose(bounds.layers["upper"][section.n_obs :], alone.layers["upper"], atol=1.0)


def test_what_is_missing_is_named(section):
    bare = section.copy()
    impute(bare, uncertainty=False)
    with pytest.raises(KeyError, match="uncertainty=True"):
        phg2st.tl.intervals(bare)
    for wrong, match in (
        ({"level": 90}, "share"),
        ({"kind": "counts"}, "'rate' or 'count'"),
        ({"depth": 0}, "above 0"),
    ):
        with pytest.raises(ValueError, match=match):
            phg2st.tl.intervals(section, **{"kind": "count", **wrong})
    with pytest.raises(KeyError, match="nothing_like"):
        phg2st.tl.intervals(section, genes=["nothing_like"])
    with pytest.raises(KeyError, match="no_such"):
        phg2st.tl.intervals(section, kind="count", depth="no_such")


def test_few_prompts_say_so_and_a_model_goes_by_what_is_usual(section):
    few = section.copy()
    few.obs["prompt"] = np.arange(few.n_obs) % 70 == 0
    impute(few)
    with pytest.raises(KeyError, match="too few"):
        phg2st.tl.intervals(few)
    others = phg2st.datasets.simulate(
        n_slides=2, n_patients=2, n_spots=120, n_genes=80, image=False, seed=9, progress=False
    )
    model = phg2st.tl.train(others, progress=False)
    impute(few, method=None, model=model)
    assert np.isfinite(phg2st.tl.intervals(few).layers["upper"]).all()
    (said,) = few.uns["phg2st"]["trust"].values()
    assert "as usual" in said["sentence"]


def test_tissue_of_another_kind_is_flagged():
    adata = phg2st.datasets.simulate(n_spots=300, n_genes=40, image=False, seed=3, progress=False)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 24))
    foreign = adata.obsm["spatial"][:, 0] > np.quantile(adata.obsm["spatial"][:, 0], 0.8)
    features[foreign] += 5.0
    adata.obsm["X_own"] = features.astype(np.float32)
    adata.obs["prompt"] = ~foreign & (rng.random(300) < 0.25)
    impute(adata, use_rep="X_own", trust_rep=True)
    unlike = adata.obs["phg2st_unlike"].to_numpy()
    assert unlike.dtype == bool
    assert unlike[foreign].mean() > 0.95
    assert unlike[~foreign].mean() < 0.1


def test_a_slide_of_another_name_is_refused(section):
    section = section.copy()
    section.obs["other"] = "another"
    with pytest.raises(ValueError, match="Slide 'another' is none of those"):
        phg2st.tl.intervals(section, slide_key="other")


def test_a_depth_is_of_counts_and_of_every_spot(section):
    with pytest.raises(ValueError, match="kind='count'"):
        phg2st.tl.intervals(section, depth=5000)
    with pytest.raises(ValueError, match="shape is"):
        phg2st.tl.intervals(section, kind="count", depth=np.ones(3))


def test_where_every_spot_is_a_prompt_genes_are_not_told(section):
    section = section.copy()
    section.obs["prompt"] = True
    impute(section)
    with pytest.raises(KeyError, match="Every spot is a prompt"):
        phg2st.tl.reliable_genes(section)
