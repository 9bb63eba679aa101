"""Mouse lumbar spinal cord (Maniatis et al. 2019): eight open tables of three mice, 34 to 99 spots each, all with a picture."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
from _sections import with_features, with_picture

_SPOT_UM = 100.0
_NO_GENE = "__"
"""Reads between genes, counted as if they were some."""


def read(data: Path, cache: Path) -> dict[str, ad.AnnData]:
    """Sections with texture features; the patient is the mouse."""
    folders = sorted(path.parent for path in (data / "als_spinal_cord").glob("*/counts.h5ad"))
    return with_features({folder.name: _section(folder) for folder in folders}, cache / "als")


def _section(folder: Path) -> ad.AnnData:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    table = ad.read_h5ad(folder / "counts.h5ad")
    table = table[:, ~table.var_names.str.startswith(_NO_GENE)].copy()
    picture = folder / meta["image_file"]
    return with_picture(table, folder.name, str(meta["mouse"]), picture, mpp=meta["um_per_px"], spot_um=_SPOT_UM)
