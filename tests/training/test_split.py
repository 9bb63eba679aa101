"""What decides when to stop shares nothing with what trains."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.training import inner_split

SQUARE = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), axis=-1).reshape(-1, 2)


def split(sizes, patients, fraction=0.15):
    return inner_split(sizes, patients, [SQUARE] * len(sizes), fraction=fraction)


def test_patients_are_left_out_whole_the_smallest_first():
    found = split([100, 50, 100, 300], ["A", "B", "A", "C"], fraction=0.05)
    assert (found.unit, found.train, found.validation) == ("patient", (0, 2, 3), (1,))
    more = split([20, 50, 30, 300], ["A", "B", "A", "C"], fraction=0.2)
    assert (more.train, more.validation) == ((3,), (0, 1, 2))


def test_no_more_than_a_third_is_left_out_beyond_the_first_patient():
    found = split([100, 50, 100, 300], ["A", "B", "A", "C"], fraction=0.15)
    assert found.validation == (1,)


def test_a_tiny_patient_does_not_decide_alone():
    found = split([10, 200, 200], ["A", "B", "C"], fraction=0.15)
    assert (found.unit, found.train, found.validation) == ("patient", (2,), (0, 1))


def test_one_patient_always_trains():
    found = split([100, 100], ["A", "B"], fraction=0.9)
    assert len(found.train) == len(found.validation) == 1


def test_slides_of_no_known_patient_train():
    assert 1 in split([100, 10, 100], ["A", None, "B"]).train


@pytest.mark.parametrize("patients", [["A", "A", "A"], [None, None, None]])
def test_slides_are_left_out_where_patients_cannot_be(patients):
    found = split([100, 80, 90], patients)
    assert (found.unit, found.train, found.validation) == ("slide", (0, 2), (1,))


def test_of_one_slide_a_block_is_left_out():
    found = split([100], ["A"], fraction=0.2)
    assert found.unit == "spot"
    assert found.train == found.validation == (0,)
    assert found.held_out.sum() == 20
    inside, outside = SQUARE[found.held_out], SQUARE[~found.held_out]
    center = inside.mean(axis=0)
    assert np.linalg.norm(inside - center, axis=1).max() < np.linalg.norm(outside - center, axis=1).mean()


def test_nothing_is_left_out_when_not_asked_for():
    found = split([100, 100], ["A", "B"], fraction=0.0)
    assert (found.unit, found.train, found.validation) == ("none", (0, 1), ())
