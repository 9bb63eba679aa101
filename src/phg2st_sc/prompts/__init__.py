"""Ways to choose which spots are measured: positions in, masks out."""

from ._generator import generator_of as generator_of
from ._strategies import STRATEGIES, nested_masks, register_strategy, sample_mask
from ._strategies import get_strategy as get_strategy
from ._strategies import number_of_prompts as number_of_prompts

__all__ = ["STRATEGIES", "nested_masks", "register_strategy", "sample_mask"]
