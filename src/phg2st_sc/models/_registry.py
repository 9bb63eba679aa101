"""Methods by name. A new method is one folder, or one file of a room, with one ``@register``."""

from __future__ import annotations

from typing import Any

from .._registry import Registry
from ._base import Estimator
from ._limits import check_numbers


def _card(method: type[Estimator]) -> dict[str, object]:
    made = method()
    return {
        "kind": method.kind,
        "one slide": not made.needs_fit,
        "cohort": method.fit is not Estimator.fit,
        "image": "needed" if made.needs_image else "used" if made.uses_image else "",
        "tiles around": "needed" if made.needs_context else "used" if made.uses_context else "",
        "pictures": "by `inputs`" if "inputs" in method.parameter_names() else made.reads_patches,
        "paper": method.paper,
    }


METHODS: Registry[type[Estimator]] = Registry("method", _card)
"""Every method by name: what it takes, whether it learns from a cohort, and the paper it comes from."""


def register(method: type[Estimator]) -> type[Estimator]:
    """Class decorator: make a method available under its ``name``.

    Parameters
    ----------
    method
        The class.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> @phg2st.models.register
    ... class Smooth(phg2st.models.IDW):
    ...     name = "smooth"
    >>> phg2st.models.create("smooth", n_neighbors=9)
    Smooth(n_neighbors=9)
    >>> del phg2st.models.METHODS["smooth"]
    """
    return METHODS.register(method.name)(method)


def methods() -> tuple[str, ...]:
    """Names of all methods, sorted.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> "kriging" in phg2st.models.methods()
    True
    """
    return METHODS.names()


def get_method(name: str) -> type[Estimator]:
    """Class of a method by name.

    Parameters
    ----------
    name
        One of :func:`methods`.

    Raises
    ------
    KeyError
        If there is no such method; the error lists the names.
    TypeError
        If it is no name.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.get_method("kriging").needs_image
    False
    """
    if not isinstance(name, str):
        msg = f"`method` is the name of a method, e.g. 'kriging', not {_told(name)}.{by_name(name)}"
        raise TypeError(msg)
    return METHODS[name]


def by_name(thing: Any) -> str:
    """How a class or an object of a method, handed over where a name is asked for, is named; empty for anything else."""
    if isinstance(thing, type) and issubclass(thing, Estimator):
        return f" Write its name, {getattr(thing, 'name', thing.__name__)!r}."
    if isinstance(thing, Estimator):
        return f" Write its name, {thing.name!r}, and its settings beside it; `impute` and `predict` take the object as `model=`."
    return ""


def _told(thing: Any) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    return f"an object of {type(thing).__name__}" if isinstance(thing, Estimator) else repr(thing)


def create(name: str, **parameters: Any) -> Estimator:
    """A new, unfitted method.

    Parameters
    ----------
    name
        One of :func:`methods`.
    **parameters
        Passed to the method's class.

    Raises
    ------
    KeyError
        If there is no such method.
    TypeError
        If a setting is of another type than the method takes, or is given by its old and its new name.
    ValueError
        If a number is too small or not finite.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.create("kriging", length_scale=3.0)
    Kriging(length_scale=3.0)
    """
    name, parameters = get_method(name).called_today(parameters)
    method = get_method(name)
    check_numbers(method, parameters)
    return method(**parameters)
