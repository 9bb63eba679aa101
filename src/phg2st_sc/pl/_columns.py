"""What a picture needs of a DataFrame: its columns, a method, and what to say where they are not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from .._text import meant, quoted

METHOD = "method"


def check_columns(frame: pd.DataFrame, names: Sequence[str], *, made_by: str) -> None:
    """Refuse a DataFrame that lacks a column, or has no rows.

    Parameters
    ----------
    frame
        What was passed.
    names
        Columns that are needed.
    made_by
        The call that makes such a DataFrame, for the message.

    Raises
    ------
    TypeError
        If it is no DataFrame.
    KeyError
        If it lacks a column.
    ValueError
        If it has no rows.
    """
    if not isinstance(frame, pd.DataFrame):
        msg = f"A DataFrame as `{made_by}` returns it is needed, not {type(frame).__name__}."
        raise TypeError(msg)
    missing = [name for name in names if name not in frame]
    if missing:
        msg = f"The DataFrame has no column {quoted(missing)}, only {', '.join(map(str, frame.columns))}. `{made_by}` makes it."
        raise KeyError(msg)
    if frame.empty:
        raise ValueError(f"The DataFrame has no rows: there is nothing to draw. `{made_by}` makes them.")


def methods_of(frame: pd.DataFrame, wanted: str | Sequence[str] | None) -> list[str]:
    """Methods to draw, in their order: those that are asked for, else all.

    Raises
    ------
    ValueError
        If one is not there.
    """
    there = list(dict.fromkeys(frame[METHOD]))
    if wanted is None:
        return there
    asked = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in asked:
        if name not in there:
            msg = f"There is no method {name!r}.{meant(str(name), there)} Methods there are: {quoted(there)}."
            raise ValueError(msg)
    return asked


def have(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Rows that have a number in all of these columns."""
    values: Any = frame[list(columns)].apply(pd.to_numeric, errors="coerce")
    return frame[values.notna().all(axis=1)]
