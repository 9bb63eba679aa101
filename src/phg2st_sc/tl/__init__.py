"""Train, predict, impute and score."""

from __future__ import annotations

from ._benchmark import benchmark
from ._benchmark_summary import summarise_benchmark
from ._evaluate import evaluate
from ._impute import impute
from ._predict import predict
from ._train import train

__all__ = ["benchmark", "evaluate", "impute", "predict", "summarise_benchmark", "train"]
