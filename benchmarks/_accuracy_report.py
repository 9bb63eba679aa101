"""Tables of ``accuracy.py``: every scenario beside the best simple method, by section, by patient, and the ablation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from _accuracy_plan import BY_KEY, OURS, PAPER, SCENARIOS, WITH_NETWORK, Scenario
from _report import CHOICES, METHODS, REGIMES, markdown

from phg2st_sc.models.phg2st.parts import PARTS

KEY = ["method", "learned"]
UNITS = ["section", "mask"]
SCORES = (
    "pcc",
    "pcc_top",
    "pcc_share",
    "pcc_unsmoothed",
    "pcc_lognorm",
    "pcc_lognorm_depth_adjusted",
    "ccc",
    "mae",
)
NAMES = {OURS: "**phg2st**", PAPER: "phg2st, as published"}


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of one scenario, over all of its sections or those of one patient; our rows of several trainings are averaged."""

    scenario: Scenario
    title: str
    rows: pd.DataFrame

    @property
    def sections(self) -> list[str]:
        """Sections, sorted."""
        return sorted(self.rows["section"].unique())

    def wide(self, regime: str, score: str = "pcc") -> pd.DataFrame:
        """Scores, (section, mask) x (method, learned)."""
        rows = self.rows[self.rows["regime"] == regime]
        return rows.pivot_table(index=UNITS, columns=KEY, values=score)

    def means(self, regime: str, score: str = "pcc") -> pd.Series:
        """Mean by method: over masks, then over sections."""
        return self.wide(regime, score).groupby(level="section").mean().mean()

    def value(self, regime: str, score: str) -> float:
        """Mean of what is the same for every method."""
        rows = self.rows[self.rows["regime"] == regime].drop_duplicates(UNITS)
        return float(rows.groupby("section")[score].mean().mean())

    def simple(self, regime: str) -> pd.Index:
        """Simple methods; those that choose among the others are no reference."""
        found = self.wide(regime).columns
        return found[~found.get_level_values("method").isin((OURS, PAPER, *CHOICES))]

    def best(self, regime: str) -> tuple[str, str]:
        """Simple method with the highest mean over sections, in hindsight."""
        return self.means(regime)[self.simple(regime)].idxmax()

    @cached_property
    def ours(self) -> tuple[str, str]:
        """Our method."""
        return OURS, self.scenario.training

    def seeds(self, regime: str) -> pd.Series:
        """Our mean by training."""
        rows = self.rows[(self.rows["regime"] == regime) & (self.rows["method"] == OURS)]
        return rows.groupby(["seed", "section"])["pcc"].mean().groupby(level="seed").mean()

    def differences(self, regime: str) -> pd.DataFrame:
        """Ours less the reference, by section: the scenario's best simple method, and the section's own."""
        wide = self.wide(regime).dropna(subset=[self.ours])
        best, simple = self.best(regime), self.simple(regime)
        records = []
        for section, values in wide.groupby(level="section"):
            own = values[simple].mean().idxmax()
            one, other = values[self.ours] - values[best], values[self.ours] - values[own]
            records.append(
                {
                    "section": section,
                    "ours": values[self.ours].mean(),
                    "best": values[best].mean(),
                    "difference": one.mean(),
                    "sd": one.std(),
                    "own": own,
                    "own_pcc": values[own].mean(),
                    "own_difference": other.mean(),
                    "own_sd": other.std(),
                }
            )
        return pd.DataFrame(records).set_index("section")


def groups(rows: pd.DataFrame) -> Iterator[Group]:
    """Every scenario; where patients with pictures differ much, each of them too."""
    for scenario in SCENARIOS:
        chosen = rows[rows["scenario"] == scenario.key]
        if not (chosen["method"] == OURS).any():
            continue
        names = ", ".join(sorted(chosen["section"].unique()))
        few = chosen["section"].nunique() <= 4
        yield Group(
            scenario, f"{scenario.title}: {names if few else str(chosen['section'].nunique()) + ' sections'}", chosen
        )
        if scenario.key in ("unseen", "single", "bulb") and chosen["patient"].nunique() > 1:
            for _, part in chosen.groupby("patient"):
                yield Group(scenario, f"… {', '.join(sorted(part['section'].unique()))}", part)


def label(key: tuple[str, str]) -> str:
    """Name of a method in a table."""
    return f"`{key[0]}`, {key[1]}"


def headline(found: Sequence[Group]) -> str:
    """One line for each scenario and regime."""
    header = [
        "scenario",
        "prompts",
        "phg2st",
        "best simple method",
        "its PCC",
        "ratio",
        "aim",
        "difference ± SD over sections",
    ]
    header += [
        "ahead on",
        "behind beyond the masks",
        "… the section's own best",
        "ceiling",
        "share of it",
        "as published",
    ]
    lines = []
    for group in found:
        for number, regime in enumerate(REGIMES):
            table, means = group.differences(regime), group.means(regime)
            ours, best, ceiling = means[group.ours], group.best(regime), group.value(regime, "ceiling")
            aim = group.scenario.target[number]
            spread = f" ± {table['difference'].std():.3f}" if len(table) > 1 else ""
            paper = means.get((PAPER, group.scenario.training), np.nan)
            behind = (table["difference"] < -table["sd"]).sum()
            behind_own = (table["own_difference"] < -table["own_sd"]).sum()
            lines.append(
                [
                    group.title if not number else "",
                    regime,
                    f"**{ours:.3f}**",
                    label(best),
                    f"{means[best]:.3f}",
                    f"{ours / means[best]:.2f}",
                    f"{aim:.2f}" if aim != 1.0 or group.scenario.key == "free" else "above 1",
                    f"{table['difference'].mean():+.3f}{spread}",
                    f"{(table['difference'] > 0).sum()}/{len(table)}",
                    f"{behind}",
                    f"{behind_own}",
                    f"{ceiling:.3f}",
                    f"{100 * ours / ceiling:.0f} %",
                    "" if np.isnan(paper) else f"{paper:.3f}",
                ]
            )
    return markdown(header, lines)


def score_table(group: Group) -> str:
    """All scores of all methods, scattered / block."""
    scores = [score for score in SCORES if score in group.rows and group.rows[score].notna().any()]
    values = {score: [group.means(regime, score) for regime in REGIMES] for score in scores}
    order = sorted(values["pcc"][0].index, key=_place)
    lines = [
        [NAMES.get(key[0], key[0]), key[1], *(" / ".join(f"{by[key]:.3f}" for by in values[score]) for score in scores)]
        for key in order
    ]
    depth = {
        "pcc": [group.value(regime, "pcc_depth_only") for regime in REGIMES],
        "pcc_lognorm": [group.value(regime, "pcc_lognorm_depth_only") for regime in REGIMES],
    }
    ceiling = {"pcc": [group.value(regime, "ceiling") for regime in REGIMES]}
    for name, cells in (("depth only (oracle)", depth), ("noise ceiling", ceiling)):
        lines.append([name, "", *(" / ".join(f"{v:.3f}" for v in cells[s]) if s in cells else "" for s in scores)])
    return markdown(["method", "learned from", *scores], lines)


def _place(key: tuple[str, str]) -> tuple[int, int, str]:
    first = (OURS, PAPER)
    method = first.index(key[0]) - len(first) if key[0] in first else METHODS.index(key[0])
    return int(key[1] != "this section") if method >= 0 else -1, method, key[1]


def section_table(group: Group) -> str:
    """Paired differences of every section, with their spread over masks."""
    header, columns = ["section", "patient"], []
    patients = group.rows.drop_duplicates("section").set_index("section")["patient"]
    for regime in REGIMES:
        table = group.differences(regime)
        header += [regime, "less " + label(group.best(regime)), "less its own best", "its own best"]
        columns += [
            table["ours"].map("{:.3f}".format),
            table.apply(lambda r: f"{r['difference']:+.3f} ± {r['sd']:.3f}", axis=1),
            table.apply(lambda r: f"{r['own_difference']:+.3f} ± {r['own_sd']:.3f}", axis=1),
            table["own"].map(label),
        ]
    names = columns[0].index
    return markdown(header, [[name, patients[name], *(column[name] for column in columns)] for name in names])


def patient_table(group: Group) -> str:
    """The same by patient: sections of one patient are no independent evidence."""
    patients = group.rows.drop_duplicates("section").set_index("section")["patient"]
    header, parts = ["patient", "sections"], []
    for regime in REGIMES:
        table = group.differences(regime)
        header += [regime, "ratio", "difference ± SD over sections", "ahead on"]
        parts.append(table.groupby(patients))
    lines = []
    for patient in sorted(patients.unique()):
        line = [patient, str((patients == patient).sum())]
        for grouped in parts:
            one = grouped.get_group(patient)
            spread = f" ± {one['difference'].std():.3f}" if len(one) > 1 else ""
            line += [
                f"{one['ours'].mean():.3f}",
                f"{one['ours'].mean() / one['best'].mean():.2f}",
                f"{one['difference'].mean():+.3f}{spread}",
                f"{(one['difference'] > 0).sum()}/{len(one)}",
            ]
        lines.append(line)
    return markdown(header, lines)


def main_report(rows: pd.DataFrame) -> str:
    """All tables of the comparison."""
    found = list(groups(rows))
    parts = [masks_of(rows), headline(found)]
    for group in found:
        if group.title.startswith("…"):
            continue
        seeds = [group.seeds(regime) for regime in REGIMES]
        parts += [f"### {group.title[0].upper()}{group.title[1:]}", score_table(group)]
        if len(seeds[0]) > 1:
            parts.append(
                f"{len(seeds[0])} trainings, standard deviation of the mean PCC between them: "
                + " / ".join(f"{one.std():.4f}" for one in seeds)
                + " (scattered / block)."
            )
        parts.append(section_table(group))
        parts += [patient_table(group)] if group.rows["patient"].nunique() > 1 else []
    return "\n\n".join(parts) + "\n"


def masks_of(rows: pd.DataFrame) -> str:
    """How many masks there are."""
    n = rows[rows["method"] == OURS].groupby(["scenario", "section", "regime"])["mask"].nunique()
    masks = str(n.max()) if n.min() == n.max() else f"{n.min()} to {n.max()}"
    return f"{masks} masks per section and regime, 10 % prompts. PCC: depth-free target, held-out spots, mean over genes, then masks, then sections."


def ablation_report(rows: pd.DataFrame) -> str:
    """Our method without each of its parts, on the same masks."""
    parts = [masks_of(rows) + " Seed 0. ± standard deviation of the paired difference over sections."]
    for key, chosen in rows.groupby("scenario", sort=False):
        n = chosen["section"].nunique()
        lines = []
        wide = {
            r: chosen[chosen["regime"] == r].pivot_table(index=UNITS, columns="without", values="pcc") for r in REGIMES
        }
        for part in ["", *(one for one in (*PARTS, WITH_NETWORK) if one in wide[REGIMES[0]])]:
            line = [part or "nothing", PARTS.get(part, "trained though two patients have a picture" if part else "")]
            for regime in REGIMES:
                by_section = wide[regime].groupby(level="section").mean()
                difference = by_section[part] - by_section[""]
                spread = f" ± {difference.std():.3f}" if n > 1 else ""
                line += [f"{by_section[part].mean():.3f}"]
                line += [f"{difference.mean():+.3f}{spread}", f"{(difference < 0).sum()}/{n}"] if part else ["", ""]
            lines.append(line)
        header = ["without", "which is", *(cell for r in REGIMES for cell in (r, "less the whole", "worse on"))]
        parts += [f"### {BY_KEY[str(key)].title}: {n} sections", markdown(header, lines)]
    return "\n\n".join(parts) + "\n"
