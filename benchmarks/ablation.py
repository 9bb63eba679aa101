"""The ablations of the paper's figure 3: branches of the network, and shares of prompts in training and test.

On simulated sections, and with ``--data`` on the imaged HER2+ sections (C2 from B4, C3, C4)::

    python benchmarks/ablation.py --out benchmarks/results
    python benchmarks/ablation.py --data her2st/data --panel her2st_genes.txt --out benchmarks/results

Two readings of every score: at held-out spots, as everywhere here, and over all spots, prompts included, as published.
What prompts gain in the second and not in the first, they gain at their own spots.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from _networks import add_rows, imaged_sections, score, simulated_sections, table
from _sections import Section

from phg2st_sc.metrics import depth_free_target, pcc
from phg2st_sc.models import Estimator, create

BRANCHES = ("spot", "context", "both")
TRAINING = (0.1, 0.3, 0.5)
TEST = (0.05, 0.1, 0.3)
DEFAULT_TRAINING, DEFAULT_TEST = 0.3, 0.1


def all_spots(section: Section, network: Estimator, fraction: float, n_masks: int) -> float:
    """Correlation over all spots, prompts included: how the literature scores."""
    data = section.data
    truth = depth_free_target(data.counts, data.arrays.positions)
    found = []
    for number in range(n_masks):
        shown = np.flatnonzero(section.mask("scattered", number, fraction))
        prediction = network.predict(data.arrays, data.prompts(shown, target_sum=1e4)).mean
        found.append(np.nanmean(pcc(truth, prediction)))
    return float(np.mean(found))


def run(cohort: str, test: list[Section], training: list[Section], path: Path, options: argparse.Namespace) -> None:
    slides = [section.data for section in training]
    cases = [(branches, DEFAULT_TRAINING) for branches in BRANCHES]
    cases += [("both", share) for share in TRAINING if share != DEFAULT_TRAINING]
    for branches, trained_with in cases:
        network = create("phg2st_paper", branches=branches, prompt_fraction=trained_with, max_epochs=options.max_epochs)
        network.fit(slides)
        shares = TEST if branches == "both" else (DEFAULT_TEST,)
        for section in test:
            for share in shares:
                labels = {"cohort": cohort, "branches": branches, "train prompts": trained_with, "test prompts": share}
                rows = score(section, {("phg2st", "cohort"): network}, n_masks=options.masks, fraction=share, **labels)
                everywhere = all_spots(section, network, share, options.masks)
                scores = add_rows(path, [{**row, "pcc_all_spots": everywhere} for row in rows])
        print(
            scores.groupby(["cohort", "branches", "train prompts", "test prompts", "regime"])["pcc"].mean(), flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--panel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--masks", type=int, default=5)
    parser.add_argument("--max-epochs", type=int)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / ("ablation_her2st.csv" if options.data else "ablation_simulated.csv")
    path.unlink(missing_ok=True)
    if options.data:
        sections = imaged_sections(options.data, options.panel, options.cache or options.out / "cache")
        run("HER2+ C2", [sections["C2"]], [sections[name] for name in ("B4", "C3", "C4")], path, options)
    else:
        found = list(simulated_sections().values())
        run("simulated", found[:2], found[2:], path, options)
    scores = pd.read_csv(path)
    by = ["branches", "train prompts", "test prompts"]
    epochs = f"at most {options.max_epochs} epochs" if options.max_epochs else "epochs of the preset"
    text = f"{options.masks} masks, one training run each, {epochs}; scattered / block.\n\n{table(scores, by, ('pcc', 'ccc', 'mae', 'pcc_all_spots'))}\n"
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
