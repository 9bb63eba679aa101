"""``phg2st evaluate``: score a prediction at spots that were held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import STORE, computes, distances, examples, names, option, reads, reads_counts
from ._results import tell_table, tells_table


@click.command(
    short_help="Score a prediction at the spots that were held out.",
    epilog=examples(
        "phg2st evaluate checked.h5ad --compare simple --out scores.csv",
        "phg2st evaluate checked.h5ad --summary --format json",
    ),
)
@click.argument("store", type=STORE)
@option("layer", "The key_added of the prediction; by default 'phg2st', or the only one there is.")
@reads_counts
@option("compare", "A method or other layer to score beside, or 'simple'. May be repeated.", multiple=True)
@option("genes")
@option("extra", "Further scores: ssim, morans_i, gene_correlation, markers, or all. May be repeated.", multiple=True)
@option(
    "protocol", "Rules of scoring.", type=click.Choice(["honest", "published"]), default="honest", show_default=True
)
@option(
    "n_splits", "Splits of the counts for the noise ceiling; 0 leaves it out.", type=int, default=5, show_default=True
)
@reads
@distances
@option("seed", type=int, default=0, show_default=True)
@click.option("--summary", is_flag=True, help="Means by method in place of a row for every gene.")
@tells_table
@computes
def evaluate(
    store: Path,
    compare: tuple[str, ...],
    genes: str | None,
    extra: tuple[str, ...],
    summary: bool,
    out: Path | None,
    form: str | None,
    **said: Any,
) -> str | None:
    """Score a prediction in STORE at the spots that were no prompts, as phg2st_sc.tl.evaluate does.

    One row for every section, method and gene. Read pcc beside ceiling, what a perfect prediction would get.
    """
    import pandas as pd

    from ..tl import evaluate as score
    from ._stores import read

    asked: dict[str, Any] = {**said, "compare": _alone(compare, "simple") or None, "extra": _alone(extra, "all")}
    scores = score(read(store), genes=names(genes), **asked)
    about = {str(name): value for name, value in scores.attrs.items()}
    if summary:
        scores = pd.DataFrame.from_dict(about["means"], orient="index").rename_axis("method").reset_index()
    scores.attrs = {}
    return tell_table(scores, about, out, form)


def _alone(given: tuple[str, ...], word: str) -> str | list[str]:
    """What was given, as a list unless it is the word that stands for several."""
    return word if given == (word,) else list(given)
