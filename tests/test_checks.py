"""What a positive number is, and that everything that takes one says so in its own words."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st
from phg2st_sc._checks import is_positive

WRONG = [
    0,
    -1.0,
    float("nan"),
    float("inf"),
    "2",
    True,
    None,
    pd.NA,
    1 + 1j,
    np.complex64(1),
    [2.0],
    [[1], [1, 2]],
    10**400,
]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: f"{value!r:.12}")
def test_no_positive_number(value):
    assert is_positive(value) is False


@pytest.mark.parametrize("value", [2, 0.5, np.float32(0.5), np.int64(3), np.array(2.0)], ids=repr)
def test_a_positive_number(value):
    assert is_positive(value) is True


@pytest.mark.parametrize("value", ["100", True, float("nan")], ids=repr)
def test_a_text_is_named_and_not_reckoned_with(value):
    adata = ad.AnnData(np.ones((9, 3), dtype=np.float32))
    adata.obsm["spatial"] = np.argwhere(np.ones((3, 3))).astype(float)
    for setting in ("pitch_um", "min_distance"):
        with pytest.raises(ValueError, match=f"`{setting}` must be a number of .* above 0, got {value!r}"):
            phg2st.pp.add_targets(adata, region="capture", **{setting: value})
    for call in (phg2st.pp.normalize, phg2st.tl.predict):
        settings = {} if call is phg2st.pp.normalize else {"prompt_mask": np.arange(9) < 5, "method": "prompt_mean"}
        with pytest.raises(ValueError, match=f"target_sum={value!r} must be a number above 0"):
            call(adata, target_sum=value, **settings)
