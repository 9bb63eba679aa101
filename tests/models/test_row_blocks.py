"""Predictions that are made some rows at a time, and how little they hold."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc import models
from phg2st_sc.linear import _krige, _rates, _working
from phg2st_sc.linear._rates import _CLIP, _THETA, RateScale
from phg2st_sc.linear._working import Working
from phg2st_sc.models import Prediction, RowBlocks
from phg2st_sc.models.phg2st import conditioning

MB = 2**20


@pytest.fixture
def asked():
    return []


@pytest.fixture
def blocks(asked):
    values = np.arange(60, dtype=np.float32).reshape(20, 3)

    def make(rows):
        asked.append((rows.start, rows.stop))
        return values[rows]

    return RowBlocks(20, 3, make, step=8)


def test_nothing_is_made_before_it_is_asked_for_and_once_only(blocks, asked):
    prediction = Prediction(blocks)
    assert prediction.shape == (20, 3)
    assert not asked
    np.testing.assert_array_equal(prediction.mean, np.arange(60).reshape(20, 3))
    assert prediction.mean is prediction.mean
    assert asked == [(0, 8), (8, 16), (16, 20)]


def test_genes_taken_of_blocks_are_those_of_the_whole(blocks):
    few = Prediction(blocks, std=blocks, details={"a": 1}).take(np.array([2, 0]))
    np.testing.assert_array_equal(few.mean, np.arange(60).reshape(20, 3)[:, [2, 0]])
    np.testing.assert_array_equal(few.std, few.mean)
    assert few.but(details={"b": 2}).details == {"b": 2}


def test_a_dense_mean_comes_in_blocks_too():
    values = np.random.default_rng(0).random((3000, 5)).astype(np.float32)
    parts = list(Prediction(values).blocks.parts())
    assert len(parts) == 3
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), values)


def test_whitening_in_parts_is_whitening_at_once():
    rng = np.random.default_rng(0)
    totals = rng.integers(100, 5000, 700).astype(float)
    level = rng.dirichlet(np.ones(30))
    counts = rng.poisson(totals[:, None] * level).astype(np.float32)
    spread = rng.uniform(0.5, 2, 30)
    scale = RateScale.from_counts(counts, totals, spread=spread)
    expected = totals[:, None] * scale.level
    most = _CLIP * np.sqrt(np.maximum(1.0, np.minimum(totals, scale.depth)[:, None] * scale.level / _THETA))
    residual = np.clip((counts - expected) / np.sqrt(expected), -most, most)
    np.testing.assert_array_equal(scale.whiten(counts, totals), residual / np.sqrt(totals)[:, None] / spread)


def test_prompts_taken_as_one_have_the_level_of_all(make_section):
    adata = make_section(image=False)
    measured = adata[adata.obs["prompt"].to_numpy()].X.toarray()
    rate = measured.sum(axis=0) / measured.sum()
    found = phg2st.tl.predict(adata, method="prompt_mean", target_sum=1e4)
    seen = found.var_names
    pooled = np.log1p(1e4 * rate[adata.var_names.get_indexer(seen)])
    np.testing.assert_allclose(found.X, np.broadcast_to(pooled, found.shape), rtol=1e-5)
    assert np.ptp(found.X, axis=0).max() == 0


@pytest.fixture(scope="module")
def large():
    """60,000 bins and 200 genes: a layer of 46 MB."""
    n = 60_000
    counts = sparse.random(n, 200, density=0.2, format="csr", dtype=np.float32, random_state=0)
    counts.data = np.ceil(counts.data * 4)
    table = AnnData(counts, obs=pd.DataFrame(index=[f"b{i}" for i in range(n)]))
    table.var_names = [f"g{i}" for i in range(200)]
    table.obsm["spatial"] = np.stack([np.arange(n) % 250, np.arange(n) // 250], axis=1) * 8.0
    table.obs["prompt"] = np.arange(n) % 10 == 3
    return table


@pytest.mark.parametrize("method", ["prompt_mean", "idw"])
def test_a_layer_takes_its_own_memory_and_little_more(large, method):
    result = large.n_obs * large.n_vars * 4
    tracemalloc.start()
    try:
        phg2st.tl.impute(large, method=method, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < result + 40 * MB


def test_a_fault_in_the_last_block_leaves_objects_as_they_were(make_section):
    """Several objects are made as a whole before any of them is written."""

    class Spoilt(models.PromptMean):
        name = "spoilt"
        calls = 0

        def predict(self, slide, prompts):
            Spoilt.calls += 1
            last = slide.n_spots - 1 if Spoilt.calls == 2 else slide.n_spots

            def make(rows):
                out = np.ones((rows.stop - rows.start, prompts.n_genes), dtype=np.float32)
                out[np.arange(rows.start, rows.stop) == last] = np.nan
                return out

            return Prediction(RowBlocks(slide.n_spots, prompts.n_genes, make, step=16))

    slides = [make_section(image=False), make_section(image=False)]
    with pytest.raises(ValueError, match="Method 'spoilt' returned values that are not finite"):
        phg2st.tl.impute(slides, model=Spoilt(), progress=False)
    assert not any("spoilt" in one.layers for one in slides)


# --- what prompts take --------------------------------------------------------------------------------------------------
def test_level_of_the_other_prompts_row_by_row():
    rng = np.random.default_rng(0)
    prompts = models.Prompts(
        np.arange(30),
        rng.poisson(4.0, (30, 12)).astype(np.float32),
        rng.uniform(60, 90, 30),
        1e4,
        tuple("abcdefghijkl"),
    )
    working = Working.of(prompts)
    level, weight = working.leave_one_out_level(), 1.0 / working.noise
    rows, turn = np.array([3, 29, 0]), rng.normal(size=(12, 3))
    expected = np.stack(
        [weight[np.arange(30) != r] @ working.values[np.arange(30) != r] / (weight.sum() - weight[r]) for r in rows]
    )
    np.testing.assert_allclose(level[rows], expected, atol=1e-12)
    np.testing.assert_allclose((level @ turn)[rows], expected @ turn, atol=1e-12)


@pytest.mark.parametrize("method", ["phg2st", "gene_kriging", "regression_kriging"])
def test_many_prompts_and_genes_in_single_precision(make_section, monkeypatch, method):
    adata = make_section()
    expected = phg2st.tl.predict(adata, method=method, progress=False).X
    monkeypatch.setattr(_rates, "_MOST_DOUBLE", 0)
    np.testing.assert_allclose(phg2st.tl.predict(adata, method=method, progress=False).X, expected, rtol=0, atol=1e-5)


def test_left_out_in_pieces_is_left_out_at_once(monkeypatch, make_section):
    adata = make_section(image=False)
    expected = phg2st.tl.predict(adata, progress=False).X
    monkeypatch.setattr(conditioning, "_COLUMNS", 7)
    np.testing.assert_allclose(phg2st.tl.predict(adata, progress=False).X, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["phg2st", "kriging", "gene_kriging", "regression_kriging", "image_ridge"])
def test_few_genes_of_very_many_are_gone_through_in_parts(make_section, monkeypatch, method):
    """What is held nowhere as a whole gives the same: whitened rates, and systems of many prompts."""
    adata = make_section()
    genes = list(adata.var_names[[30, 2, 17]])
    monkeypatch.setattr(_krige, "MAX_EXACT", 12)
    expected = phg2st.tl.predict(adata, method=method, progress=False)
    for room in (_krige, _working):
        monkeypatch.setattr(room, "WIDE", 7)
    monkeypatch.setattr(_working, "_MOST_HELD", 0)
    few = phg2st.tl.predict(adata, method=method, genes=genes, progress=False)
    np.testing.assert_allclose(few.X, expected[:, genes].X, rtol=0, atol=2e-5)
    every = phg2st.tl.predict(adata, method=method, progress=False)
    np.testing.assert_allclose(every.X, expected.X, rtol=0, atol=2e-5)
