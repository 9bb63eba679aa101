"""Cards and recipes of published pathology networks. Their weights stay where they are published."""

from __future__ import annotations

from functools import partial

from ._base import EncoderCard
from ._dinov2 import from_transformers
from ._registry import register_encoder
from ._timm import Recipe, describe, open_recipe

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_H_OPTIMUS = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
_Normalization = tuple[tuple[float, ...], tuple[float, ...]]


def _card(
    name: str, repo: str, dim: int, normalization: _Normalization, *, terms: str, gated: bool, transform: str = ""
) -> EncoderCard:
    """Card of a network for tiles of 224 px at 0.5 µm per pixel."""
    mean, std = normalization
    return EncoderCard(
        name=name,
        dim=dim,
        input_px=224,
        tile_um=112.0,
        license=terms,
        needs_weights=True,
        revision="main",
        transform=describe(mean, std) + transform,
        source=f"https://huggingface.co/{repo}",
        gated=gated,
        mean=mean,
        std=std,
    )


UNI = Recipe(
    card=_card("uni", "MahmoodLab/UNI", 1024, _IMAGENET, terms="CC-BY-NC-ND-4.0", gated=True),
    repo="MahmoodLab/UNI",
    architecture="vit_large_patch16_224",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True},
)
UNI2 = Recipe(
    card=_card("uni2", "MahmoodLab/UNI2-h", 1536, _IMAGENET, terms="CC-BY-NC-ND-4.0", gated=True),
    repo="MahmoodLab/UNI2-h",
    architecture="vit_giant_patch14_224",
    arguments={
        "img_size": 224,
        "depth": 24,
        "num_heads": 24,
        "embed_dim": 1536,
        "init_values": 1e-5,
        "mlp_ratio": 2.66667 * 2,
        "mlp_layer": "SwiGLUPacked",
        "act_layer": "silu",
        "no_embed_class": True,
        "reg_tokens": 8,
        "dynamic_img_size": True,
    },
)
H_OPTIMUS_0 = Recipe(
    card=_card("h-optimus-0", "bioptimus/H-optimus-0", 1536, _H_OPTIMUS, terms="Apache-2.0", gated=True),
    repo="bioptimus/H-optimus-0",
    architecture="vit_giant_patch14_reg4_dinov2",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": False},
)
MIDNIGHT = Recipe(
    card=_card(
        "midnight-12k",
        "kaiko-ai/midnight",
        3072,
        _HALF,
        terms="MIT",
        gated=False,
        transform="; class token and mean of the patch tokens",
    ),
    repo="kaiko-ai/midnight",
    architecture="vit_giant_patch14_dinov2",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True},
    features="token+mean",
    convert=from_transformers,
)
RECIPES = (UNI, UNI2, H_OPTIMUS_0, MIDNIGHT)

for _recipe in RECIPES:
    register_encoder(_recipe.card, partial(open_recipe, _recipe))
