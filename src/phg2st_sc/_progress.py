"""One way to show progress: bars that ``progress=`` and ``TQDM_DISABLE`` turn off, whatever library draws them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from ._settings import settings

_T = TypeVar("_T")

_OFF = ("", "0", "false", "no")
_SECONDS = 2.0
"""After which the bar of a part of a call shows: most parts are over before."""

_parts_shown: ContextVar[bool] = ContextVar("parts_shown", default=False)
_nobody_looks: ContextVar[bool] = ContextVar("nobody_looks", default=False)


def is_shown(progress: bool | None) -> bool:
    """Whether to show a bar: ``progress`` says so, or the settings where it says nothing, and the environment does not forbid it."""
    # asked at every call: tqdm reads its variable once, when it is imported, and takes "0" for a yes
    wanted = settings.progress if progress is None else bool(progress)
    return wanted and not _nobody_looks.get() and os.environ.get("TQDM_DISABLE", "").strip().lower() in _OFF


def bar(items: Iterable[Any] | None = None, *, progress: bool | None, **looks: Any) -> Any:
    """A bar of tqdm, over items or to be advanced by hand; ``looks`` are the settings of tqdm."""
    from tqdm.auto import tqdm

    return tqdm(items, disable=not is_shown(progress), **looks)


@contextmanager
def no_bars() -> Iterator[None]:
    """Within it nothing shows a bar: what runs on another machine writes to a log."""
    token = _nobody_looks.set(True)
    try:
        yield
    finally:
        _nobody_looks.reset(token)


@contextmanager
def parts(progress: bool | None) -> Iterator[None]:
    """Within it, :func:`part` shows bars where ``progress`` says so; outside there are none."""
    token = _parts_shown.set(is_shown(progress))
    try:
        yield
    finally:
        _parts_shown.reset(token)


def part(items: Iterable[_T], **looks: Any) -> Iterable[_T]:
    """Items of a loop deep within a call, with a bar once it has taken a while, where the call shows any."""
    if not _parts_shown.get():
        return items
    return bar(items, progress=True, delay=_SECONDS, leave=False, **looks)


@contextmanager
def hub_bars() -> Iterator[None]:
    """Downloads from the Hugging Face hub within it show bars where the environment does not forbid them."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if is_shown(True) or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
