"""What methods share whose networks learn from changed views, and from the likelihood of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._log10_target import Log10Method

if TYPE_CHECKING:
    from ._fit import Fitted
    from ._spot_data import MeasuredSource


class ViewMethod(Log10Method):
    """A method with a :class:`phg2st_sc.models.published._views.ViewNetwork`; its counts start from the mean of each gene."""

    def _prepare(self, fitted: Fitted, slides: Sequence[MeasuredSource]) -> None:
        import torch

        counts = torch.cat([slide.targets.counts for slide in slides])
        factors = torch.cat([slide.targets.size_factors for slide in slides])
        fitted.network.counts.initialize(counts, factors)  # type: ignore[operator,union-attr]
