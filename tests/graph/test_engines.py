"""Loading DGL: it must be there where the dependencies name it, and say what to do where it does not work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dgl_expected import DGL_EXPECTED

from phg2st_sc.graph import _conv_engine, resolve_engine

BROKEN = {
    "absent": "",
    "old": "0.1.3",
    "fails": "raise OSError('libdgl.so: cannot open')",
}


@pytest.fixture
def forget() -> None:
    """Ask anew whether DGL works, before and after the test."""
    _clear()
    yield
    _clear()


def _clear() -> None:
    _conv_engine.load_dgl.cache_clear()
    _conv_engine.dgl_problem.cache_clear()


def run(code: str, **env: str) -> str:
    settings = {key: value for key, value in os.environ.items() if key != "DGLBACKEND"} | env
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_dgl_is_used_where_the_dependencies_name_it() -> None:
    if not DGL_EXPECTED:
        pytest.skip("DGL is not known to work on this Python and platform")
    assert _conv_engine.dgl_problem("cpu") is None
    assert resolve_engine("auto") == resolve_engine("dgl") == "dgl"


@pytest.mark.usefixtures("forget")
def test_the_engine_is_the_same_for_whoever_asks_first() -> None:
    with torch.inference_mode():
        predicting = resolve_engine("auto")
    _clear()
    assert predicting == resolve_engine("auto")


def test_loading_dgl_leaves_the_environment_and_the_home_folder_alone(tmp_path: Path) -> None:
    if not DGL_EXPECTED:
        pytest.skip("DGL is not known to work on this Python and platform")
    code = (
        "import os, sys; from phg2st_sc.graph import resolve_engine\n"
        "print(resolve_engine('dgl'), 'DGLBACKEND' in os.environ, 'dgl.graphbolt' in sys.modules)"
    )
    assert run(code, HOME=str(tmp_path)) == "dgl False False"
    assert not list(tmp_path.glob(".dgl*"))
    assert run("import os; " + code, DGLBACKEND="tensorflow") == "dgl True False"


def test_naming_the_package_loads_neither_torch_nor_dgl() -> None:
    code = (
        "import sys, phg2st_sc.graph, phg2st_sc.pp\n"
        "phg2st_sc.graph.CombinedKNN; print([m for m in ('torch', 'dgl') if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_a_sampler_built_for_another_torch_is_hidden_while_dgl_loads(tmp_path: Path) -> None:
    """DGL 2 imports its sampler, whose binary is missing for newer torch; a stand-in takes its place."""
    package = tmp_path / "dgl"
    (package / "graphbolt").mkdir(parents=True)
    (package / "graphbolt" / "__init__.py").write_text("raise FileNotFoundError('libgraphbolt_pytorch_9.9.9.so')")
    (package / "backend").mkdir()
    (package / "backend" / "__init__.py").write_text("import os; backend_name = os.environ['DGLBACKEND']")
    (package / "ops.py").write_text("")
    (package / "__init__.py").write_text("from . import backend, graphbolt")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from phg2st_sc.graph._conv_engine import load_dgl\n"
        "print(load_dgl().__file__, load_dgl().backend.backend_name, 'dgl.graphbolt' in sys.modules)"
    )
    assert run(code) == f"{package / '__init__.py'} pytorch False"


@pytest.mark.parametrize("how", BROKEN)
def test_where_dgl_does_not_work_auto_takes_torch_and_dgl_says_what_to_do(tmp_path: Path, how: str) -> None:
    package = tmp_path / "dgl"
    if how == "absent":
        block = "import importlib.util as u; u.find_spec = (lambda f: lambda n, *a: None if n == 'dgl' else f(n, *a))(u.find_spec)"
    else:
        package.mkdir()
        (package / "__init__.py").write_text(BROKEN[how] if how == "fails" else "")
        number = BROKEN["old"] if how == "old" else "1.1.3"
        info = tmp_path / f"dgl-{number}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dgl\nVersion: {number}\n")
        block = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    code = (
        f"{block}\nfrom phg2st_sc.graph import resolve_engine\nprint(resolve_engine('auto'))\n"
        "try:\n    resolve_engine('dgl')\nexcept RuntimeError as error:\n    print(error)"
    )
    taken, message = run(code).split("\n", 1)
    assert taken == "torch"
    expected = {"absent": "not installed", "old": "0.1.3 is too old", "fails": "libdgl.so: cannot open"}[how]
    assert expected in message
    assert "pip install" in message
    assert "engine='torch'" in message


@pytest.mark.usefixtures("forget")
def test_a_failing_probe_is_named_and_never_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    if not DGL_EXPECTED:
        pytest.skip("DGL is not known to work on this Python and platform")

    def fail(dgl, device) -> None:
        raise dgl.DGLError("Device API cuda is not enabled.")

    monkeypatch.setattr(_conv_engine, "_probe", fail)
    assert resolve_engine("auto") == "torch"
    with pytest.raises(RuntimeError, match=r"fails on cpu \(Device API cuda is not enabled"):
        resolve_engine("dgl")


def test_unknown_engines_are_refused() -> None:
    with pytest.raises(ValueError, match="'pyg' is none of 'auto', 'dgl', 'torch'"):
        resolve_engine("pyg")
