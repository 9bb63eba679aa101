"""The client that a call is given, and what may be sent through it."""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from .._warn import warn_user

MOST_BYTES = 1 << 29
"""Of one message. The scheduler holds all of it for as long as it may have to be sent again."""


def check_client(client: Any) -> None:
    """Refuse what is no client of Dask that tasks can be sent through; ``None`` is no client, and fine.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it is asynchronous, or closed.
    """
    if client is None:
        return
    from distributed import Client

    if not isinstance(client, Client):
        msg = (
            f"`client=` takes a client of Dask, not a {type(client).__name__}: `distributed.Client()` starts processes on this "
            "machine, `distributed.Client('tcp://host:8786')` goes to a scheduler that runs, `distributed.get_client()` is "
            "the one that is open."
        )
        raise TypeError(msg)
    if client.asynchronous:
        raise ValueError(
            "`client=` is asynchronous, and calls of this package wait for their results: open it without `asynchronous=True`."
        )
    if client.status != "running":
        msg = (
            f"`client=` is {client.status}: open one, `distributed.Client()`, and keep it open until the call returns."
        )
        raise ValueError(msg)
    if not client.scheduler_info()["workers"]:
        warn_user("The `client` has no worker yet: the work waits until there is one.")


IN_STORE = "Keep the data where the workers can read them, `sdata.write(path)`, and pass what `spatialdata.read_zarr(path)` returns"


def packed(thing: Any, what: str, smaller: str = IN_STORE) -> bytes:
    """A thing as it is sent.

    Parameters
    ----------
    thing
        Data that stand in files are sent as paths by those who know how.
    what, smaller
        What it is, and what to do where it is too large, for messages.

    Raises
    ------
    ValueError
        If it cannot be sent, or is too large for it.
    """
    from distributed.protocol.pickle import dumps

    try:
        with _absolute_stores():
            sent: bytes = dumps(thing)
    except Exception as error:  # pickling raises whatever the object does
        msg = f"{what} cannot be sent to the workers of `client=` ({error}). {smaller}; or call without `client=`."
        raise ValueError(msg) from error
    if len(sent) > MOST_BYTES:
        msg = (
            f"{what} would have to be sent to the workers of `client=`, {len(sent) / 1e6:,.0f} MB that are in memory (at most "
            f"{MOST_BYTES / 1e6:,.0f} MB are). {smaller}; or call without `client=`."
        )
        raise ValueError(msg)
    return sent


@contextmanager
def _absolute_stores() -> Iterator[None]:
    """Send zarr stores by their whole path: workers may have another working directory, and chunks that are not found are read as 0."""
    from zarr.storage import LocalStore

    def reduced(store: LocalStore) -> tuple[Any, ...]:
        return partial(LocalStore, read_only=store.read_only), (store.root.absolute(),)

    before = copyreg.dispatch_table.get(LocalStore)
    copyreg.pickle(LocalStore, reduced)
    try:
        yield
    finally:
        if before is None:
            del copyreg.dispatch_table[LocalStore]
        else:
            copyreg.dispatch_table[LocalStore] = before
