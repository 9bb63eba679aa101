"""The published network beside the simple methods on the imaged HER2+ sections, the patient seen in training or not.

    python benchmarks/paper_variant.py --data her2st/data --panel her2st_genes.txt --out benchmarks/results

Four sections of two patients have a picture: C2, C3, C4 and B4. "Seen": one section of C, trained on the other three.
"Unseen": B4 from C, and each section of C from B4. Scores at held-out spots only; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
from _networks import add_rows, imaged_sections, score, table

from phg2st_sc.models import create

ALONE = ("prompt_mean", "idw", "kriging", "gene_kriging", "image_ridge", "space_image_kriging", "regression_kriging")
COHORT = ("gene_kriging", "image_ridge", "space_image_kriging", "regression_kriging")
PLANS = (
    ("seen", "C2", ("B4", "C3", "C4")),
    ("seen", "C3", ("B4", "C2", "C4")),
    ("seen", "C4", ("B4", "C2", "C3")),
    ("unseen", "B4", ("C2", "C3", "C4")),
    ("unseen", "C2", ("B4",)),
    ("unseen", "C3", ("B4",)),
    ("unseen", "C4", ("B4",)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--panel", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--masks", type=int, default=10)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--max-epochs", type=int)
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "paper_variant.csv"
    if not options.report_only:
        path.unlink(missing_ok=True)
        run(options, path)
    write(path)


def run(options: argparse.Namespace, path: Path) -> None:
    sections = imaged_sections(options.data, options.panel, options.cache or options.out / "cache")
    for setting, name, training in PLANS:
        slides = [sections[other].data for other in training]
        began = time.perf_counter()
        network = create("phg2st_paper", preset=options.preset, max_epochs=options.max_epochs).fit(slides)
        facts = network.record["training"]
        seconds = time.perf_counter() - began
        print(setting, name, f"{seconds:.0f} s", facts["epochs"], facts.get("best_epoch"), facts["unit"], flush=True)
        methods = {(method, "this section"): create(method) for method in ALONE}
        methods |= {(method, "other sections"): create(method).fit(slides) for method in COHORT}
        methods[("phg2st", "other sections")] = network
        rows = score(
            sections[name], methods, n_masks=options.masks, fraction=options.fraction, setting=setting, seconds=seconds
        )
        add_rows(path, rows)


def write(path: Path) -> None:
    scores = pd.read_csv(path)
    parts = [
        f"{scores['mask'].nunique()} masks per section and regime; scattered / block; mean over genes, then sections."
    ]
    for setting, title in (
        ("seen", "C2, C3, C4: patient seen in training"),
        ("unseen", "B4, C2, C3, C4: patient unseen"),
    ):
        rows = scores[scores["setting"] == setting]
        if len(rows):
            parts += [f"## {title}", table(rows, ["method", "training"], ("pcc", "ccc", "mae", "pcc_unsmoothed"))]
    path.with_suffix(".md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
