"""Sections that lie on the slide: what they say there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.models.phg2st.serial.poses import Pose
from phg2st_sc.models.phg2st.serial.references import Laid, Reference, lay_on, serial_trend


@pytest.fixture
def reference(tissue, fields):
    components, channels = fields(tissue, 3, 5), fields(tissue, 2, 6)
    rest, genes = fields(tissue, 2, 7), np.eye(2, 4)
    return Reference("r", "p", tissue, channels, components - components.mean(0), rest, genes)


def test_a_section_on_itself_returns_its_field(reference, tissue):
    laid = lay_on(tissue, reference.channels, [reference])
    nothing = np.zeros(0, dtype=np.int64)
    columns, rest = serial_trend(laid, nothing, np.zeros((0, 3)), np.zeros(0), np.ones(3))
    for found, expected in ((columns, reference.components), (rest[:][:, :2], reference.rest)):
        for a, b in zip(found.T, expected.T, strict=True):
            assert np.corrcoef(a, b)[0, 1] > 0.97  # averaged over the nearest few spots
    np.testing.assert_allclose(columns.mean(axis=0), 0.0, atol=1e-12)
    assert serial_trend([], nothing, np.zeros((0, 3)), np.zeros(0), np.ones(3)) is None


def test_prompts_decide_between_poses(reference, tissue):
    """The outlines prefer a wrong pose a little, and what was measured says so."""
    center = tuple(tissue.mean(axis=0))
    turned = Pose(flip=False, degrees=180.0, shift=(0.0, 0.0), center=center, onto=center, score=1.05)
    laid = Laid(reference, tissue, (turned, replace(turned, degrees=0.0, score=1.0)))
    index = np.arange(0, len(tissue), 4)
    args = (reference.components[index], np.ones(index.size), np.ones(3))
    by_prompts, _ = serial_trend([laid], index, *args)
    assert np.corrcoef(by_prompts.ravel(), reference.components.ravel())[0, 1] > 0.95
    alone, _ = serial_trend([laid], index[:0], args[0][:0], args[1][:0], args[2])
    assert np.corrcoef(alone.ravel(), reference.components.ravel())[0, 1] < 0.5


def test_outside_the_reference_nothing_is_expected(reference):
    far = Laid(reference, reference.positions, (Pose(flip=False, degrees=0.0, shift=(200.0, 200.0)),))
    columns, rest = serial_trend([far], np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0), np.ones(3))
    np.testing.assert_allclose(columns, 0.0, atol=1e-9)
    np.testing.assert_allclose(rest[:], 0.0, atol=1e-9)
