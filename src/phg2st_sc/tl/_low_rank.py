"""Predictions as a few numbers a spot: scores, and components over the genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._arrays import Latent, log_expression, positive_rates
from .._evidence import Assessment
from .._progress import part

if TYPE_CHECKING:
    from ..models import Prediction

Array = NDArray[np.float64]

_SAMPLED = 1024
"""Spots that components are found from, spread over the slide; four times as many as components where those are many."""
_STRIPES = 64
_LEAST = 1e-7
"""Size of a component, in units of the largest, below which it is rounding."""


@dataclass(frozen=True, eq=False)
class Components:
    """What a few scores of a spot mean, over the genes.

    Attributes
    ----------
    values
        (k, G) components.
    level
        (G,) rates where all scores are zero; NaN for genes that were not predicted.
    spread
        (G,) noise of the genes in units of the Poisson one.
    linear
        Whether rates fall in proportion below the level, else exponentially.
    kept
        Share of the squares of the prediction that the components hold.
    """

    values: NDArray[np.float32]
    level: NDArray[np.float32]
    spread: NDArray[np.float32]
    linear: bool
    kept: float = 1.0

    def mark(self, genes: Sequence[str], target_sum: float) -> str:
        """By which components, of these genes on this scale, are told from others."""
        said = " ".join([*genes, repr(float(target_sum))]).encode()
        return sha256(self.values.tobytes() + self.level.tobytes() + said).hexdigest()[:8]

    def expression(
        self, scores: NDArray[np.float32], factor: NDArray[np.float32], genes: NDArray[np.int64], target_sum: float
    ) -> NDArray[np.float32]:
        """(rows, genes) expression at some spots, of some genes by position."""
        level, spread = self.level[genes].astype(np.float64), self.spread[genes].astype(np.float64)
        whitened = scores.astype(np.float64) @ self.values[:, genes]
        rate = level + whitened * spread * np.sqrt(level) if self.linear else positive_rates(whitened, level, spread)
        return log_expression(rate * factor[:, None], target_sum)

    def record(self) -> dict[str, Any]:
        """As ``uns`` keeps them."""
        return {
            _keys.COMPONENTS: self.values,
            _keys.LEVEL: self.level,
            _keys.SPREAD: self.spread,
            _keys.LINEAR: self.linear,
            _keys.KEPT_SHARE: self.kept,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Components:
        """Back from :meth:`record`."""
        values, level, spread = (
            np.asarray(record[name], dtype=np.float32) for name in (_keys.COMPONENTS, _keys.LEVEL, _keys.SPREAD)
        )
        return cls(values, level, spread, bool(record[_keys.LINEAR]), float(record[_keys.KEPT_SHARE]))


@dataclass(frozen=True, eq=False)
class Factored:
    """A prediction of which only scores came back from where it was made.

    Attributes
    ----------
    details, assessment
        Of the prediction.
    scores, factor, components
        What :func:`factored` made of it.
    """

    details: Mapping[str, Any]
    assessment: Assessment | None
    scores: NDArray[np.float32]
    factor: NDArray[np.float32]
    components: Components


def factored(
    prediction: Prediction, n_components: int, lacking: NDArray[np.bool_], target_sum: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], Components]:
    """Scores (n, k) and factors (n,) of the spots of a slide, and the components over all genes that are returned.

    Parameters
    ----------
    prediction
        Of the slide.
    n_components
        At most so many.
    lacking
        (genes,) which of them the slide did not measure.
    target_sum
        Scale of the prediction.
    """
    linear = prediction.latent is None
    latent = prediction.latent or _of_expression(prediction, ~lacking, target_sum)
    directions = _directions(latent, n_components)
    scores = np.empty((latent.n, len(directions)), dtype=np.float32)
    factor = np.empty(latent.n, dtype=np.float32)
    total = kept = 0.0
    for rows in part(_slices(latent.n, latent.step), desc="predict", unit="block"):
        values, factor[rows] = latent.make(rows)
        found = values @ directions.T
        scores[rows] = found
        total, kept = total + float((values**2).sum()), kept + float((found**2).sum())
    if not (np.isfinite(scores).all() and np.isfinite(factor).all()):
        raise ValueError(
            "The prediction is not finite everywhere: a fault of the method, which its contract tests show."
        )
    components = Components(
        _over_all(directions, lacking),
        _over_all(latent.level, lacking),
        _over_all(np.ones(latent.level.size) if latent.spread is None else latent.spread, lacking),
        linear,
        min(kept / total, 1.0) if total > 0 else 1.0,
    )
    return scores, factor, components


def _of_expression(prediction: Prediction, measured: NDArray[np.bool_], target_sum: float) -> Latent:
    """The scale of a method that says nothing of its own: rates about their mean."""
    blocks = prediction.blocks

    def rates(rows: slice) -> Array:
        return np.expm1(blocks.make(rows)[:, measured].astype(np.float64)) / target_sum

    level = np.concatenate([rates(rows) for rows in _sample(blocks.n, _SAMPLED)]).mean(axis=0)
    level = np.maximum(level, 1e-12)

    def make(rows: slice) -> tuple[Array, Array]:
        values = rates(rows)
        return (values - level) / np.sqrt(level), np.ones(len(values))

    return Latent(blocks.n, make, level, None, blocks.step)


def _directions(latent: Latent, n_components: int) -> Array:
    """(k, G) orthonormal directions of genes that hold most of the prediction."""
    sample = np.concatenate([latent.make(rows)[0] for rows in _sample(latent.n, max(_SAMPLED, 4 * n_components))])
    squares, turned = np.linalg.eigh(sample @ sample.T)
    order = np.argsort(-squares)[:n_components]
    order = order[squares[order] > _LEAST**2 * max(squares[order[0]], 0.0)]
    if not order.size:  # the same everywhere
        return np.eye(1, sample.shape[1])
    found = np.linalg.qr(((turned[:, order] / np.sqrt(squares[order])).T @ sample).T)[0].T
    largest = np.abs(found).argmax(axis=1)
    return np.asarray(found * np.sign(found[np.arange(len(found)), largest])[:, None])


def _sample(n: int, size: int) -> Iterator[slice]:
    """Short runs of spots, spread evenly; all where there are few."""
    if n <= 2 * size:
        yield slice(0, n)
        return
    length = -(-size // _STRIPES)
    for start in np.linspace(0, n - length, _STRIPES).astype(int):
        yield slice(int(start), int(start) + length)


def _slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def _over_all(values: Array, lacking: NDArray[np.bool_]) -> NDArray[np.float32]:
    out = np.full((*values.shape[:-1], lacking.size), np.nan, dtype=np.float32)
    out[..., ~lacking] = values
    return out
