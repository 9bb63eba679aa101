"""CONCH: a vision transformer whose tokens are pooled by attention; its layers are imported where one is built."""

from ._recipes import CONCH, CONCH_1_5, image_tower, image_tower_v1_5

__all__ = ["CONCH", "CONCH_1_5", "image_tower", "image_tower_v1_5"]
