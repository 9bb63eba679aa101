"""Coverage of count intervals at held-out spots, beside intervals of constant width, on all open sets.

    python benchmarks/trust_intervals.py --data DATA --cache FEATURES --out benchmarks/results

``DATA`` has the data sets under their names, as for ``accuracy.py sets``. Two sections of every set; the default alone and trained
on other patients, without its networks, which take long to train; scattered prompts and one block. What is there already is kept; ``--report-only`` makes tables and figure of it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
from _accuracy_settings import ALONE, BY_KEY, Fold, Library, folds
from _intervals_case import Case
from _intervals_report import figure, report
from _sections import STRATEGIES
from tqdm.auto import tqdm

from phg2st_sc.models import Estimator, create

FRACTIONS = {"als": 0.2}
"""Of sets whose sections have few spots; a tenth of the others."""
KEYS = ("her2", "bulb", "ra", "als", "her2_image", "colon")
SECTIONS = {
    "her2": ("A1", "B2", "D3"),
    "bulb": ("Rep11", "MOB1"),
    "ra": ("RA1_2", "RA3_1"),
    "als": ("CN52_C2_1", "CN62_E2", "CN63_C1"),
    "her2_image": ("B4", "C3"),
    "colon": ("colon",),
}


def rows(library: Library, fold: Fold, key: str, n_masks: int) -> Iterator[dict[str, Any]]:
    """Coverage of the sections of a fold."""
    sections = library.sections(fold)
    methods: dict[str, Estimator] = {ALONE: create("phg2st")} if fold.setting.alone else {}
    if fold.training:
        trained = create("phg2st", use_network=False)
        methods["trained"] = trained.fit([sections[name].data for name in fold.training])
    for name in fold.predicted:
        for regime in STRATEGIES:
            for number in range(n_masks):
                mask = sections[name].mask(regime, number, FRACTIONS.get(key, 0.1))
                for learned, method in methods.items():
                    case = Case.of(sections[name], mask, method)
                    labels = {"set": key, "section": name, "learned": learned, "regime": regime, "mask": number}
                    for row in () if case is None else case.rows():
                        yield {**labels, "prompts": int(mask.sum()), **row}


def measure(library: Library, options: argparse.Namespace, path: Path) -> pd.DataFrame:
    """Rows of all sets that are asked for; those that are there stay."""
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["set"])
    for key in [key for key in options.sets if key not in set(done["set"])]:
        setting = BY_KEY[key]
        every = folds(setting, library.patients(setting), SECTIONS[key])
        found = [row for fold in tqdm(every, desc=key, unit="fold") for row in rows(library, fold, key, options.masks)]
        done = pd.concat([done, pd.DataFrame(found)], ignore_index=True)
        done.to_csv(path, index=False, float_format="%.5f")
    return pd.read_csv(path)


def main() -> None:
    """Measure, and write a CSV, tables and a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, help="where image features are kept; default <out>/cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=KEYS, default=KEYS)
    parser.add_argument("--masks", type=int, default=3, help="by section and regime")
    parser.add_argument("--genes", type=int, default=500, help="of the panel where there is no published one")
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    path = options.out / "trust_intervals.csv"
    if options.report_only:
        table = pd.read_csv(path)
    else:
        library = Library(options.data.resolve(), options.cache or options.out / "cache", options.genes)
        table = measure(library, options, path)
        print(f"{time.process_time() / 60:.1f} minutes of processor time")
    path.with_suffix(".md").write_text(report(table), encoding="utf-8")
    figure(table, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
