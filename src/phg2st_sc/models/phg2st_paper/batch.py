"""What one step is given: a slide and what was measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...nn import SlideTensors


@dataclass(frozen=True, eq=False)
class SlideTargets:
    """One slide of a training or validation set.

    Attributes
    ----------
    slide
        Image side.
    expression
        (n, G) log-normalised expression.
    allowed
        (n,) bool, spots that a step may show and score.
    number
        Place of the slide among all slides.
    weight
        (n,) weights of the spots in the loss; ``None`` weighs all the same.
    truth
        Validation only: (n, G) depth-free target at the spots held out, NaN elsewhere.
    prompts
        Validation only: (n,) bool.
    """

    slide: SlideTensors
    expression: Tensor
    allowed: NDArray[np.bool_]
    number: int
    weight: Tensor | None = None
    truth: NDArray[np.float64] | None = None
    prompts: Tensor | None = None

    def to(self, device: Any, *, non_blocking: bool = False) -> SlideTargets:
        """The same on another device."""
        return replace(
            self,
            slide=self.slide.to(device),
            expression=self.expression.to(device, non_blocking=non_blocking),
            weight=None if self.weight is None else self.weight.to(device),
            prompts=None if self.prompts is None else self.prompts.to(device),
        )


class _Slides(Dataset[SlideTargets]):
    def __init__(self, slides: Sequence[SlideTargets]) -> None:
        self.slides = list(slides)

    def __len__(self) -> int:
        return len(self.slides)

    def __getitem__(self, index: int) -> SlideTargets:
        return self.slides[index]


class TrainingSet(_Slides):
    """Slides to train on."""


class ValidationSet(_Slides):
    """Slides, or spots, to validate on, with their prompts and targets."""
