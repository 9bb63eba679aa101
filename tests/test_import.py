"""What importing the package costs, and what it offers."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import phg2st_sc as phg2st

SUBMODULES = ("datasets", "encoders", "graph", "io", "metrics", "models", "pl", "pp", "prompts", "tl")
LOADING_TORCH = ("nn", "training")
"""Networks and their training: there for those who ask for them."""
NEVER_LOADED = ("torch", "torchvision", "torchmetrics", "lightning", "pytorch_lightning", "timm", "dgl")
LOADED_LATE = (
    "spatialdata",
    "squidpy",
    "scanpy",
    "matplotlib.pyplot",
    "skimage",
    "sklearn",
    "dask.array",
    "numba",
    "pynndescent",
)


def _modules_after(statement: str) -> tuple[set[str], float]:
    """Modules that a fresh interpreter holds after a statement, and the seconds that the statement took."""
    code = (
        "import json, sys, time; start = time.perf_counter()\n"
        f"{statement}\n"
        "print(json.dumps([time.perf_counter() - start, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    return set(modules), seconds


def test_importing_the_package_loads_nothing_heavy() -> None:
    modules, seconds = _modules_after("import phg2st_sc")
    heavy = modules.intersection((*NEVER_LOADED, *LOADED_LATE, "anndata", "numpy", "pandas"))
    assert not heavy
    assert seconds < 2.0


def test_using_every_submodule_loads_no_deep_learning() -> None:
    every = ", ".join(f"phg2st_sc.{name}" for name in SUBMODULES)
    modules, _ = _modules_after(f"import phg2st_sc; {every}")
    assert {f"phg2st_sc.{name}" for name in SUBMODULES} <= modules
    assert not modules.intersection(NEVER_LOADED)


def test_the_default_predicts_without_deep_learning() -> None:
    statement = (
        "import phg2st_sc as p; a = p.datasets.simulate(n_spots=60, n_genes=20, image=False, progress=False); "
        "p.pp.sample_prompts(a, fraction=0.3, seed=0); p.tl.impute(a)"
    )
    modules, _ = _modules_after(statement)
    assert "phg2st_sc.models.phg2st.model" in modules
    assert not modules.intersection(NEVER_LOADED)


def test_submodules_do_not_load_containers_before_they_are_needed() -> None:
    every = ", ".join(f"phg2st_sc.{name}" for name in SUBMODULES)
    modules, _ = _modules_after(f"import phg2st_sc; {every}")
    assert not modules.intersection(("spatialdata", "squidpy", "scanpy", "matplotlib.pyplot"))


@pytest.mark.parametrize("name", SUBMODULES + LOADING_TORCH)
def test_every_public_name_exists(name: str) -> None:
    module = getattr(phg2st, name)
    assert module.__all__, f"{name} offers nothing"
    assert len(set(module.__all__)) == len(module.__all__)
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert not missing
    undocumented = [
        public
        for public in module.__all__
        if callable(getattr(module, public)) and not (getattr(module, public).__doc__ or "").strip()
    ]
    assert not undocumented


def test_dir_lists_the_submodules_and_unknown_names_raise() -> None:
    assert {*SUBMODULES, *LOADING_TORCH, "__version__", "settings"} == set(dir(phg2st))
    with pytest.raises(AttributeError, match="no attribute 'tools'"):
        phg2st.tools  # noqa: B018


def test_the_version_is_that_of_the_project_file() -> None:
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    if not project.exists():
        pytest.skip("tests run outside a checkout")
    assert phg2st.__version__ == tomllib.loads(project.read_text())["project"]["version"]
