"""Features of spots and surroundings: the same for some spots at a time as all at once, and the old form's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from phg2st_sc.graph import PositionKNN
from phg2st_sc.models.phg2st.network import views
from phg2st_sc.models.phg2st.propagated import propagate


@pytest.fixture
def given():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 12, size=(150, 2))
    incidence = PositionKNN(n_neighbors=5).build(positions).incidence.tolil()
    incidence[7] = 0.0  # a spot in no hyperedge
    features = rng.normal(size=(150, 9)).astype(np.float32)
    features[:, 4] = 2.0
    features[3, 0] = 90.0  # is clipped
    return features, sparse.csr_matrix(incidence), positions


def all_at_once(features, incidence, _):
    def standardized(values):
        spread = values.std(axis=0)
        return np.clip((values - values.mean(axis=0)) / np.where(spread > 1e-6, spread, 1.0), -5, 5)

    own = standardized(features.astype(np.float64))
    return np.hstack([own, standardized(propagate(incidence, own))]).astype(np.float32)


def test_held_values_are_the_bits_of_all_at_once(given, monkeypatch):
    monkeypatch.setattr(views, "_COLUMNS_VALUES", 300)
    found = views.views_of(*given)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found.numpy(), all_at_once(*given))


def test_large_slides_are_not_held_and_say_the_same(given, monkeypatch):
    monkeypatch.setattr(views, "_HELD", 1000)
    monkeypatch.setattr(views, "_SPOTS", 40)
    monkeypatch.setattr(views, "_COLUMNS_VALUES", 300)
    found, expected = views.views_of(*given), all_at_once(*given)
    assert isinstance(found, views.Views)
    for rows in (torch.arange(150), torch.tensor([7]), torch.tensor([140, 3, 7, 60])):
        np.testing.assert_allclose(found[rows].numpy(), expected[rows.numpy()], atol=1e-6)
    mapped = found.map(lambda some: 2 * some, torch.device("cpu"))
    np.testing.assert_allclose(mapped.numpy(), 2 * expected, atol=2e-6)
