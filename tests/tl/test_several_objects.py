"""Several objects at once: predicted one by one, and none is written unless all can be predicted."""

from __future__ import annotations

import numpy as np
import pytest

import phg2st_sc as phg2st


@pytest.fixture
def several(make_section):
    return {name: make_section(seed, image=False) for seed, name in enumerate("ab")}


def test_each_is_predicted_as_if_alone(several):
    alone = {name: phg2st.tl.predict(one, method="idw") for name, one in several.items()}
    copies = phg2st.tl.impute(several, method="idw", copy=True)
    assert list(copies) == ["a", "b"]
    assert not any("idw" in one.layers for one in several.values())
    assert phg2st.tl.impute(list(several.values()), method="idw") is None
    for name, one in several.items():
        np.testing.assert_array_equal(one.layers["idw"][:, one.var["idw_predicted"]], alone[name].X)
        np.testing.assert_array_equal(copies[name].layers["idw"], one.layers["idw"])


def test_nothing_is_written_where_one_fails(several):
    del several["b"].obs["prompt"]
    with pytest.raises(KeyError, match=r"no obs\['prompt'\]"):
        phg2st.tl.impute(several, method="idw")
    assert "idw" not in several["a"].layers


def test_what_cannot_be_several(several, adata):
    with pytest.raises(ValueError, match="empty"):
        phg2st.tl.impute([])
    with pytest.raises(ValueError, match="same object"):
        phg2st.tl.impute([adata, adata])
    with pytest.raises(TypeError, match="name of an `obs` column"):
        phg2st.tl.impute(several, prompt_mask=np.ones(120, dtype=bool))


def test_a_taken_key_is_refused_before_the_work():
    adata = phg2st.datasets.simulate(n_spots=60, n_genes=20, image=False, progress=False)
    phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    adata.layers["mine"] = adata.X.copy()

    class Untouched(phg2st.models.Kriging):
        def predict(self, slide, prompts):
            raise AssertionError("predicted although the result cannot be written")

    with pytest.raises(ValueError, match=r"layers\['mine'\] exists and was not written by phg2st_sc"):
        phg2st.tl.impute(adata, model=Untouched(), key_added="mine")
