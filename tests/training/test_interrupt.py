"""Ctrl-C is a ``KeyboardInterrupt``; what was finished is kept, and nothing is left half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "helpers" / "interrupted.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def interrupted(what: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), what, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_training_ends_in_a_keyboard_interrupt_and_is_resumed(tmp_path: Path) -> None:
    assert interrupted("training", tmp_path) == {"raised": "KeyboardInterrupt", "handled": True, "resumed": True}


def test_a_benchmark_keeps_what_was_finished_and_goes_on(tmp_path: Path) -> None:
    found = interrupted("benchmark", tmp_path / "out")
    assert found["raised"] == "KeyboardInterrupt"
    assert found["units"] == 2  # the references and the first method of the first fold
    assert found["untouched"]
    assert found["hidden"] == []
    assert {"idw", "phg2st_paper"} <= set(found["methods"])


def test_embeddings_that_were_not_finished_are_not_written(tmp_path: Path) -> None:
    assert interrupted("embeddings", tmp_path) == {"raised": "KeyboardInterrupt", "untouched": True}


def test_objects_are_whole_whenever_the_signal_comes(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability" / "interrupts.py"
    if not script.is_file():
        pytest.skip("benchmarks are part of a clone, and not of the source distribution")
    command = [sys.executable, str(script), "--count", "15", "--out", str(tmp_path / "found.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
