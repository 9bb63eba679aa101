"""One way to warn: at the line of the user's code that called the package, however deep the fault was found."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

_PACKAGE = str(Path(__file__).parent) + os.sep
_SHOWN = 5

_Call = TypeVar("_Call", bound=Callable[..., Any])


@dataclass
class _Said:
    """What a call has said already, and faults of single slides that it is to say of all of them at its end."""

    at_once: set[tuple[str, type[Warning]]] = field(default_factory=set)
    at_the_end: dict[str, dict[str, str]] = field(default_factory=dict)


_said: ContextVar[_Said | None] = ContextVar("said", default=None)

Said = dict[tuple[str, type[Warning]], None]
_for_later: ContextVar[Said | None] = ContextVar("for_later", default=None)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the package; within a call of :func:`one_message_per_fault` once.

    Parameters
    ----------
    message
        What is the matter, and the call that mends it.
    category
        Kind of warning.
    """
    later = _for_later.get()
    if later is not None:
        later[message, category] = None
        return
    said = _said.get()
    if said is not None:
        if (message, category) in said.at_once:
            return
        said.at_once.add((message, category))
    warnings.warn(message, category, stacklevel=_levels_out())


def warn_of_each(alone: str, *, each: str, several: str) -> None:
    """Warn of something that single slides, folds or files have, at the end of the call, in one message for all that have it.

    Parameters
    ----------
    alone
        The message where only one has it.
    each
        What has it, as a list names it, e.g. ``"'P1_S1'"``.
    several
        The message where several have it, with ``{which}`` in the place of the list.
    """
    said = _said.get()
    if said is None:
        warn_user(alone)
    else:
        said.at_the_end.setdefault(several, {})[each] = alone


def context_of_threads(said: Said) -> Context:
    """Context for threads, which have no line of the user's to point to: what they warn of is kept in ``said``."""
    context = copy_context()
    context.run(_for_later.set, said)
    return context


def say(said: Said) -> None:
    """Warn of what threads had to say, and forget it."""
    while said:
        warn_user(*said.popitem()[0])


@dataclass(frozen=True)
class Told:
    """What work in another process had to say, to be said where the user is."""

    at_once: Said = field(default_factory=dict)
    at_the_end: dict[str, dict[str, str]] = field(default_factory=dict)


@contextmanager
def told_later() -> Iterator[Told]:
    """Within it, warnings are kept in place of being shown; :func:`tell` shows them."""
    told = Told()
    tokens = _said.set(_Said(at_the_end=told.at_the_end)), _for_later.set(told.at_once)
    try:
        yield told
    finally:
        _said.reset(tokens[0])
        _for_later.reset(tokens[1])


def tell(told: Told) -> None:
    """Warn of what work elsewhere had to say, within a call as if it had been done here."""
    for message, category in told.at_once:
        warn_user(message, category)
    for several, found in told.at_the_end.items():
        for each, alone in found.items():
            warn_of_each(alone, each=each, several=several)


@contextmanager
def _one_message_per_fault() -> Iterator[None]:
    if _said.get() is not None:  # a call within a call: the outer one speaks
        yield
        return
    token = _said.set(_Said())
    try:
        yield
    except BaseException:
        with suppress(Warning):  # made an error by the user: the error that ended the call comes first
            _say_the_rest()
        raise
    else:
        _say_the_rest()
    finally:
        _said.reset(token)


def one_message_per_fault(call: _Call) -> _Call:
    """Make a public function warn of each fault once, whatever it calls, and name all slides that have it."""

    @wraps(call)
    def speaking_once(*args: Any, **settings: Any) -> Any:
        with _one_message_per_fault():
            return call(*args, **settings)

    return speaking_once  # type: ignore[return-value]


def _say_the_rest() -> None:
    said = _said.get()
    for several, found in ({} if said is None else said.at_the_end).items():
        names = list(found)
        shown = ", ".join([*names[:_SHOWN], "..."] if len(names) > _SHOWN else names)
        warn_user(found[names[0]] if len(names) == 1 else several.replace("{which}", shown))


def _levels_out() -> int:
    """Return the stack level, seen from :func:`warn_user`, of the frame that called into the package first.

    Frames of other libraries lie between frames of this package where it is called back, by Lightning for one: what counts
    is the outermost frame of the package, and the one outside it is the user's.
    """
    frame, level, outermost = sys._getframe(1), 1, 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return outermost + 1
