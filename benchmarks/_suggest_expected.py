"""What ``tl.expected_accuracy`` says of the sections of ``suggest_spots.py``, beside what was reached there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from _accuracy_settings import BY_KEY, Fold, Library
from _sections import Section
from _suggest_designs import Choice, designs
from tqdm.auto import tqdm

from phg2st_sc.design import Belief, equally_deep, expected_correlation
from phg2st_sc.models import PHG2ST

LEVEL = 0.9
_DESIGNS = ("random", "suggested")
_FEWEST = 10
"""Prompts from which on they are left out in turn."""


def expectations(library: Library, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of what is expected without prompts, and after a tenth or a fifth of the spots, and of what was reached."""
    rows = []
    for (key, name), of_section in tqdm(scores.groupby(["set", "section"], sort=False), desc="expect", unit="section"):
        section = library.sections(Fold(BY_KEY[key], (name,), ()))[name]
        for draw, reached in of_section.groupby("held_out"):
            rows += [
                {"set": key, "section": name, "held_out": draw, **row} for row in _of_draw(section, int(draw), reached)
            ]
    return pd.DataFrame(rows)


def _of_draw(section: Section, draw: int, scores: pd.DataFrame) -> Iterator[dict[str, float | str]]:
    data = section.data
    n = data.arrays.n_spots
    held_out = np.sort(np.random.default_rng(draw).permutation(n)[: round(n / 3)])
    survey = PHG2ST().survey(data.arrays, None)
    choice = Choice(data, np.setdiff1d(np.arange(n), held_out), survey, draw)
    budgets = scores.groupby("budget").prompts.first()
    made = {(one, number): design for one, number, design in designs(choice, list(budgets), only=_DESIGNS)}
    beliefs = {"nothing": Belief.of(survey, None)}
    for share in (0.1, 0.2):
        spots = np.sort(made["random", 0](int(budgets[share])))
        if spots.size >= _FEWEST:
            left_out = PHG2ST().predict(data.arrays, data.prompts(spots, target_sum=1.0)).left_out
            beliefs[f"{100 * share:g} %"] = Belief.of(survey, left_out)
    reached = scores.set_index(["design", "draw", "budget"]).pcc
    for (one, number), design in made.items():
        for budget, n_prompts in budgets.items():
            correlation = expected_correlation(equally_deep(survey), design(int(n_prompts)), held_out)
            for known, belief in beliefs.items():
                said = dict(
                    zip(("expected", "lower", "upper"), belief.summary(correlation, int(n_prompts), LEVEL), strict=True)
                )
                labels = {"known": known, "design": one, "draw": number, "budget": budget}
                yield {**labels, **said, "reached": reached[one, number, budget]}


def expectation_report(made: pd.DataFrame) -> str:
    """Bias and coverage, in markdown."""
    made = made.assign(
        off=made.expected - made.reached,
        size=(made.expected - made.reached).abs(),
        inside=(made.reached >= made.lower) & (made.reached <= made.upper),
        width=made.upper - made.lower,
    )
    lines = ["", "## Expected against reached accuracy", ""]
    lines += [
        f"`tl.expected_accuracy` for the same designs and held-out spots, before any prompt and after a tenth or a fifth of the spots were measured at "
        f"random; bounds of {100 * LEVEL:g} %. Every section counts the same.",
        "",
        "| known | design | budget | sections | reached | expected less reached | absolute | within bounds | width of bounds |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    keys = ["known", "design", "budget"]
    what = ["reached", "off", "size", "inside", "width"]
    by_section = made.groupby([*keys, "section"])[what].mean()
    mean, number = by_section.groupby(level=keys).mean(), by_section.groupby(level=keys).size()
    for known in ("nothing", "10 %", "20 %"):
        for key in [key for key in mean.index if key[0] == known]:
            r, off, size, inside, width = mean.loc[key]
            lines.append(
                f"| {known} | {key[1]} | {100 * key[2]:g} % | {number[key]} | {r:.3f} | {off:+.3f} | {size:.3f} | {100 * inside:.0f} % | {width:.3f} |"
            )
    return "\n".join(lines) + "\n"
