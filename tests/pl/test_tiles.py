"""The picture puts tiles and spots where the image has them."""

from __future__ import annotations

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tifffile

from phg2st_sc import pl
from phg2st_sc._image import open_image
from phg2st_sc.pl._tiles import thumbnail


def _collection(ax, label):
    return next((c for c in ax.collections if c.get_label() == label), None)


def test_boxes_and_spots_are_in_full_resolution_pixels(visium_adata, he_image):
    ax = pl.tiles(visium_adata, image=he_image, mpp=5.0)
    boxes = _collection(ax, "tiles")
    assert len(boxes.get_paths()) == 120
    first = boxes.get_paths()[0].vertices
    np.testing.assert_allclose(first.min(axis=0), [60 - 11.2, 60 - 11.2])
    np.testing.assert_allclose(first.max(axis=0), [60 + 11.2, 60 + 11.2])
    spots = _collection(ax, "spots")
    np.testing.assert_allclose(spots.get_offsets(), visium_adata.obsm["spatial"])
    assert ax.get_xlim() == (0, 560)
    assert ax.get_ylim() == (480, 0)
    assert ax.images[0].get_extent() == [0, 560, 480, 0]


def test_unknown_mpp_draws_spots_without_tiles(spot_adata, he_image):
    ax = pl.tiles(spot_adata, image=he_image)
    assert _collection(ax, "tiles") is None
    assert len(ax.lines[0].get_xdata()) == 120


def test_misplaced_spots_are_shown_rather_than_refused(spot_adata, he_image):
    spot_adata.obsm["spatial"] = spot_adata.obsm["spatial"] * 4
    ax = pl.tiles(spot_adata, image=he_image, mpp=5.0)
    assert ax.get_xlim()[1] > spot_adata.obsm["spatial"][:, 0].max()


def test_given_axes_crop_and_file(spot_adata, he_image, tmp_path):
    _, ax = plt.subplots()
    out = pl.tiles(spot_adata, image=he_image, mpp=5.0, ax=ax, crop=(100, 50, 300, 200), save=tmp_path / "a.png")
    assert out is ax
    assert ax.get_xlim() == (100, 300)
    assert ax.images[0].get_extent() == [100, 300, 200, 50]
    assert (tmp_path / "a.png").stat().st_size > 0


def test_context_grid_is_drawn_on_request(spot_adata, he_image):
    ax = pl.tiles(spot_adata, image=he_image, mpp=5.0, tile_um=100, context=3)
    assert len(_collection(ax, "context tiles").get_paths()) == (2 * 11 + 3) * (2 * 9 + 3)


def test_the_image_file_is_closed_again(spot_adata, he_image, tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr("phg2st_sc._slide._opened.NamedImage.close", lambda image: closed.append(image))
    path = tmp_path / "he.tif"
    tifffile.imwrite(path, he_image, tile=(64, 64), photometric="rgb")
    pl.tiles(spot_adata, image=path)
    assert len(closed) == 1


def test_unknown_slide(spot_adata, he_image):
    with pytest.raises(KeyError, match="No slide named 'x'"):
        pl.tiles(spot_adata, image=he_image, slide="x")


def test_thumbnail_covers_its_box(rng):
    pixels = rng.integers(0, 256, (400, 600, 3), dtype=np.uint8)
    small, box = thumbnail(open_image(da.from_array(pixels, chunks=(100, 100, 3))), (0, 0, 600, 400), 60)
    assert small.shape == (40, 60, 3)
    assert box == (0, 0, 600, 400)
    expected = pixels.reshape(40, 10, 60, 10, 3).mean(axis=(1, 3))
    assert np.abs(small - expected).max() <= 1
