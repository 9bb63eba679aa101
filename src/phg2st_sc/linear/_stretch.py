"""Length scales that the prompts of a slide ask for, on any range: from where a list of a few pitches ends to its extent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .._spacing import density_spacing
from ._comparison import Record
from ._gaussian import Covariance
from ._judge import Judge
from ._kernels import Places

Rated = tuple[Covariance, Record]

MIN_TO_CHOOSE = 100
"""Prompts below which the default covariance is kept: a choice made on fewer was worse than none on real sections."""
MIN_TO_LENGTHEN = 20
"""Prompts, far from each other, below which its length scales are kept too."""
_STEP = 2.0**0.5
_RATIOS = (0.5, 1.0, 2.0)
"""Factors of the signal-to-noise ratio: what is smooth over a longer way has more of it."""
_LEAST_SCALE = 1.0
"""In pitches."""
_FAR_APART = 5.0
"""Spacing of the prompts in pitches beyond which a length scale of as many is no longer one to start from."""
_FAR = 1.5
"""How much farther from the prompts than these from each other spots may lie, and count as lying among them."""


def stretched(judge: Judge, start: Covariance, places: Places, index: NDArray[np.int64]) -> Covariance:
    """The covariance with other length scales where prompts that are left out are clearly better predicted, else ``start``.

    As any choice among covariances it takes many prompts, but where they lie so far from each other that the usual length
    scales do not reach from one to the next. The squares are tempting, as a few strong genes ask for other scales where the
    other genes lose: what is taken has to correlate better over genes too. A covariance that sees the image is left as it
    is: on real sections its scores fell by a few thousandths.

    Parameters
    ----------
    judge
        Of the prompts.
    start
        Covariance to begin at.
    places
        All spots of the slide.
    index
        (p,) the prompts among them.
    """
    if start.kernel.sees_image(places):
        return start
    # leaving one prompt out of a block asks what is next to it, and speaks of nothing far away
    among = _is_among(places, index)
    if index.size < MIN_TO_CHOOSE and not (among and _are_sparse(places, index)):
        return start
    extent = float(np.ptp(places.positions, axis=0).max())
    squares = judge.of_squares
    found = _climb(squares, start, _STEP, extent)
    if index.size >= MIN_TO_CHOOSE and among:
        found += _climb(squares, start, 1.0 / _STEP, extent)
    first = judge.about_the_others(start)
    for covariance, _ in sorted(found, key=_explained, reverse=True):
        if judge.about_the_others(covariance).beats(first):
            return covariance
    return start


def _climb(judge: Judge, start: Covariance, step: float, extent: float) -> list[Rated]:
    """Longer and longer, or shorter and shorter length scales, as long as that helps."""
    found: list[Rated] = []
    last, factor = -np.inf, step
    while _LEAST_SCALE <= start.kernel.length_scale * factor <= extent:
        kernel = start.kernel.stretched(factor)
        tried = [Covariance(kernel, start.ratio * times) for times in _RATIOS]
        top = max(((one, judge.about_the_others(one)) for one in tried), key=_explained)
        if _explained(top) <= last:
            break
        found.append(top)
        last, factor = _explained(top), factor * step
    return found


def _explained(rated: Rated) -> float:
    return float(rated[1].skill.explained.sum())


def _are_sparse(places: Places, index: NDArray[np.int64]) -> bool:
    return index.size >= MIN_TO_LENGTHEN and density_spacing(places.positions[index]) > _FAR_APART


def _is_among(places: Places, index: NDArray[np.int64]) -> bool:
    """Whether the spots to predict are about as far from the prompts as these are from each other."""
    rest = np.delete(places.positions, index, axis=0)
    if not len(rest) or index.size < 2:
        return True
    prompts = places.positions[index]
    tree = cKDTree(prompts)
    apart = float(np.median(tree.query(prompts, k=2)[0][:, 1]))
    return bool(np.median(tree.query(rest)[0]) <= _FAR * apart)
