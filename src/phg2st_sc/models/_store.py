"""Keep fitted methods in folders: settings as JSON, arrays as safetensors, never pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._files import new_folder, only_writer, sync_file, sync_folder
from .._json import content_hash, without_odd_numbers
from .._provenance import package_versions
from ._read import (
    ARRAYS,
    CHECKSUMS,
    PENDING_ARRAYS,
    PENDING_SETTINGS,
    SCHEMA,
    SETTINGS,
    arrays_hash,
    damaged,
    is_ours,
    is_settled,
    read_folder,
)
from ._saved_settings import check_card, check_kept, check_settings
from ._schema_1 import as_schema_2


class Keepable(Protocol):
    """What a method must offer to be kept."""

    name: ClassVar[str]
    card: dict[str, Any]

    def kept_parameters(self) -> dict[str, Any]:
        """Settings by name."""

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What was learned, as settings and arrays."""

    def set_state(self, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Take what :meth:`state` returned; a ``ValueError`` where it does not fit."""


Method = TypeVar("Method", bound=Keepable)


@dataclass(frozen=True)
class Saved:
    """What a folder holds, in the words of this version."""

    folder: Path
    method: str
    parameters: Mapping[str, Any]
    state: dict[str, Any]
    card: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def restore(self, method: type[Method]) -> Method:
        """A method of that class with the parameters, and with what it had learned."""
        try:
            check_card(self.card)
            check_settings(method, self.parameters)
            model = method(**self.parameters)
            check_kept(self.parameters, parameters(model))
            model.set_state(self.state, self.arrays)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise damaged(self.folder, str(error.args[0]) if error.args else repr(error)) from error
        model.card = self.card
        return model


def save(model: Keepable, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Save a method to a folder.

    The folder appears only once it is complete. One that is replaced holds the old model or the new one at any moment, also
    where the process is killed: :func:`load` reads whichever is whole, and the next save puts away what was left.

    **A trained default holds measured sections of its patients**, smoothed over their spots, and so does its folder:
    hand it only to those who may have the sections. ``model.prior()`` is the model without them.

    Parameters
    ----------
    model
        A method, fitted or not.
    path
        Folder to write.
    overwrite
        Whether to replace the model in a folder that holds one. Other files in it stay.

    Raises
    ------
    FileExistsError
        If something is there already, and ``overwrite`` is false or it is no saved model.
    TimeoutError
        If another process saves to the folder and does not end within a minute.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import phg2st_sc as phg2st
    >>> folder = phg2st.models.save(phg2st.models.Kriging(), pathlib.Path(tempfile.mkdtemp()) / "model")
    >>> sorted(file.name for file in folder.iterdir())
    ['arrays.safetensors', 'model.json']
    """
    folder = Path(path).expanduser()
    target = folder.resolve()  # a link to a folder goes on being one
    _check_target(target, overwrite=overwrite)
    check_card(model.card)
    settings, arrays = model.state()
    record = {
        "schema": SCHEMA,
        "method": model.name,
        "parameters": parameters(model),
        "state": _plain(settings),
        "card": without_odd_numbers(model.card),
        "versions": package_versions(),
    }
    if target.exists():
        with only_writer(target):
            _replace(target, record, arrays)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        new_folder(target, lambda part: _write(part / SETTINGS, part / ARRAYS, record, arrays))
    return folder


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """What was learned; of what it says about its training, numbers that are not known are ``None``."""
    return {name: without_odd_numbers(value) if name == "record" else value for name, value in state.items()}


def _write(settings: Path, arrays: Path, record: Mapping[str, Any], values: Mapping[str, NDArray[Any]]) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.asarray(array, order="C") for name, array in values.items()}, arrays)
    plain = json.loads(json.dumps(record, allow_nan=False))
    sums = {"arrays": arrays_hash(arrays), "settings": content_hash(plain)}
    settings.write_text(json.dumps({**plain, CHECKSUMS: sums}, indent=1), encoding="utf-8")
    for path in (arrays, settings):
        sync_file(path)


def _replace(target: Path, record: Mapping[str, Any], values: Mapping[str, NDArray[Any]]) -> None:
    """Exchange both files of a folder; between the two exchanges the new settings wait under a name that is read too."""
    settings, arrays = target / PENDING_SETTINGS, target / PENDING_ARRAYS
    _settle(target)
    try:
        _write(settings, arrays, record, values)
    except BaseException:
        settings.unlink(missing_ok=True)
        arrays.unlink(missing_ok=True)
        raise
    sync_folder(target)
    arrays.replace(target / ARRAYS)
    sync_folder(target)
    settings.replace(target / SETTINGS)
    sync_folder(target)


def _settle(target: Path) -> None:
    """End what a killed save began, or put away what it left."""
    settings, arrays = target / PENDING_SETTINGS, target / PENDING_ARRAYS
    if settings.exists() and is_settled(target, PENDING_SETTINGS):
        settings.replace(target / SETTINGS)
    settings.unlink(missing_ok=True)
    arrays.unlink(missing_ok=True)


def read(folder: Path) -> Saved:
    """Read a folder that :func:`save` wrote, with this version or an earlier one.

    Raises
    ------
    FileNotFoundError
        If it holds no saved model.
    ValueError
        If it is damaged, was changed after it was saved, or was written by a later version of the package.
    """
    record, arrays = read_folder(folder)
    if record["schema"] == 1:
        try:
            record, arrays = as_schema_2(record, arrays)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise damaged(folder, f"It is not what version 0.1 wrote ({error!r:.100}).") from error
    return Saved(folder, record["method"], record["parameters"], record["state"], record["card"], arrays)


def parameters(model: Keepable) -> dict[str, Any]:
    """Constructor parameters of a method, as JSON takes them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in model.kept_parameters().items()}


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        msg = f"{target} exists already: pass `overwrite=True` to replace it."
        raise FileExistsError(msg)
    if not is_ours(target):
        msg = f"{target} exists and holds no saved model: it is not replaced, choose another folder."
        raise FileExistsError(msg)
