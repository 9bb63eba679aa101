"""Mouse colon on Visium, of Parigi et al. 2022."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from .. import _keys
from .._docs import documented
from ._from_ids import picture_at
from ._record import visium_record
from ._sources import Source, kept, known

if TYPE_CHECKING:
    from anndata import AnnData

_SECTION, _SPOT_UM = "section1", 55.0
SOURCE = known(
    Source(
        name="mouse_colon_visium",
        what="mouse colon, Visium",
        sections=(_SECTION,),
        citation="Parigi et al., Nature Communications 13, 828 (2022)",
        license="None is stated in the repository.",
        repository="https://github.com/ludvigla/murine_colon_explorer",
    )
)


@documented
def mouse_colon_visium(path: str | Path | None = None, *, with_images: bool = True) -> dict[str, AnnData]:
    """Mouse colon, one Visium section of 2,604 spots and 4,338 genes with its picture.

    Counts are corrected for depth (SCTransform) and fewer than were measured: totals hardly vary, and depth has been taken
    out of them already. Not downloaded: the repository has values in files of R, and the picture as a thousand tiles.

    Parameters
    ----------
    path
        Folder with ``section1.h5ad`` (``obsm["spatial"]`` in pixels), ``section1.jpg`` and ``meta.json`` (``um_per_px``).
        ``None``: the folder ``datasets/mouse_colon_visium`` of :data:`phg2st_sc.settings` ``.cache``.
    with_images
        Record where the picture is, and keep a thumbnail of it.

    Returns
    -------
    dict of AnnData
        The one section, ``"section1"``. ``uns["spatial"]["section1"]["metadata"]`` has µm per pixel, citation, license and
        source.

    Raises
    ------
    FileNotFoundError
        If the folder, or a file in it, is not there.

    Notes
    -----
    Source: Parigi et al., Nature Communications 13, 828 (2022), https://github.com/ludvigla/murine_colon_explorer.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.mouse_colon_visium("visium_mouse_colon")["section1"]  # doctest: +SKIP
    >>> adata.shape  # doctest: +SKIP
    (2604, 4338)
    """
    root = kept(SOURCE, path, holds="section1.h5ad, section1.jpg and meta.json")
    mpp = float(json.loads((root / "meta.json").read_text(encoding="utf-8"))["um_per_px"])
    adata = ad.read_h5ad(root / f"{_SECTION}.h5ad")
    adata.var_names_make_unique()
    adata.X = csr_matrix(adata.X, dtype=np.float32)
    adata.obs[_keys.SECTION] = pd.Categorical([_SECTION] * adata.n_obs)
    adata.obsm[_keys.SPATIAL] = np.asarray(adata.obsm[_keys.SPATIAL], dtype=np.float64)
    record = visium_record(
        spot_diameter_px=_SPOT_UM / mpp,
        metadata={_keys.PLATFORM: "Visium", _keys.MPP: mpp, **SOURCE.facts},
        image_path=picture_at(root / f"{_SECTION}.jpg") if with_images else None,
    )
    adata.uns[_keys.SPATIAL] = {_SECTION: record}
    return {_SECTION: adata}
