"""The network of the default model: it predicts gene components, and is averaged into the linear prediction."""

from .model import NetworkMember

__all__ = ["NetworkMember"]
