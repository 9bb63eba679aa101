import anndata as ad
import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._reading._counts import read_counts


@pytest.fixture
def a1(real_data):
    path = real_data / "her2st" / "A1_lowres" / "counts.h5ad"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return ad.read_h5ad(path)


def test_prompts_counts_and_panel_read_measured_spots_only(a1):
    phg2st.pp.sample_prompts(a1, fraction=0.1, strategy="poisson", seed=0)
    measured = a1.obs["prompt"].to_numpy()
    assert measured.sum() == round(0.1 * a1.n_obs)
    rows = np.flatnonzero(measured)
    panel = phg2st.pp.select_genes(a1, n_top_genes=200, prompt_mask="prompt")
    counts, totals = read_counts(a1, rows, genes=panel, dense=True)
    partly = a1.copy()
    partly.X = (a1.X.toarray() if hasattr(a1.X, "toarray") else a1.X).astype(np.float32)
    partly.X[~measured] = np.nan
    assert phg2st.pp.select_genes(partly, n_top_genes=200, prompt_mask="prompt") == panel
    again, again_totals = read_counts(partly, rows, genes=panel, dense=True)
    assert again.tobytes() == counts.tobytes()
    assert again_totals.tobytes() == totals.tobytes()
    phg2st.pp.normalize(partly, target_sum=1e4)
    phg2st.pp.normalize(a1, target_sum=1e4)
    whole = a1.layers["phg2st_lognorm"]
    whole = whole.toarray() if hasattr(whole, "toarray") else whole
    np.testing.assert_allclose(partly.layers["phg2st_lognorm"][measured], whole[measured], rtol=1e-6)
    assert np.isnan(partly.layers["phg2st_lognorm"][~measured]).all()


def test_panel_of_a_breast_tumor_holds_its_known_genes(a1):
    panel = phg2st.pp.select_genes(a1, n_top_genes=1000)
    # immunoglobulins of plasma cells, the amplified HER2 locus, collagens of the stroma
    assert {"IGKC", "ERBB2", "COL1A1"} <= set(panel)
    assert panel.index("IGKC") < 50
