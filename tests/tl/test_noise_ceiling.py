"""`tl.noise_ceiling`: deep genes with structure come near 1, noise near 0, and totals are over the genes that are given."""

import numpy as np
import pytest

import phg2st_sc as phg2st


@pytest.fixture
def section():
    # what varies between spots of the same expectation is split along with the rest: only counting noise is told apart
    return phg2st.datasets.simulate(n_spots=250, n_genes=60, image=False, overdispersion=0.001, seed=0, progress=False)


def test_structure_has_a_higher_ceiling_than_noise(section):
    table = phg2st.tl.noise_ceiling(section, progress=False)
    noise = section.var["is_noise"].to_numpy()
    assert list(table["gene"]) == list(section.var_names)
    assert table["ceiling"][~noise].mean() > table["ceiling"][noise].mean() + 0.2
    half_r = table["half_r"].mean()
    assert table.attrs["ceilings"] == {"P1_S1": pytest.approx(np.sqrt(2 * half_r / (1 + half_r)))}


def test_the_ceiling_of_held_out_spots_is_that_of_evaluate(section):
    phg2st.pp.sample_prompts(section, fraction=0.2, seed=0)
    phg2st.tl.impute(section, method="idw", progress=False)
    scores = phg2st.tl.evaluate(section, layer="idw", n_splits=2, progress=False)
    held_out = ~section.obs["prompt"]
    table = phg2st.tl.noise_ceiling(section, spots=held_out, genes=list(scores["gene"]), n_splits=2, progress=False)
    np.testing.assert_allclose(table["ceiling"], scores["ceiling"])


def test_several_sections_have_their_own():
    joined = phg2st.datasets.simulate(n_slides=2, n_spots=80, n_genes=20, image=False, progress=False)
    import anndata as ad

    both = ad.concat(joined, join="outer", merge="same", uns_merge="unique", index_unique="-")
    table = phg2st.tl.noise_ceiling(both, slide_key="section", progress=False)
    assert table.groupby("section").size().tolist() == [20, 20]


def test_unknown_genes_and_sections_without_counts_are_told(section):
    with pytest.raises(KeyError, match="1 of `genes`"):
        phg2st.tl.noise_ceiling(section, genes=["none such"], progress=False)
    with pytest.raises(ValueError, match="needs 3 or more"):
        phg2st.tl.noise_ceiling(section, spots=np.zeros(section.n_obs, dtype=bool), progress=False)
