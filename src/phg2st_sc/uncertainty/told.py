"""What is said of the genes of a slide: columns, numbers, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._arrays import Prompts, SlideArrays
from .._evidence import LeftOut, Posterior
from ..models import Prediction
from .calibration import Calibration
from .genes import DOUBT, DOUBT_WITHOUT_COVARIANCE, GeneTrust, gene_trust
from .maps import GeneMaps
from .reliable import chances_below, discoveries

_FDR = 0.1


@dataclass(frozen=True, eq=False)
class ToldOfGenes:
    """What is said of the genes of a slide.

    Attributes
    ----------
    columns
        (G,) values by name of a column of ``var``.
    facts
        Of the slide.
    """

    columns: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


def told_of_genes(
    prediction: Prediction,
    slide: SlideArrays,
    prompts: Prompts,
    left_out: LeftOut | None,
    left: Posterior,
    calibration: Calibration,
) -> ToldOfGenes:
    """What is said of the genes; nothing where every spot was measured, or no prompt could be left out.

    Parameters
    ----------
    prediction
        Of the slide.
    slide, prompts
        From what.
    left_out
        How left-out prompts were predicted; ``None`` where they are too few.
    left
        What the prompts leave open.
    calibration
        What single spots depart from their neighbors by.
    """
    if left_out is None:
        return ToldOfGenes({}, {})
    scale = prompts.panel_share * prompts.target_sum
    maps = GeneMaps.of(prediction, slide, prompts.index, scale=scale)
    if maps is None:
        said = "Every spot is a prompt: nothing is left that genes could be trusted on, and `trust` of genes is not written."
        return ToldOfGenes({}, {"sentence": said})
    doubt = DOUBT_WITHOUT_COVARIANCE if prediction.posterior is None else DOUBT
    amplitude = float(prediction.details.get("amplitude", 1.0))
    found = gene_trust(maps, left_out, left, calibration, amplitude=amplitude, doubt=doubt)
    columns = {_keys.TRUST: found.expected, _keys.TRUST_SE: found.error, _keys.TRUST_NULL: found.nothing}
    facts = {
        "expected_correlation": found.mean,
        "expected_correlation_se": found.mean_error,
        "prediction_factor": found.factor,
        "sentence": _sentence(found),
    }
    return ToldOfGenes({name: values.astype(np.float32) for name, values in columns.items()}, facts)


def _sentence(found: GeneTrust) -> str:
    reliable = discoveries(chances_below(found.expected, found.error, found.nothing, 0.0), _FDR).size
    return (
        f"Where nothing was measured, predictions are expected to correlate with the truth by {found.mean:.2f} on average "
        f"(standard error {found.mean_error:.2f}); {reliable} of {found.expected.size} genes are predicted better than not at all "
        f"at a false discovery rate of {100 * _FDR:.0f} %."
    )
