"""Text files of the first Spatial Transcriptomics arrays: counts, spot selections, and the section they make."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

from .. import _keys
from ._record import visium_record

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PLATFORM = "ST"


@dataclass(frozen=True)
class LegacyArray:
    """Geometry of an array: centre-to-centre distance and spot diameter, in µm."""

    pitch_um: float
    spot_um: float


def read_counts(path: Path) -> tuple[list[str], list[str], csr_matrix]:
    """Spot ids, genes and counts (spots x genes, float32) of a tab-separated table, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as handle:
        lines = [line for line in handle.read().splitlines() if line.strip()]
    if len(lines) < 2:
        msg = f"{path} holds no spots: expected a header of genes and one line per spot."
        raise ValueError(msg)
    n_fields = lines[1].count(b"\t") + 1
    header = lines[0].decode().split("\t")
    genes = header[-(n_fields - 1) :]
    if len(genes) != n_fields - 1 or len(header) > n_fields:
        msg = f"{path} has {len(header)} header fields, but {n_fields} fields in its first row of counts."
        raise ValueError(msg)
    ids = [line.split(b"\t", 1)[0].decode() for line in lines[1:]]
    try:
        values = np.loadtxt(
            lines[1:], delimiter="\t", usecols=range(1, n_fields), dtype=np.float32, ndmin=2, comments=None
        )
    except ValueError as error:
        msg = f"{path} is not a table of counts (spots in rows, genes in columns, tab-separated): {error}."
        raise ValueError(msg) from error
    return ids, genes, csr_matrix(values)


def array_ids(x: pd.Series, y: pd.Series) -> pd.Index:
    """Spot ids as the counts write them, ``<x>x<y>``, from array coordinates that may carry decimals."""
    columns, rows = x.round().astype(int).astype(str), y.round().astype(int).astype(str)
    return pd.Index(columns + "x" + rows)


def read_spots(path: Path) -> pd.DataFrame:
    """Selected spots of a spot file by id, with ``x``, ``y`` (array) and ``pixel_x``, ``pixel_y``."""
    table = pd.read_csv(path, sep="\t")
    missing = {"x", "y", "pixel_x", "pixel_y"} - set(table.columns)
    if missing:
        msg = f"{path} lacks the columns {sorted(missing)}; it has {list(table.columns)}."
        raise ValueError(msg)
    if "selected" in table:
        table = table[table["selected"] == 1]
    table = table.dropna(subset=["x", "y", "pixel_x", "pixel_y"])
    table.index = array_ids(table["x"], table["y"])
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        msg = f"{path} lists spot {twice} more than once."
        raise ValueError(msg)
    return table


def pitch_px(positions: NDArray[np.float64]) -> float:
    """Median distance to the nearest other spot."""
    distances, _ = KDTree(positions).query(positions, k=2)
    return float(np.median(distances[:, 1]))


def read_legacy_section(
    counts: Path, spots: Path, *, name: str, patient: str, array: LegacyArray, image: Path | None = None
) -> AnnData:
    """One section: the spots that are in its counts and selected in its spot file, in the order of the counts."""
    ids, genes, matrix = read_counts(counts)
    selected = read_spots(spots)
    rows = np.flatnonzero(pd.Index(ids).isin(selected.index))
    if len(rows) < 2:
        msg = (
            f"{counts} and {spots} share {len(rows)} spots: ids like {ids[0]!r} against {selected.index[:1].tolist()}. "
            "Do they belong to the same section?"
        )
        raise ValueError(msg)
    selected = selected.loc[[ids[row] for row in rows]]
    adata = AnnData(
        matrix[rows],
        obs=pd.DataFrame(index=selected.index.astype(str)),
        var=pd.DataFrame(index=pd.Index(genes, dtype=str)),
    )
    _annotate(adata, selected, name=name, patient=patient)
    positions = selected[["pixel_x", "pixel_y"]].to_numpy(dtype=np.float64)
    adata.obsm[_keys.SPATIAL] = positions
    record = visium_record(
        spot_diameter_px=pitch_px(positions) * array.spot_um / array.pitch_um,
        metadata={_keys.PLATFORM: PLATFORM, _keys.PITCH_UM: array.pitch_um},
        image_path=image,
    )
    adata.uns[_keys.SPATIAL] = {name: record}
    return adata


def _annotate(adata: AnnData, spots: pd.DataFrame, *, name: str, patient: str) -> None:
    adata.obs[_keys.IN_TISSUE] = 1
    adata.obs[_keys.ARRAY_ROW] = spots["y"].round().astype(int).to_numpy()
    adata.obs[_keys.ARRAY_COL] = spots["x"].round().astype(int).to_numpy()
    adata.obs[_keys.SECTION] = pd.Categorical([name] * adata.n_obs)
    adata.obs[_keys.PATIENT] = pd.Categorical([patient] * adata.n_obs)
