"""Blocks that several networks share: tensors in, tensors out. Importing this package loads torch."""

from ._config import CONTEXT_SIDE as CONTEXT_SIDE
from ._config import CORRECTION as CORRECTION
from ._config import PRESETS, NetworkConfig
from ._context import ContextEncoder
from ._fusion import CrossAttention
from ._fusion import FusionInput as FusionInput
from ._fusions import FUSIONS
from ._hypergraph import HypergraphBlock, HypergraphConv
from ._image import CHUNK as CHUNK
from ._image import ImageTokens as ImageTokens
from ._image import tokens_in_chunks as tokens_in_chunks
from ._loss import three_part_loss
from ._prompt import PromptEmbedding
from ._propagate import PropagateFusion, PropagationBlock
from ._seeds import own_randomness as own_randomness
from ._slide import SlideTensors
from ._spots import SpotEncoder
from ._tensors import FeatureStats as FeatureStats
from ._tensors import slide_tensors as slide_tensors
from ._vit import ViTBlock
from ._vit import mean_of_known as mean_of_known
from ._vit import offset_bias as offset_bias
from ._vit import offset_index as offset_index

__all__ = [
    "FUSIONS",
    "PRESETS",
    "ContextEncoder",
    "CrossAttention",
    "HypergraphBlock",
    "HypergraphConv",
    "NetworkConfig",
    "PromptEmbedding",
    "PropagateFusion",
    "PropagationBlock",
    "SlideTensors",
    "SpotEncoder",
    "ViTBlock",
    "three_part_loss",
]
