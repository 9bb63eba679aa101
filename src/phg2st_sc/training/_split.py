"""Which training data choose when to stop: other patients where there are some, else other slides, else other spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST = 1 / 3
"""Share of the spots beyond which no further patient is left out."""
_ENOUGH = 1 / 2
"""Part of the share that was asked for, below which one more is left out all the same."""


@dataclass(frozen=True, eq=False)
class Split:
    """Inner split of the training slides.

    Attributes
    ----------
    unit
        ``"patient"``, ``"slide"``, ``"spot"`` or ``"none"``: what training and validation do not share.
    train, validation
        Slides to train and to validate on.
    held_out
        Of a single slide, the (n,) bool spots to validate on; ``None`` where whole slides are left out.
    """

    unit: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    held_out: NDArray[np.bool_] | None = None


def inner_split(
    sizes: Sequence[int],
    patients: Sequence[str | None],
    positions: Sequence[NDArray[np.float64]],
    *,
    fraction: float,
    seed: int = 0,
) -> Split:
    """Split training slides for early stopping.

    Whole patients are left out where there are at least two, the smallest first, until they have ``fraction`` of the
    spots, or half of that and one more would make it over a third; slides of no known patient then train. Else whole slides are left out in
    the same way. Of a single slide, one block of spots is: scattered ones would be predicted by their neighbours.

    Parameters
    ----------
    sizes
        Spots of each slide.
    patients
        Patient of each slide, where known.
    positions
        (n, 2) spot centres of each slide.
    fraction
        Share of the spots to leave out, at least; 0 leaves nothing out.
    seed
        Seed of the place of the block.
    """
    every = tuple(range(len(sizes)))
    if fraction == 0.0:
        return Split("none", every, ())
    known = {p for p in patients if p is not None}
    if len(known) >= 2:
        return _by_group("patient", list(patients), sizes, fraction)
    if len(sizes) >= 2:
        return _by_group("slide", [str(i) for i in every], sizes, fraction)
    return Split("spot", every, every, _block(positions[0], fraction, seed))


def _by_group(unit: str, groups: Sequence[str | None], sizes: Sequence[int], fraction: float) -> Split:
    """Leave out the smallest groups; slides of no known group always train."""
    names = sorted({g for g in groups if g is not None})
    weight = {name: sum(s for s, g in zip(sizes, groups, strict=True) if g == name) for name in names}
    left_out: set[str] = set()
    for name in sorted(names, key=lambda n: (weight[n], n))[:-1]:
        so_far, wanted = sum(weight[n] for n in left_out), fraction * sum(sizes)
        too_many = so_far >= _ENOUGH * wanted and so_far + weight[name] > _MOST * sum(sizes)
        if left_out and (so_far >= wanted or too_many):
            break
        left_out.add(name)
    validation = tuple(i for i, g in enumerate(groups) if g in left_out)
    return Split(unit, tuple(i for i in range(len(sizes)) if i not in validation), validation)


def _block(positions: NDArray[np.float64], fraction: float, seed: int) -> NDArray[np.bool_]:
    n = len(positions)
    size = min(max(round(fraction * n), 3), n - 1)
    center = positions[np.random.default_rng(seed).integers(n)]
    nearest = np.argsort(((positions - center) ** 2).sum(axis=1), kind="stable")[:size]
    block = np.zeros(n, dtype=bool)
    block[nearest] = True
    return block
