"""One colour chart in every common kind of file and array: its colours, or a refusal that names the file."""

from __future__ import annotations

import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr
from picture_cases import Case, all_cases, as_grey, chart, grey, patches
from PIL import Image
from scanner_files import series_cases

from phg2st_sc._image import open_image

CASES = [*all_cases(), *series_cases()]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_colors_or_a_clear_refusal(case: Case, tmp_path):
    source = case.make(tmp_path)
    read, problem = None, ""
    try:
        image = open_image(source)
        read = image.read(0, 0, image.height, image.width)
        image.close()
    except (ValueError, TypeError) as error:
        problem = str(error)
    if case.expected is None or (case.may_refuse and problem):
        assert problem.endswith(".")
        assert not isinstance(source, Path) or str(source) in problem
        return
    assert not problem
    assert read is not None
    assert read.shape == case.expected.shape
    np.testing.assert_allclose(patches(read), patches(case.expected), atol=case.tolerance)


def _only_warning(make, source, **options):
    """Open, read twice, and return the image and its only warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        image = make(source, **options)
        image.read(0, 0, 40, 40)
        image.read(20, 20, 90, 90)
    messages = [str(one.message) for one in caught if one.category is UserWarning]
    assert len(messages) == 1
    return image, messages[0]


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: da.from_array(a, chunks=(32, 32, 3))], ids=["numpy", "dask"])
def test_fewer_bits_than_stored_are_told_once(wrap):
    deep = np.rint(chart() * (4095 / 255)).astype(np.uint16)
    _, message = _only_warning(open_image, wrap(deep))
    assert "its values end at 4095: read as 12 bits" in message
    assert "open_image(..., white=...)" in message


def test_the_value_of_white_can_be_said():
    deep = np.rint(chart() * (4095 / 255)).astype(np.uint16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(open_image(deep, white=4095).read(0, 0, 96, 128), chart())
        np.testing.assert_array_equal(open_image(chart().astype(float), white=255).read(0, 0, 96, 128), chart())
        np.testing.assert_array_equal(open_image(chart().astype(np.int64), white=255).read(0, 0, 96, 128), chart())
        assert open_image(deep, white=65535).read(0, 0, 1, 1).max() == 16


@pytest.mark.parametrize("white", [0, -1, float("nan")])
def test_a_white_that_is_none_is_refused(white):
    with pytest.raises(ValueError, match="`white` must be"):
        open_image(chart().astype(np.uint16), white=white)


def test_values_beyond_white_are_refused_whenever_they_come():
    deep = np.full((400, 400, 3), 900, dtype=np.uint16)
    deep[301, 301] = 40000
    image = open_image(da.from_array(deep, chunks=(20, 20, 3)))
    with pytest.warns(UserWarning, match="read as 10 bits"):
        image.read(0, 0, 10, 10)
    with pytest.raises(ValueError, match=r"values from 900 to 40000, beyond 0 to 1023\. Pass .*white="):
        image.read(290, 290, 320, 320)


def test_a_piece_without_data_is_told_of_once(tmp_path):
    case = next(case for case in CASES if case.name == "tiff, a tile without data")
    image, message = _only_warning(open_image, case.make(tmp_path))
    image.close()
    assert "a.tif has no data in rows 32-64, columns 32-64 of level 0" in message
    assert "read as white background" in message


def test_a_dark_but_written_tile_stays_dark(tmp_path):
    dark = np.zeros((64, 64, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", dark, photometric="rgb", tile=(32, 32))
    image = open_image(tmp_path / "a.tif")
    assert image.read(0, 0, 64, 64).max() == 0
    image.close()


@pytest.mark.parametrize("file", ["a.tif", "a.jpg"])
def test_a_turned_picture_is_read_as_stored_and_told_of(file, tmp_path):
    if file == "a.tif":
        tifffile.imwrite(tmp_path / file, chart(), photometric="rgb", extratags=[(274, "H", 1, 6, False)])
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(chart()).save(tmp_path / file, exif=exif)
    image, message = _only_warning(open_image, tmp_path / file)
    image.close()
    assert (image.height, image.width) == (96, 128)
    assert f"{file} has an orientation tag" in message


def test_a_channel_that_is_not_said_to_be_opacity_is_told_of(tmp_path):
    four = np.dstack([chart(), np.zeros((96, 128), np.uint8)])
    tifffile.imwrite(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unspecified"])
    image, message = _only_warning(open_image, tmp_path / "a.tif")
    image.close()
    assert "a channel beyond its colours" in message


def test_channels_in_another_order_by_name_are_turned_with_their_opacity():
    rgba = np.dstack([chart(), np.full((96, 128), 255, np.uint8)])
    stored = np.moveaxis(rgba, -1, 0)[[3, 2, 1, 0]]
    image = open_image(xr.DataArray(stored, dims=("c", "y", "x"), coords={"c": ["a", "b", "g", "r"]}))
    np.testing.assert_array_equal(image.read(0, 0, 96, 128), chart())


def test_values_of_a_grey_png_of_16_bits_keep_their_depth(tmp_path):
    Image.fromarray(grey(chart()).astype(np.uint16) * 257).save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_image(tmp_path / "a.png").read(0, 0, 96, 128), as_grey(chart()))
