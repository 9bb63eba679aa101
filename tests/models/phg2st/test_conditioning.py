"""A slide under its prompts, against plain kriging and brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.linear._kernels import Places
from phg2st_sc.linear._working import gene_signal
from phg2st_sc.models.phg2st.conditioning import COHORT, OWN, Encoded, condition
from phg2st_sc.models.phg2st.knowledge import Expectations
from phg2st_sc.models.phg2st.trends import OTHER_PATIENTS


@pytest.fixture
def small(rng, make_working):
    """30 places with an image, 9 prompts of 5 genes."""
    places = Places.of(rng.uniform(0, 7, size=(30, 2)), rng.normal(size=(30, 3)))
    index = np.sort(rng.choice(30, 9, replace=False))
    working = make_working(index, rng.normal(scale=0.05, size=(9, 5)), rng.uniform(0.5, 2.0, 9))
    return Encoded(places), working


def dense(places, working, covariance, ratio, columns):
    """Kriging, a column at a time, with everything written out."""
    index = working.index
    signal = covariance.signal(places, places)
    found = []
    for r, column in zip(ratio, columns.T, strict=True):
        among = r * signal[np.ix_(index, index)] + np.diag(working.noise)
        found.append(r * signal[:, index] @ np.linalg.solve(among, column))
    return np.stack(found, axis=1)


def test_single_slide_equals_plain_kriging(small):
    encoded, working = small
    out = condition(None, encoded, working)
    expected = dense(encoded.places, working, OWN, OWN.ratio * gene_signal(working), working.values)
    np.testing.assert_allclose(out.whitened, out.details["amplitude"] * expected, rtol=1e-8, atol=1e-12)


def test_cohort_equals_kriging_in_gene_components(small, make_knowledge, rng):
    encoded, working = small
    vectors = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    knowledge = make_knowledge(vectors, np.array([0.02, 0.005]))
    encoded = replace(encoded, expected=_nothing_expected())
    out = condition(knowledge, encoded, working)
    ratio = COHORT.ratio * np.array([20.0, 5.0])  # variance times depth
    expected = dense(encoded.places, working, COHORT, ratio, working.values @ vectors)
    np.testing.assert_allclose(out.columns, out.details["amplitude"] * expected, rtol=1e-8, atol=1e-12)
    missed = working.values - working.values @ vectors @ vectors.T
    rest = dense(encoded.places, working, COHORT, np.full(5, 0.02), missed)
    whole = out.details["amplitude"] * (expected @ vectors.T + rest)
    np.testing.assert_allclose(out.whitened, whole, rtol=1e-8, atol=1e-12)


def _nothing_expected():
    return Expectations(None, OTHER_PATIENTS, ())


def test_leave_one_out_equals_refitting(small):
    encoded, working = small
    out = condition(None, encoded, working)
    ratio = OWN.ratio * gene_signal(working)
    for left in range(working.index.size):
        keep = np.arange(working.index.size) != left
        few = replace(working, index=working.index[keep], values=working.values[keep], noise=working.noise[keep])
        there = dense(encoded.places, few, OWN, ratio, few.values)[working.index[left]]
        np.testing.assert_allclose(out.left_out[left], out.details["amplitude"] * there, rtol=1e-7, atol=1e-12)


def test_order_of_spots_and_of_prompts_does_not_matter(small, rng):
    encoded, working = small
    expected = condition(None, encoded, working).whitened
    order = rng.permutation(working.index.size)
    turned = replace(working, index=working.index[order], values=working.values[order], noise=working.noise[order])
    np.testing.assert_allclose(condition(None, encoded, turned).whitened, expected, rtol=1e-8, atol=1e-12)
    spots = rng.permutation(encoded.places.n)
    moved = replace(working, index=np.argsort(spots)[working.index])
    found = condition(None, encoded.take(spots), moved).whitened
    np.testing.assert_allclose(found, expected[spots], rtol=1e-8, atol=1e-12)


def test_without_propagation_only_the_level_is_left(small):
    encoded, working = small
    np.testing.assert_array_equal(condition(None, encoded, working, propagation=False).whitened, 0.0)
    nobody = replace(working, index=working.index[:0], values=working.values[:0], noise=working.noise[:0], depth=0.0)
    np.testing.assert_array_equal(condition(None, encoded, nobody).whitened, 0.0)
