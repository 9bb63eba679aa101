"""Who may import whom: `make lint` reads the rules in pyproject.toml and .importlinter-runtime.toml; here they have to bite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("importlinter")
import grimp

import phg2st_sc

PACKAGE = Path(phg2st_sc.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ("pyproject.toml", ".importlinter-runtime.toml")
CONTRACTS = {
    contract["id"]: contract
    for config in CONFIGS
    for contract in tomllib.loads((ROOT / config).read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
}
FORBIDDEN = {
    "layers": ("_slide/_open.py", "from ..tl import impute"),
    "faces": ("pp/_genes.py", "from .._slide._open import open_slides"),
    "faces-models": ("tl/_train.py", "from ..models.simple import Kriging"),
    "faces-methods": ("models/__init__.py", "from .simple.kriging import Kriging"),
    "faces-published": ("models/published/__init__.py", "from .hggep.network import CBAM"),
    "faces-phg2st": ("models/phg2st/knowledge.py", "from .serial.poses import Pose"),
    "methods": ("models/simple/kriging.py", "from ..phg2st import PHG2ST"),
    "published": ("models/published/stnet/network.py", "from ..hggep import HGGEP"),
    "parts": ("models/phg2st/serial/poses.py", "from .. import network"),
    "circles": ("linear/_kernels.py", "if TYPE_CHECKING:\n    from ._krige import krige"),
    "arrays": ("nn/_tensors.py", "def late():\n    from anndata import AnnData"),
    "containers": ("tl/_train.py", "def late():\n    from anndata import AnnData"),
}
"""By contract: a file, and what is planted at its end."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the rules beside it."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for config in CONFIGS:
        shutil.copy(ROOT / config, folder)
    return folder


def _lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    call = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", call, "--no-logo", "--no-cache", *options, *CONFIGS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_keeps_the_rules(copy: Path) -> None:
    done = _lint(copy)
    assert done.returncode == 0, done.stdout


def test_every_rule_has_an_import_that_breaks_it() -> None:
    assert set(CONTRACTS) == set(FORBIDDEN)


@pytest.mark.parametrize("contract", FORBIDDEN)
def test_a_forbidden_import_is_found(copy: Path, contract: str) -> None:
    name, planted = FORBIDDEN[contract]
    path = copy / PACKAGE.name / name
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n{planted}\n", encoding="utf-8")
    try:
        done = _lint(copy, "--contract", contract)
    finally:
        path.write_text(before, encoding="utf-8")
    assert done.returncode == 1
    assert f"{CONTRACTS[contract]['name']} BROKEN" in done.stdout


@pytest.mark.parametrize(
    ("folder", "contract"), [("models", "methods"), ("models/published", "published"), ("models/phg2st", "parts")]
)
def test_every_method_is_under_the_rules(folder: str, contract: str) -> None:
    room = ".".join((PACKAGE.name, *Path(folder).parts))
    there = {f"{room}.{path.parent.name}" for path in (PACKAGE / folder).glob("*/__init__.py")}
    assert set(CONTRACTS[contract]["modules"]) == there


@pytest.fixture(scope="module")
def imports() -> set[tuple[str, str]]:
    """Pairs of files of which one imports the other, without the name of the package."""
    graph = grimp.build_graph(PACKAGE.name, exclude_type_checking_imports=False, cache_dir=None)
    start = len(PACKAGE.name) + 1
    return {(one[start:], two[start:]) for one in graph.modules for two in graph.find_modules_directly_imported_by(one)}


def test_no_file_imports_its_own_face(imports: set[tuple[str, str]]) -> None:
    """A face gathers what its files hold: one that imports the face is in a circle, which the linter does not see."""
    assert not {f"{one} -> {two}" for one, two in imports if one.startswith(f"{two}.")}


@pytest.fixture(scope="module")
def page() -> str:
    """The page of the documentation on all this."""
    return (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_names_every_room_and_rule(page: str) -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    unnamed = {name for name in {*rooms, *CONTRACTS} - {"__init__"} if f"`{name}`" not in page}
    assert not unnamed


def test_arrows_on_the_page_are_imports(page: str, imports: set[tuple[str, str]]) -> None:
    drawing = page.split("## The rooms", 1)[1].split("```", 2)[1]
    labels = dict(re.findall(r'(\w+)\["(\w+)"\]', drawing))
    drawn = [tuple(labels.get(end, end) for end in arrow) for arrow in re.findall(r"(\w+) --> (\w+)", drawing)]
    there = {(one.split(".")[0], two.split(".")[0]) for one, two in imports}
    assert drawn
    assert not set(drawn) - there
