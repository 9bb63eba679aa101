"""Cross-validation folds over the prompts of a slide that are as hard as the prediction itself.

Leaving scattered prompts out one by one asks for interpolation over one spacing. When the prompts fill one block and the
rest of the slide is far away, that is far too easy. Among random folds and spatially clustered ones, the folds are taken
whose distances from held-out to kept prompts are distributed most like the distances from unmeasured spots to prompts
(nearest-neighbour distance matching: Milà et al. 2022, Linnenbrink et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import wasserstein_distance

N_FOLDS = 5
_CLUSTERS = (40, 20, 10, 5)


def matched_folds(
    positions: NDArray[np.float64], index: NDArray[np.int64], *, seed: int, n_folds: int = N_FOLDS
) -> NDArray[np.int64]:
    """Fold (0 to n_folds - 1) of each prompt.

    Parameters
    ----------
    positions
        (n, 2) all spots, in lattice pitches.
    index
        (p,) the prompts, at least two.
    seed
        Seed of the folds.
    n_folds
        Number of folds; at most p.
    """
    n_folds = min(n_folds, index.size)
    prompts = positions[index]
    unmeasured = np.delete(positions, index, axis=0)
    wanted = cKDTree(prompts).query(unmeasured)[0] if unmeasured.size else np.ones(1)
    candidates = list(_candidates(prompts, n_folds, seed))
    return min(candidates, key=lambda folds: wasserstein_distance(_gaps(prompts, folds), wanted))


def _candidates(prompts: NDArray[np.float64], n_folds: int, seed: int) -> Iterator[NDArray[np.int64]]:
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    yield rng.permutation(np.arange(len(prompts)) % n_folds)
    for n_clusters in _CLUSTERS:
        if n_folds <= n_clusters < len(prompts):
            clusters = KMeans(n_clusters, n_init=4, random_state=seed).fit_predict(prompts)
            yield _balanced(clusters, n_folds)


def _balanced(clusters: NDArray[np.int64], n_folds: int) -> NDArray[np.int64]:
    """Deal clusters into folds, the largest first, each into the smallest fold so far."""
    sizes = np.bincount(clusters)
    filled = np.zeros(n_folds)
    fold_of = np.zeros(sizes.size, dtype=np.int64)
    for cluster in np.argsort(-sizes, kind="stable"):
        fold_of[cluster] = int(filled.argmin())
        filled[fold_of[cluster]] += sizes[cluster]
    return fold_of[clusters]


def _gaps(prompts: NDArray[np.float64], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Distance of every prompt to the nearest prompt of another fold."""
    gaps = np.empty(len(prompts))
    for fold in np.unique(folds):
        held_out = folds == fold
        gaps[held_out] = cKDTree(prompts[~held_out]).query(prompts[held_out])[0]
    return gaps
