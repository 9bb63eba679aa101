"""``phg2st embed``: image features of the spots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import STORE, computes, distances, examples, option, reads, writes
from ._results import as_json


@click.command(
    short_help="Embed the image around every spot.",
    epilog=examples(
        "phg2st embed section.h5ad --image section.tif --mpp 0.5 --encoder texture --out embedded.h5ad",
        "phg2st embed section.zarr --encoder uni --device cuda --in-place",
    ),
)
@click.argument("store", type=STORE)
@option("encoder", "Name of an encoder; `phg2st info` lists them.", default="uni", show_default=True)
@option("image", "The H&E image; by default what the object's record names. 'hires' takes the thumbnail.")
@option("mpp", "µm per full-resolution pixel.", type=float)
@option("platform", "A platform with a known pitch, e.g. 'visium'.")
@distances
@option("tile_um", "Side of a tile in µm.", type=float, default=112.0, show_default=True)
@option("context", "Tiles along a side of the block around each spot (odd); none by default.", type=int)
@option(
    "context_mode",
    "Where tiles lie.",
    type=click.Choice(["grid", "exact", "lattice", "tokens"]),
    default="grid",
    show_default=True,
)
@option("key_added", "Key in obsm; by default X_<encoder>.")
@option("weights", "Folder or file of a network's weights; by default the Hugging Face hub's, or its cache's.")
@option("batch_size", "Tiles per read and encoder call.", type=int)
@option(
    "cache",
    "Folder in which features are kept batch by batch, to go on from after a kill.",
    type=click.Path(path_type=Path),
)
@reads
@writes
@computes
def embed(store: Path, out: Path | None, in_place: bool, overwrite: bool, **said: Any) -> str:
    """Embed the image around every spot of STORE, as phg2st_sc.pp.extract_embeddings does.

    STORE is an .h5ad file, the .zarr folder of an AnnData or a SpatialData, an output folder of Space Ranger (read by squidpy),
    or a folder with counts.h5ad, meta.json and a picture.
    """
    from ..pp import extract_embeddings
    from ._stores import change

    path = change(
        store,
        lambda data, write: extract_embeddings(data, write=write, **said),
        out=out,
        in_place=in_place,
        overwrite=overwrite,
    )
    return as_json({"out": path})
