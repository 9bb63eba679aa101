"""Settle what a killed write left in a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._slide import KEPT_IN_STORE, Outcome, is_spatialdata, store_of
from .._slide import recover as recover_store
from ..encoders import drop_kept

if TYPE_CHECKING:
    from spatialdata import SpatialData


def recover(path: str | os.PathLike[str] | SpatialData, *, break_lock: bool = False) -> Outcome:
    """Settle what a killed write left in the store of a SpatialData.

    With ``write=True``, results are made ready in a folder of the store before anything is exchanged, and a table bears a
    mark, ``uns["phg2st_unfinished"]``, while they are. A failure or Ctrl-C undoes or finishes the exchange. Where the process
    was killed, this function does: it completes the results where the exchange had begun, and drops what had been made ready
    where it had not, and deletes the hidden folders that it left, ``.phg2st-write.*``. Nothing else in the store is touched. The next call with ``write=True`` does so too, by itself.

    Embeddings that a killed ``extract_embeddings(write=True)`` had kept in ``.phg2st-embeddings`` are dropped. Make the same call again
    instead, and it goes on from them. Those of a call that still runs stay, where the system locks folders: not on Windows, nor on
    some network file systems.

    Parameters
    ----------
    path
        Folder of the store, or one that lies in it, such as its table; or a SpatialData, whose ``.path`` is taken. Read that
        again afterwards. The store may have been moved or copied since, hidden files included.
    break_lock
        Recover although a process on another machine may still be writing: that cannot be seen from here, so make sure first.

    Returns
    -------
    ``"nothing to do"``; ``"old kept"``: the store holds what it held before the write; ``"new completed"``: it holds the whole
    result of the write.

    Raises
    ------
    FileNotFoundError
        If there is no folder at ``path``.
    StoreLockedError
        If the process that writes still runs, or is on another machine and ``break_lock`` is False.
    TypeError
        If ``path`` is no path and no SpatialData.
    ValueError
        If the folder is no store of a SpatialData, nor lies in one, or the SpatialData has none.
    ValueError
        If what the write left is damaged, was not left by this package, or cannot be completed, or the store is read-only.
        Nothing is changed then.

    Examples
    --------
    >>> import tempfile
    >>> import phg2st_sc as phg2st
    >>> from spatialdata import SpatialData
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     SpatialData().write(f"{folder}/section.zarr")
    ...     phg2st.io.recover(f"{folder}/section.zarr")
    'nothing to do'
    """
    folder = _folder(path)
    if not folder.is_dir():
        msg = f"There is no store in a folder at {folder}."
        raise FileNotFoundError(msg)
    store = store_of(folder)
    if store is None:
        msg = (
            f"{folder} is no store of a SpatialData, and lies in none: there is nothing to recover. Pass the folder that "
            "`sdata.write(path)` made."
        )
        raise ValueError(msg)
    outcome = recover_store(store, break_lock=break_lock)
    dropped = drop_kept(store / KEPT_IN_STORE)
    return "old kept" if dropped and outcome == "nothing to do" else outcome


def _folder(path: Any) -> Path:
    if is_spatialdata(path):
        if path.path is None:
            raise ValueError("There is no store behind this SpatialData: it was never written.")
        path = path.path
    if not isinstance(path, str | os.PathLike):
        msg = (
            f"`recover` takes the path of a store, or a SpatialData that was read from one, not {type(path).__name__}: "
            '`phg2st_sc.io.recover("section.zarr")`.'
        )
        raise TypeError(msg)
    return Path(path).resolve()
