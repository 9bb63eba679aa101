"""Results as text that a program reads: JSON or CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._files import write_whole
from .._json import without_odd_numbers
from ._options import many

if TYPE_CHECKING:
    import pandas as pd

_FORMS = ("csv", "json")

tells_table = many(
    click.option(
        "--out", type=click.Path(path_type=Path), help="File for the result, .csv or .json; by default standard output."
    ),
    click.option("--format", "form", type=click.Choice(_FORMS), help="By default what --out ends in, else csv."),
)


def as_json(value: Any) -> str:
    """JSON of plain values and those of numpy; numbers that JSON does not know are null."""
    return json.dumps(without_odd_numbers(_plain(value)), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        return _plain(value.tolist())
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def tell_table(rows: pd.DataFrame, about: Mapping[str, Any], out: Path | None, form: str | None) -> str | None:
    """A table as CSV, or as JSON with what else is known about it; to a file, or as text to print."""
    form = form or (out.suffix.removeprefix(".") if out is not None else "csv")
    if form not in _FORMS:
        msg = f"--out {out} ends in neither .csv nor .json: name one, or say --format."
        raise click.UsageError(msg)
    text = (
        rows.to_csv(index=False) if form == "csv" else as_json({**about, "rows": rows.to_dict(orient="records")}) + "\n"
    )
    if out is None:
        return text.removesuffix("\n")
    write_whole(out, lambda part: part.write_text(text, encoding="utf-8"))
    return None
