"""Rheumatoid synovium (Vickovic et al. 2022): twenty open sections of four patients, serial within a patient, no picture."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np

_PITCH_PX = 100.0


def read(data: Path, cache: Path) -> dict[str, ad.AnnData]:
    """Sections; places are kept in pitches, and get a unit here that spots of half a pitch fit into."""
    return {path.stem: _section(path) for path in sorted((data / "ra3dst").glob("*.h5ad"))}


def _section(path: Path) -> ad.AnnData:
    table = ad.read_h5ad(path)
    table.obsm["spatial"] = _PITCH_PX * np.asarray(table.obsm["spatial_array"], dtype=np.float64)
    table.obs["section"] = path.stem
    scale = {"spot_diameter_fullres": _PITCH_PX / 2}
    table.uns["spatial"] = {path.stem: {"images": {}, "scalefactors": scale, "metadata": {}}}
    return table
