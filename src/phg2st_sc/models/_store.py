"""Keep fitted methods: settings as JSON, arrays as safetensors, never pickle."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .._provenance import package_versions
from ._base import Estimator
from ._files import ARRAYS, SETTINGS
from ._hub import download, is_repo_id
from ._registry import create, get_method

SCHEMA = 1


def save(model: Estimator, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
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
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        if target.exists():  # moved aside, not deleted: it goes with the scratch folder once the new one is there
            target.replace(Path(scratch) / "replaced")
        folder.replace(target)
    return target


def load(path: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None) -> Estimator:
    """Load a method that :func:`save` wrote, from a folder or from the Hugging Face hub.

    Parameters
    ----------
    path
        Folder, or a repository ``owner/name`` of the hub where there is no such folder.
    revision
        Branch, tag or commit of the repository.
    token
        Access token of the hub; by default the one of ``hf auth login``.

    Raises
    ------
    FileNotFoundError
        If the folder holds no saved model, or there is no such repository.
    ConnectionError
        If the hub cannot be reached.
    ValueError
        If it was written by a later version of the package.
    """
    from safetensors.numpy import load_file

    folder = download(str(path), revision=revision, token=token) if is_repo_id(path) else Path(path).expanduser()
    if not (folder / SETTINGS).is_file():
        msg = f"{folder} holds no saved model: expected {SETTINGS} and {ARRAYS}, as `model.save(folder)` writes them"
        raise FileNotFoundError(msg)
    record = _read_settings(folder / SETTINGS)
    if record["schema"] > SCHEMA:
        msg = f"{folder} has schema {record['schema']}, and this version reads up to {SCHEMA}: update phg2st-sc"
        raise ValueError(msg)
    name, settings = get_method(record["method"]).called_today(record["parameters"], saved=True)
    model = create(name, **settings)
    model.set_state(record["state"], load_file(folder / ARRAYS))
    model.card = record["card"]
    return model


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not readable JSON ({error}): the saved model is damaged, save or copy it again"
        raise ValueError(msg) from error
    if not isinstance(record, dict) or not {"schema", "method", "parameters", "state", "card"} <= set(record):
        msg = f"{path} was not written by `model.save(folder)` of phg2st-sc"
        raise ValueError(msg)
    return record


def parameters(model: Estimator) -> dict[str, Any]:
    """Constructor parameters of a method, as JSON takes them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in model.kept_parameters().items()}


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        msg = f"{target} exists already: pass `overwrite=True` to replace it"
        raise FileExistsError(msg)
    if not (target / SETTINGS).is_file():
        msg = f"{target} exists and holds no saved model: it is not replaced, choose another folder"
        raise FileExistsError(msg)
