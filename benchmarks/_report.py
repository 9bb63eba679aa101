"""Tables and figure of a CSV of scores: one row per section, regime, mask, method and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

REGIMES = ("scattered", "block")
UNITS = ["section", "mask"]
KEY = ["method", "training"]
METHODS = (
    "prompt_mean",
    "idw",
    "kriging",
    "gene_kriging",
    "image_ridge",
    "space_image_kriging",
    "regression_kriging",
    "best_simple_no_image",
    "best_simple",
)
CHOICES = ("best_simple", "best_simple_no_image")
"""Choose among the others on the prompts of the slide, so they are never the reference."""
ALONE, OTHERS, SEEN = "this section", "other patients", "all other sections"
OTHER_SCORES = (
    "pcc",
    "pcc_share",
    "pcc_top",
    "pcc_unsmoothed",
    "pcc_lognorm",
    "pcc_lognorm_depth_adjusted",
    "ccc",
    "mae",
    "mae_unsmoothed",
)


@dataclass(frozen=True)
class Group:
    """Sections and methods that are read together."""

    title: str
    scores: pd.DataFrame

    def means(self, regime: str, score: str = "pcc") -> pd.Series:
        """Mean by method: over masks, then over sections."""
        rows = self.scores[self.scores["regime"] == regime]
        by_section = rows.groupby([*KEY, "section"], sort=False)[score].mean()
        return by_section.groupby(level=KEY, sort=False).mean()

    def reference(self, regime: str) -> tuple[str, str]:
        """Best method in hindsight."""
        means = self.means(regime)
        return means[~means.index.get_level_values("method").isin(CHOICES)].idxmax()

    def differences(self, regime: str) -> pd.DataFrame:
        """Difference to the reference on the same masks: sections x methods."""
        rows = self.scores[self.scores["regime"] == regime]
        wide = rows.pivot_table(index=UNITS, columns=KEY, values="pcc")
        return wide.sub(wide[self.reference(regime)], axis=0).groupby(level="section").mean()

    def spread_of_masks(self, regime: str) -> pd.Series:
        """Standard deviation of the difference over the masks of a section, mean over sections."""
        rows = self.scores[self.scores["regime"] == regime]
        wide = rows.pivot_table(index=UNITS, columns=KEY, values="pcc")
        return wide.sub(wide[self.reference(regime)], axis=0).groupby(level="section").std().mean()


def groups(scores: pd.DataFrame) -> list[Group]:
    """How the sections are read: all of them without a picture, then those with one."""
    if not (scores["training"] == OTHERS).any():
        return [Group(name, rows) for name, rows in scores.groupby("section", sort=False)]
    image_free = ("prompt_mean", "idw", "kriging", "gene_kriging", "best_simple_no_image")
    n = scores["section"].nunique()
    found = [
        Group(
            f"{n} sections, picture not used",
            scores[scores["method"].isin(image_free) & scores["training"].isin((ALONE, OTHERS))],
        )
    ]
    imaged = scores[scores["imaged"]]
    for _, rows in imaged.groupby("patient"):
        names = ", ".join(sorted(rows["section"].unique()))
        for training, words in ((SEEN, "patient seen in training"), (OTHERS, "patient unseen")):
            if (rows["training"] == training).any():
                found.append(Group(f"{names}: {words}", rows[rows["training"].isin((ALONE, training))]))
    return found


def in_order(scores: pd.DataFrame) -> pd.DataFrame:
    """Sort by training and method, as the tables list them."""
    training = scores["training"].map({ALONE: 0, OTHERS: 1, SEEN: 2})
    method = scores["method"].map({name: place for place, name in enumerate(METHODS)})
    order = pd.DataFrame({"t": training, "m": method, "s": scores["section"], "n": scores["mask"]})
    return scores.loc[order.sort_values(list("tmsn")).index].reset_index(drop=True)


def write_report(path: Path) -> None:
    """Write ``<name>.md`` and ``<name>.png`` beside ``<name>.csv``."""
    scores = in_order(pd.read_csv(path))
    found = groups(scores)
    n_masks = scores.groupby(["section", "regime"])["mask"].nunique()
    masks = str(n_masks.max()) if n_masks.min() == n_masks.max() else f"{n_masks.min()} to {n_masks.max()}"
    parts = [f"{masks} masks per section and regime. PCC: depth-free target, held-out spots, mean over genes."]
    parts += [text for group in found for text in (f"## {group.title}", main_table(group), score_table(group))]
    parts += [by_patient(found[0])] if found[0].scores["patient"].nunique() > 1 else []
    path.with_suffix(".md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    draw(found, path.with_suffix(".png"))


def main_table(group: Group) -> str:
    """PCC by regime, beside depth, ceiling and the paired difference to the best method."""
    header = ["method", "learned from"]
    columns: list[pd.Series] = []
    for regime in REGIMES:
        n_sections = group.scores["section"].nunique()
        header += [regime, "less the best", "ahead on"]
        differences, masks = group.differences(regime), group.spread_of_masks(regime)
        spread = differences.std() if n_sections > 1 else masks
        columns += [
            group.means(regime).map("{:.3f}".format),
            pd.Series({k: f"{differences[k].mean():+.3f} ± {spread[k]:.3f}" for k in differences}),
            pd.Series({k: f"{(differences[k] > 0).sum()}/{n_sections}" for k in differences}),
        ]
        best = group.reference(regime)
        columns[-3][best] = f"**{columns[-3][best]}**"
        columns[-2][best] = columns[-1][best] = ""
    rows = [[*key, *(column[key] for column in columns)] for key in columns[0].index]
    for label, score in (("depth only (oracle)", "pcc_depth_only"), ("noise ceiling", "ceiling")):
        values = [group.means(regime, score).mean() for regime in REGIMES]
        rows.append([label, "", *(cell for value in values for cell in (f"{value:.3f}", "", ""))])
    kind = "sections" if group.scores["section"].nunique() > 1 else "masks"
    return f"{markdown(header, rows)}\n\n± standard deviation of the paired difference over {kind}."


def score_table(group: Group) -> str:
    """All other scores, scattered / block."""
    names = [score for score in OTHER_SCORES if score in group.scores and group.scores[score].notna().any()]
    values = {score: [group.means(regime, score) for regime in REGIMES] for score in names}
    rows = [
        [*key, *(" / ".join(f"{by_regime[key]:.3f}" for by_regime in values[score]) for score in names)]
        for key in values["pcc"][0].index
    ]
    depth = [group.means(regime, "pcc_lognorm_depth_only").mean() for regime in REGIMES]
    oracle = {"pcc_lognorm": " / ".join(f"{value:.3f}" for value in depth)}
    rows.append(["depth only (oracle)", "", *(oracle.get(score, "") for score in names)])
    return "Scattered / block:\n\n" + markdown(["method", "learned from", *names], rows)


def by_patient(group: Group) -> str:
    """PCC of every patient: the sections of one patient are no independent evidence."""
    patients = sorted(group.scores["patient"].unique())
    tables = []
    for regime in REGIMES:
        means = pd.DataFrame({p: Group(p, group.scores[group.scores["patient"] == p]).means(regime) for p in patients})
        rows = [
            [*key, *(f"{value:.3f}" for value in row)] for key, row in zip(means.index, means.to_numpy(), strict=True)
        ]
        tables.append(f"### By patient, {regime}\n\n" + markdown(["method", "learned from", *patients], rows))
    return "\n\n".join(tables)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all but the first two columns to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---|---|" + "--:|" * (len(header) - 2)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def draw(found: Sequence[Group], path: Path) -> None:
    """One panel per group and regime: a dot per section, a bar at the mean, a line at the ceiling."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    rows = [len(group.means(REGIMES[0])) for group in found]
    figure, axes = plt.subplots(
        len(found),
        2,
        figsize=(9, 0.6 + sum(0.55 + 0.2 * n for n in rows)),
        gridspec_kw={"height_ratios": rows},
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for line, group in zip(axes, found, strict=True):
        for regime, axis in zip(REGIMES, line, strict=True):
            _draw_one(axis, group, regime)
        line[1].set_yticklabels([])
    for axis in axes[-1]:
        axis.set_xlabel("PCC, depth-free target")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _draw_one(axis: object, group: Group, regime: str) -> None:
    means = group.means(regime)
    sections = group.scores[group.scores["regime"] == regime].groupby([*KEY, "section"])["pcc"].mean()
    places = np.arange(len(means))[::-1]
    colors = ["tab:blue" if training == ALONE else "tab:orange" for _, training in means.index]
    axis.barh(places, means, color=colors, alpha=0.6)
    for place, key in zip(places, means.index, strict=True):
        values = sections[key]
        axis.plot(values, np.full(len(values), place), "k.", markersize=2.5)
    axis.axvline(group.means(regime, "ceiling").mean(), color="tab:red", linestyle="--", linewidth=1)
    axis.set_yticks(places, [f"{m} ({t})" if t != ALONE else m for m, t in means.index], fontsize=6.5)
    axis.set_title(f"{group.title}: {regime}", fontsize=7.5, loc="left")
