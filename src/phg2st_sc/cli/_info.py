"""``phg2st info``: what is in a store, what a model is, or what there is to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import _keys
from ._options import STORE, computes, examples, reads
from ._results import as_json


@click.command(
    short_help="Say what is in a store or a model, or what there is to choose from.",
    epilog=examples(
        "phg2st info",
        "phg2st info section.zarr",
        "phg2st info model",
    ),
)
@click.argument("path", type=STORE, required=False)
@reads
@computes
def info(path: Path | None, **said: Any) -> str:
    """Say as JSON what PATH holds: slides, counts, embeddings, prompts and predictions of a store, or the card of a model.

    Without PATH: versions, settings, methods, encoders and priors.
    """
    if path is None:
        return as_json(_choices())
    if (path / "model.json").is_file():
        return as_json(_model(path))
    return as_json(_store(path, **said))


def _choices() -> dict[str, Any]:
    from .._provenance import package_versions
    from .._settings import settings
    from ..encoders import list_encoders
    from ..models import METHODS, PRIORS

    return {
        "versions": package_versions(),
        "settings": {name: getattr(settings, name) for name in dir(settings) if name not in ("override", "reset")},
        "methods": list(METHODS),
        "encoders": {card.name: {"license": card.license, "gated": card.gated} for card in list_encoders()},
        "priors": list(PRIORS),
    }


def _model(path: Path) -> dict[str, Any]:
    from ..models import load

    model = load(path)
    return {
        "method": model.name,
        "n_genes": len(model.genes or ()),
        "settings": model.kept_parameters(),
        "card": model.card,
    }


def _store(path: Path, **said: Any) -> dict[str, Any]:
    from .._reading import Reading
    from .._slide import embedding_records, spots_table
    from ._stores import read

    data = read(path)
    table = spots_table(data, said["table_key"])
    slides = {slide.name: _slide(slide) for slide in Reading(**said).slides(data)}
    marked = {str(name): int(column.sum()) for name, column in table.obs.items() if column.dtype == bool}
    return {
        "path": path,
        "n_spots": table.n_obs,
        "n_genes": table.n_vars,
        "slides": slides,
        "layers": [name for name in table.layers if name is not None],
        "embeddings": {key: dict(record) for key, record in embedding_records(table).items()},
        "marked_spots": marked,
        "predictions": _predictions(table),
    }


def _slide(slide: Any) -> dict[str, Any]:
    return {
        "n_spots": slide.n_spots,
        "patient": slide.patient,
        "pitch": slide.pitch_px / slide.unit_px,
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "has_image": slide.image_source is not None,
    }


def _predictions(table: Any) -> dict[str, Any]:
    from ..tl import predictions_in

    return {
        key: {name: table.uns[key].get(name) for name in (_keys.METHOD, "model", "seed")}
        for key in predictions_in(table)
    }
