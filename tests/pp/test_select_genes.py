import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc._reading._genes import combine_ranks, residual_variance


def section(seed, patterned, n=64, n_genes=30, patient="P", kind=np.array):
    """Poisson genes of very different level; the ``patterned`` ones are three times higher in half of the section."""
    rng = np.random.default_rng(seed)
    level = np.exp(np.random.default_rng(99).normal(1, 0.8, size=n_genes))
    rate = level * rng.gamma(8, 1 / 8, size=(n, 1))
    rate[: n // 2, patterned] *= 4
    obs = pd.DataFrame({"patient": patient}, index=[f"{seed}_{i}" for i in range(n)])
    counts = rng.poisson(rate).astype(np.float32)
    a = ad.AnnData(kind(counts), obs=obs, var=pd.DataFrame(index=[f"g{i:02d}" for i in range(n_genes)]))
    a.obsm["spatial"] = np.c_[np.arange(n) // 8, np.arange(n) % 8] * 100.0
    return a


def names(numbers):
    return {f"g{i:02d}" for i in numbers}


def test_finds_the_genes_with_a_pattern():
    a = section(0, [3, 8, 21])
    panel = phg2st.pp.select_genes(a, n_top_genes=3)
    assert set(panel) == names([3, 8, 21])
    assert set(a.var_names[a.var["phg2st_panel"]]) == set(panel)
    assert a.uns["phg2st_panel"]["genes"].tolist() == panel


def test_depth_alone_does_not_make_a_gene_variable():
    rng = np.random.default_rng(5)
    depth = np.exp(rng.normal(0, 1, size=(400, 1)))
    variance = residual_variance(rng.poisson(depth * np.linspace(1, 20, 10)))
    # counts without overdispersion vary a little less than the negative binomial allows, at every level
    assert 0.6 < variance.min() <= variance.max() < 1.1


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix, sparse.csc_matrix])
def test_same_as_scanpy(kind):
    sc = pytest.importorskip("scanpy")
    parts = [section(seed, [3, 8, seed + 10], kind=kind) for seed in range(3)]
    whole = ad.concat(parts, label="slide", keys=list("abc"))
    frame = sc.experimental.pp.highly_variable_genes(
        whole, flavor="pearson_residuals", n_top_genes=12, batch_key="slide", inplace=False
    )
    ours = np.mean([residual_variance(part.X) for part in parts], axis=0)
    np.testing.assert_allclose(ours, frame["residual_variances"].loc[whole.var_names], rtol=1e-5)
    assert set(phg2st.pp.select_genes(parts, n_top_genes=12)) == set(frame.index[frame["highly_variable"]])


def test_forms_of_input_give_the_same_panel():
    parts = [section(seed, [3, 8, 21]) for seed in range(3)]
    whole = ad.concat(parts, label="slide", keys=list("abc"))
    panel = phg2st.pp.select_genes(parts, n_top_genes=9)
    assert phg2st.pp.select_genes(dict(zip("abc", parts, strict=True)), n_top_genes=9) == panel
    assert phg2st.pp.select_genes(whole, n_top_genes=9, slide_key="slide") == panel
    assert (
        phg2st.pp.select_genes([section(s, [3, 8, 21], kind=sparse.csr_matrix) for s in range(3)], n_top_genes=9)
        == panel
    )
    shuffled = [part[np.random.default_rng(1).permutation(64)].copy() for part in parts[::-1]]
    assert phg2st.pp.select_genes(shuffled, n_top_genes=9) == panel


def test_only_common_genes():
    first, second = section(0, [3, 8]), section(1, [3, 8])
    first = first[:, first.var_names != "g03"].copy()
    panel = phg2st.pp.select_genes([first, second[:, ::-1].copy()], n_top_genes=29)
    assert "g03" not in panel
    assert len(panel) == 29
    second.var_names = [f"ENSG{i}" for i in range(30)]
    with pytest.raises(ValueError, match=r"no gene in common.*'g00'.*'ENSG0'"):
        phg2st.pp.select_genes([first, second])


def test_rarely_detected_genes_are_left_out():
    a = section(0, [3])
    a.X[:, 5] = 0
    a.X[:4, 5] = 30
    assert "g05" in phg2st.pp.select_genes(a, n_top_genes=2)
    assert "g05" not in phg2st.pp.select_genes(a, n_top_genes=2, min_spots=5)
    with pytest.raises(ValueError, match=r"None of the 30 common genes is detected in 65 spots.*min_spots"):
        phg2st.pp.select_genes(a, min_spots=65)


def test_patients_that_are_left_out_change_nothing():
    train = [section(0, [3, 8], patient="A"), section(1, [3, 8], patient="B")]
    panels = []
    for test in (section(2, [20, 25], patient="C"), section(3, [], patient="C")):
        panels.append(phg2st.pp.select_genes([*train, test], n_top_genes=2, patients=["A", "B"]))
        assert test.var["phg2st_panel"].sum() == 2
    test.X[:] = np.nan
    panels.append(phg2st.pp.select_genes([*train, test], n_top_genes=2, patients=["A", "B"]))
    assert panels[0] == panels[1] == panels[2]
    assert set(panels[0]) == names([3, 8])
    with pytest.raises(KeyError, match=r"No slide is of patient 'Z'.*\['A', 'B', 'C'\]"):
        phg2st.pp.select_genes([*train, test], patients=["A", "Z"])


@pytest.mark.parametrize("filling", [np.nan, -1.0, 77.0])
def test_with_a_mask_nothing_else_is_read(filling):
    a = section(0, [3, 8])
    mask = np.arange(64) % 4 == 0
    panel = phg2st.pp.select_genes(a, n_top_genes=10, prompt_mask=mask)
    a.X[~mask] = filling
    a.obs["prompt"] = mask
    assert phg2st.pp.select_genes(a, n_top_genes=10, prompt_mask="prompt") == panel
    assert a.uns["phg2st_panel"]["n_spots_read"] == 16
    assert phg2st.pp.select_genes(a[mask].copy(), n_top_genes=10) == panel
    with pytest.raises(TypeError, match="store each mask in its object"):
        phg2st.pp.select_genes([a, section(1, [])], prompt_mask=mask)


def test_reading_held_out_spots_is_told():
    a = section(0, [3, 8])
    a.obs["prompt"] = np.arange(64) % 4 == 0
    with pytest.warns(UserWarning, match=r"every spot of .* pass prompt_mask='prompt'"):
        phg2st.pp.select_genes(a, n_top_genes=10)


def test_slides_with_too_few_spots():
    a, b = section(0, [3, 8]), section(1, [20, 21])
    a.obs["prompt"] = np.arange(64) % 2 == 0
    b.obs["prompt"] = np.arange(64) < 2
    with pytest.warns(UserWarning, match="only 2 spots with counts"):
        panel = phg2st.pp.select_genes({"a": a, "b": b}, n_top_genes=2, prompt_mask="prompt")
    assert set(panel) == names([3, 8])
    with pytest.warns(UserWarning, match="only 2 spots"), pytest.raises(ValueError, match="No slide has 3 spots"):
        phg2st.pp.select_genes(b, n_top_genes=2, prompt_mask="prompt")


def test_fewer_genes_than_asked_for():
    a = section(0, [3])
    with pytest.warns(UserWarning, match="Only 30 common genes .* n_top_genes=1000: all of them"):
        assert len(phg2st.pp.select_genes(a)) == 30


def test_bad_input_changes_nothing():
    a = section(0, [3])
    with pytest.raises(ValueError, match="n_top_genes=0 must be"):
        phg2st.pp.select_genes(a, n_top_genes=0)
    a.X[4, 4] = -2
    with pytest.raises(ValueError, match=r"spot '0_4', gene 'g04'"):
        phg2st.pp.select_genes(a, n_top_genes=3)
    assert "phg2st_panel" not in a.var
    assert not a.uns


def test_combined_ranks():
    # gene b is first on one slide only; c is second on both
    variances = np.array([[1.0, 9.0, 5.0, 7.0], [8.0, 1.0, 7.0, 2.0]])
    order = combine_ranks(variances, list("abcd"), 2)
    # a, b: first once; d: second once; c: second once -> b before a? both rank 0 once, b has the larger mean variance
    assert order.tolist() == [1, 0, 2, 3]
    # ties go by name
    assert combine_ranks(np.ones((1, 3)), ["z", "x", "y"], 3).tolist() == [1, 2, 0]
