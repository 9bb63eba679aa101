"""Slides with an image and no usable embeddings: said, with what was ignored and why."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest

import phg2st_sc as phg2st

NO_FEATURES = "No image features: predicted from places and prompts alone"


@pytest.fixture
def pictured(make_section):
    """A section with a picture and no embeddings."""
    adata = make_section(image=False)
    library = next(iter(adata.uns["spatial"]))
    adata.uns["spatial"][library]["images"] = {"hires": np.zeros((8, 8, 3), dtype=np.uint8)}
    adata.uns["spatial"][library]["scalefactors"]["tissue_hires_scalef"] = 0.01
    return adata


def test_an_image_without_embeddings_is_said(pictured):
    with pytest.warns(UserWarning, match=NO_FEATURES):
        phg2st.tl.impute(pictured)
    with pytest.warns(UserWarning, match=NO_FEATURES):
        phg2st.tl.predict(pictured)


def test_nothing_is_said_where_a_method_is_named_or_there_is_no_image(pictured, make_section, adata):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.predict(pictured, method="kriging")
        phg2st.tl.predict(make_section(image=False))
        phg2st.tl.predict(adata)


def test_embeddings_that_lost_their_record_are_named(make_section):
    slides = {name: make_section(seed) for seed, name in enumerate("ab")}
    lost = ad.concat(slides, label="slide", index_unique="-")
    with pytest.warns(UserWarning, match=rf"{NO_FEATURES}.*obsm\['X_texture'\] is not used.*uns_merge='unique'"):
        phg2st.tl.predict(lost, slide_key="slide")
    with pytest.raises(ValueError, match=r"needs image features.*obsm\['X_texture'\].*extract_embeddings"):
        phg2st.tl.predict(lost, slide_key="slide", method="image_ridge")
    kept = ad.concat(slides, label="slide", index_unique="-", uns_merge="unique")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert phg2st.tl.predict(kept, slide_key="slide").uns["use_rep"] == "X_texture"


def test_a_pca_is_not_taken_for_lost_embeddings(make_section):
    adata = make_section(image=False)
    adata.obsm["X_pca"] = np.ones((adata.n_obs, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.predict(adata)


def test_training_an_image_method_without_embeddings_is_said(training):
    slides = {name: adata.copy() for name, adata in training.items()}
    first = next(iter(slides))
    del slides[first].uns["phg2st_embeddings"]
    with pytest.warns(UserWarning, match=rf"1 of 3 slides \('{first}'\).*obsm\['X_texture'\] is not used"):
        phg2st.tl.train(slides, method="space_image_kriging", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.train(slides, method="kriging", progress=False)
