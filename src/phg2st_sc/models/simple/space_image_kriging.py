"""SpaceImageKriging: by position and image together."""

from __future__ import annotations

from .._registry import register
from ._kriging_base import KrigingEstimator


@register
class SpaceImageKriging(KrigingEstimator):
    """Kriging with a covariance of position and image: places that look alike count as close.

    The covariance is ``(1 - mix) exp(-d / length_scale) + mix exp(-f / scale)`` with d in lattice pitches and f the distance in
    the slide's leading image components. Fitted on training slides, it also works in their gene components.

    Parameters
    ----------
    n_components
        Gene components to learn from training slides; without them every gene is treated by itself.
    length_scale, ratio, seed
        As for :class:`Kriging`.
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
