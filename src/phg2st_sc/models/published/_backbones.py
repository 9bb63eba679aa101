"""Image encoders of timm as parts of a network, on raw pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...encoders import require_timm

_LEVELS = 255.0


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
