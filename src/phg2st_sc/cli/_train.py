"""``phg2st train``: learn from sections that were measured everywhere."""

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
)
from ._results import as_json


@click.command(
    short_help="Train a method on sections that were measured everywhere.",
    epilog=examples(
        "phg2st train a1.h5ad b1.h5ad c1.h5ad --out model",
        "phg2st train cohort/*.zarr --method phg2st_paper --set max_epochs=50 --device cuda --out network",
    ),
)
@click.argument("stores", type=STORE, nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the model.")
@click.option("--overwrite", is_flag=True, help="Replace the model at --out.")
@option("method", default="phg2st", show_default=True)
@option("genes")
@reads_embeddings
@reads_counts
@option("patient_key", default="patient", show_default=True)
@reads
@distances
@option("hypergraph_key", "Train on hypergraphs that were stored under this name.")
@click.option(
    "--keep-sections/--no-keep-sections",
    default=True,
    help="Keep the training sections for new ones of the same patients.",
)
@option("seed", type=int, default=0, show_default=True)
@settings_of_method
@computes
def train(
    stores: tuple[Path, ...], out: Path, overwrite: bool, genes: str | None, given: tuple[str, ...], **said: Any
) -> str:
    """Train on all spots of STORES, as phg2st_sc.tl.train does, and save the model."""
    from ..tl import train as train_method

    if out.exists() and not overwrite:
        msg = f"{out} is there already: name another --out, or say --overwrite."
        raise FileExistsError(msg)
    model = train_method(_by_name(stores), genes=names(genes), **said, **parameters(given))
    model.save(out, overwrite=overwrite)
    card = model.card
    facts = {name: card.get(name) for name in ("slides", "patients", "n_spots")}
    return as_json({"out": out, "method": model.name, "n_genes": len(model.genes or ()), **facts})


def _by_name(stores: tuple[Path, ...]) -> Any:
    """Objects by the names of their files; the slides of a single object go by their own names."""
    from ._stores import read

    if len(stores) == 1:
        return read(stores[0])
    labels = [store.stem for store in stores]
    if len(set(labels)) < len(labels):
        labels = [str(store) for store in stores]
    return {label: read(store) for label, store in zip(labels, stores, strict=True)}
