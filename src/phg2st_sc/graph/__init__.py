"""Hypergraphs over spots: builders (arrays in, sparse incidence out), and the convolution with its two engines.

Torch loads when a name of the convolution is first used; DGL when its engine is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._base import BUILDERS, HypergraphBuilder, get_builder, register_builder
from ._combined_knn import CombinedKNN
from ._feature_knn import FeatureKNN
from ._given import Given
from ._hypergraph import Hypergraph
from ._hypergraph import scatter_blocks as scatter_blocks
from ._nearest import LEAST_RECALL as LEAST_RECALL
from ._nearest import Nearest as Nearest
from ._nearest import canonical_order as canonical_order
from ._nearest import nearest as nearest
from ._nearest import nearest_spots as nearest_spots
from ._position_knn import PositionKNN
from ._radius import Radius

if TYPE_CHECKING:
    from ._conv import HypergraphOperator, hypergraph_conv
    from ._conv_context import context_operator
    from ._conv_engine import resolve_engine

__all__ = [
    "BUILDERS",
    "CombinedKNN",
    "FeatureKNN",
    "Given",
    "Hypergraph",
    "HypergraphBuilder",
    "HypergraphOperator",
    "PositionKNN",
    "Radius",
    "context_operator",
    "get_builder",
    "hypergraph_conv",
    "register_builder",
    "resolve_engine",
]

_WITH_TORCH = {
    "HypergraphOperator": "_conv",
    "context_operator": "_conv_context",
    "hypergraph_conv": "_conv",
    "resolve_engine": "_conv_engine",
}


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
