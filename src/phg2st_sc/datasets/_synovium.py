"""Rheumatoid synovium, of Vickovic et al. 2022."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from .. import _keys
from .._docs import documented
from .._progress import bar, is_shown
from ._record import visium_record
from ._sources import Source, chosen, kept, known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

_PITCH_PX = 100.0
"""Places are kept in steps of the array; this gives them a unit into which spots of half a step fit."""
_OF_PATIENTS = {"RA1": 4, "RA2": 7, "RA3": 4, "RA4": 5}
SOURCE = known(
    Source(
        name="ra_synovium",
        what="human synovium, rheumatoid arthritis, ST, without pictures",
        sections=tuple(f"{patient}_{i}" for patient, n in _OF_PATIENTS.items() for i in range(1, n + 1)),
        citation="Vickovic et al., Communications Biology 5, 129 (2022)",
        license="BSD-3-Clause",
        repository="https://github.com/mssanjavickovic/3dst",
    )
)


@documented
def ra_synovium(
    path: str | Path | None = None, *, sections: str | Iterable[str] | None = None, progress: bool | None = None
) -> dict[str, AnnData]:
    """Rheumatoid synovium: twenty serial sections of four patients, without pictures.

    Not downloaded: the repository has log-normalized values in files of R, of which counts have to be recovered first.

    Parameters
    ----------
    path
        Folder with ``<section>.h5ad``: raw counts, and ``obsm["spatial_array"]`` in steps of the array. ``None``: the folder
        ``datasets/ra_synovium`` of :data:`phg2st_sc.settings` ``.cache``.
    sections
        Sections to read, such as ``"RA1_1"``; all that the folder has by default.
    {progress}

    Returns
    -------
    dict of AnnData
        By section, with ``obs["section"]``, ``obs["patient"]`` and ``obsm["spatial"]``, 100 to a step of the array.
        ``uns["spatial"][section]["metadata"]`` has citation, license and source.

    Raises
    ------
    FileNotFoundError
        If the folder, or a section in it, is not there.
    ValueError
        If there is no such section.

    Notes
    -----
    Source: Vickovic et al., Communications Biology 5, 129 (2022), https://github.com/mssanjavickovic/3dst.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.ra_synovium("ra3dst", sections=["RA1_1", "RA1_2"])  # doctest: +SKIP
    >>> slides["RA1_1"].shape  # doctest: +SKIP
    (338, 15005)
    """
    names = chosen(SOURCE, sections)
    root = kept(SOURCE, path, holds="<section>.h5ad with raw counts and obsm['spatial_array']")
    if sections is None:
        names = [name for name in names if (root / f"{name}.h5ad").is_file()]
    lacking = [name for name in names if not (root / f"{name}.h5ad").is_file()]
    if lacking or not names:
        msg = f"{root} lacks {lacking[0] if lacking else SOURCE.sections[0]}.h5ad."
        raise FileNotFoundError(msg)
    shown = bar(names, progress=is_shown(progress) and len(names) > 1, desc=SOURCE.name, unit="section")
    return {name: _read(root / f"{name}.h5ad", name) for name in shown}


def _read(path: Path, name: str) -> AnnData:
    adata = ad.read_h5ad(path)
    adata.X = csr_matrix(adata.X, dtype=np.float32)
    adata.obs[_keys.SECTION] = pd.Categorical([name] * adata.n_obs)
    adata.obs[_keys.PATIENT] = pd.Categorical([name.split("_")[0]] * adata.n_obs)
    adata.obsm[_keys.SPATIAL] = _PITCH_PX * np.asarray(adata.obsm[_keys.SPATIAL_ARRAY], dtype=np.float64)
    record = visium_record(spot_diameter_px=_PITCH_PX / 2, metadata=SOURCE.facts)
    adata.uns[_keys.SPATIAL] = {name: record}
    return adata
