"""The tiles around spots, read back from an object."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc._reading import Reading, context_of


def test_slides_whose_pixels_overlap_keep_their_tiles():
    slides = phg2st.datasets.simulate(n_slides=2, n_spots=60, n_genes=8, progress=False)
    alone = {}
    for name, adata in slides.items():
        phg2st.pp.extract_embeddings(adata, image="hires", encoder="texture", context=3, progress=False)
        alone[name] = context_of(Reading().slides(adata)[0], "X_texture")
    whole = anndata.concat(slides, label="piece", uns_merge="unique", index_unique="-")
    images = {name: adata.uns["spatial"] for name, adata in slides.items()}
    whole.uns["spatial"] = {name: next(iter(record.values())) for name, record in images.items()}
    phg2st.pp.extract_embeddings(
        whole, image="hires", encoder="texture", context=3, slide_key="piece", progress=False, key_added="X_both"
    )
    for slide in Reading(slide_key="piece").slides(whole):
        index, tiles = context_of(slide, "X_both")
        expected_index, expected_tiles = alone[slide.name]
        np.testing.assert_array_equal(index, expected_index)
        np.testing.assert_array_equal(tiles, expected_tiles)


# --- in other forms ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def once():
    """A section with texture features of the tiles around its spots, on a grid (False) and spot by spot (True)."""
    made = {}
    for exact in (False, True):
        made[exact] = phg2st.datasets.simulate(n_spots=60, n_genes=8, progress=False)
        phg2st.pp.extract_embeddings(
            made[exact],
            image="hires",
            encoder="texture",
            context=3,
            context_mode="exact" if exact else "grid",
            progress=False,
        )
    return made


@pytest.fixture
def embedded(once, request):
    """One of them."""
    return once[getattr(request, "param", False)].copy()


def _context(adata):
    return context_of(Reading().slides(adata)[0], "X_texture")


@pytest.mark.parametrize("form", ["frame", "csr", "dask", "float"])
def test_context_is_read_from_every_form(embedded, form):
    index, tiles = _context(embedded)
    held = embedded.obsm["X_texture_context_index"]
    record = embedded.uns["phg2st_tiles"]["X_texture"]
    make = {
        "frame": lambda values, names: pd.DataFrame(values, index=names),
        "csr": lambda values, _: sparse.csr_matrix(values),
        "dask": lambda values, _: pytest.importorskip("dask.array").from_array(values, chunks=20),
        "float": lambda values, _: values.astype(np.float64),
    }[form]
    embedded.obsm["X_texture_context_index"] = make(held, embedded.obs_names)
    record["features"] = make(record["features"].astype(np.float32), None)
    record["positions"] = make(record["positions"], None)
    again, same = _context(embedded)
    np.testing.assert_array_equal(again, index)
    np.testing.assert_array_equal(same, tiles)


def test_gaps_of_a_joined_index_are_no_tiles(embedded):
    index, _ = _context(embedded)
    held = embedded.obsm["X_texture_context_index"].astype(np.float64)
    embedded.obsm["X_texture_context_index"] = np.where(held < 0, np.nan, held)
    np.testing.assert_array_equal(_context(embedded)[0], index)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda a, r: r.pop("positions"), ValueError, "no longer there"),
        (lambda a, r: r.update(positions=r["positions"][1:]), ValueError, r"holds \d+ tiles at \d+ places"),
        (lambda a, r: r.update(features=r["features"].astype(complex)), TypeError, r"\['features'\].*complex"),
        (lambda a, r: r["features"].fill(np.inf), ValueError, "features of tiles are NaN or infinite"),
        (lambda a, r: a.uns.update(phg2st_tiles=[1, 2]), TypeError, r"uns\['phg2st_tiles'\] is a list"),
        (lambda a, r: a.uns["phg2st_tiles"].update(X_texture="mine"), ValueError, "no longer there"),
        (lambda a, r: a.obsm.update(X_texture_context_index=np.full((60, 9), 0.5)), ValueError, "no numbers of"),
        (lambda a, r: a.obsm.update(X_texture_context_index=np.zeros((60, 3, 3))), ValueError, r"shape \(60, 3, 3\)"),
    ],
)
def test_context_that_is_none_is_refused(embedded, spoil, error, message):
    spoil(embedded, embedded.uns["phg2st_tiles"]["X_texture"])
    with pytest.raises(error, match=message):
        _context(embedded)


@pytest.mark.parametrize("embedded", [True], indirect=True)
def test_tiles_spot_by_spot_are_whole_or_not_there(embedded):
    _, tiles = _context(embedded)
    blocks = embedded.obsm["X_texture_context"]
    row, column = np.argwhere(~np.isnan(blocks).all(axis=2))[-1]
    blocks[row, column, 2] = np.inf
    with pytest.raises(ValueError, match=rf"not finite in tiles of 1 spots .*\('{embedded.obs_names[row]}'\)"):
        _context(embedded)
    blocks[row, column] = np.nan
    assert len(_context(embedded)[1]) == len(tiles) - 1
    embedded.obsm["X_texture_context"] = blocks[:, :, 0]
    with pytest.raises(ValueError, match="one block of rows"):
        _context(embedded)
