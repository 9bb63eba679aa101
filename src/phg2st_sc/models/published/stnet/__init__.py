"""ST-Net."""

from .model import STNet

__all__ = ["STNet"]
