"""Large sections gathered into cells: few, none lost, and laid as the spots themselves would be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc._arrays import SlideArrays, TrainingSlide
from phg2st_sc.linear import GeneBasis
from phg2st_sc.models.phg2st.serial import cells as cells_module
from phg2st_sc.models.phg2st.serial import lay_on, make_reference
from phg2st_sc.models.phg2st.serial.cells import Cells
from phg2st_sc.models.phg2st.serial.poses import Drawing, find_poses
from phg2st_sc.models.phg2st.serial.raster import Raster


@pytest.fixture(scope="module")
def large():
    """8,700 bins of a piece of tissue that looks the same only as it lies."""
    x, y = np.meshgrid(np.arange(110), np.arange(90))
    positions = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    return positions[(positions.sum(axis=1) > 35) & (np.hypot(*(positions - [80, 50]).T) > 14)]


@pytest.fixture(scope="module")
def slow_fields(large):
    """Three fields that vary over tens of pitches."""
    rng = np.random.default_rng(3)
    values = np.cos(large @ rng.normal(scale=0.08, size=(2, 36)) + rng.uniform(0, 6, 36)).reshape(-1, 12, 3).sum(axis=1)
    return (values - values.mean(axis=0)) / values.std(axis=0)


def test_few_spots_are_cells_of_their_own(tissue):
    cells = Cells.of(tissue)
    assert cells.positions is tissue
    assert cells.spacing == 1.0
    assert cells.sums(tissue) is tissue


def test_cells_keep_every_count(large):
    counts = np.random.default_rng(0).poisson(2.0, (len(large), 3)).astype(np.float32)
    cells = Cells.of(large, most=1000)
    assert 800 < len(cells.positions) <= 1000
    np.testing.assert_array_equal(cells.sums(counts).sum(axis=0), counts.sum(axis=0))
    assert cells.sums(counts).dtype == np.float32
    np.testing.assert_allclose(cells.means(np.ones((len(large), 1))), 1.0)
    np.testing.assert_allclose(cells.spacing**2 * 1000, len(large), rtol=0.3)


def test_a_raster_finds_what_is_nearest(large):
    rng = np.random.default_rng(1)
    points, places = large[:500] + rng.normal(scale=0.2, size=(500, 2)), rng.uniform(-5, 60, (400, 2))
    distance = np.linalg.norm(places[:, None] - points, axis=-1)
    found = Raster.of(points, 1.5)(places)
    on = found >= 0
    assert (on == (distance.min(axis=1) < 1.5)).mean() > 0.98
    farther = distance[np.arange(400), found][on] - distance.min(axis=1)[on]
    assert farther.max() < 0.25  # a step of the grid is a sixth of a pitch, and is taken twice


@pytest.mark.parametrize(("degrees", "shift"), [(0, (4, -1)), (8, (-12, 7)), (170, (30, 5))])
def test_a_large_section_is_laid_to_within_a_cell(large, slow_fields, degrees, shift):
    angle = np.deg2rad(degrees)
    section = large @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).T + shift
    one, other = Cells.of(section), Cells.of(large)
    pose = find_poses(
        Drawing.of(one.positions, one.means(slow_fields), one.spacing),
        Drawing.of(other.positions, other.means(slow_fields), other.spacing),
    )
    assert np.sqrt(((pose[0](section) - large) ** 2).sum(axis=1).mean()) < other.spacing


def test_cells_are_no_holes_in_a_drawing(large):
    """Cells of a section that is drawn finer than they are would lie on a grid of gaps."""
    few = Cells.of(large, most=800)
    section = Cells.of(large + [7.0, -3.0], most=800)
    one, other = (Drawing.of(cells.positions, None, cells.spacing) for cells in (section, few))
    assert one.cell >= few.spacing > 3
    pose = find_poses(one, other)[0]
    assert np.sqrt(((pose(large + [7.0, -3.0]) - large) ** 2).sum(axis=1).mean()) < few.spacing


@pytest.fixture
def big_slide(large, slow_fields):
    loadings = np.random.default_rng(4).normal(scale=0.5, size=(3, 6))
    rate = np.exp(slow_fields @ loadings)
    counts = np.random.default_rng(5).poisson(40 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    genes = tuple("abcdef")
    return TrainingSlide(SlideArrays("big", large, patient="p"), counts, counts.sum(axis=1, dtype=np.float64), genes)


def test_a_reference_of_a_large_section_sees_all_of_it(big_slide, slow_fields, monkeypatch):
    basis = GeneBasis(np.eye(6, 5), np.full(5, 0.05))
    monkeypatch.setattr(cells_module.Cells.of.__func__, "__kwdefaults__", {"most": 600})
    reference = make_reference(big_slide, basis, np.ones(6), None)
    assert len(reference.positions) <= 600
    assert reference.spacing > 3
    assert reference.is_of(big_slide.arrays)
    assert not reference.is_of(replace(big_slide.arrays, positions=big_slide.arrays.positions + 0.3))
    (laid,) = lay_on(big_slide.arrays.positions, None, [reference])
    assert len(laid.spots) == big_slide.arrays.n_spots
    design = np.column_stack([slow_fields, np.ones(len(slow_fields))])
    cells = Cells.of(big_slide.arrays.positions)
    told = np.linalg.lstsq(cells.means(design), reference.components, rcond=None)[0]
    left = reference.components - cells.means(design) @ told
    assert (left**2).sum() < 0.5 * (reference.components**2).sum()
