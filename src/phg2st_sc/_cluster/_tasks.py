"""Send pieces of work to a cluster, and take their results as they come."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from .._progress import bar
from .._warn import Told, tell
from ._client import IN_STORE, packed
from ._worker import Answer, Order, as_it_is, work

_RETRIES = 2
"""After errors that are not of the input, such as a file system that failed. Where a worker dies, Dask tries as often as its
setting ``distributed.scheduler.allowed-failures`` says."""


def run_tasks(
    client: Any,
    function: Callable[..., Any],
    tasks: Mapping[str, tuple[Any, ...]],
    take: Callable[[str, Any], None],
    *,
    shared: Any = None,
    what: str,
    what_shared: str | None = None,
    smaller: str = IN_STORE,
    progress: bool,
    unit: str,
    desc: str | None = None,
) -> None:
    """Run a function with several arguments on the workers of a client.

    What a task returns is taken to this process as soon as it is there, so that a worker that dies later takes nothing with it.

    Parameters
    ----------
    client
        An open client.
    function
        Of the package, which the workers import by name.
    tasks
        Arguments by label; each is a task.
    take
        Called here with every label and result, in the order in which they come.
    shared
        A first argument that all tasks have, sent once to each worker; ``None`` for none.
    what, what_shared, smaller
        What is sent, with each task and (by default the same) with all of them, and what to do where it is too large, for messages.
    progress, unit, desc
        Looks of the bar, which counts tasks.

    Raises
    ------
    KeyError, TypeError, ValueError
        What a task raised. The others are cancelled.
    RuntimeError
        If workers died over a task again and again.
    """
    from distributed import as_completed

    if not tasks:
        return
    stop = f"phg2st-stop-{uuid4().hex}"
    orders = {
        label: Order(packed((function, arguments), f"{what} {label!r}", smaller), stop)
        for label, arguments in tasks.items()
    }
    common = None if shared is None else packed(shared, what_shared or what, smaller)
    with (
        _sent(client, orders, common, stop) as futures,
        bar(progress=progress, total=len(futures), unit=unit, desc=desc) as shown,
    ):
        of_each: dict[str, Told] = {}
        for future in as_completed(list(futures)):
            label = futures[future]
            answer = _answer(future, label)
            future.release()
            tell(Told(answer.told.at_once))
            of_each[label] = Told(at_the_end=answer.told.at_the_end)
            if answer.error is not None:
                raise answer.error
            take(label, answer.value)
            shown.update()
    for label in tasks:  # the lists of those that have a fault do not depend on who was first
        tell(of_each[label])


@contextmanager
def _sent(client: Any, orders: Mapping[str, Order], shared: bytes | None, stop: str) -> Iterator[dict[Any, str]]:
    """Tasks that are sent, by future; cancelled where the body ends before they do."""
    from distributed import Event

    run = uuid4().hex
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*Sending large graph.*", category=UserWarning)
        common = None
        if shared is not None:
            common = client.submit(as_it_is, shared, key=f"phg2st-shared-{run}", pure=False)
        futures = {
            client.submit(work, order, common, key=f"phg2st-{run}-{number}", pure=False, retries=_RETRIES): label
            for number, (label, order) in enumerate(orders.items())
        }
    done = False
    try:
        yield futures
        done = True
    finally:
        if not done:
            Event(stop, client=client).set()  # those that have begun look at it
            client.cancel(list(futures), force=True)
        for future in (*futures, *(() if common is None else (common,))):
            future.release()


def _answer(future: Any, label: str) -> Answer:
    from distributed import KilledWorker

    try:
        answer: Answer = future.result()
    except KilledWorker as error:
        msg = (
            f"Worker after worker died over {label!r}, {error.last_worker.address} the last: mostly for want of memory, which the log "
            "of the worker tells. Give workers more memory, or fewer of them to a machine, and call again."
        )
        raise RuntimeError(msg) from error
    return answer
