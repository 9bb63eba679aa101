"""Score the default model beside everything simpler: with and without pictures, patients seen and unseen, single slides.

    python benchmarks/accuracy.py main --data her2st/data --panel her2st_genes.txt \
        --bulb stahl_mob/Rep11 stutility_mob/MOB1 stutility_mob/MOB2 --out benchmarks/results
    python benchmarks/accuracy.py curves ...        # prompt fractions, and distance to the nearest prompt
    python benchmarks/accuracy.py ablation ...      # without each part of the model
    python benchmarks/accuracy.py simulated --out benchmarks/results      # beside oracles that know the generator's truth

All open sets under one folder, and a look of a few minutes before and after a change of the package::

    python benchmarks/accuracy.py sets --data DATA --cache FEATURES --out benchmarks/results
    python benchmarks/accuracy.py sets --quick --data DATA --cache FEATURES --out RUNS --name before
    python benchmarks/accuracy.py compare RUNS/before.csv RUNS/after.csv

Every part appends to ``<out>/accuracy_<part>.csv`` unit by unit; ``--resume`` skips what is there, ``--report-only`` only
makes tables and figures again. Scores of the simple methods are taken from ``simple_methods.csv`` and
``olfactory_bulb.csv`` in the same folder, on the same masks, after one section was scored again and found equal.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
from _accuracy_curves import SCENARIO_KEYS, curve_report, curve_units, draw_curves, score_curves
from _accuracy_plan import (
    ABLATED,
    BY_KEY,
    SCENARIOS,
    Cohort,
    Scenario,
    ablated_variants,
    open_cohort,
    our_variants,
    units,
)
from _accuracy_report import ablation_report, main_report
from _accuracy_run import (
    assemble,
    check_committed,
    committed_rows,
    missing_simple,
    read,
    run_units,
    score_ablation,
    score_masks,
)
from _accuracy_sets_commands import compare_command, sets_command
from _accuracy_simulated import as_curve, score_simulated, simulated_cohort, simulated_report, simulated_variants

COMMITTED = ("simple_methods.csv", "olfactory_bulb.csv")
MASKS = {"main": 10, "curves": 3, "ablation": 5, "simulated": 5}


def chosen_names(cohort: Cohort, scenario: Scenario, options: argparse.Namespace) -> list[str]:
    """Sections of a scenario that are asked for."""
    return [name for name in cohort.names(scenario) if not options.sections or name in options.sections]


def scenarios(options: argparse.Namespace) -> list[Scenario]:
    """Scenarios that are asked for."""
    return [scenario for scenario in SCENARIOS if not options.scenarios or scenario.key in options.scenarios]


def cohort_of(options: argparse.Namespace, *, context: bool = True) -> Cohort:
    """Sections on disk."""
    cache = options.cache or options.out / "cache"
    return open_cohort(
        options.data, options.panel, options.bulb, cache, context=context, max_epochs=options.paper_epochs
    )


def run_main(options: argparse.Namespace, path: Path) -> None:
    """All scenarios: our method, the published network, and simple methods that were not scored yet."""
    committed = committed_rows([options.out / name for name in COMMITTED])
    if not options.report_only:
        cohort = cohort_of(options)
        check_committed(cohort, committed)
        todo = []
        for scenario in scenarios(options):
            names = chosen_names(cohort, scenario, options)
            todo += list(units(cohort, scenario, our_variants(scenario), names))
            todo += missing_simple(cohort, committed, scenario, names)
        run_units(cohort, todo, path, score_masks, n_masks=options.masks, jobs=options.jobs, resume=options.resume)
    made = read(path)
    write(path, main_report(assemble(names_in(made), made, committed)))


def run_ablation(options: argparse.Namespace, path: Path) -> None:
    """Our method without each of its parts; without pictures two sections of a patient."""
    if not options.report_only:
        cohort = cohort_of(options, context=False)
        todo = []
        for scenario in scenarios(options):
            if scenario.key in ABLATED:
                names = chosen_names(cohort, scenario, options)
                names = first_of_patients(cohort, names, 2) if scenario.key == "free" else names
                todo += list(units(cohort, scenario, ablated_variants(scenario), names))
        run_units(cohort, todo, path, score_ablation, n_masks=options.masks, jobs=options.jobs, resume=options.resume)
    write(path, ablation_report(in_order(read(path))))


def run_curves(options: argparse.Namespace, path: Path) -> None:
    """Prompt fractions, and distance to the nearest prompt."""
    if not options.report_only:
        cohort = cohort_of(options)
        committed = committed_rows([options.out / name for name in COMMITTED])
        todo = []
        for scenario in scenarios(options):
            if scenario.key in SCENARIO_KEYS:
                todo += curve_units(cohort, committed, scenario, chosen_names(cohort, scenario, options))
        run_units(cohort, todo, path, score_curves, n_masks=options.masks, jobs=options.jobs, resume=options.resume)
    rows = in_order(read(path))
    write(path, curve_report(rows))
    draw_curves(rows, "fraction", path.with_name("accuracy_fractions.png"))
    draw_curves(rows, "distance", path.with_name("accuracy_distance.png"))


def run_simulated(options: argparse.Namespace, path: Path) -> None:
    """Sections whose true rates are known, beside oracles."""
    if not options.report_only:
        cohort, scenario = simulated_cohort(options.cache or options.out / "cache", options.paper_epochs)
        todo = list(units(cohort, scenario, simulated_variants(scenario), chosen_names(cohort, scenario, options)))
        run_units(cohort, todo, path, score_simulated, n_masks=options.masks, jobs=options.jobs, resume=options.resume)
    rows = read(path)
    write(path, simulated_report(rows))
    draw_curves(as_curve(rows), "fraction", path.with_suffix(".png"))


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort as the scenarios are listed."""
    order = {scenario.key: place for place, scenario in enumerate(SCENARIOS)}
    return rows.sort_values("scenario", key=lambda keys: keys.map(order), kind="stable", ignore_index=True)


def first_of_patients(cohort: Cohort, names: Sequence[str], n: int) -> list[str]:
    """The first sections of every patient."""
    patients = pd.Series({name: cohort.sections[name].patient for name in names})
    return [name for _, group in patients.groupby(patients) for name in group.index[:n]]


def names_in(rows: pd.DataFrame) -> dict[str, Sequence[str]]:
    """Sections by scenario."""
    return {str(key): list(group.unique()) for key, group in rows.groupby("scenario")["section"] if key in BY_KEY}


def write(path: Path, text: str) -> None:
    """Keep tables beside the CSV."""
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text.split("\n### ")[0])


PARTS = {"main": run_main, "curves": run_curves, "ablation": run_ablation, "simulated": run_simulated}
OWN_OPTIONS = {"sets": sets_command, "compare": compare_command}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "part", choices=[*PARTS, *OWN_OPTIONS], help="`sets --help`, `compare --help`: their own options"
    )
    parser.add_argument("--data", type=Path, help="folder of the HER2+ repository")
    parser.add_argument("--panel", type=Path, help="file with the gene panel, one name a line")
    parser.add_argument(
        "--bulb", type=Path, nargs="*", default=[], help="sections of the olfactory bulb, a folder each"
    )
    parser.add_argument("--scenarios", nargs="+", choices=list(BY_KEY), help="only these")
    parser.add_argument("--sections", nargs="+", help="sections to score; all are read, and train")
    parser.add_argument("--masks", type=int, help="masks by section and regime")
    parser.add_argument("--paper-epochs", type=int, help="at most, of the published network; default: its preset")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="where image features are kept; default <out>/cache")
    parser.add_argument("--resume", action="store_true", help="keep the scores that are there")
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    if options.part != "simulated" and not options.report_only and (options.data is None or options.panel is None):
        parser.error("give --data and --panel")
    options.masks = options.masks or MASKS[options.part]
    return options


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in OWN_OPTIONS:
        OWN_OPTIONS[sys.argv[1]](sys.argv[2:])
        return
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    PARTS[options.part](options, options.out / f"accuracy_{options.part}.csv")


if __name__ == "__main__":
    main()
