"""Pitch of lattices with jitter and holes, and µm per pixel by a fixed order of sources."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc._slide._lattice import Scale, platform_pitch, resolve_mpp
from phg2st_sc._spacing import lattice_pitch


def square(n=25, pitch=40.0):
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    return np.column_stack([x.ravel(), y.ravel()]) * pitch


def hexagonal(n=25, pitch=40.0):
    points = square(n, 1.0)
    points[:, 0] += 0.5 * (points[:, 1] % 2)
    return points * (pitch, pitch * np.sqrt(0.75))


@pytest.mark.parametrize("lattice", [square, hexagonal])
def test_exact_lattice(lattice):
    assert lattice_pitch(lattice() + 1e4) == pytest.approx(40.0, rel=1e-9)


@pytest.mark.parametrize("lattice", [square, hexagonal])
def test_jitter_does_not_pull_the_pitch_down(lattice, rng):
    points = lattice() + rng.normal(0, 3.0, (625, 2))
    assert lattice_pitch(points) == pytest.approx(40.0, rel=0.02)


@pytest.mark.parametrize("lattice", [square, hexagonal])
@pytest.mark.parametrize("kept", [0.7, 0.3, 0.15])
def test_missing_spots_do_not_pull_it_up(lattice, kept, rng):
    points = lattice()
    points = points[rng.random(len(points)) < kept] + rng.normal(0, 0.5, (1, 2))
    assert lattice_pitch(points) == pytest.approx(40.0, rel=0.02)


def test_order_of_spots_does_not_matter(rng):
    points = square(160) + rng.normal(0, 2.0, (25600, 2))
    assert lattice_pitch(points) == lattice_pitch(rng.permutation(points))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.ones((1, 2)), np.ones((5, 2)), [[1.0, 2.0], [np.nan, 3.0]]])
def test_fewer_than_two_places_have_no_pitch(points):
    assert np.isnan(lattice_pitch(np.asarray(points)))


@pytest.mark.parametrize(
    ("name", "pitch"),
    [("ST", 200), ("st2k", 150), ("visium", 100), ("Visium HD 8 µm", 8), ("visium_hd_2um", 2), ("VisiumHD16", 16)],
)
def test_platform_names_in_any_spelling(name, pitch):
    assert platform_pitch(name) == pitch


@pytest.mark.parametrize("name", ["Visium HD", "slide-seq", ""])
def test_a_platform_without_one_pitch_is_not_guessed(name):
    assert platform_pitch(name) is None


def record(metadata=None, scalefactors=None):
    return {"metadata": metadata or {}, "scalefactors": scalefactors or {}}


def mpp(said=None, found=None, pitch=50.0, scale=1.0):
    return resolve_mpp(said or Scale(), found or {}, pitch, pixel_scale=scale, name="s")[:2]


def doubt(said, found, pitch=50.0):
    return resolve_mpp(said, found, pitch, pixel_scale=1.0, name="s").doubt


def test_every_source_of_the_pixel_size():
    assert mpp(Scale(mpp=0.5)) == (0.5, "argument")
    assert mpp(Scale(pitch_um=100)) == (2.0, "pitch_um")
    assert mpp(Scale(platform="ST")) == (4.0, "platform")
    assert mpp(found=record({"mpp": 0.25})) == (0.25, "metadata")
    assert mpp(found=record({"pitch_um": 100})) == (2.0, "pitch_um")
    assert mpp(found=record({"platform": "Visium"})) == (2.0, "platform")
    assert mpp(found=record(scalefactors={"microns_per_pixel": 0.27})) == (0.27, "metadata")
    assert mpp(found=record(scalefactors={"bin_size_um": 8.0})) == (0.16, "pitch_um")


def test_nothing_known_means_unknown():
    assert mpp() == (None, None)
    assert mpp(found=record({"platform": "other", "mpp": "?"}, {"spot_diameter_fullres": 65.0})) == (None, None)
    assert mpp(Scale(platform="ST"), pitch=float("nan")) == (None, None)


def test_record_speaks_of_full_resolution_pixels():
    assert mpp(found=record({"mpp": 0.5}), scale=0.25) == (2.0, "metadata")
    assert mpp(found=record({"platform": "Visium"}), scale=0.25) == (2.0, "platform"), "the pitch is in image pixels"


def test_the_argument_wins_and_the_contradiction_is_told():
    said, found = Scale(mpp=0.5), record({"mpp": 0.6})
    assert mpp(said, found) == (0.5, "argument")
    assert doubt(said, found) == (
        "Slide 's': `mpp=` means 0.5 µm per pixel, but the record's 'mpp' means 0.6. `mpp=` is used."
    )
    found = record({"mpp": 1.0, "platform": "Visium"})
    assert mpp(found=found) == (1.0, "metadata")
    assert "the platform 'Visium' means 2. the record's 'mpp' is used; pass `mpp=` to decide." in doubt(Scale(), found)


def test_within_ten_percent_there_is_nothing_to_say():
    assert mpp(Scale(mpp=0.5), record({"mpp": 0.53}))[0] == 0.5
    assert not doubt(Scale(mpp=0.5), record({"mpp": 0.53}))


@pytest.mark.parametrize(
    "bad",
    [
        {"mpp": 0},
        {"mpp": -1.0},
        {"pitch_um": float("nan")},
        {"mpp": "x"},
        {"mpp": "0.5"},
        {"mpp": True},
        {"mpp": [0.5]},
    ],
)
def test_sizes_must_be_positive_numbers(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be a number of µm above 0, got"):
        Scale(**bad)


def test_unknown_platform_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'Visium HD'; known are 'ST', .*'Visium HD 8'.*pitch_um="):
        Scale(platform="Visium HD")
