"""CONCH: a vision transformer whose tokens are pooled by attention, as its makers publish it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._base import EncoderCard
from .._timm import Recipe, describe

if TYPE_CHECKING:
    import torch

_PX = 448
_UM = 256.0  # 512 px at 0.5 µm, in TRIDENT's table of encoders
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_VISUAL = re.compile(r"visual\.((?:trunk|attn_pool_contrast|ln_contrast)\..+)")
_POOLING = "attention pooling, before the projection to the space of texts"


def image_tower(trunk: Any, *, dim: int = 512) -> torch.nn.Module:
    """CONCH's image tower around its vision transformer."""
    from ._layers import ImageTower, Pool

    return ImageTower(trunk, Pool(trunk.num_features, dim), dim)


def image_tower_v1_5(trunk: Any, *, dim: int = 768) -> torch.nn.Module:
    """The image tower of CONCH v1.5."""
    from ._layers import ImageTower, PoolWithoutBias

    return ImageTower(trunk, PoolWithoutBias(trunk.num_features, dim), dim)


def image_part(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of the image tower among those of CONCH; the text tower and the projection stay behind."""
    found = {match[1]: value for name, value in state.items() if (match := _VISUAL.fullmatch(name))}
    return found or dict(state)


CONCH = Recipe(
    card=EncoderCard(
        name="conch",
        dim=512,
        input_px=_PX,
        tile_um=_UM,
        license="CC-BY-NC-ND-4.0",
        needs_weights=True,
        revision="main",
        transform=f"{describe(*_CLIP)}; attention pooling",
        source="https://huggingface.co/MahmoodLab/CONCH",
        gated=True,
        mean=_CLIP[0],
        std=_CLIP[1],
        pooling=_POOLING,
        patch_px=16,
        token_dim=768,
        reference="https://github.com/mahmoodlab/CONCH (open_clip_custom: coca_model.py, conch_ViT-B-16.json)",
    ),
    repo="MahmoodLab/CONCH",
    architecture="vit_base_patch16_224",
    arguments={"img_size": _PX, "dynamic_img_size": True},
    convert=image_part,
    around=image_tower,
)
CONCH_1_5 = replace(
    CONCH,
    card=replace(
        CONCH.card,
        name="conch-1.5",
        dim=768,
        transform=f"{describe(*_IMAGENET)}; attention pooling",
        source="https://huggingface.co/MahmoodLab/conchv1_5",
        mean=_IMAGENET[0],
        std=_IMAGENET[1],
        token_dim=1024,
        reference="https://github.com/mahmoodlab/TRIDENT (patch_encoder_models/model_zoo/conchv1_5)",
    ),
    repo="MahmoodLab/conchv1_5",
    architecture="vit_large_patch16_224",
    arguments={"img_size": _PX, "init_values": 1.0, "dynamic_img_size": True},
    around=image_tower_v1_5,
    files=("pytorch_model_vision.bin",),
)
