"""Which spots to measure: the default with the spots that ``tl.suggest_spots`` chooses, and with those of other designs.

    python benchmarks/suggest_spots.py --data DATA --cache FEATURES --out benchmarks/results

``DATA`` has the data sets under their names, as for ``accuracy.py sets``. A third of the spots of every section is drawn at random
and held out: no design may choose them, and all are scored at them, by the default of ``tl.impute`` without training. What is
there already is kept; ``--report-only`` makes table and figure of it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from _accuracy_settings import BY_KEY, Fold, Library
from _sections import Section
from _suggest_blocks import block_report, score_blocks
from _suggest_designs import Choice, designs
from _suggest_expected import expectation_report, expectations
from _suggest_report import figure, report
from tqdm.auto import tqdm

from phg2st_sc.metrics import score_section
from phg2st_sc.models import PHG2ST

BUDGETS = (0.02, 0.05, 0.1, 0.2)
SECTIONS: dict[str, dict[str, int]] = {
    "her2_image": dict.fromkeys(("B4", "C2", "C3", "C4"), 5),
    "als": dict.fromkeys(("CN51_C2_1", "CN52_C2_1", "CN62_E2", "CN63_C1", "CN63_E2", "L6CN51_E1_2"), 4),
    "bulb": dict.fromkeys(("Rep11", "MOB1", "MOB2"), 3),
    "ra": {"RA1_2": 3, "RA2_1": 3, "RA3_1": 2, "RA4_1": 1},
    "colon": {"colon": 1},
}
"""Sections of a set, and how often a third of their spots is drawn to be held out."""
HELD_OUT = 1 / 3

Rows = list[dict[str, Any]]


def score(section: Section, held_out: np.ndarray, spots: np.ndarray) -> dict[str, Any]:
    """Scores of the default with these spots as prompts, at the spots that are held out."""
    data = section.data
    prompts = data.prompts(np.sort(spots), target_sum=float(np.median(data.totals[spots])))
    made = np.asarray(PHG2ST().predict(data.arrays, prompts).mean)[held_out]
    scored = score_section(
        data.counts[held_out],
        data.totals[held_out],
        data.arrays.positions[held_out],
        made,
        prompts.target_sum,
        genes=list(data.genes),
        n_splits=0,
    )
    means = scored.attrs["means"]
    return {name: means[name] for name in ("pcc", "pcc_unsmoothed")}


def score_draw(section: Section, draw: int) -> Rows:
    """Rows of every design and budget with one third of the spots held out."""
    data = section.data
    n = data.arrays.n_spots
    held_out = np.zeros(n, dtype=bool)
    held_out[np.random.default_rng(draw).permutation(n)[: round(HELD_OUT * n)]] = True
    choice = Choice(data, np.flatnonzero(~held_out), PHG2ST().survey(data.arrays, None), draw)
    numbers = [max(2, round(budget * n)) for budget in BUDGETS]
    rows: Rows = []
    for name, number, design in designs(choice, numbers):
        for budget, n_prompts in zip(BUDGETS, numbers, strict=True):
            spots = design(n_prompts)
            found = score(section, held_out, spots)
            depth = float(data.totals[spots].mean() / data.totals.mean())
            labels = {"budget": budget, "prompts": n_prompts, "design": name, "draw": number}
            rows.append({**labels, **found, "depth": depth})
    return rows


def score_all(options: argparse.Namespace, done: pd.DataFrame) -> Iterator[Rows]:
    """Rows of one draw of held-out spots after the other."""
    library = Library(options.data.resolve(), options.cache, options.genes)
    there = set(done[["section", "held_out"]].itertuples(index=False, name=None)) if len(done) else set()
    for key in options.sets:
        for name, draws in tqdm(SECTIONS[key].items(), desc=key, unit="section"):
            waiting = [draw for draw in range(options.draws or draws) if (name, draw) not in there]
            if not waiting:
                continue
            section = library.sections(Fold(BY_KEY[key], (name,), ()))[name]
            labels = {"set": key, "section": name, "patient": section.patient, "spots": section.data.arrays.n_spots}
            for draw in waiting:
                yield [{**labels, "held_out": draw, **row} for row in score_draw(section, draw)]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, required=True, help="where image features are kept")
    parser.add_argument("--sets", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--draws", type=int, help="of held-out spots, by section; by default as in the tables")
    parser.add_argument("--genes", type=int, default=500, help="of the panel where there is no published one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report-only", action="store_true")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "suggest_spots.csv"
    done = pd.read_csv(path) if path.exists() else pd.DataFrame()
    if not options.report_only:
        for made in score_all(options, done):
            done = pd.concat([done, pd.DataFrame(made)], ignore_index=True)
            done.to_csv(path, index=False, float_format="%.5f")
        print(f"{time.process_time() / 60:.1f} minutes of processor time")
    scores = pd.read_csv(path)
    beside = path.with_name("suggest_spots_expected.csv")
    if not options.report_only:
        library = Library(options.data.resolve(), options.cache, options.genes)
        expectations(library, scores).to_csv(beside, index=False, float_format="%.5f")
    blocks = path.with_name("suggest_spots_blocks.csv")
    if not options.report_only:
        score_blocks(library, scores, score).to_csv(blocks, index=False, float_format="%.5f")
    text = report(scores) + block_report(pd.read_csv(blocks)) + expectation_report(pd.read_csv(beside))
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    figure(scores, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
