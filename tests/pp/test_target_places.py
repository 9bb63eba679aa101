"""Where targets lie: lattices are recognised, tissue and the capture area found."""

import numpy as np
import pytest
from lattices import hexagonal, turned
from scipy import ndimage

import phg2st_sc as phg2st
from phg2st_sc.pp._target_lattice import fit_lattice
from phg2st_sc.pp._target_region import capture_area
from phg2st_sc.pp._tissue_mask import tissue_mask


def test_lattice_is_recognized():
    square = np.argwhere(np.ones((9, 9))) * 10.0
    assert fit_lattice(turned(square, 20), 10.0).kind == "square"
    hexed = fit_lattice(turned(hexagonal(), 20), 40.0)
    assert hexed.kind == "hex"
    np.testing.assert_allclose(np.linalg.norm(hexed.basis, axis=1), 40.0)


def test_a_small_misfit_does_not_add_up_over_a_wide_lattice():
    places = turned(np.argwhere(np.ones((5, 200))) * (10.0, 10.15), 3)
    lattice = fit_lattice(places, 10.0)
    index = (places - lattice.origin) @ np.linalg.inv(lattice.basis)
    np.testing.assert_allclose(index, np.round(index), atol=1e-6)


def test_the_capture_area_keeps_close_and_spans_a_wide_hole():
    x, y = np.meshgrid(np.arange(30), np.arange(30))
    spots = np.column_stack([x.ravel(), y.ravel()]) * 10.0
    hole = (np.abs(spots - 150) < 75).all(axis=1)
    area = capture_area(spots[~hole], 10.0)
    assert area.contains(spots).all()
    assert not area.contains(np.array([[-10.0, 50.0], [300.0, 50.0]])).any()


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0)])
def test_tissue_is_found_on_white_and_on_black_ground(background, rng):
    image = np.empty((400, 600, 3))
    image[:] = background
    y, x = np.mgrid[:400, :600]
    disc = (x - 300) ** 2 + (y - 200) ** 2 < 150**2
    image[disc] = (180, 110, 160)
    image[195:205, 295:305] = background
    image[10:14, 10:14] = (180, 110, 160)
    if background[0]:
        image[:120, 400:] = (210, 140, 190)  # eosin that has run out
    grain = np.where(disc, 25.0, 3.0)[..., None] * ndimage.gaussian_filter(rng.normal(0, 3, image.shape), (1, 1, 0))
    image = np.clip(image + grain, 0, 255).astype(np.uint8)
    spots = np.array([[300.0, 180.0], [320.0, 180.0], [320.0, 220.0]])
    region = tissue_mask(phg2st._image.open_image(image), spots, 20.0)
    assert region.contains(np.array([[300.0, 200.0], [300.0, 60.0], [170.0, 200.0]])).all()
    assert not region.contains(
        np.array([[12.0, 12.0], [300.0, 40.0], [130.0, 200.0], [-5.0, 5.0], [500.0, 30.0]])
    ).any()


def test_an_image_that_is_all_tissue_is_taken_whole(he_image, lattice_positions):
    assert tissue_mask(phg2st._image.open_image(he_image), lattice_positions, 40.0).mask.mean() > 0.95


def test_black_padding_with_the_colors_of_compression_is_no_tissue(rng):
    image = np.full((400, 600, 3), 245.0)
    image[:, 100:300] = (225, 190, 215)
    image += 6.0 * ndimage.gaussian_filter(rng.normal(0, 3, image.shape), (1, 1, 0))
    image[:, 300:] = ndimage.zoom(rng.integers(0, 12, (50, 38, 3)), (8, 8, 1), order=0)[:, :300]
    x, y = np.meshgrid(np.arange(110, 300, 20.0), np.arange(10, 400, 20.0))
    spots = np.column_stack([x.ravel(), y.ravel()])
    for extra in ([], [(400.0, 100.0), (500.0, 300.0)]):
        region = tissue_mask(
            phg2st._image.open_image(image.clip(0, 255).astype(np.uint8)), np.array([*spots, *extra]), 20.0
        )
        assert region.mask[:, region.mask.shape[1] // 2 + 2 :].mean() == 0.0
        assert region.contains(spots).mean() > 0.95
