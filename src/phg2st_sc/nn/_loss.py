"""The loss: joint prediction and branches, the branches also towards the joint one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Branched(Protocol):
    """Predictions (r, G) of a network with branches, as :class:`NetworkOutput`."""

    @property
    def joint(self) -> Tensor:
        """Of the whole."""
        ...

    @property
    def branches(self) -> Sequence[Tensor]:
        """Of the branches."""
        ...


def three_part_loss(
    output: Branched, target: Tensor, *, distillation: float = 0.3, weight: Tensor | None = None
) -> Tensor:
    """L = MSE(y, joint) + sum over branches b of (1 - λ) MSE(y, b) + λ MSE(joint, b).

    Gradients flow into both sides of the last term, as published.

    Parameters
    ----------
    output
        Predictions at r spots.
    target
        (r, G) log-normalised expression, prompts included.
    distillation
        λ.
    weight
        (r,) weights of the spots, of mean 1; ``None`` weighs all the same.
    """
    loss = _mse(output.joint, target, weight)
    for branch in output.branches:
        loss = loss + (1.0 - distillation) * _mse(branch, target, weight)
        loss = loss + distillation * _mse(branch, output.joint, weight)
    return loss


def _mse(a: Tensor, b: Tensor, weight: Tensor | None) -> Tensor:
    squared = (a - b).square()
    return squared.mean() if weight is None else (squared.mean(dim=1) * weight).mean()
