"""The record of an embedding: the one thing that tells later steps that it comes from the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _keys
from .._provenance import names_hash, package_versions

if TYPE_CHECKING:
    from anndata import AnnData

UNKNOWN = "unknown"

Scale = tuple[str, float | None, str | None]
"""Name of a slide, µm per pixel of its picture, and where these come from."""


def image_record(
    table: AnnData,
    slides: Sequence[Scale],
    *,
    encoder: str,
    revision: str,
    transform: str,
    dim: int,
    tile_um: float,
    fields: Sequence[float] = (1.0,),
    weights: str = "",
    precision: str = UNKNOWN,
    license_name: str = UNKNOWN,
    context: int = 0,
    context_form: str = "none",
    made_with: Sequence[str] = (),
) -> dict[str, Any]:
    """What is said of features of the image, whoever made them, as ``uns`` keeps it.

    Parameters
    ----------
    table
        Table annotating the spots.
    slides
        Those that have features.
    encoder, revision, weights, transform, precision, license_name
        As on the card of the encoder.
    dim
        Number of features.
    tile_um
        Side of a tile in µm.
    fields
        Fields of view, in tiles.
    context, context_form
        Tiles along a side of the block around each spot, and how they are laid.
    made_with
        Packages whose versions are kept.
    """
    names, mpps, sources = zip(*slides, strict=True)
    return {
        _keys.SOURCE: _keys.FROM_IMAGE,
        _keys.ENCODER: encoder,
        _keys.REVISION: revision,
        _keys.WEIGHTS: weights,
        _keys.TRANSFORM: transform,
        _keys.PRECISION: precision,
        _keys.LICENSE: license_name,
        _keys.DIM: dim,
        _keys.FIELDS: np.array(fields),
        _keys.TILE_UM: tile_um,
        _keys.CONTEXT: context,
        _keys.CONTEXT_FORM: context_form,
        _keys.SLIDES: np.array(names),
        _keys.MPP: np.array([np.nan if mpp is None else mpp for mpp in mpps]),
        _keys.MPP_SOURCE: np.array([source or UNKNOWN for source in sources]),
        _keys.N_OBS: table.n_obs,
        _keys.NAMES_HASH: names_hash(table.obs_names),
        "versions": package_versions(("phg2st-sc", "numpy", *made_with)),
    }
