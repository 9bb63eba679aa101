"""The scale on which HisToGene, Hist2ST and HGGEP predict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._method import SHARE_SCALE, NetworkMethod

_LARGEST = np.log10(1.0 + SHARE_SCALE)
"""Of a gene that has all counts of the panel."""


class Log10Method(NetworkMethod):
    """A network that predicts log10(1 + 10,000 x share in the panel).

    The shares that it predicts at a spot are made to add up to 1: each gene is predicted by itself, and what they have in
    common may come out far too high or low on another slide.
    """

    def _expression(self, counts: NDArray[np.floating], totals: NDArray[np.floating]) -> NDArray[np.float32]:
        return (super()._expression(counts, totals) / np.log(10.0)).astype(np.float32)

    def _share(self, output: NDArray[np.float32]) -> NDArray[np.float64]:
        share = np.expm1(np.clip(output.astype(np.float64), 0.0, _LARGEST) * np.log(10.0))
        return share / np.maximum(share.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
