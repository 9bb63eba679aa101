"""Tiles lie where they should, to a fraction of a pixel, and read the same from every kind of image."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from phg2st_sc._image import _chunked, _sweep, open_image
from phg2st_sc._image._around import block_offsets, context_blocks, context_grid
from phg2st_sc._image._read_ahead import TileReads, iter_tiles
from phg2st_sc._image._read_tile import choose_level, read_tile
from phg2st_sc._image._tiles import Tiles, tile_pixels


def _read_all(image, tiles, out_px, **options):
    out = np.zeros((len(tiles), out_px, out_px, 3), dtype=np.uint8)
    for index, batch in iter_tiles(image, tiles, out_px, **options):
        out[index] = batch
    return out


def _smooth_image(height=400, width=500):
    y, x = np.mgrid[:height, :width]
    grey = 127 + 60 * np.sin(x / 40.0) + 60 * np.cos(y / 30.0)
    return np.repeat(grey[..., None], 3, axis=-1).round().astype(np.uint8)


def test_tile_pixels():
    assert tile_pixels(112, 0.5) == 224
    assert tile_pixels(112, 0.7) == pytest.approx(160)
    for bad in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="mpp"):
            tile_pixels(112, bad)
        with pytest.raises(ValueError, match="tile_um"):
            tile_pixels(bad, 0.5)


def test_box_is_centered_on_the_spot():
    tiles = Tiles(np.array([[100.25, 60.0]]), 32.5)
    np.testing.assert_allclose(tiles.boxes, [[84.0, 43.75, 116.5, 76.25]])


def test_drawn_square_fills_its_tile_and_no_other():
    pixels = np.full((300, 400, 3), 255, dtype=np.uint8)
    pixels[80:112, 200:232] = (10, 20, 30)
    centers = np.array([[216.0, 96.0], [96.0, 216.0], [248.0, 96.0], [216.0, 128.0]])
    read = _read_all(open_image(pixels), Tiles(centers, 32.0), 32)
    assert (read[0] == (10, 20, 30)).all()
    assert (read[1:] == 255).all()


def test_native_scale_returns_the_stored_pixels(rng):
    pixels = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    read = _read_all(open_image(pixels), Tiles(np.array([[50.0, 80.0]]), 40.0), 40)[0]
    np.testing.assert_array_equal(read, pixels[60:100, 30:70])


def test_half_a_pixel_moves_the_tile_by_half_a_pixel():
    ramp = np.repeat(np.tile(np.arange(0, 250, dtype=np.uint8), (60, 1))[..., None], 3, axis=-1)
    image = open_image(ramp)
    centers = np.array([[100.0, 30.0], [100.5, 30.0], [101.0, 30.0]])
    means = _read_all(image, Tiles(centers, 20.0), 20).mean(axis=(1, 2, 3))
    # Pixel i spans [i, i + 1) with value i: the mean over [90, 110) is 99.5, half a pixel below its centre.
    np.testing.assert_allclose(means, [99.5, 100.0, 100.5], atol=0.51)
    assert means[2] - means[0] == 1.0


def test_square_stays_in_the_middle_after_rescaling():
    pixels = np.full((300, 300, 3), 255, dtype=np.uint8)
    pixels[140:160, 140:160] = 0
    tile = read_tile(open_image(pixels), np.array([100.0, 100.0, 200.0, 200.0]), 64)
    dark = 255.0 - tile[..., 0]
    y, x = np.mgrid[:64, :64] + 0.5
    assert (dark * x).sum() / dark.sum() == pytest.approx(32.0, abs=0.05)
    assert (dark * y).sum() / dark.sum() == pytest.approx(32.0, abs=0.05)
    np.testing.assert_array_equal(tile, tile[::-1, ::-1])


def test_border_is_padded_with_white_and_reported():
    image = open_image(np.full((100, 120, 3), 90, dtype=np.uint8))
    tiles = Tiles(np.array([[0.0, 50.0], [60.0, 50.0], [120.0, 100.0], [20.0, 20.0]]), 40.0)
    np.testing.assert_array_equal(tiles.beyond(image), [True, False, True, False])
    read = _read_all(image, tiles, 40)
    assert (read[0, :, :20] == 255).all()
    assert (read[0, :, 20:] == 90).all()
    assert (read[1] == 90).all()
    assert (read[2, 20:] == 255).all()
    assert (read[2, :, 20:] == 255).all()
    assert (read[2, :20, :20] == 90).all()


def test_tile_wholly_outside_is_white():
    image = open_image(np.zeros((50, 50, 3), dtype=np.uint8))
    assert (read_tile(image, np.array([100.0, 100.0, 140.0, 140.0]), 20) == 255).all()


def _pyramid(pixels, factors=(1, 2, 4)):
    levels = {}
    for i, f in enumerate(factors):
        h, w = pixels.shape[0] // f, pixels.shape[1] // f
        mean = pixels[: h * f, : w * f].reshape(h, f, w, f, 3).mean(axis=(1, 3)).round().astype(np.uint8)
        levels[f"scale{i}"] = xr.Dataset({"image": (("c", "y", "x"), np.moveaxis(mean, -1, 0))})
    return xr.DataTree.from_dict(levels)


def test_level_is_the_coarsest_that_suffices():
    image = open_image(_pyramid(_smooth_image()))
    assert [choose_level(image, s) for s in (0.4, 1.0, 1.9, 1.99, 2.0, 3.9, 4.0, 50.0)] == [0, 0, 0, 1, 1, 1, 2, 2]


def test_pyramid_level_equals_base_level():
    pixels = _smooth_image()
    tiles = Tiles(np.array([[150.3, 170.8], [260.0, 210.5], [5.0, 390.0]]), 180.0)
    image = open_image(_pyramid(pixels))
    assert choose_level(image, 180 / 40) == 2
    base, coarse = _read_all(open_image(pixels), tiles, 40), _read_all(image, tiles, 40)
    difference = np.abs(base.astype(int) - coarse)
    assert difference[:2].max() <= 2
    assert difference[2].mean() < 2


def test_numpy_dask_zarr_and_xarray_give_the_same_tiles(rng, tmp_path):
    pixels = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    stored = zarr.create_array(str(tmp_path / "a.zarr"), shape=pixels.shape, chunks=(64, 64, 3), dtype="u1")
    stored[:] = pixels
    tiles = Tiles(rng.uniform(0, 300, (30, 2)), 51.3)
    expected = _read_all(open_image(pixels), tiles, 32)
    lazy = da.from_array(np.moveaxis(pixels, -1, 0), chunks=(3, 70, 80))
    for source in (stored, lazy, xr.DataArray(lazy, dims=("c", "y", "x"))):
        np.testing.assert_array_equal(_read_all(open_image(source), tiles, 32), expected)


def test_batches_and_order_change_no_tile(rng):
    image = open_image(_smooth_image())
    tiles = Tiles(rng.uniform(0, 400, (25, 2)), 60.0)
    expected = _read_all(image, tiles, 32)
    np.testing.assert_array_equal(_read_all(image, tiles, 32, batch_size=1), expected)
    shuffle = rng.permutation(25)
    np.testing.assert_array_equal(_read_all(image, Tiles(tiles.centers[shuffle], 60.0), 32), expected[shuffle])


def test_block_offsets_run_row_by_row():
    np.testing.assert_array_equal(
        block_offsets(3), [[-1, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]
    )
    for bad in (0, 2, -1):
        with pytest.raises(ValueError, match="odd number"):
            block_offsets(bad)


def test_grid_of_a_commensurate_lattice_is_exact():
    image = open_image(np.zeros((1000, 1000, 3), dtype=np.uint8))
    x, y = np.meshgrid(np.arange(4), np.arange(3))
    centers = np.column_stack([x.ravel(), y.ravel()]) * 80.0 + 300.5
    tiles, index = context_grid(centers, 40.0, 5, image)
    assert index.shape == (12, 25)
    assert index.dtype == np.int32
    np.testing.assert_array_equal(tiles.centers[index[:, 12]], centers)
    steps = tiles.centers[index] - centers[:, None]
    np.testing.assert_array_equal(steps, np.broadcast_to(block_offsets(5) * 40.0, steps.shape))
    assert len(tiles) == len(np.unique(tiles.centers, axis=0)) == (3 * 2 + 5) * (2 * 2 + 5)


def test_grid_blocks_are_within_half_a_tile_and_shared(rng):
    image = open_image(np.zeros((2000, 2000, 3), dtype=np.uint8))
    centers = rng.uniform(300, 1700, (60, 2))
    tiles, index = context_grid(centers, 50.0, 5, image)
    assert (index >= 0).all()
    assert np.abs(tiles.centers[index[:, 12]] - centers).max() <= 25.0
    assert len(tiles) < 60 * 25
    shuffle = rng.permutation(60)
    again, shuffled = context_grid(centers[shuffle], 50.0, 5, image)
    np.testing.assert_array_equal(again.centers, tiles.centers)
    np.testing.assert_array_equal(shuffled, index[shuffle])


@pytest.mark.parametrize("make", [context_grid, context_blocks])
def test_cells_outside_the_image_are_marked(make):
    image = open_image(np.zeros((200, 300, 3), dtype=np.uint8))
    tiles, index = make(np.array([[10.0, 100.0], [150.0, 100.0]]), 40.0, 3, image)
    block = index[0].reshape(3, 3)
    assert (block[:, 0] == -1).all()
    assert (block[:, 1:] >= 0).all()
    assert (index[1] >= 0).all()
    assert index.max() == len(tiles) - 1


def test_exact_blocks_are_centered_on_every_spot(rng):
    image = open_image(np.zeros((1000, 1000, 3), dtype=np.uint8))
    centers = rng.uniform(200, 800, (7, 2))
    tiles, index = context_blocks(centers, 33.3, 3, image)
    np.testing.assert_allclose(tiles.centers[index[:, 4]], centers)
    assert len(tiles) == 63


def _counted(array):
    """The image of a zarr array, and the chunks that it decodes, one after the other."""
    image, decoded = open_image(array), []
    stored = image._stored
    image._stored = lambda keys: decoded.extend(keys) or stored(keys)
    return image, decoded


@pytest.mark.parametrize("chunks", [(64, 64, 3), (400, 16, 3), (16, 500, 3), (128, 128, 1)])
def test_each_chunk_is_decoded_once_whatever_the_order_of_the_spots(chunks, rng, tmp_path):
    pixels = rng.integers(0, 256, (400, 500, 3), dtype=np.uint8)
    stored = zarr.create_array(str(tmp_path / "a.zarr"), shape=pixels.shape, chunks=chunks, dtype="u1")
    stored[:] = pixels
    image, decoded = _counted(stored)
    tiles = Tiles(rng.uniform(-20, 520, (80, 2)), 40.0)
    reads = TileReads.of(image, tiles, 20, (1.0, 5.0))
    for index, batch in reads.batches(7):
        np.testing.assert_array_equal(batch[-1], read_tile(open_image(pixels), reads.boxes[index[-1]], 20))
    assert len(decoded) == len(set(decoded))
    assert not image._cache._chunks  # none is kept that no tile needs any more


def test_little_memory_decodes_chunks_again_and_changes_no_tile(rng, tmp_path, monkeypatch):
    pixels = rng.integers(0, 256, (400, 500, 3), dtype=np.uint8)
    stored = zarr.create_array(str(tmp_path / "a.zarr"), shape=pixels.shape, chunks=(50, 50, 3), dtype="u1")
    stored[:] = pixels
    tiles = Tiles(rng.uniform(0, 400, (300, 2)), 30.0)
    expected = _read_all(open_image(pixels), tiles, 30)
    for module in (_sweep, _chunked):
        monkeypatch.setattr(module, "CACHE_BYTES", 8 * 50 * 50 * 3)
    image, decoded = _counted(stored)
    np.testing.assert_array_equal(_read_all(image, tiles, 30), expected)
    assert 80 <= len(decoded) <= 2.2 * 80


def test_reading_goes_on_where_it_was_left(rng):
    image, tiles = open_image(_smooth_image()), Tiles(rng.uniform(0, 400, (25, 2)), 60.0)
    reads = TileReads.of(image, tiles, 32)
    whole = [number for index, _ in reads.batches(4) for number in index]
    rest = [number for index, _ in reads.batches(4, start=10) for number in index]
    assert whole == reads.order.tolist()
    assert rest == whole[10:]


def test_what_threads_warn_of_points_to_the_caller():
    image = open_image(da.zeros((300, 300, 3), chunks=(100, 100, 3), dtype=np.uint8))
    with pytest.warns(UserWarning, match="has no data in rows") as seen:
        _read_all(image, Tiles(np.array([[50.0, 50.0]]), 20.0), 20)
    assert [one.filename for one in seen] == [__file__]


def test_a_tile_that_cannot_be_read_ends_the_reading():
    def broken(block_info=None):
        if block_info[None]["chunk-location"][0] == 2:
            raise OSError("gone")
        return np.full((100, 300, 3), 9, dtype=np.uint8)

    image = open_image(da.map_blocks(broken, chunks=((100,) * 3, (300,), (3,)), dtype=np.uint8))
    tiles = Tiles(np.array([[50.0, y] for y in range(20, 300, 20)], dtype=float), 10.0)
    with pytest.raises(ValueError, match="could not be decoded near row 200"):
        _read_all(image, tiles, 10, batch_size=2)
