"""Table and figure of ``suggest_spots.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

RANDOM, OURS = "random", "suggested"
_TITLES = {
    "her2_image": "HER2+, picture",
    "als": "spinal cord, picture",
    "bulb": "olfactory bulb, picture",
    "ra": "synovium, no picture",
    "colon": "colon, picture",
}
_SHOWN = (OURS, "suggested, in rounds", "k-medoids, both", "k-medoids, space", "poisson", RANDOM)


def curves(scores: pd.DataFrame, score: str = "pcc") -> pd.DataFrame:
    """Mean score by set, design and budget, every section counting the same."""
    by_section = scores.groupby(["set", "section", "design", "budget"])[score].mean()
    found = by_section.groupby(["set", "design", "budget"]).mean().unstack()
    for key in found.index.levels[0]:  # without a picture, to cover space and image is to cover space
        for way in ("k-centre", "k-medoids"):
            for space in ("image", "both"):
                if (key, f"{way}, {space}") not in found.index:
                    found.loc[(key, f"{way}, {space}"), :] = found.loc[(key, f"{way}, space")].to_numpy()
    return found.sort_index()


def prompts_for(curve: pd.Series, wanted: float) -> float:
    """Budget at which a curve reaches a score: linear in the logarithm; nan beyond what was measured."""
    budgets, values = np.log(curve.index.to_numpy(dtype=float)), np.maximum.accumulate(curve.to_numpy())
    if wanted < values[0] or wanted > values[-1]:
        return np.nan
    return float(np.exp(np.interp(wanted, values, budgets)))


def saved(table: pd.DataFrame) -> pd.DataFrame:
    """Share of the spots that each design saves against random ones, by set and by budget of these.

    Where a design is better with 2 % of the spots than random ones with as many, the share is one of at least 0.
    """
    rows = {}
    for key, design in table.index:
        random, curve = table.loc[(key, RANDOM)], table.loc[(key, design)]
        found = {}
        for budget, wanted in random.items():
            needed = prompts_for(curve, wanted)
            if np.isnan(needed):
                # extend along the nearest piece of the curve
                needed = _beyond(curve, wanted)
            found[budget] = 1.0 - needed / float(budget)
        rows[key, design] = found
    return pd.DataFrame.from_dict(rows, orient="index")


def _beyond(curve: pd.Series, wanted: float) -> float:
    budgets, values = np.log(curve.index.to_numpy(dtype=float)), curve.to_numpy()
    ends = slice(0, 2) if wanted < values[0] else slice(-2, None)
    (low, high), (first, last) = values[ends], budgets[ends]
    if high <= low:
        return np.nan
    return float(np.exp(first + (wanted - low) / (high - low) * (last - first)))


def report(scores: pd.DataFrame) -> str:
    """Tables in markdown."""
    table = curves(scores)
    less = saved(table)
    pooled = less.groupby(level=1).mean()
    mean = table.groupby(level=1).mean()
    sections = scores.groupby("set").section.nunique()
    lines = ["# Which spots to measure", ""]
    lines += [
        f"Depth-free PCC of the default without training at a random third of the spots that no design may choose; "
        f"{int(sections.sum())} sections, {scores[['section', 'held_out']].drop_duplicates().shape[0]} draws of that third. Every "
        "section counts the same within its set, every set in the means.",
        "",
        "## Mean over the sets",
        "",
        *_table(mean.loc[_order(mean)], ".3f", "PCC at"),
        "",
        "## Share of spots saved against random ones, mean over the sets",
        "",
        "Spots that a design needs for what random ones reach with that budget, interpolated on the logarithm of the budget (below 2 %: "
        "along the first piece of the curve).",
        "",
        *_table(100 * pooled.loc[_order(pooled)], ".0f", "% saved at"),
    ]
    by_section = scores.groupby(["section", "design", "budget"]).pcc.mean().unstack("design")
    more = by_section[OURS] - by_section[RANDOM]
    told = ", ".join(
        f"{int((one > 0).sum())} of {len(one)} at {100 * float(budget):g} % (difference {one.mean():+.3f}, standard error {one.sem():.3f})"
        for budget, one in more.groupby("budget")
    )
    lines += ["", f"Sections in which suggested spots are better than random ones: {told}."]
    for key in [k for k in _TITLES if k in sections.index]:
        one, few = table.loc[key], 100 * less.loc[key]
        both = one.round(3).astype(str) + few.loc[one.index].map(lambda v: f" ({v:.0f} %)" if np.isfinite(v) else "")
        lines += [
            "",
            f"## {_TITLES[key]} ({sections[key]} sections)",
            "",
            *_table(both.loc[_order(one)], "", "PCC (saved) at"),
        ]
    return "\n".join(lines) + "\n"


def _order(table: pd.DataFrame) -> list[str]:
    return list(table.mean(axis=1).sort_values(ascending=False).index)


def _table(table: pd.DataFrame, form: str, title: str) -> list[str]:
    head = " | ".join(f"{title} {100 * float(budget):g} %" for budget in table.columns)
    lines = [f"| design | {head} |", "|---|" + "--:|" * table.shape[1]]
    return lines + [
        f"| {name} | " + " | ".join(format(v, form) for v in row) + " |"
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]


def figure(scores: pd.DataFrame, path: Path) -> None:
    """Curves of some designs, one panel a set."""
    import matplotlib.pyplot as plt

    table = curves(scores)
    keys = [key for key in _TITLES if key in table.index.get_level_values(0)]
    made, axes = plt.subplots(1, len(keys), figsize=(3.2 * len(keys), 3.2), squeeze=False, layout="constrained")
    for axis, key in zip(axes[0], keys, strict=True):
        for design in _SHOWN:
            if (key, design) in table.index:
                curve = table.loc[(key, design)]
                style = {"color": "0.4", "ls": "--"} if design == RANDOM else {}
                axis.plot(100 * curve.index, curve, marker="o", ms=3, label=design, **style)
        axis.set(xscale="log", title=_TITLES[key], xlabel="spots measured (%)")
        axis.set_xticks([2, 5, 10, 20], ["2", "5", "10", "20"])
        axis.minorticks_off()
    axes[0, 0].set_ylabel("depth-free PCC")
    axes[0, 0].legend(fontsize=7)
    made.savefig(path, dpi=110)
    plt.close(made)
