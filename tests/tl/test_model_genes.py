"""A model meets objects whose genes are named, ordered and chosen otherwise."""

import numpy as np
import pytest

import phg2st_sc as phg2st


@pytest.fixture(scope="module")
def cohort():
    slides = phg2st.datasets.simulate(
        n_slides=3, n_patients=3, n_spots=80, n_genes=40, image=False, progress=False, seed=3
    )
    new = slides.pop("P3_S1")
    phg2st.pp.sample_prompts(new, fraction=0.2, seed=0)
    model = phg2st.tl.train(slides, method="gene_kriging", progress=False)
    return model, new


def predicted(adata, model, **settings):
    return phg2st.tl.predict(adata, model=model, **settings)


def test_order_and_extra_genes_change_nothing(cohort):
    model, new = cohort
    expected = predicted(new, model)
    other = new[:, ::-1].copy()
    reordered = predicted(other, model)
    assert list(reordered.var_names) == list(expected.var_names) == list(model.genes)
    np.testing.assert_array_equal(reordered.X, expected.X)


def test_ids_are_matched_by_a_column_of_var(cohort):
    model, new = cohort
    expected = predicted(new, model)
    renamed = new.copy()
    renamed.var["symbol"] = renamed.var_names
    renamed.var_names = [f"ENSG{i:011d}" for i in range(renamed.n_vars)]
    for settings in ({}, {"gene_key": "symbol"}):
        found = predicted(renamed, model, **settings)
        assert list(found.var_names) == list(renamed.var_names)
        np.testing.assert_array_equal(found.X, expected.X)
    phg2st.tl.impute(renamed, model=model)
    np.testing.assert_array_equal(renamed.layers["gene_kriging"], expected.X)


def test_versions_of_ensembl_ids_do_not_matter():
    slides = phg2st.datasets.simulate(n_slides=2, n_spots=60, n_genes=30, image=False, progress=False, seed=1)
    for version, slide in enumerate(slides.values()):
        slide.var_names = [f"ENSG{i:011d}.{version}" for i in range(slide.n_vars)]
    first, second = slides.values()
    phg2st.pp.sample_prompts(second, fraction=0.2, seed=0)
    trained = phg2st.tl.train(first, method="gene_kriging", progress=False)
    assert list(predicted(second, trained).var_names) == list(second.var_names)


def test_missing_genes_are_reported_and_not_predicted(cohort):
    model, new = cohort
    full = predicted(new, model)
    part = new[:, 5:].copy()
    with pytest.warns(UserWarning, match=r"5 of the model's 40 genes are not in var_names"):
        found = predicted(part, model)
    assert list(found.var_names) == list(model.genes[5:])
    # the genes that are there are predicted much as before
    same = [np.corrcoef(found[:, g].X.ravel(), full[:, g].X.ravel())[0, 1] for g in found.var_names]
    assert np.median(same) > 0.9


def test_too_few_genes_in_common_is_an_error(cohort):
    model, new = cohort
    part = new[:, :10].copy()
    with pytest.raises(KeyError, match=r"trained on 40 genes, and only 10 of them are in var_names.*gene_key"):
        predicted(part, model)
    with pytest.raises(KeyError, match="No column 'symbols' in var"):
        predicted(new, model, gene_key="symbols")


def test_a_gene_the_model_does_not_know_cannot_be_asked_for(cohort):
    model, new = cohort
    first = phg2st.tl.train(
        phg2st.datasets.simulate(n_spots=60, n_genes=40, image=False, progress=False),
        method="gene_kriging",
        genes=list(model.genes[:30]),
        progress=False,
    )
    assert list(predicted(new, first, genes=[model.genes[7], model.genes[2]]).var_names) == [
        model.genes[7],
        model.genes[2],
    ]
    with pytest.raises(KeyError, match="does not predict 1 of the genes asked for"):
        predicted(new, first, genes=[model.genes[35]])
