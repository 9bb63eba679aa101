"""What was promised of every gene, beside what it reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from .. import _keys
from .._slide import Slide
from ..metrics import depth_free_target, pcc
from ._stored import Stored

Array = NDArray[np.float64]

_FEWEST = 10
"""Genes from which on ranks are compared."""


def add_promise(
    scores: pd.DataFrame,
    result: Stored,
    slide: Slide,
    counts: Any,
    values: NDArray[np.floating],
    positions: Array,
    *,
    seed: int | None,
) -> None:
    """Add the column ``trust`` to scores, and to ``.attrs`` how it compares with ``pcc``; nothing where nothing was promised.

    Parameters
    ----------
    scores
        Of a section, by method and gene.
    result
        The prediction.
    slide
        The section.
    counts, values, positions
        Counts, predictions and positions in lattice pitches of the held-out spots.
    seed
        Of the halves of the counts; ``None`` leaves them out.
    """
    column = _keys.assessed(result.layer, _keys.TRUST)
    if _keys.TRUST not in result.record or column not in slide.table.var:
        return
    trust = slide.table.var[column].to_numpy(dtype=np.float64)[result.columns]
    if not np.isfinite(trust).any():
        return
    own = (scores["method"] == result.layer).to_numpy()
    scores["trust"] = np.nan
    scores.loc[own, "trust"] = trust
    reached = scores.loc[own, "pcc"].to_numpy(dtype=np.float64)
    halves = None if seed is None else _by_halves(counts, values, positions, seed)
    scores.attrs["promise"] = compared(trust, reached, halves)


def compared(trust: Array, reached: Array, halves: tuple[Array, Array] | None) -> dict[str, float]:
    """How expected correlations compare with those that are reached.

    Parameters
    ----------
    trust, reached
        (G,) expected and reached.
    halves
        What is reached on either half of the held-out counts, or ``None``.
    """
    known = np.isfinite(trust) & np.isfinite(reached)
    trust, reached = trust[known], reached[known]
    out = {"promised": float(trust.mean()), "reached": float(reached.mean())} if known.any() else {}
    if known.sum() < _FEWEST:
        return out
    top = np.argsort(-trust, kind="stable")[: known.sum() // 10]
    out |= {"top_tenth": float(reached[top].mean()), "rank_correlation": _rank_correlation(trust, reached)}
    if halves is not None:
        agree = max(_rank_correlation(*(half[known] for half in halves)), 0.0)
        # as of a noise ceiling: from half of the counts to all of them, and from them to what is behind them
        out["rank_reachable"] = float(np.sqrt(2 * agree / (1 + agree)))
    return out


def _rank_correlation(a: Array, b: Array) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    ranks = rankdata(a[known]), rankdata(b[known])
    if known.sum() < 2 or any(np.ptp(one) == 0 for one in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _by_halves(counts: Any, values: NDArray[np.floating], positions: Array, seed: int) -> tuple[Array, Array]:
    """(G,) correlations of the prediction with either half of the counts."""
    whole = np.asarray(counts.todense() if hasattr(counts, "todense") else counts, dtype=np.int64)
    half = np.random.default_rng(seed).binomial(whole, 0.5)
    first, second = (pcc(depth_free_target(one, positions), values) for one in (half, whole - half))
    return first, second
