"""Old names, and settings without effect, that still work for one release, with one warning."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

from ._text import quoted
from ._warn import warn_user

_Function = TypeVar("_Function", bound=Callable[..., Any])


def renamed_parameters(**names: str) -> Callable[[_Function], _Function]:
    """Let a function take old names of its parameters, with a warning that names the new one.

    Parameters
    ----------
    **names
        New name of a parameter by its old one.
    """

    def decorate(function: _Function) -> _Function:
        @wraps(function)
        def call(*args: Any, **settings: Any) -> Any:
            for old, new in names.items():
                if old in settings:
                    if new in settings:
                        msg = f"`{old}=` is the former name of `{new}=`: pass `{new}=` alone."
                        raise TypeError(msg)
                    warn_user(
                        f"`{old}=` of `{function.__name__}` is now `{new}=`, and goes with the next release.",
                        FutureWarning,
                    )
                    settings[new] = settings.pop(old)
            return function(*args, **settings)

        return call  # type: ignore[return-value]

    return decorate


def dropped_parameters(*names: str) -> Callable[[_Function], _Function]:
    """Let a function, or the constructor of a class, take parameters that have no effect any more, with a warning.

    Parameters
    ----------
    *names
        Parameters that it took.
    """

    def decorate(function: _Function) -> _Function:
        @wraps(function)
        def call(*args: Any, **settings: Any) -> Any:
            of = f"`{function.__qualname__.removesuffix('.__init__')}`"
            return function(*args, **without_dropped(settings, names, of))

        return call  # type: ignore[return-value]

    return decorate


def without_dropped(settings: Mapping[str, Any], dropped: Collection[str], of: str) -> dict[str, Any]:
    """Settings but for those that have no effect any more, of which a warning tells.

    Parameters
    ----------
    settings
        Values by name.
    dropped
        Names of those without effect.
    of
        Whose settings they were, as the warning says it.
    """
    if gone := [name for name in settings if name in dropped]:
        effect, them = ("has", "it") if len(gone) == 1 else ("have", "them")
        warn_user(
            f"{quoted(gone)} of {of} {effect} no effect any more, and will be refused by the next release: leave {them} out.",
            FutureWarning,
        )
    return {name: value for name, value in settings.items() if name not in dropped}


def deprecated_names(module: str, **names: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that answers to old names, with a warning that says the new one.

    Parameters
    ----------
    module
        The module's ``__name__``.
    **names
        New place by old name, from the package on, e.g. ``sample_mask="prompts.sample_mask"``.
    """

    def find(name: str) -> Any:
        if name not in names:
            msg = f"module {module!r} has no attribute {name!r}"
            raise AttributeError(msg)
        room, _, new = names[name].rpartition(".")
        if sys._getframe(1).f_code.co_name != "_handle_fromlist":  # `from module import name` looks twice
            package = module.partition(".")[0]
            msg = f"`{module}.{name}` is `{package}.{names[name]}` now, and goes with the next release."
            warn_user(msg, FutureWarning)
        return getattr(import_module(f"{module.partition('.')[0]}.{room}"), new)

    return find
