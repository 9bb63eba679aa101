"""What gene components say of every single gene: much of the genes that shape them, little of those that have no part in them.

Sample directions give every gene a loading, most of it chance where a gene varies little, and many such genes outnumber the
few that a section is about. How much of a loading is the gene's own is learned from all genes (empirical Bayes); the rest
becomes that of a gene without a pattern of its own, which shows less wherever others show more: shares add up to one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ACTIVITIES = np.concatenate([[0.0], 4.0 ** np.arange(-4.0, 4.0)])
"""Candidate variances of the true loadings of a gene, in units of the mean over genes."""
_ROUNDS = 30
_LEAST_EXCESS = 1e-3
_TINY = 1e-12


def own_loadings(weighted: Array, vectors: Array, trust: Array, flat: Array) -> tuple[Array, Array]:
    """Loadings of the genes, as far as they can be told from chance.

    The loadings of a gene are taken as drawn from normal distributions about those of a gene without a pattern, whose
    variance is the gene's activity, one of a few, how common each of these is being learned from all genes. Loadings of
    principal components are least-squares coefficients of the gene on the scores, and have their standard errors.

    Parameters
    ----------
    weighted
        (p, G) whitened rates of the prompts, of equal noise.
    vectors
        (G, k) their first principal directions, of length 1.
    trust
        (k,) in them; those without say nothing of what is a gene's own.
    flat
        (G,) whitened change of genes whose shares all change by one factor.

    Returns
    -------
    Loadings (G, k), and the share of each gene's loadings that is its own (G,), from 0 to 1.
    """
    power = ((weighted @ vectors) ** 2).sum(axis=0)
    left = (weighted**2).sum(axis=0) - vectors**2 @ power
    noise = np.maximum(left, left.mean()) / max(len(weighted) - vectors.shape[1], 1)
    squared_error = noise[:, None] / power
    told, common = trust > 0.0, np.zeros(vectors.shape[1])
    frequency = np.full(_ACTIVITIES.size, 1.0 / _ACTIVITIES.size)
    own = np.ones(vectors.shape)
    for _ in range(_ROUNDS):
        score = (vectors - flat[:, None] * common) ** 2 / squared_error
        excess = _ACTIVITIES[:, None] * np.maximum(score.mean(axis=0) - 1.0, _LEAST_EXCESS)
        chance = _chances(score[:, told], excess[:, told], frequency)
        frequency = chance.mean(axis=0)
        own = chance @ (excess / (1.0 + excess))
        common = _without_pattern(vectors, own, flat)
    # how far a component is to be believed as a whole is decided by its trust and by left-out prompts, not twice
    own = np.minimum(own / np.maximum((own * vectors**2).sum(axis=0), _TINY), 1.0)
    without = flat[:, None] * _without_pattern(vectors, own, flat)
    return without + own * (vectors - without), own[:, told].mean(axis=1)


def _without_pattern(vectors: Array, own: Array, flat: Array) -> Array:
    """(k,) loadings of genes without a pattern, in units of ``flat``, under which shares still add up to one."""
    return np.asarray(flat @ ((1.0 - own) * vectors) / np.maximum(flat**2 @ (1.0 - own), _TINY))


def _chances(score: Array, excess: Array, frequency: Array) -> Array:
    """(G, activities) probability of each activity, from squared standardized loadings (G, k)."""
    log = -0.5 * (score @ (1.0 / (1.0 + excess)).T + np.log1p(excess).sum(axis=1)) + np.log(frequency + _TINY)
    chance = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))
