"""Every method of the registry in its forms: alone on a slide, and trained on a cohort."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_networks import QUICK_MEMBER, SMALL, TILED

from phg2st_sc import models
from phg2st_sc.models import Estimator, TrainingSlide
from phg2st_sc.models.published._method import NetworkMethod

NAMES = models.methods()
SETTINGS = {
    **SMALL,
    "phg2st": QUICK_MEMBER,
    "triplex": {**SMALL["triplex"], "network": {**SMALL["triplex"]["network"], **TILED}},
}
COHORT = [name for name in NAMES if models.get_method(name).fit is not Estimator.fit]
FORMS = [(n, False) for n in NAMES if not models.get_method(n).needs_fit] + [(n, True) for n in COHORT]
NETWORKS = [name for name in NAMES if issubclass(models.get_method(name), NetworkMethod)]


def form_ids(forms):
    return [f"{name}-{'cohort' if fitted else 'single'}" for name, fitted in forms]


def form_marks(forms):
    """Parametrize a test over some forms."""
    return pytest.mark.parametrize(("name", "fitted"), forms, ids=form_ids(forms))


every_form = form_marks(FORMS)


def create(name):
    return models.create(name, **SETTINGS.get(name, {}))


def tiled(slide):
    """The slide with the embeddings of the 5 x 5 places around each spot: tiles as wide as the pitch."""
    place = {tuple(position): number for number, position in enumerate(slide.arrays.positions.astype(int).tolist())}
    steps = [(dx, dy) for dy in range(-2, 3) for dx in range(-2, 3)]
    around = [[place.get((int(x) + dx, int(y) + dy), -1) for dx, dy in steps] for x, y in slide.arrays.positions]
    context = {"context_index": np.array(around, dtype=np.int32), "tiles": slide.arrays.features}
    return replace(slide, arrays=replace(slide.arrays, **context))


def predict(method, arrays, prompts):
    """As ``tl.impute`` calls a method."""
    return method.adapt(arrays, prompts).predict(arrays, prompts)


def only_genes(slide: TrainingSlide, n: int) -> TrainingSlide:
    """The slide as a panel of its first genes."""
    counts = slide.counts[:, :n]
    return TrainingSlide(slide.arrays, counts, counts.sum(axis=1, dtype=np.float64) + 1, slide.genes[:n])
