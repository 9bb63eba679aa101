"""Score units of ``accuracy.py`` in several processes, and keep every row as soon as there is one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from _accuracy_plan import (
    ABLATED,
    ALONE,
    BY_KEY,
    OURS,
    RETRAINED,
    Cohort,
    Scenario,
    Unit,
    simple_variants,
    switched_off,
)
from _sections import STRATEGIES, score_mask
from tqdm.auto import tqdm

from phg2st_sc.models import Estimator

FRACTION = 0.1
UNIT_KEY = ("scenario", "method", "learned", "seed", "without")
MASK_KEY = ("section", "regime", "mask")
KEPT = (
    "pcc",
    "pcc_top",
    "pcc_share",
    "pcc_unsmoothed",
    "pcc_depth_only",
    "pcc_lognorm",
    "pcc_lognorm_depth_only",
    "pcc_lognorm_depth_adjusted",
    "ccc",
    "mae",
    "ceiling",
)
"""Scores that are kept; the ceiling where it was computed."""

Case = tuple[str, str, int]
"""Section, regime, number of the mask."""
Rows = list[dict[str, Any]]
Score = Callable[[Cohort, Unit, Estimator, Sequence[Case]], Rows]


def labels(cohort: Cohort, unit: Unit, case: Case) -> dict[str, Any]:
    """Columns that tell a row from others."""
    name, regime, number = case
    variant = unit.variant
    return {
        "scenario": unit.scenario.key,
        "section": name,
        "patient": cohort.section(unit, name).patient,
        "regime": regime,
        "mask": number,
        "method": variant.method,
        "learned": variant.learned,
        "seed": variant.seed,
        "without": variant.without,
    }


def score_masks(cohort: Cohort, unit: Unit, method: Estimator, cases: Sequence[Case]) -> Rows:
    """Mean scores at a tenth of the spots as prompts."""
    rows = []
    for case in cases:
        name, regime, number = case
        section = cohort.section(unit, name)
        (row,) = score_mask(
            section,
            section.mask(regime, number, FRACTION),
            {(unit.variant.method, unit.variant.learned): method},
            top_genes=top_genes(cohort, name),
            n_splits=0,
        )
        rows.append({**labels(cohort, unit, case), **{key: row[key] for key in KEPT if key in row}})
    return rows


def score_ablation(cohort: Cohort, unit: Unit, method: Estimator, cases: Sequence[Case]) -> Rows:
    """As :func:`score_masks`; the whole method also without each part that it need not be trained again for."""
    rows = score_masks(cohort, unit, method, cases)
    parts = [part for part in ABLATED[unit.scenario.key] if part not in RETRAINED]
    for part in parts if not unit.variant.without else ():
        variant = replace(unit.variant, without=part)
        rows += score_masks(cohort, replace(unit, variant=variant), switched_off(method, part), cases)
    return rows


_worker: dict[str, Any] = {}


def _start(cohort: Cohort, score: Score) -> None:
    import torch

    torch.set_num_threads(1)
    _worker.update(cohort=cohort, score=score)


@functools.cache
def _top_genes(name: str) -> Sequence[str] | None:
    genes: Sequence[str] | None = _worker["cohort"].top_genes(name)
    return genes


def top_genes(cohort: Cohort, name: str) -> Sequence[str] | None:
    """As the cohort's, computed once in a process."""
    return _top_genes(name) if _worker.get("cohort") is cohort else cohort.top_genes(name)


def _work(unit: Unit, cases: Sequence[Case]) -> Rows:
    cohort, score = _worker["cohort"], _worker["score"]
    rows: Rows = score(cohort, unit, cohort.fitted(unit), cases)
    return rows


def read(path: Path) -> pd.DataFrame:
    """Rows kept so far."""
    if not path.exists():
        return pd.DataFrame()
    return pd.read_csv(path, keep_default_na=True).fillna({"without": ""})


def run_units(
    cohort: Cohort,
    todo: Iterable[Unit],
    path: Path,
    score: Score,
    *,
    n_masks: int,
    jobs: int,
    resume: bool,
) -> pd.DataFrame:
    """Score what is missing; rows are kept as units finish."""
    done = read(path) if resume else pd.DataFrame()
    work = [(unit, cases) for unit in todo if (cases := _missing(done, unit, n_masks))]
    with ProcessPoolExecutor(jobs, initializer=_start, initargs=(cohort, score)) as pool:
        futures = {pool.submit(_work, unit, cases): unit for unit, cases in work}
        for future in tqdm(as_completed(futures), total=len(futures), desc=path.stem, unit="unit"):
            done = pd.concat([done, pd.DataFrame(future.result())], ignore_index=True)
            done.to_csv(path, index=False, float_format="%.4f")
    if len(done):
        done = done.sort_values([*UNIT_KEY, *MASK_KEY], kind="stable", ignore_index=True)
        done.to_csv(path, index=False, float_format="%.4f")
    return read(path)


def _missing(done: pd.DataFrame, unit: Unit, n_masks: int) -> list[Case]:
    variant = unit.variant
    key = (unit.scenario.key, variant.method, variant.learned, variant.seed, variant.without)
    there: set[tuple[Any, ...]] = set()
    if len(done):
        same = (done[list(UNIT_KEY)] == pd.Series(key, index=UNIT_KEY)).all(axis=1)
        there = set(done.loc[same, list(MASK_KEY)].itertuples(index=False, name=None))
    return [
        (name, regime, number)
        for name in unit.sections
        for regime in STRATEGIES
        for number in range(n_masks)
        if (name, regime, number) not in there
    ]


# --- rows of benchmarks/simple_methods.py -----------------------------------------------------------------------------
def committed_rows(paths: Sequence[Path]) -> pd.DataFrame:
    """Scores of the simple methods on the same masks."""
    rows = pd.concat([pd.read_csv(path) for path in paths if path.exists()], ignore_index=True)
    return rows.rename(columns={"training": "learned"})


def simple_rows(committed: pd.DataFrame, scenario: Scenario, names: Sequence[str]) -> pd.DataFrame:
    """Of these, the ones that know what a scenario allows to know."""
    wanted = {(variant.method, variant.learned) for variant in simple_variants(scenario)}
    pairs = pd.Series(list(zip(committed["method"], committed["learned"], strict=True)), index=committed.index)
    rows = committed[pairs.isin(wanted) & committed["section"].isin(names)]
    return rows.assign(scenario=scenario.key, seed=0, without="")


def missing_simple(cohort: Cohort, committed: pd.DataFrame, scenario: Scenario, names: Sequence[str]) -> list[Unit]:
    """Units of simple methods that were not scored there."""
    rows = simple_rows(committed, scenario, names)
    there = set(rows[["method", "learned", "section"]].itertuples(index=False, name=None))
    found = []
    for group in cohort.groups(scenario):
        for variant in simple_variants(scenario):
            lacking = tuple(n for n in group if n in names and (variant.method, variant.learned, n) not in there)
            found += [Unit(scenario, lacking, variant)] if lacking else []
    return found


def check_committed(cohort: Cohort, committed: pd.DataFrame) -> float:
    """Score one section again; raise where the committed scores are another code's. Returns the largest difference."""
    scenario = BY_KEY["unseen"]
    name = next(name for name in (*cohort.names(scenario),))
    rows = simple_rows(committed, scenario, [name])
    worst = 0.0
    for variant in simple_variants(scenario):
        unit = Unit(scenario, (name,), variant)
        method = cohort.fitted(unit)
        for regime in STRATEGIES:
            (made,) = score_masks(cohort, unit, method, [(name, regime, 0)])
            same = rows[(rows["method"] == variant.method) & (rows["learned"] == variant.learned)]
            there = same[(same["regime"] == regime) & (same["mask"] == 0)]
            worst = max(
                worst, *(abs(made[key] - float(there[key].iloc[0])) for key in ("pcc", "pcc_depth_only", "mae"))
            )
    if worst > 2e-4:
        msg = f"scores of {name} differ by {worst:.4f} from the committed ones: run simple_methods.py again"
        raise ValueError(msg)
    return worst


def assemble(cohort_names: dict[str, Sequence[str]], made: pd.DataFrame, committed: pd.DataFrame) -> pd.DataFrame:
    """Rows of this script and the committed ones, on the same masks; raise where masks are not the same."""
    parts = [made] + [simple_rows(committed, BY_KEY[key], names) for key, names in cohort_names.items()]
    masks = made[["scenario", *MASK_KEY]].drop_duplicates()
    rows = pd.concat(parts, ignore_index=True).merge(masks, on=["scenario", *MASK_KEY])
    spread = rows.groupby(["section", "regime", "mask"])["pcc_depth_only"].agg(lambda v: v.max() - v.min())
    if spread.max() > 2e-4:
        msg = f"other held-out spots in the committed scores: {spread.idxmax()}"
        raise ValueError(msg)
    ceilings = rows.groupby(["section", "regime", "mask"])["ceiling"].transform("mean")
    return rows.assign(ceiling=ceilings, ours=(rows["method"] == OURS), alone=rows["learned"] == ALONE)
