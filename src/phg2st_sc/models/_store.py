"""Keep fitted methods in folders: settings as JSON, arrays as safetensors, never pickle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._provenance import package_versions
from ._schema_1 import as_schema_2

SETTINGS = "model.json"
ARRAYS = "arrays.safetensors"
SCHEMA = 2
_KEYS = {"schema": int, "method": str, "parameters": dict, "state": dict, "card": dict}


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

    def restore(self, make: Callable[..., Method]) -> Method:
        """The method that ``make`` makes of the parameters, with what it had learned."""
        model = make(**self.parameters)
        try:
            model.set_state(self.state, self.arrays)
        except ValueError as error:
            raise _damaged(self.folder, str(error)) from error
        model.card = self.card
        return model


def save(model: Keepable, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Save a method to a folder.

    The folder appears only once it is complete, so an interrupted save leaves nothing half written.

    Parameters
    ----------
    model
        A method, fitted or not.
    path
        Folder to write.
    overwrite
        Whether to replace a folder that holds a saved model.

    Raises
    ------
    FileExistsError
        If something is there already, and ``overwrite`` is false or it is no saved model.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import phg2st_sc as phg2st
    >>> folder = phg2st.models.save(phg2st.models.Kriging(), pathlib.Path(tempfile.mkdtemp()) / "model")
    >>> sorted(file.name for file in folder.iterdir())
    ['arrays.safetensors', 'model.json']
    """
    from safetensors.numpy import save_file

    target = Path(path)
    _check_target(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    settings, arrays = model.state()
    record = {
        "schema": SCHEMA,
        "method": model.name,
        "parameters": parameters(model),
        "state": settings,
        "card": model.card,
        "versions": package_versions(),
    }
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        folder = Path(scratch) / target.name
        folder.mkdir()
        (folder / SETTINGS).write_text(json.dumps(record, indent=1), encoding="utf-8")
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, folder / ARRAYS)
        if target.exists():  # moved aside, not deleted: it goes with the scratch folder once the new one is there
            target.replace(Path(scratch) / "replaced")
        folder.replace(target)
    return target


def read(folder: Path) -> Saved:
    """Read a folder that :func:`save` wrote, with this version or an earlier one.

    Raises
    ------
    FileNotFoundError
        If it holds no saved model.
    ValueError
        If it is damaged, or was written by a later version of the package.
    """
    for name in (SETTINGS, ARRAYS):
        if not (folder / name).is_file():
            msg = (
                f"{folder} holds no saved model: expected {SETTINGS} and {ARRAYS}, as `model.save(folder)` writes them."
            )
            raise FileNotFoundError(msg)
    record, arrays = _read_settings(folder), _read_arrays(folder)
    if record["schema"] == 1:
        record, arrays = as_schema_2(record, arrays)
    return Saved(folder, record["method"], record["parameters"], record["state"], record["card"], arrays)


def _read_settings(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(folder, f"{SETTINGS} is not readable JSON ({error}).") from error
    if not isinstance(record, dict) or not all(isinstance(record.get(name), kind) for name, kind in _KEYS.items()):
        msg = f"{folder / SETTINGS} was not written by `model.save(folder)` of phg2st-sc."
        raise ValueError(msg)
    if not 1 <= record["schema"] <= SCHEMA:
        msg = f"{folder} has schema {record['schema']}, and this version reads 1 to {SCHEMA}: update phg2st-sc."
        raise ValueError(msg)
    return record


def _read_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(folder / ARRAYS)
    except SafetensorError as error:
        raise _damaged(folder, f"{ARRAYS} is not readable ({error}).") from error


def _damaged(folder: Path, reason: str) -> ValueError:
    return ValueError(f"The saved model in {folder} is damaged. {reason} Copy it again, or save it anew.")


def parameters(model: Keepable) -> dict[str, Any]:
    """Constructor parameters of a method, as JSON takes them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in model.kept_parameters().items()}


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        msg = f"{target} exists already: pass `overwrite=True` to replace it."
        raise FileExistsError(msg)
    if not (target / SETTINGS).is_file():
        msg = f"{target} exists and holds no saved model: it is not replaced, choose another folder."
        raise FileExistsError(msg)
