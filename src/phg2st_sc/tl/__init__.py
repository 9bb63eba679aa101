"""Train, predict, impute and score."""

from __future__ import annotations

from ._evaluate import evaluate
from ._impute import impute
from ._predict import predict
from ._train import train

__all__ = ["evaluate", "impute", "predict", "train"]
