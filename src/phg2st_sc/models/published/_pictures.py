"""Pictures within a network: image encoders with pretrained weights, and random changes that leave what they show."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..._warn import warn_user
from ...encoders import load_weights, require_timm

AUTO, RANDOM = "auto", "random"
RANDOM_ORIGIN = "random initialisation"
_LEVELS = 255.0
_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness, ITU-R BT.601."""


# --- image encoders ---------------------------------------------------------------------------------------------------
class Backbone(nn.Module):
    """A network of timm on uint8 pictures, brought to the mean and scale of its pretraining.

    Parameters
    ----------
    name
        As ``timm.create_model`` takes it, e.g. ``"densenet121"``.
    pooled
        Return one vector a picture; else the last map.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, name: str, *, pooled: bool = True) -> None:
        super().__init__()
        if ":" in name:
            msg = (
                f"Image encoder {name!r:.80} names a place to read from: give the plain name that timm has for the network, e.g. "
                "'resnet50', and its weights as `weights=`."
            )
            raise ValueError(msg)
        timm = require_timm(name, instead='inputs="features"')
        self.name = name
        self.net = timm.create_model(name, pretrained=False, num_classes=0, **({} if pooled else {"global_pool": ""}))
        self.width = int(self.net.num_features)
        config = timm.data.resolve_model_data_config(self.net)
        for key, values in (("mean", config["mean"]), ("scale", config["std"])):
            self.register_buffer(key, _LEVELS * torch.tensor(values).reshape(3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(r, 3, p, p) uint8 to (r, d), or to (r, d, h, w) maps."""
        return self.net((pictures - self.mean) / self.scale)


def pretrain(backbone: Backbone, weights: str, *, method: str) -> str:
    """Load pretrained weights into a backbone of timm; returns where they come from. See :func:`load_or_warn`."""

    def load(path: str | None) -> str:
        card = load_weights(backbone.net, backbone.name, weights=path)
        return f"{card.weights} ({card.revision})"

    return load_or_warn(load, weights, method=method, name=backbone.name)


def load_or_warn(load: Callable[[str | None], str], weights: str, *, method: str, name: str) -> str:
    """Load weights and return where they come from.

    Parameters
    ----------
    load
        Loads from a file or folder, or with ``None`` from the hub or its cache, and says where from.
    weights
        ``"auto"``: from the hub or its cache, with a warning where that fails. ``"random"``: none. Else a file or folder,
        and an error where that fails.
    method, name
        Of the method and its image encoder, for the warning.

    Warns
    -----
    UserWarning
        If there are no pretrained weights within reach.
    """
    if weights == RANDOM:
        return RANDOM_ORIGIN
    if weights != AUTO:
        return load(weights)
    try:
        return load(None)
    except (ConnectionError, PermissionError, FileNotFoundError) as error:
        reason = str(error).split(". ", maxsplit=1)[0]
        msg = (
            f"Method {method!r} starts its image encoder {name!r} from random initialisation, and needs far more slides for "
            f"it: no pretrained weights within reach ({reason}). Download them where there is a network and pass "
            '`weights="<file or folder>"`; `weights="random"` says that this is what you want.'
        )
        warn_user(msg)
        return RANDOM_ORIGIN


# --- random changes, by torch's own generator -------------------------------------------------------------------------
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
