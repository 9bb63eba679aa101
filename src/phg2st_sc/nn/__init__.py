"""Network modules: tensors in, tensors out. Importing this package loads no torch; taking a module from it does."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "FUSIONS": "._fusions",
    "BLEEPConfig": "._bleep",
    "BLEEPNetwork": "._bleep",
    "Backbone": "._backbones",
    "STNetConfig": "._stnet",
    "STNetwork": "._stnet",
    "SpotInputs": "._spot_network",
    "SpotNetwork": "._spot_network",
    "SpotTargets": "._spot_network",
    "ContextEncoder": "._context",
    "CorrectionNetwork": "._correction",
    "CrossAttention": "._fusion",
    "Evidence": "._correction",
    "HGGEPConfig": "._hggep",
    "HGGEPNetwork": "._hggep",
    "HisToGeneConfig": "._histogene",
    "HisToGeneNetwork": "._histogene",
    "Hist2STConfig": "._hist2st",
    "Hist2STNetwork": "._hist2st",
    "HypergraphBlock": "._hypergraph",
    "HypergraphConv": "._hypergraph",
    "KrigingHead": "._kriging_head",
    "NetworkConfig": "._config",
    "NetworkOutput": "._network",
    "PHG2STNetwork": "._network",
    "PRESETS": "._config",
    "PromptEmbedding": "._prompt",
    "PropagateFusion": "._propagate",
    "PropagationBlock": "._propagate",
    "SlideTensors": "._slide",
    "SpotEncoder": "._spots",
    "TriplexConfig": "._triplex",
    "TriplexNetwork": "._triplex",
    "ViTBlock": "._vit",
    "three_part_loss": "._loss",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOME[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
