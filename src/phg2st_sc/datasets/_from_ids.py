"""A section whose spots have their places on the array as names, ``5.907x2.103``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from .. import _keys
from ._legacy import PLATFORM, LegacyArray
from ._record import visium_record


def array_places(ids: list[str]) -> NDArray[np.float64]:
    """(n, 2) places x, y on the array, of which the names of spots consist."""
    return np.array([[float(part) for part in one.split("x")] for one in ids])


def section_of(
    ids: list[str],
    genes: list[str],
    counts: Any,
    *,
    name: str,
    patient: str,
    pitch_px: tuple[float, float],
    array: LegacyArray,
    facts: dict[str, str],
    image: Path | None,
) -> AnnData:
    """A section; spot (1, 1) of the array is the corner of the picture, and ``pitch_px`` the step along x and y."""
    places = array_places(ids)
    obs = pd.DataFrame({_keys.ARRAY_X: places[:, 0], _keys.ARRAY_Y: places[:, 1]}, index=pd.Index(ids, dtype=str))
    adata = AnnData(csr_matrix(counts, dtype=np.float32), obs=obs, var=pd.DataFrame(index=pd.Index(genes, dtype=str)))
    adata.obs[_keys.IN_TISSUE] = 1
    adata.obs[_keys.ARRAY_ROW], adata.obs[_keys.ARRAY_COL] = places[:, ::-1].round().astype(int).T
    adata.obs[_keys.SECTION] = pd.Categorical([name] * adata.n_obs)
    adata.obs[_keys.PATIENT] = pd.Categorical([patient] * adata.n_obs)
    adata.obsm[_keys.SPATIAL] = (places - 1) * np.asarray(pitch_px)
    record = visium_record(
        spot_diameter_px=pitch_px[0] * array.spot_um / array.pitch_um,
        metadata={_keys.PLATFORM: PLATFORM, _keys.PITCH_UM: array.pitch_um, **facts},
        image_path=image,
    )
    adata.uns[_keys.SPATIAL] = {name: record}
    return adata


def picture_at(path: Path) -> Path:
    """A picture that is there.

    Raises
    ------
    FileNotFoundError
        If it is not.
    """
    if not path.is_file():
        msg = f"The picture {path} is not there. Pass with_images=False to read the section without."
        raise FileNotFoundError(msg)
    return path
