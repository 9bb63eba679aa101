"""Gene components of the slide itself: genes that vary together over its prompts share their evidence.

Kriged one by one, a gene of few counts is drowned by its own noise. The leading components of all genes over the prompts
have little of it. They are trusted as far as their directions can be told from chance, predicted as far as left-out prompts
say that each can be, and speak of a gene as far as its part in them can be told from chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...linear import (
    MIN_TO_CHOOSE,
    Covariance,
    Field,
    Kernel,
    Places,
    System,
    Working,
    even_subset,
    krige_columns,
    neighborhoods,
    prompt_gene_basis,
)
from .gene_loadings import own_loadings

Array = NDArray[np.float64]

MIN_PROMPTS = 20
"""Prompts below which every gene is by itself."""
_MOST_COMPONENTS = 40
_MOST_VALUES = 1 << 23
"""Of prompts and genes, that components are found from: an even subset of the prompts when there are more."""
_SHARED, _AS_GENES = 0.5, 0.2
"""Weights of a component that is certain, as it predicts best, and with the signal that its genes have one by one; the rest is
that of every gene by itself. On real sections such a mean was better than either."""
_UNSURE, _SURE = 0.5, 0.9
"""Squared cosines between a direction and the true one, from where on it counts and from where on it counts in full."""
_RATIOS = 4.0 ** np.arange(-3.0, 7.0)
"""Candidate signal-to-noise ratios of a component, in units of that of a gene; few, as a system is solved for each."""
_MOST_AMPLITUDE = 1.5
_LENGTH_SCALES = ((3.0, 8.0), (8.0, 30.0))
_MIXES = (0.0, 0.3, 0.5, 0.7, 0.85, 0.95)
_STANDARD_ERRORS = 1.0
"""By which another kernel must be better on left-out prompts."""
_ROWS = 256


@dataclass(frozen=True, eq=False)
class Alone:
    """Every gene predicted by itself.

    Attributes
    ----------
    prediction
        (n, G) whitened rates, ``amplitude`` in them.
    observed, left_out
        (p, G) measured, and predicted without ``amplitude`` from the others, at the prompts ``kept``.
    kept
        Prompts that they speak of.
    amplitude
        Factor of the prediction.
    """

    prediction: Field
    observed: Array
    left_out: Array
    kept: NDArray[np.int64]
    amplitude: float


def share_evidence(places: Places, working: Working, covariance: Covariance, signal: Array, alone: Alone) -> Field:
    """Predictions of the genes that also rest on the components that they are part of.

    Parameters
    ----------
    places
        The n spots of the slide.
    working
        Its prompts.
    covariance
        Of the genes.
    signal
        (G,) factors of its ratio by gene.
    alone
        What is predicted without them.
    """
    found = _Components.of(working)
    if found is None:
        return alone.prediction
    columns = np.asarray(working.values @ found.vectors)
    as_genes = covariance.ratio * _rounded(signal @ found.vectors**2)
    of_gene = covariance.ratio * float(_rounded(float(np.median(signal))))
    kernel = _best_kernel(places[working.index], working.noise, columns, found.trust, covariance, of_gene)
    covariance, kept = Covariance(kernel, 1.0), alone.kept
    system = System.of(covariance, places[working.index[kept]], working.noise[kept], columns[kept])
    ratio, factor = _fitted(system, of_gene)
    kriged = krige_columns(
        places,
        working.index,
        working.noise,
        np.hstack([columns, columns]),
        covariance,
        np.concatenate([ratio, as_genes]),
    )
    # a gene that has no part in the components hardly varies: its own prompts say no more of it
    together = 1.0 - (1.0 - _SHARED - _AS_GENES) * found.own
    given_up = together * found.overall * (1.0 - _certainty_of_the_rest(alone, found.vectors, working.noise[kept]))
    by_genes = (given_up[:, None] - _SHARED * found.trust) * alone.amplitude
    weights = np.hstack([np.broadcast_to(_SHARED * found.trust * factor, by_genes.shape), by_genes])
    shared = _in_genes(kriged, np.hstack([found.loadings, found.loadings]) * weights)
    return alone.prediction.times(1.0 - given_up).plus(shared)


def _certainty_of_the_rest(alone: Alone, vectors: Array, noise: Array) -> float:
    """Factor by which left-out prompts say that what is beyond the components should be stretched, from 0 to 1."""
    cross = power = 0.0
    for start in range(0, len(noise), _ROWS):
        rows = slice(start, start + _ROWS)
        truth, guess = (one[rows] - (one[rows] @ vectors) @ vectors.T for one in (alone.observed, alone.left_out))
        cross += float((truth * guess).sum(axis=1) @ (1.0 / noise[rows]))
        power += float((guess**2).sum(axis=1) @ (1.0 / noise[rows]))
    return float(np.clip(cross / max(alone.amplitude * power, 1e-300), 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class _Components:
    """Directions in which the prompts vary most.

    Attributes
    ----------
    vectors
        (G, k) directions.
    loadings, own
        (G, k) of the genes, as far as they can be told from chance, and (G,) that share of them.
    trust
        (k,) in each direction, from 0 to 1.
    overall
        Its mean, weighted by what they vary beyond noise.
    """

    vectors: Array
    loadings: Array
    own: Array
    trust: Array
    overall: float

    @classmethod
    def of(cls, working: Working) -> _Components | None:
        """Find them; ``None`` where there are too few prompts or genes, or none can be told from chance."""
        n_prompts, n_genes = working.values.shape
        count = min(_MOST_COMPONENTS, round(np.sqrt(n_prompts) / 2), n_genes // 3)
        if n_prompts < MIN_PROMPTS or count < 1:
            return None
        kept = even_subset(n_prompts, max(MIN_PROMPTS, _MOST_VALUES // n_genes))
        values, noise = np.asarray(working.values[kept], dtype=np.float64), working.noise[kept]
        basis = prompt_gene_basis(values, noise, count)
        if basis is None:
            return None
        weighted = values / np.sqrt(noise)[:, None]
        power = ((weighted @ basis.vectors) ** 2).sum(axis=0)
        level = (float((weighted**2).sum()) - power.sum()) / ((kept.size - count) * (n_genes - count))
        if level <= 0.0:
            return None
        variance = power / (kept.size * level)
        trust = np.clip((_squared_cosine(variance, n_genes / kept.size) - _UNSURE) / (_SURE - _UNSURE), 0.0, 1.0)
        beyond_noise = np.maximum(variance - 1.0, 0.0)
        overall = float(trust @ beyond_noise / max(beyond_noise.sum(), 1e-12))
        if overall <= 0.0:
            return None
        scale = working.scale
        flat = np.sqrt(scale.level) if scale.spread is None else np.sqrt(scale.level) / scale.spread
        loadings, own = own_loadings(weighted, basis.vectors, trust, flat)
        return cls(basis.vectors, loadings, own, trust, overall)


def _squared_cosine(variance: Array, genes_per_prompt: float) -> Array:
    """Squared cosines expected between sample directions and true ones, by the variances of samples of unit noise.

    Paul, Statistica Sinica 17 (2007): a direction whose variance is that of noise alone says nothing, whatever it looks like.
    """
    about = variance - 1.0 - genes_per_prompt
    strength = 0.5 * (about + np.sqrt(np.maximum(about**2 - 4.0 * genes_per_prompt, 0.0)))
    seen = variance > (1.0 + np.sqrt(genes_per_prompt)) ** 2
    cosine = (strength**2 - genes_per_prompt) / np.maximum(strength**2 + genes_per_prompt * strength, 1e-12)
    return np.where(seen, np.clip(cosine, 0.0, 1.0), 0.0)


def _rounded(ratio: Array | float) -> Array:
    return np.asarray(4.0 ** np.round(np.log2(ratio) / 2.0))


def _fitted(system: System, of_gene: float) -> tuple[Array, Array]:
    """(k,) ratio of every component under which its left-out prompts are predicted best, and the factor that is best then."""
    weight, truth = 1.0 / system.root[:, None] ** 2, system.columns
    width = truth.shape[1]
    least, ratio, factor = np.full(width, np.inf), np.full(width, of_gene), np.ones(width)
    for tried in of_gene * _RATIOS:
        guess = system.leave_one_out(np.array([tried]))
        error = (weight * (truth - guess) ** 2).sum(axis=0)
        power = np.maximum((weight * guess**2).sum(axis=0), 1e-300)
        better = error < least
        least[better], ratio[better] = error[better], tried
        factor[better] = ((weight * guess * truth).sum(axis=0) / power)[better]
    return ratio, np.clip(factor, 0.0, _MOST_AMPLITUDE)


def _best_kernel(
    prompts: Places, noise: Array, columns: Array, trust: Array, start: Covariance, of_gene: float
) -> Kernel:
    """Kernel under which left-out prompts are predicted best in components; that of the genes unless another is better.

    Components are few and certain, and tell longer length scales and the worth of the image better than genes do.
    """
    if prompts.n < MIN_TO_CHOOSE:
        return start.kernel
    kept, scored = neighborhoods(prompts.positions)
    prompts, noise, columns = prompts[kept], noise[kept], columns[kept]

    def missed(kernel: Kernel) -> Array:
        system = System.of(Covariance(kernel, 1.0), prompts, noise, columns)
        weight = trust / noise[scored, None]
        tried = [weight * (columns - system.leave_one_out(np.array([one])))[scored] ** 2 for one in of_gene * _RATIOS]
        best = np.argmin([one.sum(axis=0) for one in tried], axis=0)
        return np.choose(best, tried).sum(axis=1)

    before = missed(start.kernel)
    kernel, error = min(((one, missed(one)) for one in _kernels(start.kernel, prompts)), key=lambda one: one[1].sum())
    gain = before - error
    better = gain.mean() > _STANDARD_ERRORS * gain.std(ddof=1) / np.sqrt(gain.size)
    return kernel if better else start.kernel


def _kernels(start: Kernel, prompts: Places) -> Iterator[Kernel]:
    for length_scale, longer in _LENGTH_SCALES:
        for mix in _MIXES if prompts.image is not None else (start.mix,):
            yield Kernel(length_scale, mix, longer)


def _in_genes(kriged: Field, vectors: Array) -> Field:
    """Sums of components (n, G), of all genes or of some."""

    def some(few: slice) -> Field:
        turn = vectors[few].T
        return Field(kriged.n, turn.shape[1], lambda rows: kriged.at(rows) @ turn)

    return Field(kriged.n, len(vectors), some(slice(0, len(vectors))).at, some)
