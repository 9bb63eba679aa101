"""Which engine computes the convolution: DGL where it loads and passes a probe on the device, torch everywhere.

DGL is no longer developed, and its releases on PyPI were built for older versions of torch. They still work, given some
care at import, all of which is here.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from .._docs import documented

ENGINES = ("auto", "dgl", "torch")
_OLDEST = (1, 1)
_BACKEND = "DGLBACKEND"
_GRAPHBOLT = "dgl.graphbolt"
_INSTALL = (
    "Install it by `pip install dgl==1.1.3 packaging` (Python 3.11) or `pip install dgl==2.1.0 packaging pandas` (Python "
    "3.12), on Linux or macOS; these wheels are for the CPU, and those for CUDA are at https://data.dgl.ai/wheels/. There "
    "are none for Python 3.13 and newer. `engine='torch'` needs no DGL and gives the same results on every device."
)
_LOADING_ERRORS = (ImportError, OSError, AttributeError, RuntimeError, TypeError, ValueError)


@documented
def resolve_engine(engine: str = "auto", device: torch.device | str = "cpu") -> str:
    """Return ``"dgl"`` or ``"torch"``.

    Parameters
    ----------
    {engine} {device:features}

    Raises
    ------
    ValueError
        If the name is unknown.
    RuntimeError
        If ``"dgl"`` was asked for and does not work here.

    Examples
    --------
    >>> resolve_engine("torch")
    'torch'
    """
    if engine not in ENGINES:
        msg = f"engine={engine!r} is none of {', '.join(map(repr, ENGINES))}."
        raise ValueError(msg)
    if engine == "torch":
        return engine
    problem = dgl_problem(str(torch.device(device)))
    if problem is None:
        return "dgl"
    if engine == "dgl":
        msg = f"engine='dgl' does not work here: {problem}. {_INSTALL}"
        raise RuntimeError(msg)
    return "torch"


@cache
def dgl_problem(device: str) -> str | None:
    """Say why DGL cannot be used on a device; ``None`` if it can."""
    try:
        dgl = load_dgl()
    except _LOADING_ERRORS as error:
        return str(error)
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():  # whoever asks first may be predicting
            _probe(dgl, torch.device(device))
    except (dgl.DGLError, *_LOADING_ERRORS) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return f"DGL {dgl.__version__} fails on {device} ({reason[-1]})"
    return None


@lru_cache(maxsize=1)
def load_dgl() -> Any:
    """Import DGL for torch, and return it.

    Raises
    ------
    ImportError
        If there is none, it is too old, or it does not load with this torch.
    """
    if "dgl" not in sys.modules:
        _check_version()
        with _torch_backend(), _without_graphbolt(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                import_module("dgl")
            except _LOADING_ERRORS as error:
                msg = f"DGL does not load with torch {torch.__version__} ({type(error).__name__}: {error})"
                raise ImportError(msg) from error
    dgl = sys.modules["dgl"]
    backend = dgl.backend.backend_name
    if backend != "pytorch":
        msg = f"DGL was loaded for {backend!r} before; set {_BACKEND}=pytorch"
        raise ImportError(msg)
    import_module("dgl.ops")
    return dgl


def _check_version() -> None:
    if find_spec("dgl") is None:
        raise ImportError("DGL is not installed")
    try:
        found = version("dgl")
    except PackageNotFoundError:
        return
    if tuple(int(part) for part in found.split("+")[0].split(".")[:2]) < _OLDEST:
        msg = f"DGL {found} is too old"
        raise ImportError(msg)


@contextmanager
def _torch_backend() -> Iterator[None]:
    """Choose torch while DGL loads; without a choice it would write one to the home folder."""
    before = os.environ.get(_BACKEND)
    os.environ[_BACKEND] = "pytorch"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_BACKEND]
        else:
            os.environ[_BACKEND] = before


@contextmanager
def _without_graphbolt() -> Iterator[None]:
    """Hide DGL's sampler, unless it was built for this torch: DGL 2 fails to load where its binary is missing."""
    spec = find_spec("dgl")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    built_for = torch.__version__.split("+")[0]
    if not (folder / "graphbolt").is_dir() or any(folder.glob(f"graphbolt/*graphbolt_pytorch_{built_for}.*")):
        yield
        return
    sys.modules[_GRAPHBOLT] = ModuleType(_GRAPHBOLT)
    try:
        yield
    finally:
        del sys.modules[_GRAPHBOLT]


def _probe(dgl: Any, device: torch.device) -> None:
    """Sum two weighted messages on the device, forwards and backwards."""
    edges = torch.tensor([[0, 1], [0, 0]], dtype=torch.int32, device=device)
    graph = make_graph(dgl, edges[0], edges[1], n_from=2, n_to=1)
    sent = torch.tensor([[3.0], [5.0]], device=device, requires_grad=True)
    weights = torch.tensor([[2.0], [4.0]], device=device)
    received = dgl.ops.u_mul_e_sum(graph, sent, weights)
    received.sum().backward()
    if received.tolist() != [[26.0]] or sent.grad is None or sent.grad.tolist() != [[2.0], [4.0]]:
        raise RuntimeError("wrong result of a known sum")


def make_graph(dgl: Any, source: torch.Tensor, target: torch.Tensor, *, n_from: int, n_to: int) -> Any:
    """Make a bipartite DGL graph whose edges keep their order."""
    return dgl.heterograph({("from", "to", "into"): (source, target)}, num_nodes_dict={"from": n_from, "into": n_to})
