"""Random changes of pictures that leave what they show the same; by torch's own generator."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness, ITU-R BT.601."""


def random_turns(patches: Tensor) -> Tensor:
    """Each picture in one of its eight flipped and turned forms, each as likely.

    Parameters
    ----------
    patches
        (n, channels, p, p) square pictures, of any type.

    Returns
    -------
    The same shape and type; a new tensor.

    Examples
    --------
    >>> import torch
    >>> patches = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2)
    >>> random_turns(patches).sort(dim=-1).values.sum().item()
    6
    """
    form = torch.randint(8, (len(patches),), device=patches.device)
    turned = patches.clone()
    for number in range(1, 8):
        chosen = form == number
        turned[chosen] = dihedral(patches[chosen], number)
    return turned


def dihedral(patches: Tensor, form: int) -> Tensor:
    """One of the eight forms of square pictures (n, channels, p, p): ``form % 4`` quarter turns, mirrored from 4 on."""
    turned = torch.rot90(patches, form % 4, dims=(2, 3))
    return turned.flip(3) if form >= 4 else turned


def grayscale(patches: Tensor, p: float) -> Tensor:
    """Each picture without its colours with probability p.

    Parameters
    ----------
    patches
        (n, 3, h, w) red, green and blue, of any type; whole numbers are rounded.
    p
        Probability, of each picture by itself.

    Returns
    -------
    The same shape and type.

    Examples
    --------
    >>> import torch
    >>> grayscale(torch.tensor([255, 0, 0], dtype=torch.uint8).reshape(1, 3, 1, 1), 1.0).flatten().tolist()
    [76, 76, 76]
    """
    chosen = torch.rand(len(patches), device=patches.device) < p
    weights = torch.tensor(_LUMA, device=patches.device)
    brightness = torch.einsum("c,nchw->nhw", weights, patches.to(weights.dtype))
    if not patches.is_floating_point():
        brightness = brightness.round()
    gray = brightness[:, None].to(patches.dtype).expand_as(patches)
    return torch.where(chosen[:, None, None, None], gray, patches)
