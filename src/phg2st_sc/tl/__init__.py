"""Train, predict, impute and score."""

from __future__ import annotations

from .._benchmark import summarize_benchmark
from .._deprecated import deprecated_names
from ._benchmark import benchmark
from ._estimate import estimate
from ._evaluate import evaluate
from ._expand import expand
from ._expected_accuracy import expected_accuracy
from ._impute import impute
from ._intervals import intervals
from ._learn_prior import learn_prior
from ._noise_ceiling import noise_ceiling
from ._predict import predict
from ._reliable_genes import reliable_genes
from ._stored import predictions_in as predictions_in
from ._suggest_spots import suggest_spots
from ._train import train

__all__ = [
    "benchmark",
    "estimate",
    "evaluate",
    "expand",
    "expected_accuracy",
    "impute",
    "intervals",
    "learn_prior",
    "noise_ceiling",
    "predict",
    "reliable_genes",
    "suggest_spots",
    "summarize_benchmark",
    "train",
]

__getattr__ = deprecated_names(__name__, summarise_benchmark="tl.summarize_benchmark")
