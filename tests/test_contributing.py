"""The examples of docs/contributing.md, built into a copy of the package: they run, keep the rules and pass the contract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import phg2st_sc

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NEW, MORE = re.compile(r"# (src/\S+)\n"), re.compile(r"# (src/\S+), more lines\n")
ADDED = ("kernel_mean", "color", "ring", "stripe", "rank_correlation")


@pytest.fixture(scope="module")
def calls(copy: Path) -> list[str]:
    """Examples of use: the blocks that name no file."""
    return [text for _, text in BLOCK.findall(PAGE) if not text.startswith("# ")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of package, tests and settings with all that the page adds."""
    folder = tmp_path_factory.mktemp("copy")
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(phg2st_sc.__file__).parent, folder / "src" / "phg2st_sc", ignore=skipped)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=skipped)
    for name in ("pyproject.toml", ".importlinter-runtime.toml"):
        shutil.copy(ROOT / name, folder)
    for language, text in BLOCK.findall(PAGE):
        if language == "text":
            _add_to_contracts(folder / "pyproject.toml", text)
        elif found := NEW.match(text):
            path = folder / found[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(text[found.end() :], encoding="utf-8")
        elif found := MORE.match(text):
            with (folder / found[1]).open("a", encoding="utf-8") as file:
                file.write(text[found.end() :])
    return folder


def _add_to_contracts(path: Path, text: str) -> None:
    heading, line = text.splitlines()
    settings = path.read_text(encoding="utf-8")
    for contract in re.findall("`([a-z-]+)`", heading):
        start = settings.index(f'id = "{contract}"')
        end = settings.index("\n]", start)
        settings = f"{settings[:end]}\n  {line}{settings[end:]}"
    path.write_text(settings, encoding="utf-8")


def _run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_examples_run(copy: Path, calls: list[str]) -> None:
    assert len(calls) == len(ADDED)
    said = _run(copy, "-c", "".join(re.sub(r"^(.*)\n\Z", r"print(\1)\n", call, flags=re.MULTILINE) for call in calls))
    assert said.split("\n") == ["(120, 60)", "(60, 6)", "(60, 60)", "12", "True", ""]


def test_the_examples_keep_the_rules(copy: Path) -> None:
    pytest.importorskip("importlinter")
    call = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    _run(copy, "-c", call, "--no-logo", "--no-cache", "pyproject.toml", ".importlinter-runtime.toml")
    files = [found[1] for _, text in BLOCK.findall(PAGE) if (found := NEW.match(text))]
    for options in (["check"], ["format", "--check"]):
        _run(copy, "-m", "ruff", *options, "--no-cache", *files)


@pytest.mark.slow
def test_the_contract_is_asked_of_the_examples(copy: Path) -> None:
    names = " or ".join(ADDED)
    said = _run(
        copy,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/contract",
        "tests/models/test_registry.py",
        "-k",
        f"{names} or every or order",
    )
    passed = int(re.search(r"(\d+) passed", said)[1])
    assert passed > 30
