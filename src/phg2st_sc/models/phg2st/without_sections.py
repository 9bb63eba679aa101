"""What a trained default knows once everything that was measured on single sections is taken out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _keys
from ..._provenance import FINGERPRINTS, SHORTENED, shortened
from ..._species import species_of
from ...linear import CohortRegression, GeneBasis, Radial, without_spots
from .knowledge import Knowledge

_KEPT = (
    "n_spots",
    _keys.FEATURES,
    _keys.TARGET_SUM,
    _keys.GENE_COUNTS,
    _keys.N_COUNTS,
    "seed",
    "versions",
    _keys.HYPERGRAPH_KEY,
    SHORTENED,
)
"""Of a card: what names no section and no patient, and was not measured on one. All else stays behind."""
_KEPT_OF_READING = ("counts_layer", "slide_key", "patient_key", "use_rep", _keys.GEX_ONLY)
_PATHS = ("checkpoint_dir", "resume_from")


def knowledge_without_sections(knowledge: Knowledge, card: Mapping[str, Any], *, image: bool = True) -> Knowledge:
    """Levels, noise, gene components, image regression and slopes; in half the bytes, where single precision is enough.

    Landmarks of what is a prior already, by its card, are means of spots, and stay as they are.
    """
    basis, regression = knowledge.basis, knowledge.regression if image else None
    variance = None if basis.variance is None else _single(basis.variance)
    return Knowledge(
        _single(knowledge.levels),
        _single(knowledge.spread),
        GeneBasis(_single(basis.vectors), variance),
        None if regression is None else _narrow(regression if _keys.PRIOR in card else without_spots(regression)),
        slopes=dict(knowledge.slopes),
        share=knowledge.share,
    )


def _narrow(regression: CohortRegression) -> CohortRegression:
    radial = regression.radial
    landmarks, whiten = (None if one is None else _single(one) for one in (radial.landmarks, radial.whiten))
    narrowed = Radial(_single(radial.mean), _single(radial.directions), radial.scale, landmarks, whiten)
    return CohortRegression(narrowed, _single(regression.center), _single(regression.coefficients), regression.view)


def _single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to single precision: the store keeps it in half the bytes, and nothing changes when it is loaded."""
    return values.astype(np.float32).astype(np.float64)


def prior_card(card: Mapping[str, Any], genes: Sequence[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Card of a prior: how many sections and patients it was learned from, but not which.

    Some bits of some spots of each section stay, by which it is known again. ``facts`` are what only the user knows of it.
    """
    before = card.get(_keys.PRIOR) or {}
    counted = (
        {"n_sections": len(card.get("slides") or ()), "n_patients": len(card.get("patients") or ())} if card else {}
    )
    known = {**counted, "n_genes": len(genes), **before, **{name: value for name, value in facts.items() if value}}
    if not known.get("species"):
        known["species"] = species_of(genes)
    made = {key: card[key] for key in _KEPT if key in card} | {_keys.PRIOR: known}
    if _keys.READING in card:
        made[_keys.READING] = {key: card[_keys.READING][key] for key in _KEPT_OF_READING if key in card[_keys.READING]}
    if FINGERPRINTS in card:
        made[SHORTENED] = [shortened(one) for one in card[FINGERPRINTS]]
    return made


def settings_without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, less folders of whoever trained."""
    return {name: None if name in _PATHS else value for name, value in settings.items()}
