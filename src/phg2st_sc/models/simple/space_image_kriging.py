"""SpaceImageKriging: by position and image together."""

from __future__ import annotations

from ..._docs import documented
from .._registry import register
from ._kriging_base import KrigingEstimator


@register
@documented
class SpaceImageKriging(KrigingEstimator):
    """Kriging with a covariance of position and image: places that look alike count as close.

    The covariance is ``(1 - mix) exp(-d / length_scale) + mix exp(-f / scale)`` with d in lattice pitches and f the distance in
    the slide's leading image components. Fitted on training slides, it also works in their gene components.

    Parameters
    ----------
    {n_components:genes}
        Without them every gene is treated by itself.
    {length_scale} {ratio} {seed}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, progress=False)
    >>> phg2st.pp.extract_embeddings(adata, image="hires", encoder="texture", progress=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="space_image_kriging").shape
    (60, 30)
    """

    name = "space_image_kriging"
    needs_image = True
    uses_image = True
    default_mix = 0.5
    min_prompts = 3

    def __init__(
        self, *, n_components: int = 30, length_scale: float | None = None, ratio: float | None = None, seed: int = 0
    ) -> None:
        super().__init__(length_scale=length_scale, ratio=ratio, n_components=n_components, seed=seed)
