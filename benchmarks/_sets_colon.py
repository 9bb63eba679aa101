"""Mouse colon (Parigi et al. 2022), one Visium section of 2,604 spots. Its counts are corrected for depth: fewer than were measured."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
from _sections import with_features, with_picture

_SPOT_UM = 55.0


def read(data: Path, cache: Path) -> dict[str, ad.AnnData]:
    """The section with texture features."""
    folder = data / "visium_mouse_colon"
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    table = ad.read_h5ad(folder / "section1.h5ad")
    table.var_names_make_unique()
    colon = with_picture(
        table, "colon", "colon", folder / "section1.jpg", mpp=float(meta["um_per_px"]), spot_um=_SPOT_UM
    )
    return with_features({"colon": colon}, cache / "colon")
