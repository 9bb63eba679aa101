"""What a killed write left: completed where the exchange had begun, dropped where it had not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Literal

from ... import _keys
from ..._text import quoted
from ._exchange import Exchange
from ._hold import WORK, Hold, sweep, take
from ._interrupts import HeldInterrupts
from ._journal import JOURNAL, MARK, TABLES, Journal

Outcome = Literal["nothing to do", "old kept", "new completed"]
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def recover(store: Path, *, break_lock: bool = False) -> Outcome:
    """Settle what a killed write left in a store.

    Parameters
    ----------
    store
        Its root folder, without links on the way.
    break_lock
        Do so although the write may be going on on another machine.

    Raises
    ------
    StoreLockedError
        If the write goes on, or may do so.
    ValueError
        If what is there is damaged or of another origin, or the store cannot be written to.
    """
    with HeldInterrupts():
        if not os.path.lexists(store / WORK):
            _refuse_orphans(store)
            sweep(store)
            return "nothing to do"
        hold = take_writable(store, break_lock=break_lock)
        outcome: Outcome = _inherit(hold) if hold.inherited else "nothing to do"
        hold.release()
    return outcome


def take_settled(store: Path) -> Hold:
    """Take a store for writing, after settling what a killed write left in it."""
    hold = take_writable(store)
    while hold.inherited:
        _inherit(hold)
        hold.release()
        hold = take_writable(store)
    return hold


def take_writable(store: Path, *, break_lock: bool = False) -> Hold:
    """Take a store, or say that it is read-only."""
    try:
        return take(store, break_lock=break_lock)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        raise ValueError(read_only(store, error.strerror or str(error))) from error


def read_only(store: Path, why: str) -> str:
    """Message for a store that cannot be written to."""
    return (
        f"The store {store} cannot be written to ({why}). Leave `write` out, and write the object to a place of yours: "
        "`sdata.write(path)`."
    )


def _inherit(hold: Hold) -> Outcome:
    settled = False
    try:
        outcome = _settle(hold)
        settled = True
    finally:
        if not settled:
            hold.leave()
    return outcome


def _settle(hold: Hold) -> Outcome:
    if not (hold.work / JOURNAL).exists():
        return "old kept"  # new content was still being made
    exchange = Exchange(hold.store, Journal.read(hold.work))
    table = hold.store / TABLES / exchange.journal.table
    if not table.is_dir():
        return "old kept"  # the table was deleted since, and with it what the journal is about
    exchange.check()
    if _run_of_mark(table) == exchange.journal.run:
        _refuse_conflicts(exchange)
        exchange.forward()
        return "new completed"
    if os.path.lexists(exchange.old(MARK)) and not os.path.lexists(exchange.new(MARK)):
        return "new completed"
    exchange.consolidate()  # the exchange had not begun; or the table was replaced since
    return "old kept"


def _refuse_conflicts(exchange: Exchange) -> None:
    taken = exchange.conflicts()
    if taken:
        msg = (
            f"While a result was half written, something else wrote {', '.join(taken)} of table {exchange.journal.table!r} in "
            f"{exchange.store}. Nothing was changed: move it to another name, and call again."
        )
        raise ValueError(msg)


def _refuse_orphans(store: Path) -> None:
    for mark in sorted(store.glob(f"{TABLES}/*/{MARK.path()}")):
        table = mark.parent.parent
        record = _read_mark(table)
        slots = [str(slot) for slot in record.get("slots", ())]
        msg = (
            f"Table {table.name!r} in {store} holds a half-written result, and {WORK!r}, the folder in the store from which "
            "it could be completed, is missing (was the store copied without hidden files?). Read it, delete "
            f"{quoted(slots)} and uns[{_keys.UNFINISHED!r}], write it to a new path, and make the result again."
        )
        raise ValueError(msg)


def _run_of_mark(table: Path) -> str | None:
    run: Any = _read_mark(table).get("run")
    return None if run is None else str(run)


def _read_mark(table: Path) -> dict[str, Any]:
    import zarr
    from anndata.io import read_elem

    if not (table / MARK.path()).is_dir():
        return {}
    record: dict[str, Any] = read_elem(zarr.open_group(table / MARK.path(), mode="r", use_consolidated=False))
    return record
