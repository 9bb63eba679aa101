"""A black canvas around a scan: tiles see the white background that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._image._black import without_padding

TISSUE = (200, 120, 170)


def tile(black=()):
    pixels = np.full((50, 50, 3), TISSUE, dtype=np.uint8)
    for rows, columns in black:
        pixels[rows, columns] = 3
    return pixels


def test_black_that_reaches_the_edge_becomes_background():
    shown = without_padding(tile([(slice(0, 10), slice(None))]), background=255)
    assert (shown[:10] == 255).all()
    assert (shown[10:] == TISSUE).all()


@pytest.mark.parametrize(
    "black",
    [(slice(20, 30), slice(20, 30)), (slice(0, 4), slice(0, 4))],
    ids=["a dark fold within", "a speck at the edge"],
)
def test_other_black_stays(black):
    pixels = tile([black])
    assert without_padding(pixels, background=255) is pixels


@pytest.mark.parametrize("context", [None, 3])
def test_features_are_those_of_a_white_canvas(context):
    section = phg2st.datasets.simulate(n_spots=80, n_genes=10, seed=0, progress=False)
    (record,) = section.uns["spatial"].values()
    picture = np.asarray(record["images"]["hires"])
    if picture.dtype != np.uint8:
        picture = np.round(picture * 255).astype(np.uint8)
    section.obsm["spatial"] = section.obsm["spatial"] * record["scalefactors"]["tissue_hires_scalef"]
    section.uns.clear()
    found = []
    for canvas in (255, 0):
        low, high = np.floor(section.obsm["spatial"].min(axis=0)), np.ceil(section.obsm["spatial"].max(axis=0))
        edge = [(max(int(a) - 3, 0), int(b) + 3) for a, b in zip(low, high, strict=True)]
        shown = np.full_like(picture, canvas)
        inside = (slice(*edge[1]), slice(*edge[0]))
        shown[inside] = picture[inside]
        copy = section.copy()
        phg2st.pp.extract_embeddings(
            copy, image=shown, encoder="texture", pitch_um=100, context=context, progress=False
        )
        found.append(copy.obsm["X_texture"])
    np.testing.assert_array_equal(*found)
