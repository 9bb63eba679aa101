"""What prompts miss, spread to all spots by a kernel whose parts are weighed on the cohort."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

N_GROUPS = 4
"""Groups of components, by rank of their scale, that share what is learned for a group."""
_SHORT, _LONG = 3.0, 8.0
"""Pitches: the lengths of the linear part."""
_AMPLITUDE = -0.85
"""softplus of it is about the share of the signal that the linear part takes kriging to explain."""
_NUGGET = 1e-3


def component_groups(scale: Tensor) -> Tensor:
    """(k,) group of each component: quarters by rank of its scale, the largest first."""
    k = len(scale)
    rank = torch.empty(k, dtype=torch.long)
    rank[torch.argsort(scale, descending=True, stable=True)] = torch.arange(k)
    return rank * min(N_GROUPS, k) // k


class KrigingHead(nn.Module):
    """Kriging of residuals by ``amplitude * ((a short + b long + c image) exp(-|z - z'|² / 2) + 1)``.

    Short and long are exponentials of the distance, image one of the unlikeness of two places on the slide; a, b and c are
    positive, learned, and add up to 1. z are projections of the tokens. At the start it is the kriging of the linear part.
    Systems are factored in float64.

    Parameters
    ----------
    width
        Width of the tokens.
    groups
        (k,) group of each component: each has an amplitude of its own.
    kernel_width
        Width of z.
    """

    groups: Tensor

    def __init__(self, width: int, groups: Tensor, *, kernel_width: int = 8) -> None:
        super().__init__()
        self.register_buffer("groups", groups)
        self.project = nn.Linear(width, kernel_width, bias=False)
        nn.init.normal_(self.project.weight, std=0.02)
        self.mix = nn.Parameter(torch.zeros(3))
        self.amplitude = nn.Parameter(torch.full((int(groups.max()) + 1,), _AMPLITUDE))
        self.gate = nn.Parameter(torch.ones(len(groups)))

    def kernel(self, away: Tensor, unlike: Tensor | None, z: Tensor, other: Tensor) -> Tensor:
        """(r, p) covariance of unit amplitude, from distances and unlikeness (r, p) and projections."""
        share = softplus(self.mix.double())[: 2 if unlike is None else 3]
        share = share / share.sum()
        parts = share[0] * torch.exp(-away.double() / _SHORT) + share[1] * torch.exp(-away.double() / _LONG)
        if unlike is not None:
            parts = parts + share[2] * torch.exp(-unlike.double())
        squared = z.square().sum(1)[:, None] + other.square().sum(1) - 2.0 * z @ other.T
        return parts * torch.exp(-squared.clamp_min(0.0) / 2.0) + 1.0

    def weights(self, among: Tensor, residual: Tensor, noise: Tensor) -> Tensor:
        """(p, k) ``amplitude (amplitude K + noise)^-1 residual``, group by group; :meth:`kernel` times it predicts."""
        out = torch.zeros_like(residual, dtype=torch.float64)
        for group, amplitude in enumerate(softplus(self.amplitude.double())):
            members = torch.nonzero(self.groups == group).flatten()
            diagonal = noise[:, members].double().mean(dim=1) + _NUGGET
            factor = torch.linalg.cholesky(amplitude * among + torch.diag(diagonal))
            solved = torch.cholesky_solve(residual[:, members].double(), factor)
            out = out.index_copy(1, members, amplitude * solved)
        return self.gate.double() * out
