"""Curves of ``accuracy.py``: scores by the share of spots that is measured, and by the distance to the nearest prompt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _accuracy_plan import ALONE, OTHERS, OURS, PAPER, Cohort, Scenario, Unit, Variant, our_variants
from _accuracy_run import FRACTION, KEPT, Case, Rows, labels, simple_rows
from _report import CHOICES, REGIMES, markdown
from _sections import STRATEGIES, Mask, Section, score_mask
from scipy.spatial import cKDTree

from phg2st_sc.metrics import ceiling_of, depth_free_target, pcc
from phg2st_sc.models import Estimator
from phg2st_sc.prompts import nested_masks

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
EDGES = (0.0, 1.25, 2.25, 3.25, 5.25, 8.25, np.inf)
"""Bins of the distance to the nearest prompt, in lattice pitches."""
MIN_SPOTS = 15
"""Held-out spots below which a bin is left out."""
N_HALVES = 3
SCENARIO_KEYS = ("seen", "unseen", "bulb")


# --- scores -----------------------------------------------------------------------------------------------------------
def score_curves(cohort: Cohort, unit: Unit, method: Estimator, cases: Sequence[Case]) -> Rows:
    """Rows by prompt fraction (``kind="fraction"``) and by distance (``kind="distance"``)."""
    rows: Rows = []
    for case in cases:
        common = labels(cohort, unit, case)
        section = cohort.section(unit, case[0])
        rows += [{**common, **row} for row in by_fraction(section, unit.variant, method, case)]
        rows += [{**common, **row} for row in by_distance(section, unit.variant, method, case)]
    return rows


def by_fraction(section: Section, variant: Variant, method: Estimator, case: Case) -> Rows:
    """Nested prompts; scored at the spots that are no prompt in any of them."""
    _, regime, number = case
    masks = nested_masks(section.data.arrays.positions, FRACTIONS, STRATEGIES[regime], number)
    held_out = ~masks[max(FRACTIONS)]
    rows: Rows = []
    for fraction, mask in masks.items():
        if not method.is_fitted and mask.sum() < method.min_prompts:
            continue
        first = variant.method == OURS and fraction == min(FRACTIONS)
        key = (variant.method, variant.learned)
        (row,) = score_mask(section, mask, {key: method}, held_out=held_out, n_splits=5 if first else 0)
        rows.append({"kind": "fraction", "x": fraction, **{k: row[k] for k in KEPT if k in row}})
    return rows


def by_distance(section: Section, variant: Variant, method: Estimator, case: Case) -> Rows:
    """Correlation within bins of the distance to the nearest prompt."""
    _, regime, number = case
    mask, data = section.mask(regime, number, FRACTION), section.data
    prompts = data.prompts(np.flatnonzero(mask), target_sum=float(np.median(data.totals[mask])))
    prediction = method.predict(data.arrays, prompts).mean
    held_out = ~mask & (data.counts.sum(axis=1) > 0)
    distance = cKDTree(data.arrays.positions[mask]).query(data.arrays.positions[held_out])[0]
    truth = depth_free_target(data.counts[held_out], data.arrays.positions[held_out])
    halves = half_targets(section, held_out) if variant.method == OURS else []
    rows: Rows = []
    for low, high in pairwise(EDGES):
        here = (distance > low) & (distance <= high)
        if here.sum() < MIN_SPOTS:
            continue
        row: dict[str, Any] = {"kind": "distance", "x": low, "n_spots": int(here.sum())}
        row["pcc"] = float(np.nanmean(pcc(truth[here], prediction[held_out][here])))
        if halves:
            row["ceiling"] = float(ceiling_of(np.mean([np.nanmean(pcc(a[here], b[here])) for a, b in halves])))
        rows.append(row)
    return rows


def half_targets(section: Section, held_out: Mask) -> list[tuple[Any, Any]]:
    """Targets of both halves of binomially split counts: what the noise ceiling of a bin is made of."""
    rng = np.random.default_rng(0)
    counts, positions = section.data.counts[held_out].astype(np.int64), section.data.arrays.positions[held_out]
    found = []
    for _ in range(N_HALVES):
        first = rng.binomial(counts, 0.5)
        found.append((depth_free_target(first, positions), depth_free_target(counts - first, positions)))
    return found


# --- methods ----------------------------------------------------------------------------------------------------------
def best_two(committed: pd.DataFrame, scenario: Scenario, names: Sequence[str]) -> list[Variant]:
    """The best simple methods at a tenth: of scattered prompts and of a block, else the next on average."""
    rows = simple_rows(committed, scenario, names)
    rows = rows[~rows["method"].isin(CHOICES)]
    means = rows.groupby(["method", "learned", "regime"])["pcc"].mean().unstack("regime")
    average = means.mean(axis=1).sort_values(ascending=False)
    order = dict.fromkeys([*(means[regime].idxmax() for regime in REGIMES), *average.index])
    return [Variant(method, learned) for method, learned in list(order)[:2]]


def curve_units(cohort: Cohort, committed: pd.DataFrame, scenario: Scenario, names: Sequence[str]) -> list[Unit]:
    """Our method, the published network, and the two best simple ones."""
    ours = [variant for variant in our_variants(scenario) if variant.seed == 0]
    found = []
    for group in cohort.groups(scenario):
        wanted = tuple(name for name in group if name in names)
        together = group if scenario.training == OTHERS else cohort.names(scenario)
        if wanted:
            found += [Unit(scenario, wanted, v) for v in (*ours, *best_two(committed, scenario, together))]
    return found


# --- tables -----------------------------------------------------------------------------------------------------------
def panels(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """What is drawn in one row of panels: a scenario, by patient where patients differ in the methods."""
    found = []
    for key, chosen in rows.groupby("scenario", sort=False):
        parts = [g for _, g in chosen.groupby("patient")] if key == "unseen" else [chosen]
        titles = {"seen": "patient seen in training", "unseen": "patient unseen", "bulb": "olfactory bulb, alone"}
        found += [(f"{', '.join(sorted(p['section'].unique()))}: {titles.get(str(key), str(key))}", p) for p in parts]
    return found


def means(rows: pd.DataFrame, regime: str, column: str = "pcc") -> pd.DataFrame:
    """x by method: over masks, then over sections."""
    chosen = rows[rows["regime"] == regime]
    by_section = chosen.groupby(["method", "learned", "x", "section"], sort=False)[column].mean()
    return by_section.groupby(level=["method", "learned", "x"], sort=False).mean().unstack("x").sort_index(axis=1)


def curve_report(rows: pd.DataFrame) -> str:
    """Tables of both curves."""
    n_masks = rows["mask"].nunique()
    parts = [
        f"{n_masks} masks per section and regime. PCC: depth-free target, mean over genes, masks, sections.",
        "### By the share of spots that is measured",
        "Prompts are nested; all scores of a mask are at the same spots, those outside the largest share.",
    ]
    for kind, name in (("fraction", _percent), ("distance", _bin)):
        if kind == "distance":
            parts += [
                "### By the distance to the nearest prompt",
                f"10 % prompts; correlation within each bin of at least {MIN_SPOTS} spots, in lattice pitches.",
            ]
        for title, chosen in panels(rows[rows["kind"] == kind]):
            parts += [f"**{title}**", _table(chosen, name)]
    return "\n\n".join(parts) + "\n"


def _table(rows: pd.DataFrame, name: Any) -> str:
    tables = {regime: means(rows, regime) for regime in REGIMES}
    xs = sorted(rows["x"].unique())
    lines = []
    for key in tables[REGIMES[0]].index:
        cells = [" / ".join(_cell(tables[regime], key, x) for regime in REGIMES) for x in xs]
        lines.append([f"**{key[0]}**" if key[0] == OURS else key[0], key[1], *cells])
    ours = rows[rows["method"] == OURS]
    ceilings = {regime: means(ours, regime, "ceiling") for regime in REGIMES}
    key = ceilings[REGIMES[0]].index[0]
    by_x = [" / ".join(_cell(ceilings[regime], key, x) for regime in REGIMES) for x in xs]
    if rows["kind"].iloc[0] == "fraction":  # the held-out spots are the same for all
        by_x = [by_x[0]] * len(xs)
    lines.append(["noise ceiling", "", *by_x])
    return markdown(["method", "learned from", *(name(x) for x in xs)], lines)


def _cell(table: pd.DataFrame, key: tuple[str, str], x: float) -> str:
    value = table.loc[key, x] if key in table.index and x in table.columns else np.nan
    return "–" if pd.isna(value) else f"{value:.3f}"


def _percent(x: float) -> str:
    return f"{100 * x:g} %"


def _bin(low: float) -> str:
    high = EDGES[EDGES.index(low) + 1]
    return f"over {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


# --- figures ----------------------------------------------------------------------------------------------------------
COLORS = {
    OURS: "#0072B2",
    PAPER: "#999999",
    "image_ridge": "#D55E00",
    "regression_kriging": "#009E73",
    "space_image_kriging": "#CC79A7",
    "gene_kriging": "#E69F00",
    "kriging": "#56B4E9",
    "idw": "#F0E442",
    "prompt_mean": "#F0E442",
    "oracle_combined": "black",
    "oracle_image": "0.45",
    "oracle_prompts": "0.7",
}
"""Okabe and Ito's, told apart by colour-blind eyes too; oracles in grey."""


def draw_curves(rows: pd.DataFrame, kind: str, path: Path) -> None:
    """One row of panels for every group, a column for each regime; dotted: noise ceiling."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    found = panels(rows[rows["kind"] == kind])
    figure, axes = plt.subplots(
        len(found), 2, figsize=(9, 0.4 + 2.7 * len(found)), sharey="row", squeeze=False, layout="constrained"
    )
    for line, (title, chosen) in zip(axes, found, strict=True):
        for regime, axis in zip(REGIMES, line, strict=True):
            _draw(axis, chosen, regime, kind)
            axis.set_title(f"{title}; {regime}", fontsize=8.5, loc="left")
        line[0].set_ylabel("PCC, depth-free target", fontsize=8)
        line[1].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    words = {"fraction": "spots measured, %", "distance": "distance to the nearest prompt, up to, lattice pitches"}
    for axis in axes[-1]:
        axis.set_xlabel(words[kind], fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw(axis: Any, rows: pd.DataFrame, regime: str, kind: str) -> None:
    table = means(rows, regime)
    xs = list(table.columns)
    places = [FRACTIONS.index(x) for x in xs] if kind == "fraction" else [EDGES.index(x) for x in xs]
    for method, learned in sorted(table.index, key=lambda key: list(COLORS).index(key[0])):
        words = method if learned == ALONE else f"{method} ({learned})"
        style = {"linewidth": 2.4, "marker": "o"} if method == OURS else {"linewidth": 1.3, "marker": "s"}
        dashes = "--" if method == PAPER else "-"
        if method.startswith("oracle"):
            dashes, style = "-.", {"linewidth": 1.3, "marker": ""}
        axis.plot(
            places, table.loc[(method, learned)], dashes, color=COLORS[method], label=words, markersize=4, **style
        )
    ceiling = means(rows[rows["method"] == OURS], regime, "ceiling").iloc[0]
    top = "conditional mean" if (rows["method"] == "oracle_combined").any() else "noise ceiling"
    if kind == "fraction":
        axis.axhline(ceiling.mean(), color="black", linestyle=":", linewidth=1.2, label=top)
    else:
        axis.plot([EDGES.index(x) for x in ceiling.index], ceiling, ":", color="black", label=top)
    names = (
        [f"{100 * f:g}" for f in FRACTIONS] if kind == "fraction" else [f"{high:g}" for high in EDGES[1:-1]] + ["more"]
    )
    axis.set_xticks(range(len(names)), names, fontsize=7)
    axis.tick_params(axis="y", labelsize=7)
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
