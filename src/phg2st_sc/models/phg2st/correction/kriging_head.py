"""What prompts miss, spread to all spots by a kernel that is learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

N_GROUPS = 4
"""Groups of components, by rank of their scale, that share what is learned for a group."""
_JITTER = 1e-6
_ROWS = 1024
"""Spots to which residuals are spread at a time."""
_MOST_PROMPTS = 2000
"""Prompts that are solved for, which costs the third power of their number; of more, every so many-th is taken."""


def component_groups(scale: Tensor) -> Tensor:
    """(k,) group of each component: quarters by rank of its scale, the largest first."""
    k = len(scale)
    rank = torch.empty(k, dtype=torch.long)
    rank[torch.argsort(scale, descending=True, stable=True)] = torch.arange(k)
    return rank * min(N_GROUPS, k) // k


class KrigingHead(nn.Module):
    """Kriging of what is left at the prompts, by a kernel of places and of learned projections of the tokens.

    ``gate * K_np (K_pp + noise)^-1 r`` with ``K = amplitude * exp(-distance / length) * exp(-|z - z'|² / 2)``. z are
    projections of the tokens. Length and projection are common to all components, amplitude and nugget to a group of
    them. The kernel is a product of positive definite ones; it is factored in float64. The gate of each component
    starts at zero and not the amplitude: at a vanishing amplitude the gradient would vanish with it.

    Parameters
    ----------
    width
        Width of the tokens.
    groups
        (k,) group of each component.
    kernel_width
        Width of z.
    """

    groups: Tensor

    def __init__(self, width: int, groups: Tensor, *, kernel_width: int = 8) -> None:
        super().__init__()
        self.register_buffer("groups", groups)
        n = int(groups.max()) + 1
        self.project = nn.Linear(width, kernel_width, bias=False)
        with torch.no_grad():
            self.project.weight.mul_(0.3)
        self.length = nn.Parameter(torch.tensor(3.0))
        self.amplitude = nn.Parameter(torch.full((n,), -1.0))
        self.nugget = nn.Parameter(torch.full((n,), -2.0))
        self.gate = nn.Parameter(torch.zeros(len(groups)))

    def forward(self, tokens: Tensor, positions: Tensor, index: Tensor, residual: Tensor, noise: Tensor) -> Tensor:
        """Spread (p, k) residuals, of noise variance (p, k), from prompts ``index`` to all (n, k)."""
        used = _thinned(positions[index])
        index, residual, noise = index[used], residual[used].double(), noise[used].double()
        with torch.autocast(device_type=tokens.device.type, enabled=False):
            z, place = self.project(tokens.float()).double(), positions.double()
            base = self._kernel(z[index], place[index], z[index], place[index])
            weights = self._solve(base, residual, noise)
            every = torch.arange(len(z), device=z.device).split(_ROWS)
            parts = [self._kernel(z[rows], place[rows], z[index], place[index]) @ weights for rows in every]
            return (self.gate.double() * torch.cat(parts)).to(tokens.dtype)

    def _solve(self, base: Tensor, residual: Tensor, noise: Tensor) -> Tensor:
        """(p, k) amplitude * (amplitude * base + noise)^-1 residual, group by group."""
        weights = torch.zeros_like(residual)
        amplitudes, nuggets = softplus(self.amplitude.double()), softplus(self.nugget.double())
        for group, (amplitude, nugget) in enumerate(zip(amplitudes, nuggets, strict=True)):
            members = torch.nonzero(self.groups == group).flatten()
            diagonal = noise[:, members].mean(dim=1) + nugget + _JITTER
            factor = torch.linalg.cholesky(amplitude * base + torch.diag(diagonal))
            solved = torch.cholesky_solve(residual[:, members], factor)
            weights = weights.index_copy(1, members, amplitude * solved)
        return weights

    def _kernel(self, z: Tensor, place: Tensor, other_z: Tensor, other_place: Tensor) -> Tensor:
        squared = z.square().sum(1)[:, None] + other_z.square().sum(1) - 2.0 * z @ other_z.T
        away = torch.cdist(place, other_place, compute_mode="donot_use_mm_for_euclid_dist")
        return torch.exp(-away / softplus(self.length.double()) - squared.clamp_min(0.0) / 2.0)


def noise_free_share(noise: Tensor) -> Tensor:
    """Share of signal in a measurement of unit signal variance and the given noise variance."""
    return 1.0 / (1.0 + noise)


def _thinned(positions: Tensor) -> Tensor:
    """Rows of at most 2,000 positions, evenly along x and y: independent of their order."""
    p = len(positions)
    if p <= _MOST_PROMPTS:
        return torch.arange(p, device=positions.device)
    by_y = torch.argsort(positions[:, 1], stable=True)
    order = by_y[torch.argsort(positions[by_y, 0], stable=True)]
    steps = [math.floor(i * p / _MOST_PROMPTS) for i in range(_MOST_PROMPTS)]
    return order[torch.tensor(steps, device=positions.device)]
