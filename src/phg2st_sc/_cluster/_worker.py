"""What runs on a worker."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .._progress import no_bars
from .._provenance import package_versions
from .._settings import settings
from .._warn import Told, told_later

_ALONE = threading.Lock()
"""Random numbers of torch and warnings belong to the process: two pieces of work at a time in one would disturb each other."""
_ASK_EVERY_S = 1.0
_SOFTWARE = ("phg2st-sc",)
_unpacked: dict[str, Any] = {}

_stop: ContextVar[str | None] = ContextVar("stop", default=None)
_asked: ContextVar[float] = ContextVar("asked", default=0.0)


@dataclass(frozen=True)
class Order:
    """A piece of work as it is sent.

    Attributes
    ----------
    payload
        Function and arguments, packed.
    stop
        Name of the event that is set when nobody waits for the result any more.
    versions
        Of the software that sent it.
    precision
        Of the settings there: it changes results.
    """

    payload: bytes
    stop: str
    versions: dict[str, str] = field(default_factory=lambda: package_versions(_SOFTWARE))
    precision: str | None = field(default_factory=lambda: settings.precision)


@dataclass(frozen=True)
class Answer:
    """What came of it: a value, or the error that the input is to blame for, and warnings."""

    value: Any
    error: Exception | None
    told: Told


class NotWanted(RuntimeError):
    """Nobody waits for the result."""


def as_it_is(packed: bytes) -> bytes:
    """A task whose result is what several tasks share: made again where the worker that had it is gone."""
    return packed


def work(order: Order, shared: bytes | None) -> Answer:
    """Do a piece of work, with nothing else beside it in this process.

    An error that another attempt would end in too is part of the answer; of any other, Dask tries again.
    """
    import dask
    from distributed.protocol.pickle import loads

    _check_software(order.versions)
    # chunks of images are read here, and not by tasks of their own
    same = settings.override(precision=order.precision)
    with _ALONE, dask.config.set(scheduler="threads"), no_bars(), same, told_later() as told:
        token = _stop.set(order.stop)
        try:
            function, arguments = loads(order.payload)
            common = () if shared is None else (_unpack(shared),)
            return Answer(function(*common, *arguments), None, told)
        except (KeyError, TypeError, ValueError) as error:
            return Answer(None, error, told)
        finally:
            _stop.reset(token)


def check_wanted() -> None:
    """Give up a piece of work that nobody waits for any more; to be called now and then within a long one."""
    name, now = _stop.get(), time.monotonic()
    if name is None or now - _asked.get() < _ASK_EVERY_S:
        return
    _asked.set(now)
    from distributed import Event, get_client

    if Event(name, client=get_client()).is_set():
        raise NotWanted("The call that asked for this was interrupted.")


def _unpack(shared: bytes) -> Any:
    """What several tasks share, unpacked once by a process; the last one only, since it may be large."""
    from distributed.protocol.pickle import loads

    digest = sha256(shared).hexdigest()
    if digest not in _unpacked:
        _unpacked.clear()
        _unpacked[digest] = loads(shared)
    return _unpacked[digest]


def _check_software(sent_by: dict[str, str]) -> None:
    here = package_versions(_SOFTWARE)
    if here != sent_by:
        msg = (
            f"A worker has other software ({here}) than the process that sends it work ({sent_by}): install the same on both, and "
            "start the workers again."
        )
        raise RuntimeError(msg)
