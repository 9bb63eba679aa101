"""Of a file with several pictures the scan is read, another on request, and a choice is told of."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import tifffile
from picture_cases import chart
from scanner_files import FILES, ndpi, ome, other, pages, scn, smaller, svs

from phg2st_sc._image import open_image


@pytest.mark.parametrize("write", [svs, ndpi, scn, ome, pages], ids=lambda write: write.__name__)
def test_levels_are_those_of_the_scan(write, tmp_path):
    write(tmp_path / "a.tif")
    image = open_image(tmp_path / "a.tif")
    assert [(level.height, level.width, level.downsample) for level in image.levels[:2]] == [(96, 128, 1), (48, 64, 2)]
    np.testing.assert_array_equal(image.read(0, 0, 48, 64, level=1), smaller(chart()))
    image.close()


@pytest.mark.parametrize("name", FILES)
def test_a_choice_is_told_of_where_names_do_not_decide(name, tmp_path):
    file, write = FILES[name]
    write(tmp_path / file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        open_image(tmp_path / file).close()
    messages = [str(one.message) for one in caught if one.category is UserWarning]
    told = name in ("Aperio, label first", "OME, a smaller picture first", "pages, a picture first", "grey first")
    assert len(messages) == told
    if told:
        assert "the largest in colour" in messages[0]
        assert "io.open_image(path, series=...)" in messages[0]


def test_a_scan_that_is_not_first_is_logged(tmp_path, caplog):
    scn(tmp_path / "a.scn")
    with caplog.at_level(logging.INFO, logger="phg2st_sc"):
        open_image(tmp_path / "a.scn").close()
    assert "image 1 'image_0000000002' (96 x 128) is read, not the first" in caplog.text


def test_another_picture_by_number_or_name(tmp_path):
    ome(tmp_path / "a.ome.tif")
    for series in (0, "label image", "Label Image"):
        image = open_image(tmp_path / "a.ome.tif", series=series)
        assert (image.height, image.width, image.mpp) == (70, 60, 9.0)
        np.testing.assert_array_equal(image.read(0, 0, 70, 60), other(70, 60))
        image.close()
    image = open_image(tmp_path / "a.ome.tif", series=1)
    assert (image.height, image.mpp) == (96, 0.25)
    image.close()


@pytest.mark.parametrize("series", [2, -1, "scan"])
def test_a_picture_that_is_not_there(series, tmp_path):
    ome(tmp_path / "a.ome.tif")
    with pytest.raises(
        ValueError, match=r"a\.ome\.tif has no image `series=.*0 'label image' \(70 x 60\), 1 'H&E' \(96 x 128\)"
    ):
        open_image(tmp_path / "a.ome.tif", series=series)


def test_a_file_of_one_picture_takes_no_series(tmp_path):
    from PIL import Image

    Image.fromarray(chart()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="holds one image"):
        open_image(tmp_path / "a.png", series=0)
    with pytest.raises(ValueError, match="holds one image"):
        open_image(chart(), series=1)


def test_a_level_of_other_proportions_is_none_of_the_scan(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(chart(), subifds=2, photometric="rgb", tile=(32, 32))
        file.write(other(50, 50), subfiletype=1, photometric="rgb", tile=(32, 32))
        file.write(smaller(chart()), subfiletype=1, photometric="rgb", tile=(32, 32))
    image = open_image(tmp_path / "a.tif")
    assert [level.height for level in image.levels] == [96, 48]
    np.testing.assert_array_equal(image.read(0, 0, 48, 64, level=1), smaller(chart()))
    image.close()


def test_the_only_picture_is_read_whatever_its_name(tmp_path):
    named = {"axes": "YXS", "Name": "macro"}
    tifffile.imwrite(tmp_path / "a.ome.tif", chart(), photometric="rgb", metadata=named)
    image = open_image(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.read(0, 0, 96, 128), chart())
    image.close()
