"""Tables and figure of ``trust_intervals.py``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from _intervals_case import LEVELS, THIRDS

LINE = ["set", "learned", "regime"]
COVERAGE = [f"coverage_{level:g}" for level in LEVELS]
TUNED = ("her2", "bulb", "ra")


def report(table: pd.DataFrame) -> str:
    """All tables, as Markdown."""
    whole = table[table["group"] == "all"]
    parts = [
        "# Intervals of counts at held-out spots",
        f"{whole['section'].nunique()} sections, {int(whole['mask'].max()) + 1} masks of each in each regime; a tenth of the spots are prompts, a fifth in `als`. "
        f"Constants were chosen on {', '.join(f'`{key}`' for key in TUNED)}; the form of the variance (four were compared) on `als` and `colon` too; `her2_image` had no say, but shares patients with `her2`. The counts of `colon` are corrected for depth.",
        "## Coverage in percent, counts spread evenly over their steps",
        _coverage(whole),
        "Worst of a section is the largest distance of the mean over its masks from the nominal level, at any of the four levels.",
        "## By thirds of the distance to the nearest prompt, in percent",
        _thirds(table),
        "## Width: bounds included, beside intervals of one width for every gene that cover as much",
        _widths(whole),
        "Inclusive: share within the bounds, both included, which is more than nominal where counts are small. Mean width in counts; ratio to intervals of constant "
        "width from the same left-out prompts, mean over the cases where these reach the same coverage at all: from few prompts many do not, and in lines without a ratio none does.",
        "## Trust of spots",
        _trust(whole),
        "Explained: of the covariance of neighboring held-out spots, the share that is predicted. Unlike: share of held-out spots flagged as unlike any prompt, "
        "and their squared errors in units of those of the others.",
    ]
    return "\n\n".join(parts) + "\n"


def worst(whole: pd.DataFrame) -> pd.Series:
    """Largest distance of a section's mean coverage from the nominal one, by line."""
    off = whole.groupby([*LINE, "section"])[COVERAGE].mean() - list(LEVELS)
    return off.abs().max(axis=1).groupby(LINE).max()


def _coverage(whole: pd.DataFrame) -> str:
    found = 100 * whole.groupby(LINE)[COVERAGE].mean()
    found.columns = [f"{100 * level:g}" for level in LEVELS]
    return _markdown(found.assign(**{"worst of a section": 100 * worst(whole)}), ".1f")


def _thirds(table: pd.DataFrame) -> str:
    parts = {
        f"{name} {level:g}": 100 * table[table["group"] == name].groupby(LINE)[f"coverage_{level:g}"].mean()
        for level in (0.5, 0.9)
        for name in THIRDS
    }
    return _markdown(pd.DataFrame(parts), ".1f")


def _widths(whole: pd.DataFrame) -> str:
    parts = {}
    for level in LEVELS:
        name = f"{100 * level:g}"
        ratio = whole[f"width_{level:g}"] / whole[f"constant_{level:g}"]
        parts[f"inclusive {name}"] = 100 * whole.groupby(LINE)[f"inclusive_{level:g}"].mean()
        parts[f"width {name}"] = whole.groupby(LINE)[f"width_{level:g}"].mean()
        parts[f"ratio {name}"] = ratio.groupby([whole[one] for one in LINE]).mean()
    return _markdown(pd.DataFrame(parts), ".2f")


def _trust(whole: pd.DataFrame) -> str:
    return _markdown(whole.groupby(LINE)[["trust", "explained", "unlike", "unlike_error"]].mean(), ".2f")


def _markdown(table: pd.DataFrame, form: str) -> str:
    table = table.reset_index()
    head = [str(name) for name in table.columns]
    lines = [head, ["---"] * len(LINE) + ["--:"] * (len(head) - len(LINE))]
    for row in table.itertuples(index=False):
        lines.append([one if isinstance(one, str) else "" if pd.isna(one) else format(one, form) for one in row])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(table: pd.DataFrame, path: Path) -> None:
    """Coverage against level by section, one panel a regime."""
    import matplotlib.pyplot as plt

    regimes = list(dict.fromkeys(table["regime"]))
    drawn, axes = plt.subplots(1, len(regimes), figsize=(4.2 * len(regimes), 4.0), sharey=True, squeeze=False)
    for ax, regime in zip(axes[0], regimes, strict=True):
        some = table[(table["regime"] == regime) & (table["group"] == "all")]
        means = some.groupby(["set", "section", "learned"])[COVERAGE].mean()
        sets = list(dict.fromkeys(means.index.get_level_values("set")))
        for key, row in means.iterrows():
            ax.plot(LEVELS, row, ".-", lw=0.8, color=f"C{sets.index(key[0])}", label=key[0])  # type: ignore[index]
        ax.plot([0.45, 1], [0.45, 1], "k--", lw=0.8)
        ax.set(title=regime, xlabel="level of the interval")
    axes[0, 0].set_ylabel("held-out counts within")
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    axes[0, 0].legend(handles.values(), handles, frameon=False, fontsize=8)
    drawn.tight_layout()
    drawn.savefig(path, dpi=120)
