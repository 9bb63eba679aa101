"""Read weights from files that anybody may have written: tensors and nothing else, no more than the file holds."""

from __future__ import annotations

import re
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._text import plain
from ._base import EncoderCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from ._weights import WeightsFile

_SHOWN = 3
_LONGEST = 80
_OBJECT = re.compile(r"GLOBAL ([\w.]+)")


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors by name, from safetensors or from a file of ``torch.save``; never other objects.

    Raises
    ------
    ValueError
        If the file is not complete, holds other objects or numbers that are not finite, or would take far more memory than
        it has bytes.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: Any = load_file(path)
        else:
            loaded = _without_objects(path)
    except Exception as error:  # noqa: BLE001 - a reader that is fed with anything may raise anything
        raise ValueError(_why(error, path)) from None  # torch's own words advise to run what is in the file
    return dict(_tensors(loaded, path))


def _without_objects(path: Path) -> Any:
    import torch

    _check_archive(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how a file was pickled says nothing to a user
        return torch.load(path, map_location="cpu", weights_only=True)


def _check_archive(path: Path) -> None:
    """A file of torch is an archive in which nothing is compressed: what is can be far larger than the file."""
    if tarfile.is_tarfile(path):
        raise ValueError("it is a tar archive, as torch wrote them ten years ago, or empty")
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(one.compress_type != zipfile.ZIP_STORED for one in entries):
        raise ValueError("it is compressed, which torch never does")
    if sum(one.file_size for one in entries) > path.stat().st_size:
        raise ValueError("it says that it holds more than it has bytes")


def _why(error: Exception, path: Path) -> str:
    import pickle

    said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(error, pickle.UnpicklingError):
        found = _OBJECT.search(str(error))
        what = f" ({found[1]:.{_LONGEST}})" if found else ""
        return (
            f"{str(path)!r} cannot be read as weights: it holds other objects than tensors{what}, or is no file of weights at all. Such "
            "objects can run code when they are read, so they are not. Ask whoever made the file for `model.safetensors`, "
            "which holds numbers alone, or download the published weights again."
        )
    reason = "" if "weights_only" in str(error) else f" ({said:.200})"
    return f"{str(path)!r} cannot be read as weights{reason}. Was the download complete?"


def _tensors(loaded: Any, path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors of a checkpoint, out of the wrappings that training scripts put around them."""
    import torch

    for key in ("model", "state_dict"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    named = isinstance(loaded, dict) and all(isinstance(name, str) for name in loaded)
    if not named or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        msg = f"{str(path)!r} holds no tensors by name, so it is no file of weights."
        raise ValueError(msg)
    size = path.stat().st_size
    for name, value in loaded.items():
        if fault := _fault(value, size):
            msg = f"{str(path)!r} is no file of weights, or is damaged: {plain(name)} {fault}."
            raise ValueError(msg)
        yield name, value


def _fault(value: torch.Tensor, size: int) -> str:
    """What is wrong with a tensor from a file of so many bytes; empty where nothing is."""
    import torch

    if value.layout is not torch.strided or value.device.type != "cpu" or value.is_complex() or value.is_quantized:
        return "is no array of plain numbers"
    if value.numel() * value.element_size() > size:
        return "is larger than the file"
    if value.is_floating_point() and not bool(torch.isfinite(value.float()).all()):
        return "holds numbers that are not finite"
    return ""


def load_strictly(
    model: torch.nn.Module, state: Mapping[str, torch.Tensor], card: EncoderCard, file: WeightsFile
) -> None:
    """Put weights into a model, or say how they differ from what the encoder needs."""
    needed = model.state_dict()
    wanted = {name: tuple(value.shape) for name, value in needed.items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    wrong = [f"{plain(n)} is {given[n]} instead of {wanted[n]}" for n in wanted if n in given and given[n] != wanted[n]]
    missing = [f"{plain(n)} is missing" for n in wanted if n not in given]
    unknown = [f"{plain(n)} is unknown" for n in given if n not in wanted]
    kinds = [
        f"{plain(n)} is of {str(v.dtype).partition('.')[2]}"
        for n, v in state.items()
        if n in needed and v.is_floating_point() != needed[n].is_floating_point()
    ]
    problems = wrong + missing + unknown + kinds
    if problems:
        more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        msg = (
            f"{str(file.path)!r} does not hold the weights of {card.name!r}: {'; '.join(problems[:_SHOWN])}{more}. "
            f"Expected those of {card.source}."
        )
        raise ValueError(msg)
    model.load_state_dict({name: value.to(needed[name].dtype) for name, value in state.items()}, assign=True)
