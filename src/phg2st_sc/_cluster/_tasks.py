"""Send pieces of work to a cluster, and take their results as they come."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice
from typing import Any
from uuid import uuid4

from .._progress import bar
from .._warn import Told, tell
from ._client import IN_STORE, packed
from ._worker import Answer, Order, as_it_is, work

_AHEAD = 3
"""Tasks for each thread of a worker that are sent at a time: one that is worked on, and others to go on with."""
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
    progress: bool | None,
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
    if not tasks:
        return
    for label, arguments in tasks.items():  # before anything is sent, and not kept: together they may be large
        packed((function, arguments), f"{what} {label!r}", smaller)
    common = None if shared is None else packed(shared, what_shared or what, smaller)
    of_each: dict[str, Told] = {}
    with (
        _sending(client, function, tasks, common) as results,
        bar(progress=progress, total=len(tasks), unit=unit, desc=desc) as shown,
    ):
        for label, answer in results:
            tell(Told(answer.told.at_once))
            of_each[label] = Told(at_the_end=answer.told.at_the_end)
            if answer.error is not None:
                raise answer.error
            take(label, answer.value)
            shown.update()
    for label in tasks:  # the lists of those that have a fault do not depend on who was first
        tell(of_each[label])


@contextmanager
def _sending(
    client: Any, function: Callable[..., Any], tasks: Mapping[str, tuple[Any, ...]], shared: bytes | None
) -> Iterator[Iterator[tuple[str, Answer]]]:
    """Labels and answers as they come; what was sent is cancelled where the body ends before they all have."""
    from distributed import Event

    sender = _Sender(client, function, iter(tasks.items()), shared)
    try:
        yield sender.answers()
    finally:
        if sender.sent:
            Event(sender.stop, client=client).set()  # those that have begun look at it
            client.cancel(list(sender.sent), force=True)
        sender.release()


class _Sender:
    """Sends a few tasks for each thread of the workers, and more as results come: the scheduler holds what it is sent.

    Parameters
    ----------
    client, function, tasks, shared
        As in :func:`run_tasks`; what is shared is packed.
    """

    def __init__(
        self,
        client: Any,
        function: Callable[..., Any],
        tasks: Iterator[tuple[str, tuple[Any, ...]]],
        shared: bytes | None,
    ) -> None:
        self._client, self._function, self._tasks = client, function, tasks
        self._run, self.stop = uuid4().hex, f"phg2st-stop-{uuid4().hex}"
        self._common = None if shared is None else self._submit(as_it_is, shared, key=f"phg2st-shared-{self._run}")
        self._number = count()
        self.sent: dict[Any, str] = {}

    def answers(self) -> Iterator[tuple[str, Answer]]:
        """Labels and answers, as they come."""
        from distributed import as_completed

        coming = as_completed(self._more())
        for future in coming:
            label = self.sent[future]
            answer = _answer(future, label)
            del self.sent[future]
            future.release()
            coming.update(self._more())  # before the answer is looked at: workers do not wait for that
            yield label, answer

    def release(self) -> None:
        """Let go of what is held on the cluster."""
        for future in (*self.sent, *(() if self._common is None else (self._common,))):
            future.release()

    def _more(self) -> list[Any]:
        """Send as many as workers have room for; they may have become more or fewer."""
        room = _AHEAD * max(1, sum(self._client.nthreads().values())) - len(self.sent)
        return [self._send(*task) for task in islice(self._tasks, max(room, 0))]

    def _send(self, label: str, arguments: tuple[Any, ...]) -> Any:
        order = Order(packed((self._function, arguments), label), self.stop)
        future = self._submit(
            work, order, self._common, key=f"phg2st-{self._run}-{next(self._number)}", retries=_RETRIES
        )
        self.sent[future] = label
        return future

    def _submit(self, *work: Any, **how: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="(?s).*Sending large graph.*", category=UserWarning)
            return self._client.submit(*work, pure=False, **how)


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
