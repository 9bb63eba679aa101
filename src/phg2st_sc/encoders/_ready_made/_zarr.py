"""Feature tables in the zarr stores that LazySlide writes beside slides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..._text import quoted
from ._file import FeatureFile, Piece, Rows, check_shape, taken

if TYPE_CHECKING:
    import zarr

_TABLES, _SHAPES = "tables", "shapes"
_TILE_ID = "tile_id"
_SPECIFICATIONS = "tile_spec"


def open_lazyslide(path: Path, element: str | None = None) -> FeatureFile:
    """Open ``tables/<encoder>_<tiles>`` of a store, with the places of ``shapes/<tiles>``.

    Raises
    ------
    KeyError
        If there is no such table, or several and none is named.
    ValueError
        If it is not as LazySlide writes it.
    """
    import zarr

    root = zarr.open_group(path, mode="r", use_consolidated=False)
    found = _feature_tables(root)
    name = _chosen(path, found, element)
    table, tiles = root[f"{_TABLES}/{name}"], found[name]
    values = _array(path, table, "X")
    ids = _ids(path, table)
    shape = check_shape(str(path), values.shape, names=len(ids))
    boxes = _boxes(path / _SHAPES / tiles, ids)
    sides = boxes[:, 2:] - boxes[:, :2]
    return FeatureFile(
        where=f"{path}, table {name!r}",
        layout="LazySlide",
        shape=shape,
        read=lambda rows: _read(path, name, rows),
        places=(boxes[:, :2] + boxes[:, 2:]) / 2.0,
        tile_px=float(np.median(sides)),
        tile_um=_side_um(root, tiles),
        encoder=name.removesuffix(f"_{tiles}"),
    )


def _feature_tables(root: zarr.Group) -> dict[str, str]:
    """Tiles by the tables that annotate them, as far as such shapes are there."""
    import zarr

    if _TABLES not in root or _SHAPES not in root:
        return {}
    tables, shapes = root[_TABLES], root[_SHAPES]
    if not isinstance(tables, zarr.Group) or not isinstance(shapes, zarr.Group):
        return {}
    regions = {name: group.attrs.get("region") for name, group in tables.groups()}
    regions = {name: region[0] if isinstance(region, list) and region else region for name, region in regions.items()}
    return {name: region for name, region in regions.items() if isinstance(region, str) and region in shapes}


def _chosen(path: Path, found: dict[str, str], element: str | None) -> str:
    if element is not None and element in found:
        return element
    if element is None and len(found) == 1:
        return next(iter(found))
    there = quoted(sorted(found)) or "none"
    wanted = "no table of features" if element is None else f"no table {element!r} of features"
    if element is None and found:
        msg = f"{str(path)!r} holds several tables of features ({there}): say which, e.g. `element={min(found)!r}`."
    else:
        msg = f"{str(path)!r} holds {wanted} of tiles (there are: {there})."
    raise KeyError(msg)


def _array(path: Path, group: Any, key: str) -> zarr.Array[Any]:
    import zarr

    found = group.get(key)
    if not isinstance(found, zarr.Array):
        kind = "is no array (sparse features are not read)" if found is not None else "is missing"
        msg = f"{str(path)!r}: {group.path}/{key} {kind}."
        raise ValueError(msg)
    if "pickle" in str(found.metadata.to_dict()).lower():
        msg = f"{str(path)!r}: {group.path}/{key} holds pickled objects, which can run code when they are read, so they are not."
        raise ValueError(msg)
    return found


def _ids(path: Path, table: Any) -> NDArray[np.str_]:
    """Tile of every row, as text; stores may keep numbers or text."""
    observations = table["obs"]
    return np.asarray(_array(path, observations, _TILE_ID)[:]).astype(str)


def _boxes(folder: Path, ids: NDArray[np.str_]) -> NDArray[np.float64]:
    """(rows, 4) boxes (x0, y0, x1, y1) of the tiles, found by id."""
    import shapely

    file = folder / "shapes.parquet"
    frame = pd.read_parquet(file)
    known = frame.get(_TILE_ID, frame.index)
    rows = pd.Index(np.asarray(known).astype(str)).get_indexer(ids)
    if (rows < 0).any():
        msg = f"{str(file)!r} lacks the places of {int((rows < 0).sum())} of {len(ids)} tiles ({quoted(ids[rows < 0].tolist())})."
        raise ValueError(msg)
    boxes: NDArray[np.float64] = shapely.bounds(shapely.from_wkb(frame["geometry"].to_numpy()[rows]))
    return boxes


def _side_um(root: zarr.Group, tiles: str) -> float | None:
    specification = dict(root.attrs.get(_SPECIFICATIONS) or {}).get(tiles) or {}
    side, mpp = specification.get("width"), specification.get("mpp")
    return float(side) * float(mpp) if side and mpp else None


def _read(path: Path, name: str, rows: Rows) -> Iterator[Piece]:
    import zarr

    root = zarr.open_group(path, mode="r", use_consolidated=False)
    values = _array(path, root[f"{_TABLES}/{name}"], "X")
    yield from taken(lambda start, stop: values[start:stop], rows)
