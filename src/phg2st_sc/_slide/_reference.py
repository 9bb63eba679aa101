"""Objects that stand in a store, by its path: what is sent to other processes in place of their content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import _keys
from ._model import Slide, find_file, in_spatialdata
from ._open import is_spatialdata


@dataclass(frozen=True)
class InStore:
    """A SpatialData in a store.

    Attributes
    ----------
    path
        Where the store is, on every machine.
    """

    path: str

    def read(self) -> Any:
        """The object as it stands there."""
        from spatialdata import read_zarr

        return read_zarr(self.path)


def by_path(data: Any) -> Any:
    """Objects as they are sent: a SpatialData that has a store as its path, any other as it is.

    Parameters
    ----------
    data
        An object, or a list or dict of objects.
    """

    def sent(one: Any) -> Any:
        if is_spatialdata(one) and one.path is not None and Path(one.path).is_dir():
            return InStore(str(Path(one.path).resolve()))
        return one

    return _each(data, sent)


def read_again(data: Any) -> Any:
    """What :func:`by_path` made of objects, as objects."""
    return _each(data, lambda one: one.read() if isinstance(one, InStore) else one)


def for_elsewhere(slide: Slide) -> Slide:
    """A slide with its places and its picture, and nothing else of its table."""
    from anndata import AnnData

    names = slide.table.obs_names[slide.rows]
    attrs: dict[str, Any] = {_keys.SPATIALDATA_ATTRS: {}} if in_spatialdata(slide.table) else {}
    table = AnnData(obs=pd.DataFrame(index=names), uns=attrs)
    source = slide.image_source
    if isinstance(source, (str, Path)) and slide.image_key is None:
        source = find_file(source, slide.folders).absolute()
    return replace(slide, table=table, rows=np.arange(slide.n_spots), image_source=source)


def _each(data: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(data, Mapping):
        return {key: change(one) for key, one in data.items()}
    return [change(one) for one in data] if isinstance(data, (list, tuple)) else change(data)
