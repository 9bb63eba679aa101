"""Kriging: every gene by itself, by position."""

from __future__ import annotations

from ..._docs import documented
from .._registry import register
from ._kriging_base import KrigingEstimator


@register
@documented
class Kriging(KrigingEstimator):
    """Count-weighted kriging of every gene by position.

    Whitened rates of the prompts are Gaussian with an exponential covariance in the distance and noise variance 1 / total
    (a Gaussian process; "simple kriging with heterogeneous nugget", Cressie 1993, section 3.2). Fitted on training slides
    it takes length scale and signal-to-noise ratio from them.

    Parameters
    ----------
    {length_scale} {ratio} {seed}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, image=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="kriging", length_scale=4.0).shape
    (60, 30)
    """

    name = "kriging"
    min_prompts = 3

    def __init__(self, *, length_scale: float | None = None, ratio: float | None = None, seed: int = 0) -> None:
        super().__init__(length_scale=length_scale, ratio=ratio, n_components=0, seed=seed)
