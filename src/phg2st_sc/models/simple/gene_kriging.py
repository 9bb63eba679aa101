"""GeneKriging: by position, in gene components."""

from __future__ import annotations

import copy
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays
from ..._docs import documented
from ...linear import prompt_gene_basis
from .._limits import AtLeast
from .._registry import register
from ._kriging_base import KrigingEstimator


@register
@documented
class GeneKriging(KrigingEstimator):
    """Kriging in gene components: genes that vary together in space share their evidence.

    Fitted, the components come from the training slides (neighbour covariance of whitened rates); else from the prompts
    themselves (weighted principal components, at most a third as many as prompts).

    Parameters
    ----------
    {n_components:genes}
    n_prompt_components
        Gene components of the single-slide form.
    {length_scale} {ratio} {seed}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, image=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="gene_kriging").shape
    (60, 30)
    """

    name = "gene_kriging"
    limits: ClassVar = {"n_prompt_components": AtLeast(0)}
    min_prompts = 6

    def __init__(
        self,
        *,
        n_components: int = 30,
        n_prompt_components: int = 5,
        length_scale: float | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(length_scale=length_scale, ratio=ratio, n_components=n_components, seed=seed)
        self.n_prompt_components = n_prompt_components

    def _predict(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64] | None) -> Prediction:
        if self.is_fitted:
            return super()._predict(slide, prompts, genes)
        working = self._working(prompts)
        single = copy.copy(self)
        k = min(self.n_prompt_components, working.index.size // 3)
        single.basis = prompt_gene_basis(working.values, working.noise, k)
        kriged = single._krige(single._encoded(slide), working, working.values)
        return working.finish(kriged.field, details=kriged.details, genes=genes, posterior=kriged.posterior)
