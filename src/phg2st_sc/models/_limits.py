"""What the numbers among a method's settings may be: a limit stands on the class that has the setting."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np


class Finite:
    """Any number but NaN and infinity: the limit of a setting that declares none."""

    def allows(self, value: float) -> bool:
        """Whether a value is within the limit."""
        try:
            return bool(np.isfinite(float(value)))
        except OverflowError:
            return False

    def __str__(self) -> str:
        """What a value must be, as errors say it."""
        return "a finite number"


class Positive(Finite):
    """A finite number above 0.

    Examples
    --------
    >>> from phg2st_sc.models import Positive
    >>> Positive().allows(0.0), str(Positive())
    (False, 'a finite number above 0')
    """

    def allows(self, value: float) -> bool:
        """Whether a value is within the limit."""
        return super().allows(value) and value > 0

    def __str__(self) -> str:
        """What a value must be, as errors say it."""
        return "a finite number above 0"


@dataclass(frozen=True)
class AtLeast(Finite):
    """A finite number that is no smaller than the least, and no larger than the most where there is one.

    Attributes
    ----------
    least
        The least.
    most
        The most.

    Examples
    --------
    >>> from phg2st_sc.models import AtLeast
    >>> AtLeast(1).allows(1), str(AtLeast(1))
    (True, 'at least 1')
    """

    least: float
    most: float | None = None

    def allows(self, value: float) -> bool:
        """Whether a value is within the limit."""
        return super().allows(value) and value >= self.least and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        """What a value must be, as errors say it."""
        return f"at least {self.least}" + ("" if self.most is None else f" and at most {self.most}")


_NUMBERS: dict[str, tuple[Any, str]] = {"int": (Integral, "a whole number"), "float": (Real, "a number")}
"""Type and words of a setting, by its annotation."""


def declared(method: type[Any], attribute: str) -> dict[str, Any]:
    """What the class and its bases declare in a mapping such as ``limits``, the class before its bases."""
    return {key: value for base in reversed(method.__mro__) for key, value in vars(base).get(attribute, {}).items()}


def check_numbers(method: type[Any], parameters: Mapping[str, Any]) -> None:
    """Raise where a number among the settings is none, or out of range; the error names the setting."""
    kinds = inspect.signature(method.__init__).parameters
    limits = declared(method, "limits")
    for name, value in parameters.items():
        if name not in kinds:
            continue
        options = [option.strip() for option in str(kinds[name].annotation).split("|")]
        if options[0] in _NUMBERS and not (value is None and "None" in options):
            _check_number(method.name, name, value, options, limits.get(name, Finite()))


def _check_number(method: str, name: str, value: Any, options: Sequence[str], limit: Finite) -> None:
    kind, words = _NUMBERS[options[0]]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        if any(option not in (*_NUMBERS, "None") for option in options):
            return  # not only numbers are fine, as in `devices`
        ending = " or None" if "None" in options else ""
        msg = f"`{name}` of method {method!r} is {words}{ending}, not {value!r:.80}."
        raise TypeError(msg)
    if not limit.allows(value):
        msg = f"{name}={value!r:.80} of method {method!r} must be {limit}."
        raise ValueError(msg)
