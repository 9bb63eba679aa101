"""Blocks that several networks share: tensors in, tensors out. Importing this package loads torch.

Public is what methods take as settings; the blocks may change from release to release.
"""

from ._config import CONTEXT_SIDE as CONTEXT_SIDE
from ._config import DROPPED as DROPPED
from ._config import MEMBER as MEMBER
from ._config import NetworkConfig
from ._context import ContextEncoder as ContextEncoder
from ._features import FeatureStats as FeatureStats
from ._fusion import CrossAttention as CrossAttention
from ._fusion import FusionInput as FusionInput
from ._fusions import FUSIONS as FUSIONS
from ._hypergraph import HypergraphBlock as HypergraphBlock
from ._hypergraph import HypergraphConv as HypergraphConv
from ._image import CHUNK as CHUNK
from ._image import ImageTokens as ImageTokens
from ._image import tokens_in_chunks as tokens_in_chunks
from ._loss import three_part_loss as three_part_loss
from ._prompt import PromptEmbedding as PromptEmbedding
from ._seeds import own_randomness as own_randomness
from ._slide import SlideTensors as SlideTensors
from ._slide import in_full_precision as in_full_precision
from ._spots import SpotEncoder as SpotEncoder
from ._tensors import slide_tensors as slide_tensors
from ._vit import MLP as MLP
from ._vit import ViTBlock as ViTBlock
from ._vit import mean_of_known as mean_of_known
from ._vit import offset_bias as offset_bias
from ._vit import offset_index as offset_index

__all__ = ["NetworkConfig"]
