"""The command ``phg2st``: the steps of an analysis for clusters and pipelines, by the names that they have in Python."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from .._settings import settings
from ._embed import embed
from ._estimate import estimate
from ._evaluate import evaluate
from ._impute import impute
from ._info import info
from ._options import examples
from ._train import train

__all__ = ["main", "phg2st"]

_INTERRUPTED = 130
_USERS = (ArithmeticError, ImportError, LookupError, MemoryError, OSError, TypeError, ValueError)
"""Errors that the package raises where what it was given is to blame."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples(
        "phg2st embed section.h5ad --image section.tif --encoder texture --out embedded.h5ad",
        "phg2st impute embedded.h5ad --prompt-mask measured --out imputed.h5ad",
    ),
)
@click.version_option(package_name="phg2st-sc", message="%(prog)s %(version)s")
def phg2st() -> None:
    """Predict gene expression over a whole H&E section from its image and a few measured spots.

    Commands and options have the names of the functions and parameters in Python. Results that a program reads go to standard
    output, as JSON or CSV; progress and warnings to standard error. Exit status: 0 done, 1 an input is to blame, 2 the
    command was written wrong, 130 interrupted.
    """


for _command in (embed, train, impute, evaluate, estimate, info):
    phg2st.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its status: what ``phg2st`` calls.

    Parameters
    ----------
    arguments
        Words of the command line, without the name of the command. ``None``: those of this process.
    """
    sys.exit(_status(arguments))


def _status(arguments: Sequence[str] | None) -> int:
    try:
        done = phg2st.main(arguments, prog_name="phg2st", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return _INTERRUPTED
    except _USERS as error:
        if settings.verbosity == "debug":
            raise
        click.echo(f"Error: {_sentence(error)}", err=True)
        return 1
    return done if isinstance(done, int) else 0


def _sentence(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"Not enough memory. `phg2st estimate` says what a prediction takes. {error}".strip()
    if type(error) is KeyError and error.args:  # its text would be quoted
        return str(error.args[0])
    return str(error) or type(error).__name__
