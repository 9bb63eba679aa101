"""What is learned from a cohort, and what is left of it without some of the slides."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc._state import pack, unpack
from phg2st_sc.linear._rates import RateScale
from phg2st_sc.linear._working import Working
from phg2st_sc.models.phg2st.conditioning import Encoded, condition
from phg2st_sc.models.phg2st.knowledge import Expectations, Knowledge, learn
from phg2st_sc.models.phg2st.propagated import Looks
from phg2st_sc.models.phg2st.trend_regression import learn_cohort_trend
from phg2st_sc.models.phg2st.trends import OTHER_PATIENTS, SAME_PATIENT


@pytest.fixture(scope="module")
def slides(make_training):
    return [make_training(seed, patient=f"p{seed // 2}") for seed in range(4)]


@pytest.fixture(scope="module")
def learned(slides):
    return learn(slides, n_components=4, method="m", seed=0)


def test_a_regression_without_a_slide_never_saw_it(slides):
    basis, spread = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 3)))[0], np.ones(16)
    trend = learn_cohort_trend(slides, basis, spread, method="m")
    found = trend.without({"s1"})
    weights, design, values = [], [], []
    for slide in (slides[0], slides[2], slides[3]):
        totals = slide.counts.sum(axis=1, dtype=np.float64)
        scale = RateScale.from_counts(slide.counts, totals, spread=spread)
        weight = 1.0 / (np.median(totals) / totals + 1.0)
        weights.append(weight / weight.mean())
        design.append(trend.radial(Looks(slide.arrays, "m").of(trend.view)))
        values.append(scale.whiten(slide.counts, totals) @ basis)
    w, x, y = (np.concatenate(one) for one in (weights, design, values))
    center = w @ x / w.sum()
    x = x - center
    ridge = x.T @ (w[:, None] * x) + trend.alpha * np.eye(x.shape[1])
    np.testing.assert_allclose(found.center, center, rtol=1e-10)
    rows = np.concatenate(design) * w[:, None]
    expected = np.linalg.solve(ridge, rows.T @ y)
    np.testing.assert_allclose(found.coefficients, expected, rtol=1e-6, atol=1e-10)
    assert trend.without({slide.arrays.name for slide in slides}) is None


def test_a_regression_finds_what_the_image_shows(slides, learned, make_training):
    new = make_training(11)
    predicted = (
        learned.knowledge.regression.predict(Looks(new.arrays, "m").of(learned.knowledge.regression.view))
        @ learned.knowledge.basis.vectors.T
    )
    share = new.counts / new.counts.sum(axis=1, keepdims=True)
    found = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, share.T, strict=True)]
    assert np.mean(found) > 0.25
    np.testing.assert_allclose(predicted.mean(axis=0), 0.0, atol=1e-9)


def test_without_a_slide_or_its_patient(slides, learned):
    one = learned.without(slides[0].arrays, whole_patient=False)
    assert {r.name for r in one.references} == {"s1", "s2", "s3"}
    assert one.imaged_patients == {"p0", "p1"}
    other = learned.without(slides[0].arrays, whole_patient=True)
    assert {r.name for r in other.references} == {"s2", "s3"}
    assert other.imaged_patients == {"p1"}
    assert learned.has_relatives(slides[0].arrays)


def test_who_is_a_relative(learned, make_training):
    seen = Expectations.of(learned.knowledge, Looks(make_training(12, patient="p0").arrays, "m"))
    assert seen.kind == SAME_PATIENT
    assert {laid.reference.name for laid in seen.laid} == {"s0", "s1"}
    new = Expectations.of(learned.knowledge, Looks(make_training(12).arrays, "m"))
    assert new.kind == OTHER_PATIENTS
    assert not new.laid
    itself = Expectations.of(learned.knowledge, Looks(make_training(0, patient="p0").arrays, "m"))
    assert {laid.reference.name for laid in itself.laid} == {"s1"}


def test_state_round_trip_predicts_the_same_bits(learned, make_training):
    settings, arrays = pack(learned.knowledge)
    again = unpack(Knowledge, json.loads(json.dumps(settings)), arrays)
    new = make_training(12, patient="p0")
    working = Working.of(new.prompts(np.arange(0, 150, 7), target_sum=1.0), spread=learned.knowledge.spread)
    out = [condition(k, Encoded.of(new.arrays, k, "m"), working).whitened for k in (learned.knowledge, again)]
    np.testing.assert_array_equal(*out)


def test_nothing_to_learn_from_one_gene(make_training):
    slide = make_training(0)
    one = replace(slide, counts=slide.counts[:, :1], genes=slide.genes[:1])
    assert learn([one], n_components=3, method="m", seed=0) is None
