"""Read a store, have it changed, write the result: the input stays as it is unless told otherwise."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .._files import new_folder, write_whole
from .._slide import H5AD, ZARR, kind_of_store, read_store

_SPACERANGER = ("filtered_feature_bc_matrix.h5", "spatial")
_SECTION = ("counts.h5ad", "meta.json")


def read(path: Path) -> Any:
    """The object of a ``.h5ad`` file, a zarr folder, a section folder, or an output folder of Space Ranger."""
    if _holds(path, _SECTION):
        from ..datasets import read_section

        return read_section(path)
    if _holds(path, _SPACERANGER):
        return _visium(path)
    return read_store(path)


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return all((folder / name).exists() for name in names)


def _visium(folder: Path) -> Any:
    try:
        from squidpy.read import visium
    except ImportError as error:
        msg = f"{folder} is an output folder of Space Ranger, which squidpy reads: `pip install squidpy`."
        raise ImportError(msg) from error
    adata = visium(folder)
    adata.var_names_make_unique()
    return adata


def _is_spatialdata(path: Path) -> bool:
    return not _holds(path, _SECTION) and not _holds(path, _SPACERANGER) and kind_of_store(path) == "spatialdata"


def change(
    path: Path, work: Callable[[Any, bool], object], *, out: Path | None, in_place: bool, overwrite: bool
) -> Path:
    """Change what is at a path, or a copy of it.

    Parameters
    ----------
    path
        Store to read.
    work
        Changes the object in memory, and the store behind it where it is told to.
    out, in_place, overwrite
        As the options say.

    Returns
    -------
    Where the result is.
    """
    target = _target(path, out, in_place, overwrite)
    if not _is_spatialdata(path):
        adata = read(path)
        work(adata, False)
        _save(adata, target)
    elif in_place:
        work(read_store(path), True)
    else:
        _put(target, lambda part: _work_on_copy(path, part, work))
    return target


def _target(path: Path, out: Path | None, in_place: bool, overwrite: bool) -> Path:
    if (out is None) != in_place:
        raise click.UsageError("Say where the result goes: either --out PATH or --in-place.")
    target = path if out is None else out
    spatialdata = _is_spatialdata(path)
    if out is not None and target.resolve() == path.resolve():
        raise click.UsageError("--out is the input: say --in-place to change it.")
    kinds = (ZARR,) if spatialdata else (H5AD, ZARR)
    if target.suffix not in kinds:
        msg = f"{target} is no place to write {'a SpatialData' if spatialdata else 'an AnnData'}: --out ends in {' or '.join(kinds)}."
        raise click.UsageError(msg)
    if out is not None and out.exists() and not overwrite:
        msg = f"{out} is there already: name another --out, or say --overwrite."
        raise FileExistsError(msg)
    target.resolve().parent.mkdir(parents=True, exist_ok=True)
    return target


def _work_on_copy(path: Path, part: Path, work: Callable[[Any, bool], object]) -> None:
    shutil.copytree(path, part, dirs_exist_ok=True)
    work(read_store(part), True)


def _save(adata: Any, target: Path) -> None:
    if target.suffix == H5AD:
        write_whole(target, lambda part: _write_h5ad(adata, part))
    else:
        _put(target, adata.write_zarr)


def _write_h5ad(adata: Any, part: Path) -> None:
    unlocked = part.with_name(part.name.replace(".part", "-h5.part"))  # HDF5 locks what it writes itself
    adata.write_h5ad(unlocked)
    unlocked.replace(part)


def _put(target: Path, fill: Callable[[Path], object]) -> None:
    """Fill a folder, and give it the name of one that may be there and goes then; a kill leaves one of them whole."""
    if not target.exists():
        new_folder(target, fill)
        return
    token = secrets.token_hex(4)
    new, old = (target.with_name(f".{target.name}.{token}.{which}{ZARR}") for which in ("new", "old"))
    new_folder(new, fill)
    target.rename(old)
    new.rename(target)
    shutil.rmtree(old) if old.is_dir() else old.unlink()
