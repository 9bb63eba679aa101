"""Spots that cannot belong to the image are refused; doubtful ones are pointed out."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from phg2st_sc._image import Tiles, WatchedImage, iter_tiles, open_image
from phg2st_sc._image._on_tissue import check_tissue
from phg2st_sc._image._padding import on_padding


@pytest.fixture
def section():
    """Tissue in the lower left corner of a white image, with a lattice on it."""
    pixels = np.full((1000, 1000, 3), 250, dtype=np.uint8)
    pixels[500:950, 50:450] = (150, 90, 160)
    x, y = np.meshgrid(np.arange(80, 430, 40.0), np.arange(530, 930, 40.0))
    return open_image(pixels), np.column_stack([x.ravel(), y.ravel()])


def test_good_centers_pass_in_silence(section):
    image, centers = section
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_tissue(centers, 30.0, image, slide="s")


def test_swapped_centers_that_stay_inside(section):
    image, centers = section
    with pytest.raises(ValueError, match=r"0% of the spots lie on tissue, but 100% do with x and y swapped"):
        check_tissue(centers[:, ::-1], 30.0, image, slide="s")


def test_centers_on_background_warn(section):
    image, centers = section
    with pytest.warns(UserWarning, match="only 0% of the spots lie on stained tissue"):
        check_tissue(centers + [500, 0], 30.0, image, slide="s")


@pytest.mark.parametrize(("section", "picture"), [("B4", "B/B4/BT10737_D2_HE.jpg"), ("C4", "C/C4/5714_HE_BT_D2.jpg")])
def test_real_section_fits_and_its_swap_does_not(section, picture, real_data):
    folder = real_data / "her2st"
    spots = pd.read_csv(folder / "ST-spotfiles" / f"{section}_selection.tsv", sep="\t")
    centers = spots.loc[spots["selected"] == 1, ["pixel_x", "pixel_y"]].to_numpy(dtype=float)
    image = open_image(folder / "ST-imgs" / picture)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_tissue(centers, 162.0, image, slide=section)
    with pytest.raises(ValueError, match="x and y swapped"):
        check_tissue(centers[:, ::-1], 162.0, image, slide=section)


@pytest.fixture
def padded(section):
    """The section, rotated in its frame: black beyond it, with the colours that compression leaves there."""
    image, centers = section
    pixels = image.read(0, 0, 1000, 1000)
    pixels[:, 500:] = np.random.default_rng(0).integers(0, 6, (1000, 500, 3))
    return open_image(pixels), centers


def test_black_padding_is_no_tissue(padded):
    image, centers = padded
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_tissue(centers, 30.0, image, slide="s")
    with pytest.warns(UserWarning, match="90 of 90 spots lie on black or transparent padding"):
        check_tissue(centers + [500, 0], 30.0, image, slide="s")


def test_swapped_centers_on_black_padding(padded):
    image, centers = padded
    with pytest.raises(ValueError, match="0% of the spots lie on tissue, but 100% do with x and y swapped"):
        check_tissue(centers[:, ::-1], 30.0, image, slide="s")


def test_every_centre_on_padding_is_told_of_by_name(padded):
    image, centers = padded
    centers = np.concatenate([np.repeat(centers, 5, axis=0), [(700.0, 600.0)], [(900.0, 20.0)]])
    names = [f"spot{i}" for i in range(len(centers))]
    with pytest.warns(UserWarning, match=r"2 of 452 spots lie on .*: 'spot450', 'spot451'\."):
        check_tissue(centers, 30.0, image, slide="s", names=names)


@pytest.mark.parametrize("kind", ["array", "dask", "file"])
def test_centres_on_transparent_padding_are_told_of_and_those_on_glass_are_not(section, kind, tmp_path):
    import dask.array as da
    from PIL import Image

    image, centers = section
    pixels = np.dstack([image.read(0, 0, 1000, 1000), np.full((1000, 1000), 255, np.uint8)])
    pixels[:200, :, :3] = 252
    pixels[:100, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "he.png")
    source = {"array": pixels, "dask": da.from_array(pixels, chunks=(250, 250, 4)), "file": tmp_path / "he.png"}[kind]
    with pytest.warns(UserWarning, match=r"1 of 91 spots lie on black or transparent padding .*: 90\."):
        check_tissue(np.concatenate([centers, [(300.0, 50.0)]]), 30.0, open_image(source), slide="s")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_tissue(np.concatenate([centers, [(300.0, 150.0)]]), 30.0, open_image(source), slide="s")


def test_what_is_read_anyway_tells_which_spots_lie_on_padding(padded):
    image, centers = padded
    centers = np.concatenate([centers, centers + [500, 0], [(505.0, 600.0), (495.0, 700.0)]])
    watched = WatchedImage(image, centers, 30.0)
    reads = []
    inner = image.read
    image.read = lambda *box, **level: reads.append(box) or inner(*box, **level)
    for _ in iter_tiles(watched, Tiles(centers[:100], 30.0), 30):
        pass
    n_tiles = len(reads)
    np.testing.assert_array_equal(watched.on_padding(), on_padding(centers, 30.0, image))
    assert watched.on_padding()[90:181].all()
    assert not watched.on_padding()[:90].any()
    assert n_tiles == 101  # the first is read twice
    assert len(reads) - n_tiles >= 92  # those that nothing was read of are looked at


def test_few_spots_are_looked_at_where_they_lie_on_tissue(section):
    image, centers = section
    reads = []
    inner = image.read
    image.read = lambda *box, **level: reads.append(box) or inner(*box, **level)
    looked_at_all = check_tissue(np.repeat(centers, 9, axis=0), 30.0, image, slide="s")
    assert not looked_at_all
    assert len(reads) == 40
