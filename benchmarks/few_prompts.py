"""None to ten prompts: whether the default ever says less than what it knows without any.

    python benchmarks/few_prompts.py --data DATA --cache FEATURES --out benchmarks/results

``DATA`` has the data sets under their names, as for ``accuracy.py sets``. Spinal cord and breast with a picture, synovium without; the mouse or
patient is never seen in training. Prompts are nested, and all numbers of prompts are scored at the same spots. The number of
sections, and of masks, is set by ``--sections`` and ``--masks``.
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
from _accuracy_settings import ALONE, BY_KEY, OTHERS, OURS, SIMPLE_IMAGE, Fold, Library, folds
from _few_prompts_report import few_prompts_report, figure
from _sections import STRATEGIES, Mask, Section
from tqdm.auto import tqdm

from phg2st_sc.metrics import score_section
from phg2st_sc.models import Estimator, create
from phg2st_sc.prompts import nested_masks

SETS = ("als", "her2_image", "ra")
NUMBERS = (1, 2, 3, 5, 10)
SECTIONS = {
    "her2_image": ("B4", "C2", "C3", "C4"),
    "ra": ("RA1_1", "RA1_3", "RA2_1", "RA2_5", "RA3_1", "RA3_3", "RA4_1"),
}
"""Of the sets that have many."""
TRAINED = ("kriging", "gene_kriging", "space_image_kriging", "regression_kriging", OURS)
UNTRAINED = ("kriging", "space_image_kriging", OURS)
SCORES = ("pcc", "pcc_unsmoothed", "mae", "ccc")

Key = tuple[str, str]
Rows = list[dict[str, Any]]


def methods(fold: Fold, sections: dict[str, Section], options: argparse.Namespace) -> dict[Key, Estimator]:
    """Trained on the other patients, and those that know the section alone."""
    training = [sections[name].data for name in fold.training]
    trained, alone = ((OURS,), (OURS,)) if options.only_ours else (TRAINED, UNTRAINED)
    useless = () if fold.setting.image else SIMPLE_IMAGE
    made = {(name, OTHERS): create(name).fit(training) for name in trained if name not in useless}
    return made | {(name, ALONE): create(name) for name in alone if name not in useless}


def masks(section: Section, regime: str, number: int) -> dict[int, Mask]:
    """Nested masks by number of prompts; none has none."""
    positions = section.data.arrays.positions
    shares = [n / len(positions) for n in NUMBERS]
    made = nested_masks(positions, shares, STRATEGIES[regime], number)
    return {0: np.zeros(len(positions), dtype=bool)} | dict(zip(NUMBERS, made.values(), strict=True))


def score_case(section: Section, able: dict[Key, Estimator], regime: str, number: int) -> Rows:
    """Rows of every method and number of prompts on one mask."""
    data, every = section.data, masks(section, regime, number)
    held_out = ~every[max(NUMBERS)]
    target_sum = float(np.median(data.totals))
    rows: Rows = []
    for n, mask in every.items():
        prompts = data.prompts(np.flatnonzero(mask), target_sum=target_sum)
        made = {
            key: np.asarray(one.predict(data.arrays, prompts).mean)[held_out]
            for key, one in able.items()
            if n >= (0 if one.is_fitted else max(one.min_prompts, 1))
        }
        scored = score_section(
            data.counts[held_out],
            data.totals[held_out],
            data.arrays.positions[held_out],
            {"/".join(key): values for key, values in made.items()},
            target_sum,
            genes=list(data.genes),
            n_splits=0,
        )
        for key in made:
            means = scored.attrs["means"]["/".join(key)]
            rows.append({"prompts": n, "method": key[0], "learned": key[1], **{s: means[s] for s in SCORES}})
    return rows


def score_all(options: argparse.Namespace) -> Iterator[Rows]:
    """Rows of one section after the other."""
    library = Library(options.data.resolve(), options.cache, options.genes)
    for key in options.sets:
        setting = BY_KEY[key]
        patients = library.patients(setting)
        names = [n for n in SECTIONS.get(key, tuple(patients)) if not options.sections or n in options.sections]
        for fold in folds(setting, patients, names):
            sections = library.sections(fold)
            able = methods(fold, sections, options)
            for name in tqdm(fold.predicted, desc=key, unit="section"):
                labels = {"set": key, "section": name, "patient": sections[name].patient}
                cases = [(regime, number) for regime in STRATEGIES for number in range(options.masks)]
                yield [
                    {**labels, "regime": regime, "mask": number, **row}
                    for regime, number in cases
                    for row in score_case(sections[name], able, regime, number)
                ]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, required=True, help="where image features are kept")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sections", nargs="+", help="only these")
    parser.add_argument("--masks", type=int, default=5, help="by section and regime")
    parser.add_argument("--genes", type=int, default=500, help="of the panel where there is no published one")
    parser.add_argument("--only-ours", action="store_true", help="no simple methods")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="few_prompts")
    parser.add_argument("--report-only", action="store_true")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.name}.csv"
    if not options.report_only:
        rows: Rows = []
        for made in score_all(options):
            rows += made
            pd.DataFrame(rows).to_csv(path, index=False, float_format="%.5f")
        print(f"{time.process_time() / 60:.1f} minutes of processor time")
    scores = pd.read_csv(path)
    text = few_prompts_report(scores)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    figure(scores, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
