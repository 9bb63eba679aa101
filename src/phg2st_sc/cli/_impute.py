"""``phg2st impute``: predict every spot from the measured ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import (
    STORE,
    computes,
    distances,
    examples,
    names,
    option,
    parameters,
    reads,
    reads_counts,
    reads_embeddings,
    settings_of_method,
    writes,
)
from ._results import as_json


@click.command(
    short_help="Predict expression at every spot from the measured ones.",
    epilog=examples(
        "phg2st impute section.zarr --prompt-mask measured --in-place",
        "phg2st impute embedded.h5ad --model model --prompt-mask measured --out imputed.h5ad",
        "phg2st impute full.h5ad --fraction 0.1 --method kriging --set length_scale=4 --out checked.h5ad",
    ),
)
@click.argument("store", type=STORE)
@option("prompt_mask")
@option(
    "fraction",
    "Draw this part of the spots as prompts first, as phg2st_sc.pp.sample_prompts does: to check predictions.",
    type=float,
)
@option("strategy", "How these are drawn.", default="random", show_default=True)
@option("model")
@option(
    "prior",
    "What was learned from other sections: a name, a folder or a repository; 'auto' for all that fit. May be repeated.",
    multiple=True,
)
@option("method")
@option("genes")
@reads_embeddings
@reads_counts
@option("target_sum", "Scale s of log1p(s * rate); by default the median total of the prompts.", type=float)
@option("gene_key")
@option("patient_key")
@option(
    "uncertainty", "Say how far the prediction can be trusted, by gene, by spot, and at each of both.", is_flag=True
)
@option("low_rank", "Keep so many numbers a spot in place of a layer.", type=int)
@option("key_added")
@reads
@distances
@option("seed", type=int, default=0, show_default=True)
@settings_of_method
@writes
@computes
def impute(
    store: Path,
    out: Path | None,
    in_place: bool,
    overwrite: bool,
    fraction: float | None,
    strategy: str,
    prior: tuple[str, ...],
    genes: str | None,
    given: tuple[str, ...],
    **said: Any,
) -> str:
    """Predict depth-free expression at every spot of STORE, as phg2st_sc.tl.impute does.

    Only counts of spots that --prompt-mask marks are read.
    """
    from ..pp import sample_prompts
    from ..tl import impute as predict
    from ._stores import change

    if fraction is not None and said["prompt_mask"] is not None:
        raise click.UsageError(
            "--fraction draws prompts, and --prompt-mask names those that there are: say one of them."
        )
    settings = {"genes": names(genes), "prior": _priors(prior), **said, **parameters(given)}

    def work(data: Any, write: bool) -> None:
        where = {name: said[name] for name in ("seed", "slide_key", "table_key", "coordinate_system")}
        if fraction is not None:
            sample_prompts(data, fraction=fraction, strategy=strategy, **where)
        predict(data, write=write, **settings)
        if fraction is not None and write:  # a prediction that fails leaves no prompts in the store
            sample_prompts(data, fraction=fraction, strategy=strategy, write=True, **where)

    path = change(store, work, out=out, in_place=in_place, overwrite=overwrite)
    return as_json({"out": path})


def _priors(given: tuple[str, ...]) -> Any:
    return None if not given else given[0] if len(given) == 1 else list(given)
