"""Mouse olfactory bulb: three open sections of as many animals, from two laboratories (Ståhl et al. 2016; STUtility)."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
from _sections import read_folders

_FOLDERS = ("stahl_mob/Rep11", "stutility_mob/MOB1", "stutility_mob/MOB2")


def read(data: Path, cache: Path) -> dict[str, ad.AnnData]:
    """Sections with texture features, each its own patient."""
    return read_folders([data / folder for folder in _FOLDERS], cache / "bulb")
