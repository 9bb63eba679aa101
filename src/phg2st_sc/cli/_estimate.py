"""``phg2st estimate``: time and memory of a prediction, before it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import (
    STORE,
    computes,
    examples,
    names,
    option,
    parameters,
    reads,
    reads_embeddings,
    settings_of_method,
)
from ._results import tell_table, tells_table


@click.command(
    short_help="Say what a prediction will take.",
    epilog=examples(
        "phg2st estimate section.zarr --prompt-mask measured",
        "phg2st estimate section.zarr --prompt-mask measured --format json",
    ),
)
@click.argument("store", type=STORE)
@option("model")
@option("method")
@option("prompt_mask")
@option("genes")
@reads_embeddings
@reads
@option("seed", type=int, default=0, show_default=True)
@settings_of_method
@tells_table
@computes
def estimate(
    store: Path, genes: str | None, given: tuple[str, ...], out: Path | None, form: str | None, **said: Any
) -> str | None:
    """Say what `phg2st impute` will take of each slide of STORE, as phg2st_sc.tl.estimate does. No expression is read."""
    from ..tl import estimate as costs
    from ._stores import read

    rows = costs(read(store), genes=names(genes), **said, **parameters(given))
    return tell_table(rows.rename_axis("slide").reset_index(), {}, out, form)
