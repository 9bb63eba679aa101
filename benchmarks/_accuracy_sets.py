"""Score the folds of ``accuracy.py sets``: every method trained once a fold, then asked for every mask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from _accuracy_settings import (
    ALONE,
    BY_KEY,
    OURS,
    SETTINGS,
    SIMPLE,
    SIMPLE_IMAGE,
    STRONG,
    TRAINED,
    Fold,
    Library,
    Setting,
    folds,
)
from _sections import STRATEGIES, Section, score_mask
from tqdm.auto import tqdm

from phg2st_sc.models import Estimator, create

KEPT = ("pcc", "pcc_unsmoothed", "pcc_depth_only", "pcc_lognorm", "ccc", "mae", "ceiling")
CASE = ["set", "section", "fraction", "regime", "mask"]
METHOD = ["method", "learned"]

Case = tuple[str, float, str, int]
"""Section, share of its spots, regime, number of the mask."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What is scored.

    Attributes
    ----------
    keys, sections
        Settings, and sections among theirs; none for all.
    n_masks
        By section, share and regime.
    quick
        Two sections of each setting, the strong simple methods, no ceilings.
    methods
        Only these; none for all.
    options
        Settings of our method.
    """

    keys: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    n_masks: int = 10
    quick: bool = False
    methods: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> list[Setting]:
        """Settings that are asked for."""
        return [BY_KEY[key] for key in self.keys] if self.keys else list(SETTINGS)

    def names(self, setting: Setting, there: Iterable[str]) -> list[str]:
        """Sections of a setting that are asked for."""
        wanted = setting.quick if self.quick else setting.names or tuple(there)
        return [name for name in wanted if not self.sections or name in self.sections]

    def fractions(self, setting: Setting) -> tuple[float, ...]:
        """Shares of the spots of a setting that are measured."""
        return (self.quick and setting.quick_fractions) or setting.fractions

    def keys_of(self, setting: Setting, section: Section) -> list[tuple[str, str]]:
        """Methods by name and by what they learn from."""
        alone = [*SIMPLE, *(SIMPLE_IMAGE if section.imaged else ()), OURS]
        trained = [*TRAINED, *(SIMPLE_IMAGE if section.imaged else ()), OURS]
        found = [(name, ALONE) for name in alone] if setting.alone else []
        found += [(name, setting.training) for name in trained] if setting.training != ALONE else []
        wanted = self.methods or ((OURS, *STRONG) if self.quick else alone + trained)
        return [key for key in found if key[0] in wanted]

    def cases(self, fold: Fold) -> Iterator[Case]:
        """Masks of a fold."""
        for name in fold.predicted:
            for fraction in self.fractions(fold.setting):
                for regime in STRATEGIES:
                    yield from ((name, fraction, regime, number) for number in range(self.n_masks))


def fitted(plan: Plan, setting: Setting, sections: dict[str, Section], fold: Fold) -> dict[tuple[str, str], Estimator]:
    """All methods of a fold, trained where they are to be."""
    training = [sections[name].data for name in fold.training]
    made = {}
    for key in plan.keys_of(setting, sections[fold.predicted[0]]):
        name, learned = key
        method = create(name, **(plan.options if name == OURS else {}))
        made[key] = method if learned == ALONE else method.fit(training)
    return made


def score_fold(library: Library, plan: Plan, fold: Fold, cases: Sequence[Case]) -> Rows:
    """Rows of mean scores, one for each case and method."""
    sections = library.sections(fold)
    methods = fitted(plan, fold.setting, sections, fold)
    rows: Rows = []
    for name, fraction, regime, number in cases:
        section = sections[name]
        mask = section.mask(regime, number, fraction)
        able = {key: one for key, one in methods.items() if one.is_fitted or mask.sum() >= one.min_prompts}
        labels = {
            "set": fold.setting.key,
            "section": name,
            "patient": section.patient,
            "fraction": fraction,
            "regime": regime,
            "mask": number,
            "prompts": int(mask.sum()),
        }
        for row in score_mask(section, mask, able, n_splits=0 if plan.quick else 5):
            scores = {key: row[key] for key in KEPT if key in row}
            rows.append({**labels, "method": row["method"], "learned": row["training"], **scores})
    return rows


def planned(library: Library, plan: Plan) -> Iterator[Fold]:
    """All folds."""
    for setting in plan.settings():
        patients = library.patients(setting)
        yield from folds(setting, patients, plan.names(setting, patients))


def missing(done: pd.DataFrame, plan: Plan, fold: Fold) -> list[Case]:
    """Cases of a fold without a score of our method, or of any where ours is not asked for."""
    there: set[tuple[Any, ...]] = set()
    if len(done):
        there = set(done[done["set"] == fold.setting.key][CASE[1:]].itertuples(index=False, name=None))
    return [case for case in plan.cases(fold) if case not in there]


def run_sets(library: Library, plan: Plan, path: Path, *, jobs: int, resume: bool) -> pd.DataFrame:
    """Score what is missing; rows are kept as folds finish."""
    done = pd.read_csv(path) if resume and path.exists() else pd.DataFrame()
    work = [(fold, cases) for fold in planned(library, plan) if (cases := missing(done, plan, fold))]
    score = partial(score_fold, library, plan)
    bar = tqdm(total=len(work), desc="score", unit="training")
    for rows in _one_after_another(score, work) if jobs == 1 else _side_by_side(score, work, jobs):
        done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
        done.sort_values([*CASE, *METHOD], kind="stable").to_csv(path, index=False, float_format="%.5f")
        bar.update()
    bar.close()
    return pd.read_csv(path)


def _one_after_another(score: Any, work: Sequence[tuple[Fold, list[Case]]]) -> Iterator[Rows]:
    for fold, cases in work:
        yield score(fold, cases)


def _side_by_side(score: Any, work: Sequence[tuple[Fold, list[Case]]], jobs: int) -> Iterator[Rows]:
    with ProcessPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(score, fold, cases) for fold, cases in work]):
            yield future.result()
