"""What it is worth to choose when to stop training on the sections that are scored, as public code does.

    python benchmarks/selection.py --data her2st/data --panel her2st_genes.txt --out benchmarks/results

Each network trains for several numbers of epochs on all sections of the other patients, and is not tuned. *Chosen on the
scored section*: the best of them there. *As tl.train chooses*: on a section, or a block of spots, that is left out of training.
Honest score, scattered prompts.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from table1 import her2, shared_panel

import phg2st_sc as phg2st

METHODS = ("stnet", "histogene", "bleep", "triplex")
EPOCHS = (1, 2, 5, 10, 20, 40, 80, 160)
LEFT_OUT = "left-out spots"


def methods() -> dict[str, dict[str, Any]]:
    """Every network with every number of epochs, and as it decides by itself."""
    found: dict[str, dict[str, Any]] = {}
    for name in METHODS:
        found[f"{name}, {LEFT_OUT}"] = {"method": name, "fine_tune": 0}
        for epochs in EPOCHS:
            settings = {"max_epochs": epochs, "patience": 0, "validation_fraction": 0.0, "fine_tune": 0}
            found[f"{name}, {epochs}"] = {"method": name, **settings}
    return found


def to_markdown(table: pd.DataFrame) -> str:
    """Means over sections, by who chooses the number of epochs."""
    rows = table[(table["metric"] == "pcc") & (table["learned"] != "reference")]
    scores = rows.groupby(["method", "section"])["value"].mean().unstack()
    lines = [
        "| method | as `tl.train` chooses | mean over numbers of epochs | chosen on all scored sections | chosen on each scored section |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in METHODS:
        tried = scores.loc[[f"{name}, {epochs}" for epochs in EPOCHS]]
        values = [
            scores.loc[f"{name}, {LEFT_OUT}"].mean(), tried.mean().mean(), tried.mean(axis=1).max(), tried.max().mean(),
        ]  # fmt: skip
        lines.append(f"| `{name}` | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, then write table and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the HER2+ data set")
    parser.add_argument("--panel", type=Path, required=True, help="file of gene names")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--work", type=Path, default=Path("selection_work"), help="finished units")
    parser.add_argument("--cache", type=Path, default=Path("table1_cache"), help="embedded sections")
    options = parser.parse_args()
    slides = her2(options)
    panel = shared_panel(options.panel, slides)
    table = phg2st.tl.benchmark(
        slides, methods=methods(), genes=panel, strategies="random", n_masks=3, n_splits=0, out=options.work
    )
    options.out.mkdir(parents=True, exist_ok=True)
    table[table["metric"] == "pcc"].to_csv(options.out / "selection.csv", index=False, float_format="%.5g")
    text = to_markdown(table)
    (options.out / "selection.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
