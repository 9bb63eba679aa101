"""Two runs of ``accuracy.py sets`` on the same masks: what a change of the package does to a method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from _accuracy_sets import CASE, METHOD
from _accuracy_settings import BY_KEY
from _report import markdown

SCORES = {"pcc": "averaged target", "pcc_unsmoothed": "not averaged"}
"""By the target averaged over neighbors, which a smoother map can flatter, and by the target as it is."""


def compare(before: Path, after: Path, method: str) -> str:
    """Table of paired differences by setting, knowledge, share of prompts and regime."""
    old, new = pd.read_csv(before), pd.read_csv(after)
    pairs = old.merge(new, on=[*CASE, *METHOD], suffixes=("_before", "_after"))
    ours = pairs[pairs["method"] == method]
    if ours.empty:
        msg = f"{before} and {after} have no mask of {method!r} in common: run both with the same --sets and --masks"
        raise ValueError(msg)
    by_section = ours.groupby(["set", "learned", "fraction", "regime", "section"], sort=False).mean(numeric_only=True)
    lines = [_line(key, rows) for key, rows in _in_order(by_section)]
    header = ["set", "learned from", "prompts", "regime"]
    for name in SCORES.values():
        header += [f"{name}: before", "after", "difference ± SD over sections", "ratio", "better on"]
    unchanged = _unchanged(pairs[pairs["method"] != method])
    return f"{markdown(header, [*lines, _overall(by_section)])}\n\n{unchanged}"


def _in_order(by_section: pd.DataFrame) -> list[tuple[tuple, pd.DataFrame]]:
    order = {key: place for place, key in enumerate(BY_KEY)}
    regimes = {"scattered": 0, "block": 1}
    found = list(by_section.groupby(level=["set", "learned", "fraction", "regime"], sort=False))
    return sorted(found, key=lambda pair: (order[pair[0][0]], pair[0][1], pair[0][2], regimes[pair[0][3]]))


def _line(key: tuple, rows: pd.DataFrame) -> list[str]:
    name, learned, fraction, regime = key
    line = [name, learned, f"{100 * fraction:g} %", regime]
    for score in SCORES:
        before, after = rows[f"{score}_before"], rows[f"{score}_after"]
        difference = after - before
        spread = f" ± {difference.std():.4f}" if len(rows) > 1 else ""
        line += [
            f"{before.mean():.4f}",
            f"{after.mean():.4f}",
            f"{difference.mean():+.4f}{spread}",
            f"{after.mean() / before.mean():.3f}",
            f"{(difference > 1e-5).sum()}/{len(rows)}",
        ]
    return line


def _overall(by_section: pd.DataFrame) -> list[str]:
    """Mean of the ratios over all lines."""
    line = ["**mean of all lines**", "", "", ""]
    means = by_section.groupby(level=["set", "learned", "fraction", "regime"]).mean()
    for score in SCORES:
        ratio = means[f"{score}_after"] / means[f"{score}_before"]
        line += ["", "", "", f"**{ratio.mean():.3f}**", f"lowest {ratio.min():.3f}"]
    return line


def _unchanged(others: pd.DataFrame) -> str:
    if others.empty:
        return "No other method was scored in both."
    moved = (others["pcc_after"] - others["pcc_before"]).abs()
    changed = sorted(others.loc[moved > 1e-4, "method"].unique())
    largest = float(np.nanmax(moved))
    return f"Other methods: largest difference {largest:.5f}" + (f" ({', '.join(changed)})." if changed else ".")
