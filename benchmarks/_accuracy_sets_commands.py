"""Options of ``accuracy.py sets`` and ``accuracy.py compare``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from _accuracy_compare import compare
from _accuracy_sets import Plan, run_sets
from _accuracy_sets_report import headline, lines, sets_report
from _accuracy_settings import BY_KEY, OURS, Library


def sets_command(arguments: Sequence[str]) -> None:
    """Score the settings, and write a CSV and tables."""
    options = _sets_parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.name}.csv"
    if options.report_only:
        rows = pd.read_csv(path)
    else:
        plan = Plan(
            tuple(options.sets or ()),
            tuple(options.sections or ()),
            options.masks or (2 if options.quick else 10),
            options.quick,
            tuple(options.methods or ()),
            json.loads(options.settings),
        )
        library = Library(options.data.resolve(), options.cache or options.out / "cache", options.genes)
        rows = run_sets(library, plan, path, jobs=options.jobs, resume=options.resume)
        print(f"{time.process_time() / 60:.1f} minutes of processor time")
    if (rows["method"] == OURS).any() and (rows["method"] != OURS).any():
        path.with_suffix(".md").write_text(sets_report(rows), encoding="utf-8")
        print(headline(list(lines(rows))))


def compare_command(arguments: Sequence[str]) -> None:
    """Print what changed between two runs."""
    parser = argparse.ArgumentParser(prog="accuracy.py compare", description=compare.__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--method", default=OURS)
    options = parser.parse_args(arguments)
    print(compare(options.before, options.after, options.method))


def _sets_parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {key:18} {setting.title}" for key, setting in BY_KEY.items())
    parser = argparse.ArgumentParser(
        prog="accuracy.py sets",
        description=f"The default beside simple methods on all open sets:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data"),
        help="folder with her2st, als_spinal_cord, ra3dst, visium_mouse_colon, stahl_mob, stutility_mob",
    )
    parser.add_argument("--sets", nargs="+", choices=list(BY_KEY), help="only these")
    parser.add_argument("--sections", nargs="+", help="sections to score; all are read, and train")
    parser.add_argument("--masks", type=int, help="by section, share and regime; default 10, with --quick 2")
    parser.add_argument("--quick", action="store_true", help="two sections of each set, strong methods, no ceilings")
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument(
        "--settings", default="{}", help="settings of the default method as JSON, to compare forms of it"
    )
    parser.add_argument("--genes", type=int, default=500, help="of the panel where there is no published one")
    parser.add_argument("--jobs", type=int, default=1, help="processes; each reads all sections")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="accuracy_sets", help="of the CSV and the tables")
    parser.add_argument("--cache", type=Path, help="where image features are kept; default <out>/cache")
    parser.add_argument("--resume", action="store_true", help="keep the scores that are there")
    parser.add_argument("--report-only", action="store_true")
    return parser
