"""The tiles around spots, read back from an object."""

from __future__ import annotations

import anndata
import numpy as np

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
