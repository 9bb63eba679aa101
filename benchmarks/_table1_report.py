"""Tables and figure of ``table1.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import phg2st_sc as phg2st

PARTS = {
    "unseen": "Patient never seen",
    "seen": "Other sections of the patient in training",
    "simulated": "Simulated cohort, new patients",
}
_REGIMES = ("random", "block")
_METRICS = ("pcc", "pcc_top", "ccc", "mae")
_LEAKING = (("honest", "pcc_lognorm"), ("published", "pcc_heldout"), ("published", "pcc"))
"""From the honest score to the published one, a step at a time: the target, labels smoothed before prompts are drawn, prompts
scored."""
_OURS, _SIMPLE = ("phg2st",), (
    "prompt_mean", "idw", "kriging", "gene_kriging", "image_ridge", "space_image_kriging", "regression_kriging",
)  # fmt: skip


def means(table: pd.DataFrame, part: str, protocol: str, metric: str) -> pd.Series:
    """Mean by (method, regime): over masks and seeds, then the sections of a patient, then patients."""
    rows = table[(table["part"] == part) & (table["protocol"] == protocol) & (table["metric"] == metric)]
    rows = rows[rows["section"] != ""]
    by = ["method", "regime", "patient", "section"]
    steps = rows.groupby(by, sort=False)["value"].mean()
    for level in ("section", "patient"):
        by = [name for name in by if name != level]
        steps = steps.groupby(level=by, sort=False).mean()
    return steps


def report(table: pd.DataFrame) -> str:
    """Markdown: one table a part."""
    shown = [f"### {title}\n\n{_part(table, part)}" for part, title in PARTS.items() if (table["part"] == part).any()]
    return "\n\n".join(shown) + "\n"


def _part(table: pd.DataFrame, part: str) -> str:
    honest = {metric: means(table, part, "honest", metric) for metric in _METRICS}
    leaking = [means(table, part, *one) for one in _LEAKING]
    pcc = honest["pcc"]
    order = pcc.xs("random", level="regime").drop(["noise_ceiling", "depth_only"], errors="ignore")
    time = _cost(table, part)
    lines = [
        "| method | PCC | of the 50 most variable | CCC | MAE | PCC, log-normalised target | … smoothed labels | … prompts scored | training, CPU s | one slide, s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for method in order.sort_values(ascending=False).index:
        cells = [_pair(honest[metric], method) for metric in _METRICS]
        cells += [_pair(values, method) for values in leaking]
        lines.append("| " + " | ".join([_name(method), *cells, *time.get(method, ["", ""])]) + " |")
    for method, label in (("depth_only", "depth alone"), ("noise_ceiling", "noise ceiling")):
        if method in pcc.index.get_level_values("method"):
            lognorm = _pair(leaking[0], method).replace("– / –", "")
            lines.append(f"| {label} | {_pair(pcc, method)} |  |  |  | {lognorm} |  |  |  |  |")
    rows = table[(table["part"] == part) & (table["section"] != "")]
    shown = f"Sections: {', '.join(rows['section'].unique())}. {rows['mask'].max() + 1} draws of prompts. Scattered / block."
    return shown + "\n\n" + "\n".join(lines)


def _name(method: str) -> str:
    if method in _OURS:
        return f"**`{method}`**"
    return f"`{method}`" + (" (simple)" if method in _SIMPLE else "")


def _pair(values: pd.Series, method: str) -> str:
    found = [values.get((method, regime)) for regime in _REGIMES]
    return " / ".join("–" if one is None else f"{one:.3f}" for one in found)


def _cost(table: pd.DataFrame, part: str) -> dict[str, list[str]]:
    rows = table[(table["part"] == part) & (table["protocol"] == "honest")]
    wide = rows[rows["metric"].isin(["train_cpu_seconds", "predict_seconds"])]
    mean = wide.pivot_table(index="method", columns="metric", values="value", aggfunc="mean")
    found = {}
    for method in mean.index:
        train = mean.get("train_cpu_seconds", pd.Series(dtype=float)).get(method)
        found[method] = ["–" if pd.isna(train) else f"{train:.0f}", f"{mean.loc[method, 'predict_seconds']:.2f}"]
    return found


def draw(table: pd.DataFrame, folder: Path, stem: str) -> None:
    """One figure a part: depth-free correlation by method, a dot a section, beside the ceiling."""
    for part, title in PARTS.items():
        if (table["part"] == part).any():
            figure = phg2st.pl.benchmark(table[table["part"] == part], title=title, save=folder / f"{stem}_{part}.png")
            plt.close(figure)
