"""Ways to choose which spots are measured: positions in, masks out. A file here is a strategy."""

from .._registry import open_rooms
from ._base import STRATEGIES, nested_masks, register_strategy, sample_mask
from ._base import generator_of as generator_of
from ._base import number_of_prompts as number_of_prompts
from ._geometry import nearest_in_a_square as nearest_in_a_square

open_rooms(__name__, __path__)

__all__ = ["STRATEGIES", "nested_masks", "register_strategy", "sample_mask"]
