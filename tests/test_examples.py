"""The examples that a newcomer copies first run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

pytest.importorskip("squidpy")

ROOT = Path(__file__).resolve().parents[1]


def _first_example(path: Path) -> str:
    if not path.exists():
        pytest.skip("tests run outside a checkout")
    found = re.search(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found.group(1)


def _run(code: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(code, "example", "exec"), names)  # our own documentation
    plt.close("all")
    return names


def test_quick_start() -> None:
    names = _run(_first_example(ROOT / "docs" / "quickstart.md"))
    adata, scores = names["adata"], names["scores"]
    assert np.isfinite(adata.layers["phg2st"]).all()
    assert scores["pcc"].mean() > 0.2
    assert scores.attrs["means"]["phg2st"]["ceiling"] < 1.0


@pytest.mark.slow
def test_readme(real_data: Path) -> None:
    code = _first_example(ROOT / "README.md")
    assert "path/to/her2st" in code
    names = _run(code.replace("path/to/her2st", str(real_data / "her2st")))
    means = names["scores"].attrs["means"]["phg2st"]
    assert 0.05 < means["pcc"] < means["ceiling"] < 1.0
