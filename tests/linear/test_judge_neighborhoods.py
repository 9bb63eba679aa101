"""Which prompts covariances are judged by."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from phg2st_sc.linear import neighborhoods


def test_few_prompts_are_all_judged(rng):
    kept, scored = neighborhoods(rng.uniform(size=(300, 2)))
    np.testing.assert_array_equal(kept, np.arange(300))
    np.testing.assert_array_equal(scored, np.arange(300))


def test_those_of_many_that_count_have_their_neighbors(rng):
    points = rng.uniform(size=(5000, 2)) * 100
    kept, scored = neighborhoods(points)
    assert len(kept) < 800
    assert 100 < len(scored) < len(kept)
    true = cKDTree(points).query(points[kept[scored]], k=2)[0][:, 1]
    among_kept = cKDTree(points[kept]).query(points[kept[scored]], k=2)[0][:, 1]
    assert np.mean(among_kept < true + 1e-9) > 0.95
