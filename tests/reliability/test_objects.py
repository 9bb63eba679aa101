"""Objects drawn at random, a small part with fixed seeds; and that the campaign would see a fault."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings

import phg2st_sc as phg2st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "reliability"))
_generated = pytest.importorskip("_generated", reason="the campaign is in a clone, not in the package")
objects = pytest.importorskip("objects")

QUIET = settings(
    max_examples=80, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


@seed(2026)
@QUIET
@given(_generated.cases())
def test_objects_at_random(case: Any) -> None:
    objects.check_case(case)


@pytest.fixture
def case() -> Any:
    """A plain object."""
    drawn = find(_generated.cases(), lambda _: True, settings=settings(QUIET, max_examples=1, phases=[Phase.generate]))
    plain = {
        **{
            "seed": 1,
            "n_slides": 1,
            "n_spots": 25,
            "n_genes": 8,
            "depth": 5.0,
            "storage": "csr f4",
            "layout": "lattice",
        },
        **{"spot_names": "plain", "gene_names": "plain", "mask": "column", "share": 0.4, "slide_key": "none"},
        **{"counts_in": "X", "spoiled": "no", "controls": "none", "lacking": "none", "method": "idw", "genes": "all"},
        **{"target_sum": None, "view": False, "targets": False, "panel": False, "odd_obs": False, "spatialdata": False},
    }
    return replace(drawn, **plain)


def test_a_plain_object_runs_to_the_end(case):
    assert objects.check_case(case) == dict.fromkeys(
        [
            f"{step}: done"
            for step in ("normalize", "sample_prompts", "build_hypergraph", "impute", "predict", "evaluate")
        ],
        1,
    )


def _touch_counts(data, **_):
    data.X.data[0] += 1


def _numpy_error(*_, **__):
    np.zeros(2)[3]


def _no_sentence(*_, **__):
    raise ValueError("bad")


@pytest.mark.parametrize(
    ("step", "fault", "message"),
    [
        ("normalize", _touch_counts, "X changed after normalize"),
        ("normalize", _numpy_error, "IndexError"),
        ("normalize", _no_sentence, "an error of a library"),
        ("sample_prompts", lambda data, **_: data.obs.__setitem__("other", 1), "came or went after sample_prompts"),
    ],
)
def test_faults_are_seen(case, monkeypatch, step, fault, message):
    monkeypatch.setattr(phg2st.pp, step, fault)
    with pytest.raises(objects.Fault, match=message):
        objects.check_case(case)


def test_a_leak_is_seen(case, monkeypatch):
    predict = phg2st.tl.predict

    def leaks(data, **settings):
        predicted = predict(data, **settings)
        predicted.X = predicted.X + np.float32(np.nan_to_num(data.X.toarray(), posinf=0.0)[-1].sum())
        return predicted

    with pytest.raises(objects.Fault, match="impute and predict differ|noise in rows"):
        monkeypatch.setattr(phg2st.tl, "predict", leaks)
        objects.check_case(case)
