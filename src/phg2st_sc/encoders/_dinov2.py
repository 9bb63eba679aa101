"""DINOv2 weights in the naming of ``transformers``, renamed to that of timm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_BLOCK = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
_PLAIN = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
_IN_BLOCK = {
    "attention.output.dense.": "attn.proj.",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.weights_in.": "mlp.fc1.",
    "mlp.weights_out.": "mlp.fc2.",
}
_UNUSED = frozenset({"embeddings.mask_token"})


def from_transformers(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the weights of a ``Dinov2Model`` to those of timm's ``VisionTransformer``.

    Weights that carry timm's names already come back as they are.
    """
    if "embeddings.cls_token" not in state:
        return dict(state)
    out = {_plain_name(name): value for name, value in state.items() if ".attention.attention." not in name}
    out.update(_joined_attention(state))
    return {name: value for name, value in out.items() if name not in _UNUSED}


def _plain_name(name: str) -> str:
    block = _BLOCK.fullmatch(name)
    if block is None:
        return _PLAIN.get(name, name)
    rest = block[2]
    for theirs, ours in _IN_BLOCK.items():
        rest = rest.replace(theirs, ours)
    return f"blocks.{block[1]}.{rest}"


def _joined_attention(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Query, key and value of a layer are one matrix in timm."""
    import torch

    out = {}
    for name in state:
        if ".attention.attention.query." not in name:
            continue
        layer = name.split(".")[2]
        parts = [state[name.replace(".query.", f".{part}.")] for part in ("query", "key", "value")]
        out[f"blocks.{layer}.attn.qkv.{name.rsplit('.', 1)[1]}"] = torch.cat(parts)
    return out
