"""Which slides decide how far a correction is trusted: of imaged and of bare ones, some each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...._arrays import SlideArrays
from ....training import Split, inner_split


def episode_split(arrays: Sequence[SlideArrays], *, fraction: float, seed: int) -> Split:
    """Split by :func:`inner_split`, imaged slides and others apart, so that both kinds are validated.

    A patient left out for one kind is left out whole. Where only one patient has images, one of the patient's slides would
    say little about other patients: all of them train, and what the image adds is then not trusted, unless no slide of
    another patient is there at all.

    Parameters
    ----------
    arrays
        The slides.
    fraction, seed
        See :func:`inner_split`.
    """
    imaged = [i for i, a in enumerate(arrays) if a.features is not None]
    others = [i for i in range(len(arrays)) if i not in imaged]
    patients = {a.patient for a in arrays if a.patient is not None}
    if not imaged or not others or len(patients) < 2 or fraction == 0.0:
        return _split(arrays, range(len(arrays)), fraction, seed)
    left_out: set[int] = set()
    for kind in (imaged, others):
        if len({arrays[i].patient for i in kind if arrays[i].patient is not None}) >= 2:
            chosen = _split(arrays, kind, fraction, seed)
            left_out |= {kind[i] for i in chosen.validation}
    gone = {arrays[i].patient for i in left_out}
    validation = tuple(
        i for i, a in enumerate(arrays) if i in left_out or (a.patient is not None and a.patient in gone)
    )
    train = tuple(i for i in range(len(arrays)) if i not in validation)
    if not validation or not train:
        return _split(arrays, range(len(arrays)), fraction, seed)
    return Split("patient", train, validation)


def _split(arrays: Sequence[SlideArrays], which: Sequence[int] | range, fraction: float, seed: int) -> Split:
    kind = [arrays[i] for i in which]
    return inner_split(
        [a.n_spots for a in kind],
        [a.patient for a in kind],
        [np.asarray(a.positions) for a in kind],
        fraction=fraction,
        seed=seed,
    )
