"""Table and figure of ``few_prompts.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from _accuracy_settings import ALONE, BY_KEY, OTHERS, OURS
from _report import REGIMES, markdown

UNITS = ["section", "mask"]


def means(rows: pd.DataFrame, score: str = "pcc") -> pd.DataFrame:
    """Mean over masks, then sections: methods x number of prompts."""
    by_section = rows.groupby(["method", "learned", "prompts", "section"])[score].mean()
    return by_section.groupby(level=["method", "learned", "prompts"]).mean().unstack("prompts")


def beyond_none(rows: pd.DataFrame, score: str = "pcc") -> pd.DataFrame:
    """Our score less that of the same model without prompts, on the same spots: sections x number of prompts."""
    ours = rows[(rows["method"] == OURS) & (rows["learned"] == OTHERS)]
    wide = ours.pivot_table(index=UNITS, columns="prompts", values=score)
    return wide.drop(columns=0).sub(wide[0], axis=0).groupby(level="section").mean()


def few_prompts_report(scores: pd.DataFrame) -> str:
    """All tables."""
    n_masks = scores.groupby(["set", "section", "regime"])["mask"].nunique()
    parts = [
        f"{n_masks.min()} masks per section and regime, nested prompts, scored at the same spots. Patients and animals were never seen "
        "in training. PCC: depth-free target; *not averaged*: the target of each spot by itself; a map without any form counts 0."
    ]
    for key in scores["set"].unique():
        parts.append(f"### {BY_KEY[key].title[0].upper()}{BY_KEY[key].title[1:]}")
        for regime in REGIMES:
            rows = scores[(scores["set"] == key) & (scores["regime"] == regime)]
            parts.append(_table(rows, regime))
    return "\n\n".join(parts) + "\n"


def _table(rows: pd.DataFrame, regime: str) -> str:
    numbers = sorted(rows["prompts"].unique())
    by_method = means(rows)
    order = sorted(by_method.index, key=lambda key: (key[1] == ALONE, key[0] != OURS, -by_method.loc[key].iloc[-1]))
    lines = [[*key, *(_number(by_method.loc[key, n]) for n in numbers)] for key in order]
    lines[0][0] = f"**{lines[0][0]}**"
    difference = beyond_none(rows)
    n_sections = len(difference)
    for what, cells in (
        ("… less none", [f"{difference[n].mean():+.3f}" for n in numbers[1:]]),
        ("… not averaged, less none", [f"{v:+.3f}" for v in beyond_none(rows, "pcc_unsmoothed").mean()]),
        ("… mean absolute error, less none", [f"{v:+.4f}" for v in beyond_none(rows, "mae").mean()]),
        ("… sections not below none", [f"{(difference[n] > -0.005).sum()}/{n_sections}" for n in numbers[1:]]),
        ("… lowest section", [f"{difference[n].min():+.3f}" for n in numbers[1:]]),
    ):
        lines.append([what, OTHERS, "", *cells])
    return markdown([regime, "learned from", *(f"{n} prompt{'' if n == 1 else 's'}" for n in numbers)], lines)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def figure(scores: pd.DataFrame, path: Path) -> None:
    """Mean by number of prompts, a panel for each set and regime."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    sets = list(scores["set"].unique())
    size = (3.2 * len(sets), 5.6)
    drawn, axes = plt.subplots(2, len(sets), figsize=size, sharex=True, squeeze=False, layout="constrained")
    for column, key in enumerate(sets):
        for line, regime in enumerate(REGIMES):
            axis = axes[line, column]
            _panel(axis, means(scores[(scores["set"] == key) & (scores["regime"] == regime)]))
            axis.set_title(f"{BY_KEY[key].title}\n{regime}", fontsize=7, loc="left")
        axes[-1, column].set_xlabel("prompts")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=6)
    axes[0, 0].set_ylabel("PCC, depth-free target")
    drawn.savefig(path, dpi=110)
    plt.close(drawn)


def _panel(axis: object, by_method: pd.DataFrame) -> None:
    for place, key in enumerate(sorted(by_method.index, key=lambda k: (k[0] != OURS, k))):
        style = {"color": "black", "linewidth": 1.8} if key[0] == OURS else {"color": f"C{place}", "linewidth": 0.9}
        values = by_method.loc[key]
        axis.plot(
            range(len(values)),
            values,
            "o-" if key[1] == OTHERS else "o:",
            markersize=2.5,
            label=", ".join(key),
            **style,
        )  # type: ignore[attr-defined]
    none = by_method.loc[(OURS, OTHERS), 0]
    axis.axhline(none, color="black", linestyle="--", linewidth=0.7)  # type: ignore[attr-defined]
    axis.set_xticks(range(by_method.shape[1]), by_method.columns)  # type: ignore[attr-defined]
