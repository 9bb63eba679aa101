"""Old names that still work for one release, with one warning."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

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
                    warn_user(
                        f"`{old}=` of `{function.__name__}` is now `{new}=`, and goes with the next release.",
                        FutureWarning,
                    )
                    settings[new] = settings.pop(old)
            return function(*args, **settings)

        return call  # type: ignore[return-value]

    return decorate
