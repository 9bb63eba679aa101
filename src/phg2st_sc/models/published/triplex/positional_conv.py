"""Positional convolution over the spots of a slide, on the cells of its lattice that hold one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SIDE = 3


def lattice_cells(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Cells of the lattice that hold spots, and the 3 x 3 window around each.

    On a hexagonal lattice every second cell of ``grid`` is empty, and a window would hold four of the six spots around one.
    There the window is taken along two of the three directions of the lattice, and holds all six.

    Parameters
    ----------
    grid
        (n, 2) int64 column and row on the capture lattice.

    Returns
    -------
    (n,) int64 cell of each spot, and (c, 9) int64 cells in the window of each of the c cells, row by row, c where there
    is none.

    Examples
    --------
    >>> import torch
    >>> cells, windows = lattice_cells(torch.tensor([[0, 0], [1, 0], [1, 0], [0, 1]]))
    >>> cells.tolist()
    [0, 1, 1, 2]
    >>> windows[0].tolist()
    [3, 3, 3, 3, 0, 1, 3, 2, 3]
    """
    column, row = _axes(grid)
    stride = int(column.max()) + 3  # an empty column at either side, so that no window reaches into another row
    keys, cells = torch.unique((row + 1) * stride + column + 1, return_inverse=True)
    shift = torch.arange(_SIDE, device=grid.device) - _SIDE // 2
    wanted = keys[:, None] + (shift[:, None] * stride + shift[None]).reshape(1, -1)
    found = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
    return cells, torch.where(keys[found] == wanted, found, len(keys))


def _axes(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row, from 0; of a lattice whose every second cell is empty, along its two diagonals."""
    column, row = grid[:, 0], grid[:, 1]
    diagonal = column + row
    if bool(((diagonal - diagonal[0]) % 2 == 0).all()):
        across = column - row
        column, row = (across - across.min()) // 2, (diagonal - diagonal.min()) // 2
    return column - column.min(), row - row.min()


class PositionalConv(nn.Module):
    """Depthwise 3 x 3 convolution of spot tokens on the capture lattice, added to them.

    Spots that share a cell are averaged, and empty cells count as zero. Only cells that hold spots are computed: far-flung
    spots cost no more than close ones. The order of the spots plays no role.

    Parameters
    ----------
    width
        Width of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(_SIDE**2, width))
        self.bias = nn.Parameter(torch.empty(width))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -1 / _SIDE, 1 / _SIDE)

    def forward(self, x: Tensor, cells: Tensor, windows: Tensor) -> Tensor:
        """Convolve (n, d) tokens; ``cells`` and ``windows`` are those of :func:`lattice_cells`."""
        share = 1.0 / torch.bincount(cells, minlength=len(windows))[cells].to(x.dtype)
        pooled = x.new_zeros(len(windows) + 1, x.shape[1]).index_add(0, cells, x * share[:, None])
        mixed = self.bias.expand(len(windows), -1)
        for place, weight in enumerate(self.weight):
            mixed = mixed + weight * pooled[windows[:, place]]
        return x + mixed[cells].to(x.dtype)
