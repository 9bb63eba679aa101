"""IDW: inverse-distance weighting of the nearest prompts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..._arrays import Prediction, Prompts, SlideArrays, log_expression
from ..._row_blocks import RowBlocks, block_rows
from .._base import Estimator
from .._limits import AtLeast, Positive
from .._registry import register

_NEAREST = 0.5
"""In lattice pitches: nearer than this no prompt weighs more, so that the prediction at a prompt is not its own counts."""


@register
class IDW(Estimator):
    """Pooled rate of the nearest prompts, each weighing ``1 / distance ** power``.

    Counts and totals are averaged separately and then divided (a weighted rate), so that shallow prompts add little noise.
    Distances below half a lattice pitch count as half a pitch: a measured spot is smoothed too, never echoed.

    Parameters
    ----------
    n_neighbors
        Prompts that enter a prediction.
    power
        Exponent of the distance.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, image=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="idw", n_neighbors=4).shape
    (60, 30)
    """

    name = "idw"
    kind = "simple"
    limits: ClassVar = {"n_neighbors": AtLeast(1), "power": Positive()}
    min_prompts = 1

    def __init__(self, *, n_neighbors: int = 6, power: float = 1.0) -> None:
        self.n_neighbors, self.power = n_neighbors, power

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        return self.predict_genes(slide, prompts, np.arange(prompts.n_genes))

    def predict_genes(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
        """Predict some genes of the panel: of the others, only the totals of the prompts are needed."""
        k = min(self.n_neighbors, prompts.n_prompts)
        tree = cKDTree(slide.positions[prompts.index])
        distance, nearest = (a.reshape(slide.n_spots, k) for a in tree.query(slide.positions, k=k))
        weight = 1.0 / np.maximum(distance, _NEAREST) ** self.power
        weight /= weight.sum(axis=1, keepdims=True)
        every = genes.size == prompts.n_genes and np.array_equal(genes, np.arange(genes.size))
        measured = prompts.counts if every else prompts.counts[:, genes]
        panel = prompts.counts.sum(axis=1, dtype=np.float64)
        pooled = np.maximum((weight * panel[nearest]).sum(axis=1), 1e-12)
        fraction = float(panel.sum() / max(prompts.totals.sum(), 1.0))

        def expression(rows: slice) -> NDArray[np.float32]:
            counts = np.zeros((rows.stop - rows.start, genes.size))
            for rank in range(k):
                counts += weight[rows, rank, None] * measured[nearest[rows, rank]]
            counts *= fraction
            counts /= pooled[rows, None]
            return log_expression(counts, prompts.target_sum)

        return Prediction(RowBlocks(slide.n_spots, genes.size, expression, block_rows(genes.size)))
