"""Score the simple methods on real sections, many masks each: the tables of docs/benchmarks.md.

HER2+ sections, with and without training slides (10 to 15 minutes on two cores)::

    python benchmarks/simple_methods.py --data her2st/data --panel her2st_genes.txt --out benchmarks/results

Sections in folders of their own (``counts.h5ad``, ``meta.json``, a picture), from their own prompts only::

    python benchmarks/simple_methods.py --folders stahl_mob/Rep11 stutility_mob/MOB1 stutility_mob/MOB2 \
        --out benchmarks/results --name olfactory_bulb

Scores are appended section by section to ``<out>/<name>.csv``; ``--resume`` skips what is there. Image features are kept
in ``<cache>``. The tables and the figure are made from the whole CSV at the end; ``--report-only`` makes nothing else.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
from _report import write_report
from _sections import (
    STRATEGIES,
    Mask,
    Section,
    most_counted,
    most_variable,
    open_sections,
    read_folders,
    read_her2st,
    score_mask,
    shared_genes,
)
from tqdm.auto import tqdm

from phg2st_sc.models import BestSimple, Estimator, create

SINGLE = ("prompt_mean", "idw", "kriging", "gene_kriging")
SINGLE_IMAGE = ("image_ridge", "space_image_kriging", "regression_kriging", "best_simple")
COHORT = ("kriging", "gene_kriging")
COHORT_IMAGE = ("image_ridge", "space_image_kriging", "regression_kriging")
IMAGE_FREE_CHOICE = ("kriging", "gene_kriging", "idw", "prompt_mean")
ALONE, OTHERS, SEEN = "this section", "other patients", "all other sections"
N_TOP_GENES = 50

Key = tuple[str, str]
"""Method, and what it was trained on."""
Unit = tuple[str, int]
"""Regime and number of a mask."""


class Benchmark:
    """All sections, and which methods are scored on each."""

    def __init__(self, sections: dict[str, Section], *, cohort: bool) -> None:
        self.sections, self.cohort = sections, cohort

    def keys(self, section: Section) -> list[Key]:
        """Methods to score on a section."""
        keys = [(name, ALONE) for name in (*SINGLE, "best_simple_no_image")]
        keys += [(name, ALONE) for name in SINGLE_IMAGE if section.imaged]
        for training in (OTHERS, SEEN) if self.cohort else ():
            slides = self.training(section, training)
            imaged = section.imaged and any(s.imaged for s in slides)
            if slides:
                keys += [(name, training) for name in (*COHORT, *(COHORT_IMAGE if imaged else ()))]
        return keys

    def training(self, section: Section, training: str) -> list[Section]:
        """Training sections; none where a patient's other pictures would be needed and there are none."""
        others = [s for s in self.sections.values() if s is not section]
        if training == OTHERS:
            return [s for s in others if s.patient != section.patient]
        same = any(s.patient == section.patient and s.imaged for s in others)
        return others if section.imaged and same else []

    def fitted(self, section: Section, key: Key) -> Estimator:
        """Make a method, and train it where it is to be trained."""
        name, training = key
        if name == "best_simple_no_image":
            return BestSimple(candidates=IMAGE_FREE_CHOICE)
        method = create(name)
        return method if training == ALONE else method.fit([s.data for s in self.training(section, training)])

    def score(self, section: Section, masks: dict[Unit, Mask]) -> list[dict[str, Any]]:
        """Rows of mean scores, one for each mask and method."""
        methods = {key: self.fitted(section, key) for key in self.keys(section)}
        training = self.training(section, OTHERS) if self.cohort else []
        top = most_variable(training, N_TOP_GENES) if training else None
        labels = {"section": section.name, "patient": section.patient, "imaged": section.imaged}
        return [
            {**labels, "regime": regime, "mask": number, **row}
            for (regime, number), mask in masks.items()
            for row in score_mask(section, mask, methods, top_genes=top)
        ]


_worker: dict[str, Benchmark] = {}


def _start(benchmark: Benchmark) -> None:
    _worker["benchmark"] = benchmark


def _score(name: str, masks: dict[Unit, Mask]) -> list[dict[str, Any]]:
    benchmark = _worker["benchmark"]
    return benchmark.score(benchmark.sections[name], masks)


def missing_masks(
    benchmark: Benchmark, done: pd.DataFrame, names: Iterable[str], n_masks: int, fraction: float
) -> Iterator[tuple[str, dict[Unit, Mask]]]:
    """Masks that lack a score of any method, section by section."""
    columns = ["section", "regime", "mask", "method", "training"]
    there = set(done[columns].itertuples(index=False, name=None)) if len(done) else set()
    for name in names:
        section = benchmark.sections[name]
        units = [
            (regime, number)
            for regime in STRATEGIES
            for number in range(n_masks)
            if any((name, regime, number, *key) not in there for key in benchmark.keys(section))
        ]
        if units:
            yield name, {unit: section.mask(*unit, fraction) for unit in units}


def run(
    benchmark: Benchmark, path: Path, names: Sequence[str], *, n_masks: int, fraction: float, jobs: int, resume: bool
) -> None:
    """Score what is missing, appending to the CSV as sections finish."""
    done = pd.read_csv(path) if resume and path.exists() else pd.DataFrame()
    todo = list(missing_masks(benchmark, done, names, n_masks, fraction))
    with ProcessPoolExecutor(jobs, initializer=_start, initargs=(benchmark,)) as pool:
        futures = [pool.submit(_score, name, masks) for name, masks in todo]
        for future in tqdm(as_completed(futures), total=len(futures), desc="score", unit="section"):
            done = pd.concat([done, pd.DataFrame(future.result())], ignore_index=True)
            columns = ["section", "regime", "mask", "training", "method"]
            done = done.drop_duplicates(columns, keep="last").sort_values(columns, ignore_index=True)
            done.to_csv(path, index=False, float_format="%.4f")


def open_benchmark(options: argparse.Namespace) -> Benchmark:
    """Read the sections and their image features."""
    cache = options.cache or options.out / "cache"
    if options.folders:
        tables = read_folders(options.folders, cache)
        genes = shared_genes(tables, options.panel) if options.panel else most_counted(tables, options.n_genes)
    else:
        tables = read_her2st(options.data, None, cache)
        genes = shared_genes(tables, options.panel)
    return Benchmark(open_sections(tables, genes), cohort=not options.folders)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the HER2+ repository")
    parser.add_argument("--folders", type=Path, nargs="+", help="sections in folders of their own, instead of --data")
    parser.add_argument("--panel", type=Path, help="file with the gene panel, one name a line")
    parser.add_argument("--n-genes", type=int, default=1000, help="size of the panel where there is no file")
    parser.add_argument("--sections", nargs="+", help="sections to score; all are read, and train")
    parser.add_argument("--masks", type=int, default=10, help="masks by section and regime")
    parser.add_argument("--fraction", type=float, default=0.1, help="part of the spots that is measured")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="simple_methods", help="name of the CSV, the tables and the figure")
    parser.add_argument("--cache", type=Path, help="where image features are kept; default <out>/cache")
    parser.add_argument("--resume", action="store_true", help="keep the scores that are there")
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    if not options.report_only and (options.data is None or options.panel is None) and not options.folders:
        parser.error("give --data and --panel, or --folders")
    return options


def main() -> None:
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.name}.csv"
    if not options.report_only:
        benchmark = open_benchmark(options)
        names = options.sections or list(benchmark.sections)
        run(
            benchmark,
            path,
            names,
            n_masks=options.masks,
            fraction=options.fraction,
            jobs=options.jobs,
            resume=options.resume,
        )
    write_report(path)


if __name__ == "__main__":
    main()
