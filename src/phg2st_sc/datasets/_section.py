"""One section in a folder of its own: a table, a picture, and a description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from .. import _keys
from ._record import open_picture, visium_record

if TYPE_CHECKING:
    from anndata import AnnData

COUNTS, META = "counts.h5ad", "meta.json"
_PLATFORMS = ("Visium HD", "Visium", "ST")


def read_section(path: str | Path, *, patient: str | None = None, with_images: bool = True) -> AnnData:
    """Read a section kept as a folder with ``counts.h5ad``, ``meta.json`` and a picture.

    Parameters
    ----------
    path
        The folder. ``counts.h5ad`` has ``obsm["spatial"]`` in pixels (x, y) of the picture. ``meta.json`` gives
        ``sample`` (else the folder's name is used), ``um_per_px``, ``spot_diameter_px``, ``technology`` and, for the
        picture, ``image_file`` and ``image_width`` / ``image_height``.
    patient
        Written to ``obs["patient"]``; the entry ``patient`` of ``meta.json`` by default, and left out without either.
    with_images
        Record where the picture is, and keep a thumbnail of it (at most 1,000 px).

    Returns
    -------
    AnnData
        The table as stored, ``X`` as CSR float32, with ``obs["section"]``, ``obs["array_row"]`` and
        ``obs["array_col"]`` (from ``array_y`` and ``array_x`` where the file has them) and ``uns["spatial"][sample]``:
        thumbnail, scale factors, and as ``metadata`` all of ``meta.json`` plus ``mpp`` (µm per pixel), ``platform``
        and ``source_image_path``. Whether ``X`` holds counts is up to the file: see ``metadata["X"]``.

    Raises
    ------
    FileNotFoundError
        When the folder lacks the table, the description, or the picture that it names.
    KeyError
        When the description lacks ``spot_diameter_px``, or the table ``obsm["spatial"]``.
    ValueError
        When the picture is not of the size that the description gives.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.read_section("stahl_mob/Rep11")  # doctest: +SKIP
    >>> adata.uns["spatial"]["Rep11"]["metadata"]["mpp"]  # doctest: +SKIP
    2.756253806519874
    """
    folder = Path(path)
    _require_files(folder)
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    adata = ad.read_h5ad(folder / COUNTS)
    if _keys.SPATIAL not in adata.obsm:
        msg = f'{folder / COUNTS} has no obsm["spatial"] with the spot centres in pixels.'
        raise KeyError(msg)
    if "spot_diameter_px" not in meta:
        msg = f"{folder / META} lacks 'spot_diameter_px'."
        raise KeyError(msg)
    adata.X = csr_matrix(adata.X, dtype=np.float32)
    adata.obsm[_keys.SPATIAL] = np.asarray(adata.obsm[_keys.SPATIAL], dtype=np.float64)
    name = str(meta.get("sample", folder.name))
    _annotate(adata, name, patient or meta.get("patient"))
    image = _picture(folder, meta) if with_images else None
    record = visium_record(spot_diameter_px=meta["spot_diameter_px"], metadata=_metadata(meta), image_path=image)
    adata.uns[_keys.SPATIAL] = {name: record}
    return adata


def _require_files(folder: Path) -> None:
    missing = [file for file in (COUNTS, META) if not (folder / file).is_file()]
    if missing:
        msg = f"{folder} is not a section folder: {' and '.join(missing)} not found in it."
        raise FileNotFoundError(msg)


def _annotate(adata: AnnData, name: str, patient: str | None) -> None:
    adata.obs[_keys.SECTION] = pd.Categorical([name] * adata.n_obs)
    if patient is not None:
        adata.obs[_keys.PATIENT] = pd.Categorical([str(patient)] * adata.n_obs)
    for key, column in ((_keys.ARRAY_ROW, "array_y"), (_keys.ARRAY_COL, "array_x")):
        if column in adata.obs and key not in adata.obs:
            adata.obs[key] = adata.obs[column].round().astype(int)


def _picture(folder: Path, meta: dict[str, Any]) -> Path | None:
    if "image_file" not in meta:
        return None
    image = folder / meta["image_file"]
    if not image.is_file():
        msg = f"{folder / META} names the picture {meta['image_file']}, which is not there. Pass with_images=False."
        raise FileNotFoundError(msg)
    with open_picture(image) as picture:
        size = picture.size
    expected = (meta.get("image_width", size[0]), meta.get("image_height", size[1]))
    if size != expected:
        msg = (
            f"{image} is {size[0]} x {size[1]} px, but {META} gives {expected[0]} x {expected[1]}: spots would not fit."
        )
        raise ValueError(msg)
    return image


def _metadata(meta: dict[str, Any]) -> dict[str, Any]:
    metadata = dict(meta)
    if "um_per_px" in meta:
        metadata[_keys.MPP] = float(meta["um_per_px"])
    technology = str(meta.get("technology", ""))
    platform = next((name for name in _PLATFORMS if technology.startswith(name)), None)
    if platform is not None:
        metadata[_keys.PLATFORM] = platform
    return metadata
