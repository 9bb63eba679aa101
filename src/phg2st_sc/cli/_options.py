"""What several commands share: an option by the name of each parameter, settings, and how results are told."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Option = Callable[[_Command], _Command]

_HELP = {
    "use_rep": "Key in obsm of the image embeddings; by default the only ones with a record.",
    "trust_rep": "Accept embeddings without a record that they come from the image, and not from expression.",
    "counts_layer": "Layer with raw counts, or 'raw' for .raw; by default X, or what the model or prediction was made from.",
    "gex_only": "Which features count: 'true' (genes only), 'false' (all), or a bool column of var. Default: genes only.",
    "slide_key": "Column of obs that tells the slides of an object apart.",
    "table_key": "Table of a SpatialData, where several annotate spots.",
    "coordinate_system": "Coordinate system of a SpatialData, where several disagree.",
    "patient_key": "Column of obs with the patient.",
    "gene_key": "Column of var with the gene names that the model uses.",
    "prompt_mask": "Column of obs that says which spots were measured; by default 'prompt'.",
    "model": "Folder of a trained model, or its repository owner/name on the Hugging Face hub.",
    "method": "Name of a method; `phg2st info` lists them.",
    "genes": "Genes, separated by commas, or @FILE with one a line.",
    "key_added": "Name of the result in the object.",
    "seed": "Seed of all that is drawn at random.",
    "pitch": "Distance of neighboring spots in the unit of the spot centers; by default measured.",
    "pitch_um": "Distance of neighboring spots in µm.",
}
"""What an option means, said once for all commands."""


def option(name: str, text: str = "", **looks: Any) -> _Option[Any]:
    """An option with the name of a parameter of the function that is called."""
    flags = f"--{name.replace('_', '-')}"
    return click.option(flags, name, help=text or _HELP[name], **looks)


def examples(*lines: str) -> str:
    """The end of a help: calls that one can copy, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def many(*options: _Option[Any]) -> _Option[Any]:
    """Several options in one decorator, in the order in which ``--help`` is to list them."""

    def add(command: _Command) -> _Command:
        for one in reversed(options):
            command = one(command)
        return command

    return add


STORE = click.Path(exists=True, path_type=Path)
reads = many(
    option("slide_key"),
    option("table_key"),
    option("coordinate_system"),
)
reads_counts = many(option("counts_layer"), option("gex_only", callback=lambda *given: _yes_no(given[-1])))
reads_embeddings = many(option("use_rep"), option("trust_rep", is_flag=True))
distances = many(option("pitch", type=float), option("pitch_um", type=float))
writes = many(
    click.option(
        "--out", type=click.Path(path_type=Path), help="Store to write, .h5ad or .zarr; the input stays as it is."
    ),
    click.option(
        "--in-place", is_flag=True, help="Write into the input. Of a SpatialData nothing but the new slots is written."
    ),
    click.option("--overwrite", is_flag=True, help="Replace what is at --out."),
)
_settings = many(
    option("device", "Where networks run: 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'.  [env: PHG2ST_DEVICE]"),
    option("precision", "Of networks: 'float32', 'bfloat16' or 'float16'.  [env: PHG2ST_PRECISION]"),
    option("threads", "Threads to compute with.  [env: PHG2ST_THREADS]", type=int),
    click.option("--progress/--no-progress", default=None, help="Bars on standard error.  [env: PHG2ST_PROGRESS]"),
    option("verbosity", "'error', 'warning', 'info' or 'debug', which shows tracebacks.  [env: PHG2ST_VERBOSITY]"),
)


def _yes_no(text: str | None) -> bool | str | None:
    return {"true": True, "false": False}.get((text or "").lower(), text)


def names(text: str | None) -> list[str] | None:
    """Names that are given separated by commas, or one a line in a file, ``@panel.txt``."""
    if text is None:
        return None
    if text.startswith("@"):
        listed = Path(text[1:]).read_text(encoding="utf-8").splitlines()
    else:
        listed = text.split(",")
    return [name.strip() for name in listed if name.strip()]


def parameters(given: Sequence[str]) -> dict[str, Any]:
    """Settings of a method from ``NAME=VALUE``: values as JSON has them, or text."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            msg = f"'--set {one}': write it as --set NAME=VALUE, e.g. --set max_epochs=50."
            raise click.UsageError(msg)
        try:
            found[name.strip()] = json.loads(text)
        except json.JSONDecodeError:
            found[name.strip()] = text
    return found


settings_of_method = click.option(
    "--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting of the method; may be repeated."
)


def computes(command: _Command) -> _Command:
    """A command that computes: the settings hold while it runs, and nothing but its result goes to standard output."""

    @wraps(command)
    def run(
        *,
        device: str | None,
        precision: str | None,
        threads: int | None,
        progress: bool | None,
        verbosity: str | None,
        **said: Any,
    ) -> None:
        from .._settings import settings

        asked = {
            "device": device,
            "precision": precision,
            "threads": threads,
            "progress": progress,
            "verbosity": verbosity,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        with settings.override(**given), redirect_stdout(sys.stderr), _plain_warnings():
            text = command(**said)
        if text:
            click.echo(text)

    return _settings(run)  # type: ignore[no-any-return]


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings without the line of code that they are pointed at: it is none of the user's."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: click.echo(f"Warning: {message}", err=True)
        warnings.simplefilter("ignore", FutureWarning)  # of libraries, to those who write code
        warnings.filterwarnings("ignore", message="(Writing zarr v2 data|zarr v3 autosharding)")
        yield
