"""What holds for every call unless the call says otherwise: where to compute, what to show, where to keep downloads."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

_T = TypeVar("_T")

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_PRECISIONS = ("float32", "bfloat16", "float16")
_LEVELS = ("error", "warning", "info", "debug")


class _Setting(Generic[_T]):
    """One setting: what was assigned, else what the environment says, else the default."""

    def __init__(self, default: Callable[[], _T], check: Callable[[Any], _T], doc: str) -> None:
        self._default, self._check = default, check
        self.__doc__ = doc

    def __set_name__(self, owner: type[Settings], name: str) -> None:
        self.name, self.variable = name, f"PHG2ST_{name.upper()}"

    @overload
    def __get__(self, settings: None, owner: type[Settings]) -> _Setting[_T]: ...
    @overload
    def __get__(self, settings: Settings, owner: type[Settings]) -> _T: ...

    def __get__(self, settings: Settings | None, owner: type[Settings]) -> Any:
        if settings is None:
            return self
        if self.name in settings._assigned:
            return settings._assigned[self.name]
        text = os.environ.get(self.variable, "").strip()
        return self._checked(text, f"The environment variable {self.variable}") if text else self._default()

    def __set__(self, settings: Settings, value: Any) -> None:
        settings._assigned[self.name] = self._checked(value, f"`settings.{self.name}`")
        settings._changed(self.name)

    def _checked(self, value: Any, what: str) -> _T:
        try:
            return self._check(value)
        except ValueError as error:
            msg = f"{what} is {error}, not {value!r:.80}."
            raise ValueError(msg) from None


def _device(value: Any) -> str:
    if not _DEVICE.fullmatch(str(value)):
        raise ValueError("'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'")
    return str(value)


def _precision(value: Any) -> str | None:
    if value is not None and value not in _PRECISIONS:
        raise ValueError("'float32', 'bfloat16', 'float16' or None")
    return value


def _threads(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
        raise ValueError("a whole number of at least 1, or None")
    return None if value is None else int(value)


def _progress(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in (*_YES, *_NO):
        return value.lower() in _YES
    if not isinstance(value, bool):
        raise ValueError("True or False ('1' or '0' in the environment)")
    return value


def _cache(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError("the path of a folder")
    return Path(value).expanduser().absolute()


def _verbosity(value: Any) -> str | None:
    if value is not None and str(value).lower() not in _LEVELS:
        raise ValueError("'error', 'warning', 'info', 'debug' or None")
    return None if value is None else str(value).lower()


def _default_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("phg2st-sc")


class Settings:
    """What holds for every call unless the call says otherwise: :data:`phg2st_sc.settings`.

    What a call says itself wins, then what was assigned here, then an environment variable, which is read whenever it is
    needed, then the default. Settings are of this process: workers of a Dask cluster have their own, but for the precision,
    which they are told since it changes results.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> with phg2st.settings.override(progress=False, threads=2):
    ...     slides = phg2st.datasets.simulate(n_slides=2, n_spots=60, n_genes=20, image=False)
    """

    __slots__ = ("_assigned",)
    _assigned: dict[str, Any]

    device = _Setting(
        lambda: "auto",
        _device,
        "Where networks run: ``'cpu'``, ``'cuda'``, ``'cuda:1'``, ``'mps'``, or ``'auto'`` (default), the fastest there is. "
        "``PHG2ST_DEVICE``. Encoders of images use it where no ``device=`` is given, methods with a network where neither "
        "``accelerator=`` nor ``devices=`` is.",
    )
    precision = _Setting[str | None](
        lambda: None,
        _precision,
        "What networks compute in: ``'float32'``, ``'bfloat16'`` or ``'float16'``; the latter two mix with single precision. "
        "``None`` (default) is single precision. ``PHG2ST_PRECISION``. Only where a call gives no ``precision=``.",
    )
    threads = _Setting[int | None](
        lambda: None,
        _threads,
        "Threads that linear algebra, networks and the reading of tiles take within a call; ``None`` (default): as the "
        "libraries find right, which is all cores of the machine. ``PHG2ST_THREADS``. On a cluster, the cores of the job.",
    )
    progress = _Setting(
        lambda: True,
        _progress,
        "Whether calls that are given no ``progress=`` show bars (default). ``PHG2ST_PROGRESS=0`` for none. "
        "``TQDM_DISABLE=1`` forbids them whatever is said here.",
    )
    cache = _Setting(
        _default_cache,
        _cache,
        "Folder for what :mod:`phg2st_sc.datasets` downloads; by default where the system keeps caches of users, e.g. "
        "``~/.cache/phg2st-sc``. ``PHG2ST_CACHE``. Weights of networks are in the cache of the Hugging Face hub (``HF_HOME``).",
    )
    verbosity = _Setting[str | None](
        lambda: None,
        _verbosity,
        "What the logger ``'phg2st_sc'`` tells: ``'error'``, ``'warning'``, ``'info'`` or ``'debug'``, on standard error "
        "where :mod:`logging` was not told otherwise. ``None`` (default) leaves the logger alone. ``PHG2ST_VERBOSITY``. "
        "Warnings are not logged: :mod:`warnings` filters them.",
    )

    def __init__(self) -> None:
        object.__setattr__(self, "_assigned", {})
        self._changed("verbosity")

    @contextmanager
    def override(self, **changes: Any) -> Iterator[Settings]:
        """Within it, settings have other values; afterwards they are what they were.

        Parameters
        ----------
        **changes
            Settings by name.

        Raises
        ------
        AttributeError
            If there is no such setting.
        ValueError
            If a value is none that the setting takes. Nothing is changed then.
        """
        before = dict(self._assigned)
        try:
            for name, value in changes.items():
                setattr(self, name, value)
            yield self
        finally:
            self._assigned.clear()
            self._assigned.update(before)
            self._changed("verbosity")

    def reset(self, *names: str) -> None:
        """Forget what was assigned to some settings, or to all where none is named.

        Parameters
        ----------
        *names
            Settings by name.

        Raises
        ------
        AttributeError
            If there is no such setting.
        """
        for name in names or list(self._assigned):
            getattr(self, name)
            self._assigned.pop(name, None)
        self._changed("verbosity")

    def _changed(self, name: str) -> None:
        if name == "verbosity":
            _talk(self.verbosity)

    def __dir__(self) -> list[str]:
        return sorted([*_NAMES, "override", "reset"])

    def __setattr__(self, name: str, value: Any) -> None:
        _check_name(name)
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        _check_name(name)
        raise AttributeError(name)

    def __repr__(self) -> str:
        lines = [f"{name:<10} {str(getattr(self, name))!s:<24} PHG2ST_{name.upper()}" for name in _NAMES]
        return "\n".join(["phg2st_sc.settings", *lines])


_NAMES = tuple(name for name, value in vars(Settings).items() if isinstance(value, _Setting))


def _check_name(name: str) -> None:
    if name not in _NAMES:
        msg = f"There is no setting {name!r}; there are: {', '.join(_NAMES)}."
        raise AttributeError(msg)


class _ToStandardError(logging.Handler):
    """Writes to whatever standard error is, unless the user's own handlers have the messages already."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            sys.stderr.write(f"{record.levelname.lower()}: {self.format(record)}\n")


_logger, _handler = logging.getLogger("phg2st_sc"), _ToStandardError()


def _talk(level: str | None) -> None:
    """Let the logger tell messages of a level and above; ``None`` leaves it as the user's own code has it."""
    if level is not None:
        _logger.setLevel(level.upper())
        _logger.addHandler(_handler)
    elif _handler in _logger.handlers:
        _logger.removeHandler(_handler)
        _logger.setLevel(logging.NOTSET)


settings = Settings()
