"""Slides with tiles around their spots, and every method trained on them once."""

from __future__ import annotations

import pytest
from forms import create, tiled


@pytest.fixture(scope="session")
def make_slide(make_slide):
    return lambda *args, **settings: tiled(make_slide(*args, **settings))


@pytest.fixture(scope="session")
def slide(make_slide):
    return make_slide(0)


@pytest.fixture(scope="session")
def cohort(make_slide):
    return [make_slide(seed) for seed in range(1, 5)]


class _Fitted(dict):
    """Methods by name, fitted when first asked for."""

    def __init__(self, cohort):
        self.cohort = cohort

    def __missing__(self, name):
        return self.setdefault(name, create(name).fit(self.cohort))


@pytest.fixture(scope="session")
def fitted_models(cohort):
    return _Fitted(cohort)


@pytest.fixture
def make(fitted_models):
    return lambda name, fitted: fitted_models[name] if fitted else create(name)
