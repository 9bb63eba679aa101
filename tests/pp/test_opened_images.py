"""Pictures that `io.open_image` opened, and elements of containers with a fault, in `pp.extract_embeddings`."""

from __future__ import annotations

import numpy as np
import pytest
import spatial_elements as make
import tifffile
from spatialdata import SpatialData, read_zarr

from phg2st_sc import io, pl, pp


def color(tiles):
    return tiles.mean(axis=(1, 2))


color.__name__ = "color"
OPTIONS = {"encoder": color, "platform": "ST", "progress": False, "context": None}


def _two_pictures(path, picture):
    with tifffile.TiffWriter(path) as file:
        file.write(255 - picture[:300, :300], photometric="rgb", metadata=None)
        file.write(picture, photometric="rgb", metadata=None, tile=(64, 64))
    return path


def test_the_picture_that_was_meant_is_embedded(spot_adata, he_image, tmp_path):
    expected = spot_adata.copy()
    pp.extract_embeddings(expected, image=he_image, **OPTIONS)
    image = io.open_image(_two_pictures(tmp_path / "a.tif", he_image), series=1)
    pp.extract_embeddings(spot_adata, image=image, **OPTIONS)
    np.testing.assert_array_equal(spot_adata.obsm["X_color"], expected.obsm["X_color"])
    assert spot_adata.uns["phg2st_embeddings"]["X_color"]["image"].tolist() == [str(tmp_path / "a.tif")]
    pl.tiles(spot_adata, image=image)  # still open
    image.close()


def test_a_path_takes_the_largest_and_says_so(spot_adata, he_image, tmp_path):
    expected = spot_adata.copy()
    pp.extract_embeddings(expected, image=he_image, **OPTIONS)
    with pytest.warns(UserWarning, match=r"a\.tif holds 2 images.*Number 1 .* is read"):
        pp.extract_embeddings(spot_adata, image=_two_pictures(tmp_path / "a.tif", he_image), **OPTIONS)
    np.testing.assert_array_equal(spot_adata.obsm["X_color"], expected.obsm["X_color"])


def test_a_chunk_that_a_store_lost_is_white_and_told_of_by_slide_and_element(tmp_path):
    points = make.square(8, 40.0, 60.0)
    sdata = SpatialData(
        images={"he": make.picture(400, 400)},
        shapes={"spots": make.circles(points, np.arange(len(points)))},
        tables={"table": make.annotating({"spots": np.arange(len(points))})},
    )
    sdata["he"] = sdata["he"].chunk({"c": 3, "y": 100, "x": 100})
    sdata.write(tmp_path / "s.zarr")
    chunks = sorted(
        path for path in (tmp_path / "s.zarr/images/he").rglob("*") if path.is_file() and path.suffix != ".json"
    )
    chunks[5].unlink()
    with pytest.warns(UserWarning, match=r"Slide 'spots', image 'he' has no data in rows 100-200, columns 100-200"):
        pp.extract_embeddings(
            read_zarr(tmp_path / "s.zarr"), tile_um=100.0, mpp=5.0, encoder=color, progress=False, context=None
        )
