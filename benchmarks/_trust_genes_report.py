"""Text and figure of ``trust_genes.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

_HEAD = """# What was promised of genes, and what they reach

`python benchmarks/trust_genes.py --data DATA --cache FEATURES`. Depth-free held-out correlations of the default, alone and trained without
networks; 10 % prompts (20 % on the spinal cord); means over sections and masks. *Reachable*: rank correlation with the truth behind the
counts that two halves of the held-out molecules leave possible. *Top tenth*: mean correlation of the tenth of the genes that is ranked highest
by trust, by counts at the prompts, and by spread of the prediction.
"""


def write_report(rows: pd.DataFrame, out: Path) -> None:
    """Write ``trust_genes.md`` and ``trust_genes.png``."""
    real = rows[rows["promised"].notna()].copy()
    real["best_simple"] = real[["counts_top", "spread_top"]].max(axis=1)
    by = real.groupby(["set", "learned", "regime"], sort=False).mean(numeric_only=True)
    text = [_HEAD, _table(by), _summary(real, by), _ideal(rows), _false(rows)]
    (out / "trust_genes.md").write_text("\n".join(text), encoding="utf-8")
    _figure(real, by, out / "trust_genes.png")


def _table(by: pd.DataFrame) -> str:
    lines = [
        "| set | learned | regime | promised | reached | rank correlation | reachable | by counts | by spread | top tenth | by counts | by spread |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    columns = ("promised", "reached", "rank_correlation", "rank_reachable", "counts_rank", "spread_rank")
    tops = ("top_tenth", "counts_top", "spread_top")
    for labels, row in by.iterrows():
        lines.append("| " + " | ".join([*labels, *(f"{row[name]:.2f}" for name in (*columns, *tops))]) + " |")  # type: ignore[misc]
    return "\n".join(lines) + "\n"


def _summary(real: pd.DataFrame, by: pd.DataFrame) -> str:
    off = (by["promised"] - by["reached"]).abs()
    share = (by["rank_correlation"] / by["rank_reachable"]).groupby("regime").mean()
    sections = real.groupby(["set", "learned", "section", "regime"], sort=False).mean(numeric_only=True)
    lines = [
        f"Mean promised and mean reached differ by {off.mean():.3f} on average over the rows of the table, {off.max():.3f} at most."
    ]
    for regime, part in sections.groupby("regime"):
        both = ((part["top_tenth"] >= part["counts_top"]) & (part["top_tenth"] >= part["spread_top"])).mean()
        counts = (part["top_tenth"] >= part["counts_top"]).mean()
        spread = (part["top_tenth"] >= part["spread_top"]).mean()
        times = part["top_tenth"].mean() / part["reached"].mean()
        lines.append(
            f"{str(regime).capitalize()}: rank correlation {share[regime]:.2f} of the reachable; the most trusted tenth reaches {times:.1f} times the mean of all genes, at least as "
            f"much as the tenth with most counts on {counts:.0%} of the sections, as that with the widest prediction on {spread:.0%}, as both on {both:.0%}."
        )
    return "\n\n".join(lines) + "\n"


def _ideal(rows: pd.DataFrame) -> str:
    drawn = rows[rows["set"] == "ideal"]
    if drawn.empty:
        return ""
    said = "; ".join(
        f"{row.section} {row.regime} {row.rank_correlation:.2f} of {row.rank_reachable:.2f}"
        for row in drawn.itertuples()
    )
    return (
        "**Were the model exactly right**, the best ranking there is would reach, of what halves call reachable, with truth drawn from what the model "
        f"leaves open: {said}. Halves share the spots, and so what open tissue adds to a score or takes from it, which nobody can know.\n"
    )


def _false(rows: pd.DataFrame) -> str:
    real = rows[rows["promised"].notna()]
    many = real[real["false"].notna()]
    made = rows[rows["set"] == "simulated"]
    wrong = (made["false"] * made["reliable_n"]).groupby([made["noise"]]).sum() / made["reliable_n"].groupby(
        made["noise"]
    ).sum()
    lines = [
        "## Reliable genes at a false discovery rate of 10 %",
        f"Real sections, by split molecules, where 20 genes or more are reliable ({len(many)} of {len(real)} cases): {many['false'].mean():.3f} false on "
        f"average, {many['false'].max():.3f} at most; {many['not_above_0'].mean():.3f} have a score that is not above 0, whose own noise is in that.",
        "Simulated: "
        + "; ".join(
            f"{value:.3f} false where {noise:.0%} of the genes do not vary by place" for noise, value in wrong.items()
        )
        + f"; {made['false'].where(made['reliable_n'] >= 20).max():.3f} at most on a slide with 20 reliable genes or more.",
        f"Share of the genes that is reliable, median over real cases: {real['reliable'].median():.2f}; over those with 100 prompts or more "
        f"{real.loc[real['prompts'] >= 100, 'reliable'].median():.2f}.",
    ]
    return "\n\n".join(lines) + "\n"


def _figure(real: pd.DataFrame, by: pd.DataFrame, path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    for (regime, part), marker in zip(real.groupby("regime"), "so", strict=False):
        left.plot(part["promised"], part["reached"], marker, alpha=0.5, label=str(regime))
    most = float(np.nanmax(real[["promised", "reached"]].to_numpy())) * 1.05
    left.plot([0, most], [0, most], color="0.6", zorder=0)
    left.set(xlabel="promised mean correlation", ylabel="reached mean correlation", aspect="equal")
    left.legend(frameon=False)
    shown = by[["top_tenth", "counts_top", "spread_top", "reached"]]
    y = np.arange(len(shown))
    marks = {
        "top_tenth": "trust",
        "counts_top": "counts at prompts",
        "spread_top": "spread of prediction",
        "reached": "all genes",
    }
    for (name, label), marker in zip(marks.items(), "o^vx", strict=True):
        right.plot(shown[name], y, marker, label=label, color="0.6" if name == "reached" else None, alpha=0.8)
    right.set_yticks(y, [" ".join(map(str, labels)) for labels in shown.index], fontsize=7)
    right.invert_yaxis()
    right.set(xlabel="mean correlation of the highest tenth by ...")
    right.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)
