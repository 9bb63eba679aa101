"""The linear part of the default model: trends of the cohort, and kriging of what the prompts add to them.

Single-slide and cohort form are one: without :class:`Knowledge` there are no trends, and every gene is its own component.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays
from ..._evidence import Posterior
from ...linear import (
    MAX_EXACT,
    MAX_JUDGED,
    Covariance,
    Field,
    Kernel,
    Places,
    Skill,
    System,
    Working,
    beyond,
    choose,
    even_subset,
    gene_signal,
    krige_columns,
    posterior,
)
from .knowledge import Expectations, Knowledge
from .propagated import Looks, propagated_components
from .serial import LowRank
from .slide_components import Alone, share_evidence
from .trends import Trends, slide_slopes

Array = NDArray[np.float64]

_SHORT, _LONG = 3.0, 8.0
OWN = Covariance(Kernel(_SHORT, 0.7, _LONG), 0.06)
"""Of single genes, before a slide has the prompts to say better."""
COHORT = Covariance(Kernel(_SHORT, 0.5, _LONG), 0.3)
"""Of gene components."""
_MIXES = (0.0, 0.3, 0.5, 0.7, 0.85)
_FACTORS = (1 / 3, 1.0, 3.0)
_UNEXPLAINED = 1 / 3
"""Share of the signal that trends of the same patient leave to the prompts."""
_WEAK_SLOPE, _MOST_EXPLAINED = 0.4, 0.8
_REMAINDER_RATIO = 0.02
_PRIOR_PROMPTS = 20.0
"""Prompts that an amplitude of 1 is worth."""
_LEAST_AMPLITUDE = 0.1
_MOST_AMPLITUDE = 4.0
_COLUMNS = 2048


@dataclass(frozen=True, eq=False)
class Encoded:
    """What is known of a slide before any prompt.

    Attributes
    ----------
    places
        Spots as the covariance sees them.
    expected
        What the cohort has to say; ``None`` without one.
    """

    places: Places
    expected: Expectations | None = None

    @classmethod
    def of(cls, slide: SlideArrays, knowledge: Knowledge | None, method: str) -> Encoded:
        """Encode a slide, with or without an image."""
        looks = Looks(slide, method)
        image = None if slide.features is None else propagated_components(looks)
        expected = None if knowledge is None else Expectations.of(knowledge, looks)
        return cls(Places.of(slide.positions, image), expected)

    def take(self, rows: NDArray[np.int64]) -> Encoded:
        """The same with some of the spots."""
        return Encoded(self.places[rows], None if self.expected is None else self.expected.take(rows))

    def without_image(self) -> Encoded:
        """The same for a covariance of places alone, and without a cohort."""
        return Encoded(Places(self.places.positions))


@dataclass(frozen=True, eq=False)
class Conditioned:
    """A slide under its prompts.

    Attributes
    ----------
    prediction
        (n, G) predicted whitened rates.
    components
        (n, k) the part of them in gene components; in the single-slide form ``prediction`` itself.
    observed, left_out
        (p, k) measured columns, and their leave-one-out predictions, at the prompts ``kept``.
    kept
        Prompts that ``observed`` speaks of: all, or an even subset of many.
    covariance, ratio
        That were used; signal-to-noise ratios by column.
    details
        What to tell of it.
    posterior
        What the prompts leave open.
    """

    prediction: Field
    components: Field
    observed: Array
    left_out: Array
    kept: NDArray[np.int64]
    covariance: Covariance
    ratio: Array
    details: dict[str, Any] = field(default_factory=dict)
    posterior: Posterior | None = None

    @property
    def whitened(self) -> Array:
        """(n, G) the prediction, all at once."""
        return self.prediction.whole()

    @property
    def columns(self) -> Array:
        """(n, k) the components, all at once."""
        return self.components.whole()


def condition(
    knowledge: Knowledge | None,
    encoded: Encoded,
    working: Working,
    *,
    propagation: bool = True,
    gene_covariance: bool = True,
) -> Conditioned:
    """Predict every spot of a slide from its prompts.

    Parameters
    ----------
    knowledge
        Of a cohort, or ``None``.
    encoded
        The slide, encoded with the same knowledge.
    working
        Its prompts.
    propagation
        Whether the prompts say anything about other spots, beyond their mean and the slopes of the trends.
    gene_covariance
        Whether prompts are kriged in the gene components of the cohort, or also in those that they show, else gene by gene.
    """
    trends, basis = Trends(), None
    if knowledge is not None and encoded.expected is not None:
        basis = knowledge.basis
        trends = encoded.expected.trends(knowledge, working)
        if not gene_covariance:
            trends, basis = trends.by_gene(basis.vectors), None
    vectors = None if basis is None else basis.vectors
    columns = working.values if vectors is None else working.values @ vectors
    if basis is None:
        signal = gene_signal(working)
    else:
        signal = np.atleast_1d(basis.signal(working.depth, rounded=working.index.size > MAX_EXACT))
    default = OWN if basis is None else COHORT
    if trends.same_patient:
        default = replace(default, ratio=default.ratio * _UNEXPLAINED)
    if knowledge is not None and trends:
        default = _less_image(default, trends.image_slope(knowledge.slopes[trends.kinds]))
    signal = np.broadcast_to(signal, columns.shape[1])
    problem = _Problem(encoded.places, working, columns, signal, default, propagation)
    trend, slopes = problem.trend(knowledge, trends)
    out = problem.solve(trend, np.broadcast_to(0.0, columns.shape) if trends else problem.level(vectors))
    prediction = out.components
    amplitude = problem.amplitude(out)
    if vectors is not None:
        rest = problem.remainder(vectors, trends.remainder, out.covariance)
        prediction = prediction.change(lambda values, rows: values @ vectors.T + rest.at(rows), width=rest.width)
    prediction = prediction.times(amplitude)
    if basis is None and gene_covariance and propagation and not trends:
        alone = Alone(prediction, out.observed, out.left_out, out.kept, amplitude)
        prediction = share_evidence(encoded.places, working, out.covariance, signal, alone)
    if not isinstance(columns, np.ndarray):  # too many to be held; nothing asks for them where there is no basis
        out = replace(out, observed=out.observed[:, :0].copy(), left_out=out.left_out[:, :0].copy())
    told = {
        "length_scale": out.covariance.kernel.length_scale,
        "mix": out.covariance.kernel.mix,
        "ratio": out.covariance.ratio,
        **slopes,
        "amplitude": amplitude,
    }
    return replace(
        out,
        prediction=prediction,
        components=out.components.times(amplitude),
        left_out=np.multiply(amplitude, out.left_out, out=out.left_out),
        details=told,
        posterior=problem.posterior(out, vectors),
    )


def _less_image(covariance: Covariance, slope: float) -> Covariance:
    """What a trend has taken from the image already is no reason to take places that look alike for close."""
    kernel = covariance.kernel
    explained = np.clip((slope - _WEAK_SLOPE) / (1.0 - _WEAK_SLOPE), 0.0, _MOST_EXPLAINED)
    return replace(covariance, kernel=replace(kernel, mix=kernel.mix * (1.0 - float(explained))))


@dataclass(frozen=True, eq=False)
class _Problem:
    places: Places
    working: Working
    columns: Array
    signal: Array
    default: Covariance
    propagation: bool

    def trend(self, knowledge: Knowledge | None, trends: Trends) -> tuple[Array | None, dict[str, Any]]:
        """Trend (n, k) under slopes that the prompts have corrected; ``None`` where there is none."""
        if not trends or knowledge is None:
            return None, {}
        slopes = np.asarray(knowledge.slopes[trends.kinds], dtype=np.float64)
        if self.working.index.size:
            kept = even_subset(self.working.index.size, MAX_JUDGED)
            index = self.working.index[kept]
            system = System.of(self.default, self.places[index], self.working.noise[kept], self.columns[kept])
            at_prompts = [value[index] for value in trends.values]
            ratio = self.default.ratio * self.signal
            slopes = slide_slopes(system, ratio, self.working.depth, at_prompts, slopes)
        told = {f"slope_{kind}": float(slope) for kind, slope in zip(trends.kinds, slopes, strict=True)}
        return trends.at(slopes), told

    def level(self, vectors: Array | None) -> Array:
        """(p, k) what each prompt would be predicted as by the level of the others."""
        level = self.working.leave_one_out_level()
        return level if vectors is None else level @ vectors

    def solve(self, trend: Array | None, level: Array) -> Conditioned:
        """Trend plus kriging of the residuals at the prompts; ``level`` as in :func:`choose`."""
        working, n_columns = self.working, self.columns.shape[1]
        if working.index.size == 0 or not self.propagation:
            nothing = np.zeros((0, n_columns))
            ratio = self.default.ratio * self.signal
            flat = _zeros(self.places.n, n_columns) if trend is None else Field.of(trend)
            return Conditioned(flat, flat, nothing, nothing, np.zeros(0, np.int64), self.default, ratio)
        residual = self.columns if trend is None else self.columns - trend[working.index]
        candidates = list(self._candidates())
        covariance, _ = choose(self.places, working, residual, level, self.default, candidates, self.signal)
        kriged = krige_columns(self.places, working.index, working.noise, residual, covariance, self.signal)
        if trend is not None:
            kriged = kriged.change(lambda values, rows: trend[rows] + values)
        kept = even_subset(working.index.size, MAX_EXACT)
        prompts, noise = self.places[working.index[kept]], working.noise[kept]
        observed = self.columns[kept]
        left_out = _left_out(covariance, prompts, noise, observed if trend is None else residual[kept], self.signal)
        return Conditioned(
            kriged,
            kriged,
            observed,
            left_out if trend is None else trend[working.index[kept]] + left_out,
            kept,
            covariance,
            covariance.ratio * self.signal,
        )

    def _candidates(self) -> Iterator[Covariance]:
        kernel = self.default.kernel
        for mix in _MIXES if self.places.image is not None else (kernel.mix,):
            for factor in _FACTORS:
                yield Covariance(replace(kernel, mix=mix), self.default.ratio * factor)

    def remainder(self, vectors: Array, expected: LowRank | None, covariance: Covariance) -> Field:
        """(n, G) what the components miss: mostly noise, predicted too, but flat."""
        working = self.working
        if working.index.size == 0 or not self.propagation:
            n, width = self.places.n, vectors.shape[0]
            return _zeros(n, width) if expected is None else Field(n, width, expected.__getitem__)
        missed = beyond(working.values, self.columns, vectors)
        rest = Covariance(covariance.kernel, _REMAINDER_RATIO)
        if expected is None:
            return krige_columns(self.places, working.index, working.noise, missed, rest)
        missed = missed - expected[working.index]
        kriged = krige_columns(self.places, working.index, working.noise, missed, rest)
        return kriged.change(lambda values, rows: expected[rows] + values)

    def posterior(self, out: Conditioned, vectors: Array | None) -> Posterior | None:
        """What the prompts leave open; ``None`` where they say nothing of other spots."""
        if not self.propagation:
            return None
        return posterior(
            self.places, self.working, out.covariance, out.ratio, vectors=vectors, remainder_ratio=_REMAINDER_RATIO
        )

    def amplitude(self, out: Conditioned) -> float:
        """Factor by which left-out prompts say that predictions should be stretched, shrunk towards 1."""
        n_prompts = out.observed.shape[0]
        if n_prompts < 2:
            return 1.0
        noise = self.working.noise[out.kept]
        skills = [Skill.of(out.observed[:, few], out.left_out[:, few], noise) for few in _some(out.observed.shape[1])]
        power, cross = (float(sum(getattr(one, what).sum() for one in skills)) for what in ("power", "cross"))
        prior = power * _PRIOR_PROMPTS / n_prompts
        if power <= 0:
            return 1.0
        return float(np.clip((cross + prior) / (power + prior), _LEAST_AMPLITUDE, _MOST_AMPLITUDE))


def _some(n_columns: int) -> Iterator[slice]:
    """Some columns after the other, so that what is computed of them takes little memory."""
    for start in range(0, n_columns, _COLUMNS):
        yield slice(start, min(start + _COLUMNS, n_columns))


def _left_out(covariance: Covariance, prompts: Places, noise: Array, columns: Array, signal: Array) -> Array:
    """Leave-one-out predictions, some columns at a time."""
    out = np.empty(columns.shape)
    system = System.of(covariance, prompts, noise, columns[:, :1])
    for few in _some(columns.shape[1]):
        rotated = system.vectors.T @ (columns[:, few] / system.root[:, None])
        some = replace(system, columns=columns[:, few], rotated=rotated)
        out[:, few] = some.leave_one_out(covariance.ratio * signal[few])
    return out


def _zeros(n: int, width: int) -> Field:
    return Field.of(np.broadcast_to(0.0, (n, width)))
