"""Several slides in one object are noticed where nobody said so."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._slide import open_slides


def pooled(adata, shift=0.0):
    other = adata.copy()
    other.obsm["spatial"] = other.obsm["spatial"] + shift
    return ad.concat({"a": adata, "b": other}, label="which", index_unique="-")


def test_pooled_slides_are_refused_and_the_key_mends_it(spot_adata):
    both = pooled(spot_adata)
    with pytest.raises(ValueError, match=r"120 of 240 spots have the centre of another spot .*Pass `slide_key=`"):
        phg2st.pp.sample_prompts(both)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.pp.sample_prompts(both, slide_key="which")


def test_slides_of_other_pixels_are_known_by_the_array(spot_adata):
    index = np.arange(spot_adata.n_obs)
    spot_adata.obs["array_row"], spot_adata.obs["array_col"] = index // 12, index % 12
    assert len(open_slides(spot_adata)) == 1
    with pytest.raises(ValueError, match="120 of 240 spots have the array position"):
        open_slides(pooled(spot_adata, 7.3))


def test_one_value_is_one_slide(spot_adata):
    both = pooled(spot_adata)
    both.obs["one"] = "s"
    with pytest.warns(UserWarning, match=r"Does obs\['one'\] tell all slides apart"):
        assert len(open_slides(both, slide_key="one")) == 1


def test_a_single_spot_in_hundreds_is_only_warned_of(spot_adata):
    spot_adata.obsm["spatial"][1] = spot_adata.obsm["spatial"][0]
    with pytest.warns(UserWarning, match=r"1 of 120 spots .*\('spot1'\)"):
        open_slides(spot_adata)


def test_missing_places_are_not_equal_places(spot_adata):
    spot_adata.obsm["spatial"][:10] = np.nan
    spot_adata.obs["array_row"], spot_adata.obs["array_col"] = np.nan, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_slides(spot_adata)
