"""Texture features of places: those of tiles cut out, the same bits whatever else is asked for, the image filtered once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from anndata import AnnData
from scipy.ndimage import gaussian_filter, maximum_filter
from skimage.feature import local_binary_pattern
from skimage.filters import threshold_otsu

import phg2st_sc as phg2st
from phg2st_sc._image import Tiles, open_image
from phg2st_sc.encoders import TextureEncoder, encode_places, encode_tiles, get_encoder, pooled_fields
from phg2st_sc.encoders import _texture_places as texture_places
from phg2st_sc.encoders._texture import feature_names
from phg2st_sc.encoders._texture_binary import binary_shares
from phg2st_sc.encoders._texture_edges import edge_peaks
from phg2st_sc.encoders._texture_nuclei import BLOB_SIGMAS, MIN_RESPONSE, spacing
from phg2st_sc.encoders._texture_pooled_nuclei import pooled_nuclei
from phg2st_sc.encoders._texture_sums import Histograms, Scale, Windows, otsu, percentiles, window_sums

PX = 160


@pytest.fixture(scope="module")
def pixels():
    adata = phg2st.datasets.simulate(n_spots=60, n_genes=10, seed=3, progress=False)
    (record,) = adata.uns["spatial"].values()
    shown = np.asarray(record["images"]["hires"])
    shown = shown if shown.dtype == np.uint8 else np.rint(shown * 255).astype(np.uint8)
    return np.tile(shown, (2, 2, 1))[:560, :640].copy()


def places(step=64, first=84, last=480):
    """Centres at which tiles of 160 pixels start at every fourth pixel, as pooling has it."""
    steps = np.arange(first, last, step) // 4 * 4.0
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return Tiles(np.column_stack([x.ravel(), y.ravel()]), float(PX))


def own_tile():
    """The encoder, of the first field alone."""
    encoder = TextureEncoder()
    encoder.card = replace(encoder.card, fields=(1.0,))
    return encoder


def pooled(image, tiles):
    return encode_places(image, tiles, own_tile(), pooled=(1.0,))


def cut(image, tiles):
    return encode_tiles(image, tiles, own_tile())


# The parts.


@pytest.mark.parametrize("step", [1, 2, 4])
def test_window_sums_are_sums_of_windows(rng, step):
    channel = rng.normal(size=(50, 61)).astype(np.float32)
    windows = Windows(np.array([0, 3, 9]), np.array([0, 7, 20]), 40)
    expected = [
        channel[y : y + 40 : step, x : x + 40 : step].sum(dtype=np.float64) for y, x in zip(*windows[:2], strict=True)
    ]
    np.testing.assert_allclose(window_sums(channel, windows, step=step), expected, atol=1e-9)


def test_percentiles_and_threshold_are_those_of_the_values(rng):
    channel = np.where(rng.random((80, 120)) < 0.3, rng.normal(0.5, 0.05, (80, 120)), rng.normal(0.1, 0.03, (80, 120)))
    channel, windows = channel.astype(np.float32), Windows(np.array([0, 0]), np.array([0, 40]), 80)
    scale, shares = Scale(0.0, 0.25), np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    counts = Histograms(channel, scale, 4).of(windows)
    np.testing.assert_array_equal(counts.sum(axis=1), 6400)
    for i, found in enumerate(percentiles(counts, scale, shares)):
        values = channel[:, 40 * i : 40 * i + 80]
        np.testing.assert_allclose(found, np.quantile(values, shares), atol=0.01)
        best = threshold_otsu(values)
        assert otsu(counts, scale)[i] == pytest.approx(best, abs=0.04)


def test_part_of_a_cell_counts_by_its_share():
    channel = np.zeros((16, 16), dtype=np.float32)
    channel[:, 8:] = 1.0
    scale = Scale(0.0, 0.25)
    counts = Histograms(channel, scale, 4).of(Windows(np.array([0]), np.array([2]), 8))[0]
    assert counts[scale.bins(np.float32(1.0))] == pytest.approx(2 * 8)


def test_binary_patterns_are_those_of_a_tile_cut_out(rng):
    grey = rng.integers(60, 256, (100, 110)).astype(np.float32)
    windows = Windows(np.array([0, 12]), np.array([4, 20]), 80)
    for folded in (True, False):
        for found, y, x in zip(binary_shares(grey, windows, folded=folded), *windows[:2], strict=True):
            tile = grey[y : y + 80, x : x + 80].astype(np.uint8)
            codes = local_binary_pattern(tile, P=8, R=1, method="uniform").astype(int)
            np.testing.assert_allclose(found, np.bincount(codes.ravel(), minlength=10) / 6400, atol=2e-3)


def test_peaks_at_an_edge_are_those_of_the_part_cut_out(rng):
    response = rng.normal(size=(60, 70)).astype(np.float32)
    windows = Windows(np.array([0, 13]), np.array([7, 29]), 40)
    for reach in (1, 2, 4):
        size = 2 * reach + 1
        peaks = (response == maximum_filter(response, size)) & (response > MIN_RESPONSE)
        extra, (owners, points) = edge_peaks(response, peaks, windows, reach)
        for i, (y, x) in enumerate(zip(*windows[:2], strict=True)):
            part, known = response[y : y + 40, x : x + 40], peaks[y : y + 40, x : x + 40]
            all_peaks = (part == maximum_filter(part, size)) & (part > MIN_RESPONSE)
            assert known.sum() + extra[0, i] == all_peaks.sum() > known.sum()
            assert extra[1, i] == pytest.approx(part[all_peaks].sum() - part[known].sum(), rel=1e-4)
            gained = {(y + row, x + column) for row, column in np.argwhere(all_peaks & ~known)}
            assert set(map(tuple, points[owners == i])) == gained


def test_spacing_is_that_of_the_blobs_of_a_window(rng):
    """Those at its edges included, which are blobs because it ends there; three are needed."""
    sigma = BLOB_SIGMAS[1]
    stain = gaussian_filter(rng.random((176, 192)), 2.0).astype(np.float32) * 4
    fine, coarse = (gaussian_filter(stain, s, mode="nearest", truncate=3.0) for s in (sigma, BLOB_SIGMAS[2]))
    response, size = fine - coarse, 2 * int(sigma) + 1
    windows = Windows(np.array([0, 12, 40, 70]), np.array([0, 20, 66, 88]), 80)
    found = dict(pooled_nuclei(stain, windows, 1.4))
    for i, (y, x) in enumerate(zip(*windows[:2], strict=True)):
        part = response[y : y + 80, x : x + 80]
        expected = dict(spacing(np.argwhere((part == maximum_filter(part, size)) & (part > MIN_RESPONSE))))
        assert expected["blob_spacing"] > 0
        for name, value in expected.items():
            assert found[name][i] == pytest.approx(value, rel=1e-6)
    nothing = dict(pooled_nuclei(np.zeros_like(stain), windows, 1.4))
    assert not nothing["blob_spacing"].any()


# Features.


def test_features_are_those_of_tiles_cut_out(pixels):
    image, tiles = open_image(pixels), places()
    names, a, b = np.array(feature_names()), cut(image, tiles), pooled(image, tiles)
    correlation = np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])
    off = np.abs(a - b).mean(axis=0) / a.std(axis=0)
    patterns = np.char.startswith(names, "grey")
    exact = ["tissue_fraction", "dense_fraction", "haematoxylin_eosin_corr"]
    exact += [f"{c}_{what}" for c in ("eosin", "density", "lightness") for what in ("mean", "std", "skew")]
    exact += [f"eosin_s{scale}_{what}" for scale in (2, 3, 4) for what in ("grad_mean", "log_skew", "local_std")]
    assert off[np.isin(names, exact)].max() < 1e-4
    assert off[patterns].max() < 0.03
    # The others see beyond the edge of the tile what is there, or come from histograms.
    assert np.nanmedian(correlation) > 0.999
    assert np.nanmean(correlation > 0.95) > 0.95


def test_a_place_is_the_same_whatever_else_is_asked_for(pixels, rng):
    image, tiles = open_image(pixels), places()
    together = pooled(image, tiles)
    some = rng.permutation(len(tiles))[:7]
    np.testing.assert_array_equal(pooled(image, Tiles(tiles.centers[some], tiles.size_px)), together[some])


def test_where_blocks_end_makes_no_difference(pixels, monkeypatch):
    image, tiles = open_image(pixels), places()
    together = pooled(image, tiles)
    monkeypatch.setattr(texture_places, "_BLOCK", 50)
    np.testing.assert_allclose(pooled(image, tiles), together, rtol=1e-4, atol=1e-3)


def test_strips_are_read_as_one(pixels, monkeypatch):
    from phg2st_sc.encoders import _texture_read

    image = open_image(pixels)
    box = {"pixel": 2.6}
    whole = _texture_read.read_scaled(image, -20, -12, 240, 260, **box)
    monkeypatch.setattr(_texture_read, "_STRIP_PX", 20_000)
    strips = _texture_read.read_scaled(image, -20, -12, 240, 260, **box)
    assert np.abs(whole.astype(int) - strips).max() <= 1
    assert (whole[:8] == 255).all()


def test_beyond_the_image_is_white(pixels):
    image = open_image(pixels)
    tiles = Tiles(np.array([[0.0, 0.0], [640.0, 300.0], [84.0, 560.0]]), float(PX))
    a, b = cut(image, tiles), pooled(image, tiles)
    at = [feature_names().index(name) for name in ("tissue_fraction", "density_mean", "lightness_std")]
    np.testing.assert_allclose(b[:, at], a[:, at], rtol=2e-2, atol=2e-3)


def test_tiles_far_off_the_image_are_cut_out(pixels):
    image = open_image(pixels)
    tiles = Tiles(np.array([[200.0, 200.0], [3000.0, -900.0]]), float(PX))
    np.testing.assert_array_equal(pooled(image, tiles)[1], cut(image, tiles)[1])


def test_a_black_canvas_is_white(pixels):
    white, black = pixels.copy(), pixels.copy()
    white[:, 300:], black[:, 300:] = 255, 0
    tiles = places()
    np.testing.assert_array_equal(pooled(open_image(black), tiles), pooled(open_image(white), tiles))


def test_a_dark_fold_is_black_in_tiles_that_hold_it(pixels):
    folded = pixels.copy()
    folded[250:290, 250:290] = 0
    image, tiles = open_image(folded), places()
    a, b = cut(image, tiles), pooled(image, tiles)
    touched = (np.abs(tiles.centers - 270.0) < 80.0 + 20.0 - 4.0).all(axis=1)
    assert touched.any()
    np.testing.assert_array_equal(b[touched], a[touched])


# Where it is used.


def test_few_tiles_are_cut_out_and_many_are_pooled(pixels):
    image, encoder = open_image(pixels), TextureEncoder()
    assert pooled_fields(image, places(step=200), encoder) == ()
    assert 1.0 in pooled_fields(image, places(step=20), encoder)
    assert pooled_fields(image, places(step=20), get_encoder(lambda t: t.mean(axis=(1, 2)), name="color")) == ()


def test_fields_keep_their_order(pixels):
    image, tiles, encoder = open_image(pixels), places(step=120), TextureEncoder()
    mixed = encode_places(image, tiles, encoder, pooled=(5.0,))
    np.testing.assert_array_equal(mixed[:, :141], encode_tiles(image, tiles, encoder)[:, :141])
    np.testing.assert_array_equal(mixed[:, 141:], encode_places(image, tiles, encoder, pooled=(1.0, 5.0))[:, 141:])


@pytest.fixture
def bins(pixels):
    """Bins every 16 pixels of an image, and no expression to speak of."""
    at = np.arange(8, 560, 16, dtype=np.float64)
    y, x = np.meshgrid(at, at, indexing="ij")
    adata = AnnData(np.ones((x.size, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.column_stack([x.ravel(), y.ravel()])
    return adata


def test_the_record_says_which_fields_were_pooled(bins, pixels):
    phg2st.pp.extract_embeddings(bins, image=pixels, encoder="texture", mpp=0.7, progress=False)
    record = bins.uns["phg2st_embeddings"]["X_texture"]
    np.testing.assert_array_equal(record["pooled"], [[True, True]])
    at = feature_names().index("density_mean")
    dense = np.argsort(bins.obsm["X_texture"][:, at])[-3:]
    few = bins[dense].copy()
    phg2st.pp.extract_embeddings(few, image=pixels, encoder="texture", mpp=0.7, progress=False)
    np.testing.assert_array_equal(few.uns["phg2st_embeddings"]["X_texture"]["pooled"], [[False, False]])
    a, b = few.obsm["X_texture"], bins.obsm["X_texture"][dense]
    np.testing.assert_allclose(b[:, [at, 141 + at]], a[:, [at, 141 + at]], rtol=0.03)


def test_interrupted_work_leaves_nothing(bins, pixels, monkeypatch):
    done = texture_places._features
    blocks = []

    def stopped(*args):
        blocks.append(1)
        if len(blocks) > 1:
            raise KeyboardInterrupt
        return done(*args)

    monkeypatch.setattr(texture_places, "_features", stopped)
    with pytest.raises(KeyboardInterrupt):
        phg2st.pp.extract_embeddings(bins, image=pixels, encoder="texture", mpp=0.7, progress=False)
    assert len(blocks) == 2
    assert not bins.obsm.keys() - {"spatial"}
    assert not bins.uns
