"""Tables of ``accuracy.py sets``: the default beside the best simple method with the same knowledge, by setting and patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from _accuracy_sets import METHOD
from _accuracy_settings import ALONE, BY_KEY, OURS, Setting
from _report import REGIMES, markdown

UNITS = ["section", "mask"]
UNSMOOTHED = "pcc_unsmoothed"
_ALIKE = 0.005
"""Differences of the mean below this are noise."""


@dataclass(frozen=True, eq=False)
class Line:
    """Scores of one setting, share of prompts and regime."""

    setting: Setting
    fraction: float
    regime: str
    rows: pd.DataFrame

    @property
    def ours(self) -> tuple[str, str]:
        """Our method with all the knowledge of the setting."""
        return OURS, self.setting.training

    def wide(self, score: str = "pcc") -> pd.DataFrame:
        """Scores, (section, mask) x (method, learned)."""
        return self.rows.pivot_table(index=UNITS, columns=METHOD, values=score)

    def means(self, score: str = "pcc") -> pd.Series:
        """Mean by method: over masks, then over sections."""
        return self.wide(score).groupby(level="section").mean().mean()

    def best(self, score: str = "pcc") -> tuple[str, str]:
        """Simple method with the highest mean, in hindsight; each may know all that ours may."""
        means = self.means(score)
        return means[means.index.get_level_values("method") != OURS].idxmax()

    def differences(self) -> pd.Series:
        """Ours less the best simple method on the same masks, mean by section."""
        wide = self.wide()
        return (wide[self.ours] - wide[self.best()]).groupby(level="section").mean()

    def patients(self) -> pd.Series:
        """Patient by section."""
        return self.rows.drop_duplicates("section").set_index("section")["patient"]

    def ceiling(self) -> float:
        """Noise ceiling, where it was computed."""
        if "ceiling" not in self.rows:
            return np.nan
        return float(self.rows.drop_duplicates(UNITS).groupby("section")["ceiling"].mean().mean())


def lines(rows: pd.DataFrame) -> Iterator[Line]:
    """Every setting, share and regime that was scored."""
    for key, setting in BY_KEY.items():
        of_setting = rows[rows["set"] == key]
        for fraction in sorted(of_setting["fraction"].unique()):
            for regime in REGIMES:
                chosen = of_setting[(of_setting["fraction"] == fraction) & (of_setting["regime"] == regime)]
                if ((chosen["method"] == OURS) & (chosen["learned"] == setting.training)).any():
                    yield Line(setting, fraction, regime, chosen)


def headline(found: list[Line]) -> str:
    """One line for each setting, share and regime."""
    header = ["setting", "prompts", "regime", "phg2st", "best simple method", "its PCC", "ratio"]
    header += ["difference ± SD over sections", "sections ahead", "patients ahead", "not averaged: phg2st", "simple"]
    header += ["ratio", "phg2st, this section alone", "ceiling"]
    cells = []
    for number, line in enumerate(found):
        means, plain = line.means(), line.means(UNSMOOTHED)
        best, best_plain = line.best(), line.best(UNSMOOTHED)
        difference = line.differences()
        by_patient = difference.groupby(line.patients()).mean()
        alone = means.get((OURS, ALONE), np.nan) if line.setting.training != ALONE else np.nan
        new = not number or found[number - 1].setting is not line.setting
        spread = f" ± {difference.std():.3f}" if len(difference) > 1 else ""
        cells.append(
            [
                line.setting.title if new else "",
                f"{100 * line.fraction:g} %",
                line.regime,
                f"**{means[line.ours]:.3f}**",
                f"`{best[0]}`, {best[1]}",
                f"{means[best]:.3f}",
                f"{means[line.ours] / means[best]:.2f}",
                f"{difference.mean():+.3f}{spread}",
                f"{(difference > 0).sum()}/{len(difference)}",
                f"{(by_patient > 0).sum()}/{len(by_patient)}",
                f"{plain[line.ours]:.3f}",
                f"{plain[best_plain]:.3f}",
                f"{plain[line.ours] / plain[best_plain]:.2f}",
                "" if np.isnan(alone) else f"{alone:.3f}",
                "" if np.isnan(line.ceiling()) else f"{line.ceiling():.2f}",
            ]
        )
    return markdown(header, cells)


def methods_table(found: list[Line]) -> str:
    """Mean of every method with every knowledge: lines x settings of one data set."""
    columns = [f"{100 * line.fraction:g} %, {line.regime}" for line in found]
    means = pd.concat([line.means() for line in found], axis=1, keys=range(len(found)))
    order = sorted(
        means.index, key=lambda key: (key[0] != OURS, key[1] == ALONE, -means.loc[[key]].mean(axis=1).iloc[0])
    )
    cells = [
        [key[0], key[1], *("" if np.isnan(value) else f"{value:.3f}" for value in means.loc[[key]].to_numpy()[0])]
        for key in order
    ]
    return markdown(["method", "learned from", *columns], cells)


def patients_table(found: list[Line]) -> str:
    """Paired differences by patient, mean ± SD over its sections, and where ours is ahead."""
    columns = [f"{100 * line.fraction:g} %, {line.regime}" for line in found]
    patients = found[0].patients()
    cells = []
    for patient in sorted(patients.unique()):
        values = []
        for line in found:
            own = line.differences()[lambda d, p=patient: patients[d.index] == p]
            spread = f" ± {own.std():.3f}" if len(own) > 1 else ""
            values.append(f"{own.mean():+.3f}{spread}, {(own > 0).sum()}/{len(own)}")
        cells.append([str(patient), str((patients == patient).sum()), *values])
    return markdown(["patient", "sections", *columns], cells)


def sections_table(found: list[Line]) -> str:
    """Paired differences by section, mean ± SD over masks."""
    columns = [f"{100 * line.fraction:g} %, {line.regime}" for line in found]
    patients = found[0].patients()
    by_line = []
    for line in found:
        wide = line.wide()
        difference = (wide[line.ours] - wide[line.best()]).groupby(level="section").agg(["mean", "std"])
        by_line.append(difference.apply(lambda r: f"{r['mean']:+.3f} ± {r['std']:.3f}", axis=1))
    cells = [[name, str(patients[name]), *(column.get(name, "") for column in by_line)] for name in patients.index]
    return markdown(["section", "patient", *columns], cells)


def sets_report(rows: pd.DataFrame) -> str:
    """All tables of the comparison."""
    found = list(lines(rows))
    n_masks = rows.groupby(["set", "section", "fraction", "regime"])["mask"].nunique()
    masks = f"{n_masks.min()}" if n_masks.min() == n_masks.max() else f"{n_masks.min()} to {n_masks.max()}"
    about = (
        f"{masks} masks per section, share and regime. PCC: depth-free target, held-out spots, mean over genes, masks, then "
        f"sections; *not averaged*: the target of each spot by itself. Differences below {_ALIKE:.3f} of a mean are noise. "
        "Counts of the colon are corrected for depth."
    )
    parts = [about, headline(found)]
    for key, setting in BY_KEY.items():
        own = [line for line in found if line.setting.key == key]
        if not own:
            continue
        parts += [f"### {setting.title[0].upper()}{setting.title[1:]}", methods_table(own)]
        parts.append("The default less the best simple method of each column, on the same masks:")
        if own[0].patients().nunique() > 1:
            parts.append(patients_table(own))
        parts.append(sections_table(own))
    return "\n\n".join(parts) + "\n"
