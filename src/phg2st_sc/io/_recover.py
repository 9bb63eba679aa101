"""Settle what a killed write left in a store."""

from __future__ import annotations

import os
from pathlib import Path

from .._slide import Outcome
from .._slide import recover as recover_store


def recover(path: str | os.PathLike[str], *, break_lock: bool = False) -> Outcome:
    """Settle what a killed write left in the store of a SpatialData.

    With ``write=True``, results are made ready in a folder of the store before anything is exchanged, and a table bears a
    mark, ``uns["phg2st_unfinished"]``, while they are. A failure or Ctrl-C undoes or finishes the exchange. Where the process
    was killed, this function does: it completes the results where the exchange had begun, and drops what had been made ready
    where it had not. Nothing else in the store is touched. The next call with ``write=True`` does so too, by itself.

    Parameters
    ----------
    path
        Folder of the store. It may have been moved or copied since, hidden files included.
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
    ValueError
        If what the write left is damaged, was not left by this package, or cannot be completed, or the store is read-only.
        Nothing is changed then.

    Examples
    --------
    >>> import tempfile
    >>> import phg2st_sc as phg2st
    >>> with tempfile.TemporaryDirectory() as store:
    ...     phg2st.io.recover(store)
    'nothing to do'
    """
    store = Path(path).resolve()
    if not store.is_dir():
        msg = f"There is no store in a folder at {path}."
        raise FileNotFoundError(msg)
    return recover_store(store, break_lock=break_lock)
