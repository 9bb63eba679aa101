"""Cards and recipes of published networks. Their weights stay where they are published."""

from __future__ import annotations

from functools import partial

from ._base import EncoderCard
from ._conch import CONCH, CONCH_1_5
from ._dinov2 import from_transformers
from ._registry import register_encoder
from ._timm import Recipe, describe, open_recipe

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_H_OPTIMUS = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
_TRIDENT = "https://github.com/mahmoodlab/TRIDENT (patch_encoder_models/load.py)"
_TOKEN, _BOTH = "class token", "class token and mean of the patch tokens"
_SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "silu"}
_Normalization = tuple[tuple[float, ...], tuple[float, ...]]


def _card(
    name: str,
    repo: str,
    dim: int,
    normalization: _Normalization,
    *,
    terms: str,
    gated: bool,
    patch_px: int,
    pooling: str = _TOKEN,
    reference: str = _TRIDENT,
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
        transform=describe(mean, std) + (f"; {_BOTH}" if pooling == _BOTH else ""),
        source=f"https://huggingface.co/{repo}",
        gated=gated,
        mean=mean,
        std=std,
        pooling=pooling,
        patch_px=patch_px,
        token_dim=(dim // 2 if pooling == _BOTH else dim) if patch_px else None,
        reference=reference,
    )


UNI = Recipe(
    card=_card("uni", "MahmoodLab/UNI", 1024, _IMAGENET, terms="CC-BY-NC-ND-4.0", gated=True, patch_px=16),
    repo="MahmoodLab/UNI",
    architecture="vit_large_patch16_224",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True},
)
UNI2 = Recipe(
    card=_card("uni2", "MahmoodLab/UNI2-h", 1536, _IMAGENET, terms="CC-BY-NC-ND-4.0", gated=True, patch_px=14),
    repo="MahmoodLab/UNI2-h",
    architecture="vit_giant_patch14_224",
    arguments={
        "img_size": 224,
        "depth": 24,
        "num_heads": 24,
        "embed_dim": 1536,
        "init_values": 1e-5,
        "mlp_ratio": 2.66667 * 2,
        "no_embed_class": True,
        "reg_tokens": 8,
        "dynamic_img_size": True,
        **_SWIGLU,
    },
)
VIRCHOW2 = Recipe(
    card=_card(
        "virchow2",
        "paige-ai/Virchow2",
        2560,
        _IMAGENET,
        terms="CC-BY-NC-ND-4.0",
        gated=True,
        patch_px=14,
        pooling=_BOTH,
    ),
    repo="paige-ai/Virchow2",
    architecture="vit_huge_patch14_224",
    arguments={
        "img_size": 224,
        "init_values": 1e-5,
        "mlp_ratio": 5.3375,
        "reg_tokens": 4,
        "dynamic_img_size": True,
        **_SWIGLU,
    },
    features="token+mean",
)
H_OPTIMUS_0 = Recipe(
    card=_card("h-optimus-0", "bioptimus/H-optimus-0", 1536, _H_OPTIMUS, terms="Apache-2.0", gated=True, patch_px=14),
    repo="bioptimus/H-optimus-0",
    architecture="vit_giant_patch14_reg4_dinov2",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": False},
)
H_OPTIMUS_1 = Recipe(
    card=_card(
        "h-optimus-1", "bioptimus/H-optimus-1", 1536, _H_OPTIMUS, terms="CC-BY-NC-ND-4.0", gated=True, patch_px=14
    ),
    repo="bioptimus/H-optimus-1",
    architecture="vit_giant_patch14_reg4_dinov2",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": False},
)
MIDNIGHT = Recipe(
    card=_card("midnight-12k", "kaiko-ai/midnight", 3072, _HALF, terms="MIT", gated=False, patch_px=14, pooling=_BOTH),
    repo="kaiko-ai/midnight",
    architecture="vit_giant_patch14_dinov2",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True},
    features="token+mean",
    convert=from_transformers,
)
GIGAPATH = Recipe(
    card=_card(
        "gigapath",
        "prov-gigapath/prov-gigapath",
        1536,
        _IMAGENET,
        terms="Apache-2.0, for research (see its page)",
        gated=True,
        patch_px=16,
    ),
    repo="prov-gigapath/prov-gigapath",
    architecture="vit_giant_patch14_dinov2",
    arguments={
        "img_size": 224,
        "patch_size": 16,
        "embed_dim": 1536,
        "depth": 40,
        "num_heads": 24,
        "mlp_ratio": 5.33334,
        "init_values": 1e-5,
        "dynamic_img_size": True,
    },
)
PHIKON_V2 = Recipe(
    card=_card(
        "phikon-v2",
        "owkin/phikon-v2",
        1024,
        _IMAGENET,
        terms="Owkin non-commercial license",
        gated=False,
        patch_px=16,
    ),
    repo="owkin/phikon-v2",
    architecture="vit_large_patch16_224",
    arguments={"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True},
    convert=from_transformers,
)
DINOV2 = Recipe(
    card=_card(
        "dinov2",
        "timm/vit_large_patch14_dinov2.lvd142m",
        1024,
        _IMAGENET,
        terms="Apache-2.0",
        gated=False,
        patch_px=14,
        reference="https://github.com/facebookresearch/dinov2",
    ),
    repo="timm/vit_large_patch14_dinov2.lvd142m",
    architecture="vit_large_patch14_dinov2",
    arguments={"img_size": 224, "dynamic_img_size": True},
    convert=from_transformers,
)
RESNET50 = Recipe(
    card=_card(
        "resnet50",
        "timm/resnet50.a1_in1k",
        2048,
        _IMAGENET,
        terms="Apache-2.0",
        gated=False,
        patch_px=0,
        pooling="mean over all places",
        reference="https://arxiv.org/abs/2110.00476",
    ),
    repo="timm/resnet50.a1_in1k",
    architecture="resnet50",
)
RECIPES = (
    UNI,
    UNI2,
    VIRCHOW2,
    H_OPTIMUS_0,
    H_OPTIMUS_1,
    MIDNIGHT,
    GIGAPATH,
    CONCH,
    CONCH_1_5,
    PHIKON_V2,
    DINOV2,
    RESNET50,
)

for _recipe in RECIPES:
    register_encoder(_recipe.card, partial(open_recipe, _recipe))
