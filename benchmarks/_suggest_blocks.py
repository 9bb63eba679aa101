"""One capture area: the one that ``tl.suggest_spots(region="block")`` chooses, one drawn at random, and one in the middle of the tissue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from _accuracy_settings import BY_KEY, Fold, Library
from _sections import Section
from tqdm.auto import tqdm

from phg2st_sc.design import suggest
from phg2st_sc.models import PHG2ST
from phg2st_sc.prompts import nearest_in_a_square, sample_mask

SETS = ("her2_image", "als", "bulb", "ra")
BUDGETS = (0.05, 0.1, 0.2)
_DRAWS = 5

Score = Callable[[Section, np.ndarray, np.ndarray], dict[str, Any]]


def score_blocks(library: Library, scores: pd.DataFrame, score: Score) -> pd.DataFrame:
    """Rows of every section, draw of held-out spots, budget and area; sections and draws are those of ``scores``."""
    rows = []
    for (key, name), of_section in tqdm(scores.groupby(["set", "section"], sort=False), desc="areas", unit="section"):
        if key not in SETS:
            continue
        section = library.sections(Fold(BY_KEY[key], (name,), ()))[name]
        n = section.data.arrays.n_spots
        for draw in sorted(of_section.held_out.unique())[:2]:
            held_out = np.zeros(n, dtype=bool)
            held_out[np.random.default_rng(draw).permutation(n)[: round(n / 3)]] = True
            for budget in BUDGETS:
                labels = {"set": key, "section": name, "held_out": draw, "budget": budget}
                for area, spots in _areas(section, np.flatnonzero(~held_out), max(2, round(budget * n)), int(draw)):
                    rows.append({**labels, "area": area, **score(section, held_out, spots)})
    return pd.DataFrame(rows)


def _areas(section: Section, candidates: np.ndarray, n: int, draw: int) -> Iterator[tuple[str, np.ndarray]]:
    positions = section.data.arrays.positions[candidates]
    for number in range(_DRAWS):
        yield "random", candidates[sample_mask(positions, n, "block", np.random.default_rng([draw, number]))]
    middle = int(np.argmin(np.linalg.norm(positions - positions.mean(axis=0), axis=1)))
    every = np.arange(candidates.size)
    yield "middle", candidates[nearest_in_a_square(positions, middle, n, np.random.default_rng(draw), every)]
    survey = PHG2ST().survey(section.data.arrays, None)
    yield "suggested", suggest(survey, n, candidates, block=True, seed=draw).spots


def block_report(scores: pd.DataFrame) -> str:
    """Means and differences, in markdown."""
    by_section = scores.groupby(["set", "section", "budget", "area"]).pcc.mean().unstack("area")
    lines = [
        "",
        "## One capture area",
        "",
        f"{by_section.groupby(['set', 'section']).ngroups} sections, every set counts the same.",
        "",
    ]
    lines += [
        "| budget | suggested | random | middle of the tissue | suggested less random (standard error) | sections better |"
    ]
    lines += ["|--:|--:|--:|--:|--:|--:|"]
    for budget, one in by_section.groupby("budget"):
        mean = one.groupby("set").mean().mean()
        more = one.suggested - one.random
        lines.append(
            f"| {100 * float(budget):g} % | {mean.suggested:.3f} | {mean.random:.3f} | {mean.middle:.3f} | {more.mean():+.3f} ({more.sem():.3f}) | "
            f"{int((more > 0).sum())} of {len(more)} |"
        )
    return "\n".join(lines) + "\n"
