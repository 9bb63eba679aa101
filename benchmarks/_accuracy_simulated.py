"""Simulated cohorts in ``accuracy.py``: how near methods come to what the generator itself would predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _accuracy_curves import FRACTIONS
from _accuracy_oracles import (
    COMBINED,
    CONDITIONAL_MEAN,
    EQUAL_DEPTHS,
    KNOWS,
    OF_NONLINEAR_COHORTS,
    ORACLES,
    PLAIN_RATE,
    Oracle,
    Truth,
    expected_target,
)
from _accuracy_plan import ALONE, LINEAR, OTHERS, OURS, PAPER, Cohort, Scenario, Unit, Variant, simple_variants
from _accuracy_run import FRACTION, Case, Rows, labels
from _networks import RECORDS, SLOTS
from _report import METHODS, REGIMES, markdown
from _sections import STRATEGIES, Mask, Section, open_sections
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc.metrics import depth_free_target, pcc, score_section
from phg2st_sc.models import Estimator
from phg2st_sc.prompts import nested_masks

SETTINGS = {"n_slides": 12, "n_patients": 6, "n_spots": 350, "n_genes": 300, "seed": 0}
N_PATIENTS = 3
FRACTION_MASKS = 3
"""Masks of the curve over fractions, at most."""
KINDS = ("image", "space", "mixed", "noise")
TRUTH = "the generator"
ON_CURVES = ("gene_kriging", "space_image_kriging", "regression_kriging")


@dataclass(eq=False)
class SimulatedCohort(Cohort):
    """Simulated sections, and the truth about them."""

    truths: dict[str, Truth] = field(default_factory=dict)

    def fitted(self, unit: Unit) -> Any:
        """A method as elsewhere, or an oracle."""
        if unit.variant.learned == TRUTH:
            return Oracle(unit.variant.method)
        return super().fitted(unit)


def simulated_cohort(cache: Path, max_epochs: int | None) -> tuple[SimulatedCohort, Scenario]:
    """Simulate sections of several patients; all train, those of the first three are predicted."""
    folder = cache / "simulated"
    folder.mkdir(parents=True, exist_ok=True)
    names = [path.stem for path in folder.glob("*.h5ad")]
    cached = len(names) == SETTINGS["n_slides"]
    pictures: dict[str, Any] = {"image": False} if cached else {"image_dir": folder}
    tables = phg2st.datasets.simulate(**SETTINGS, **pictures)
    for name, table in tqdm(tables.items(), desc="features", unit="section"):
        _features(table, folder / f"{name}.h5ad")
    sections = open_sections(tables, list(next(iter(tables.values())).var_names))
    patients = list(dict.fromkeys(section.patient for section in sections.values()))[:N_PATIENTS]
    predicted = tuple(name for name, section in sections.items() if section.patient in patients)
    truths = {section.name: Truth.of(section) for section in sections.values()}
    cohort = SimulatedCohort(sections, sections, max_epochs=max_epochs, truths=truths)
    return cohort, Scenario("simulated", "simulated, patient never seen", OTHERS, True, predicted)


def _features(table: ad.AnnData, kept: Path) -> None:
    if not kept.exists():
        phg2st.pp.extract_embeddings(table, encoder="texture", context=5, progress=False)
        slots, records = {key: table.obsm[key] for key in SLOTS}, {key: table.uns[key] for key in RECORDS}
        ad.AnnData(obs=table.obs[[]], obsm=slots, uns=records).write_h5ad(kept)
    stored = ad.read_h5ad(kept)[table.obs_names]
    for key in SLOTS:
        table.obsm[key] = stored.obsm[key]
    table.uns.update(stored.uns)


def simulated_variants(scenario: Scenario) -> list[Variant]:
    """Our method with and without the cohort, the published network, the simple methods, and the oracles."""
    methods = [
        Variant(OURS, OTHERS),
        Variant(OURS, ALONE),
        Variant(LINEAR, OTHERS),
        Variant(PAPER, OTHERS),
        *simple_variants(scenario),
    ]
    oracles = [name for name in ORACLES if name not in OF_NONLINEAR_COHORTS]
    return [*methods, *(Variant(name, TRUTH) for name in oracles)]


# --- scores -----------------------------------------------------------------------------------------------------------
def score_simulated(cohort: SimulatedCohort, unit: Unit, method: Estimator, cases: Sequence[Case]) -> Rows:
    """Rows at a tenth of the spots as prompts (``kind="mask"``), and over nested prompts (``kind="fraction"``)."""
    rows: Rows = []
    for case in cases:
        name, regime, number = case
        section, common = cohort.section(unit, name), labels(cohort, unit, case)
        mask = section.mask(regime, number, FRACTION)
        rows.append({**common, "kind": "mask", "x": FRACTION, **_score(cohort, unit, section, method, mask, ~mask)})
        if number >= FRACTION_MASKS or not _on_curves(unit.variant):
            continue
        masks = nested_masks(section.data.arrays.positions, FRACTIONS, STRATEGIES[regime], number)
        for fraction, nested in masks.items():
            scores = _score(cohort, unit, section, method, nested, ~masks[max(FRACTIONS)])
            rows.append({**common, "kind": "fraction", "x": fraction, **scores})
    return rows


def _on_curves(variant: Variant) -> bool:
    return variant.learned != ALONE and (variant.method not in (*METHODS, LINEAR) or variant.method in ON_CURVES)


def _score(
    cohort: SimulatedCohort, unit: Unit, section: Section, method: Estimator | Oracle, mask: Mask, held_out: Mask
) -> dict[str, float]:
    data, truth = section.data, cohort.truths[section.name]
    target_sum, shown = float(np.median(data.totals[mask])), np.flatnonzero(mask)
    name = unit.variant.method
    if isinstance(method, Oracle):
        rates = method.rates(truth, data.arrays.positions, shown)
        if name != PLAIN_RATE:
            return _score_expectation(section, truth, rates, held_out, depths=name == CONDITIONAL_MEAN)
        mean = np.log1p(target_sum * rates).astype(np.float32)
    else:
        mean = method.predict(data.arrays, data.prompts(shown, target_sum=target_sum)).mean
    held = (data.counts[held_out], data.totals[held_out], data.arrays.positions[held_out])
    table = score_section(*held, mean[held_out], target_sum, n_splits=5 if name == OURS else 0)
    means = table.attrs["means"]
    kept = ("ccc", "mae", "pcc_lognorm", "pcc_lognorm_depth_adjusted", "pcc_depth_only", "ceiling")
    return {**_by_kind(table["pcc"].to_numpy(), truth.kinds), **{key: means[key] for key in kept}}


def _score_expectation(section: Section, truth: Truth, rates: Any, held_out: Mask, *, depths: bool) -> dict[str, float]:
    held_out = held_out & (section.data.counts.sum(axis=1) > 0)
    target = depth_free_target(section.data.counts[held_out], section.data.arrays.positions[held_out])
    return _by_kind(pcc(target, expected_target(section, rates, held_out, depths=depths)), truth.kinds)


def _by_kind(values: Any, kinds: Any) -> dict[str, float]:
    return {"pcc": float(np.nanmean(values))} | {
        f"pcc_{kind}": float(np.nanmean(values[kinds == kind])) for kind in KINDS
    }


# --- tables -----------------------------------------------------------------------------------------------------------
def simulated_report(rows: pd.DataFrame) -> str:
    """Beside the oracles, at 10 % and over fractions."""
    at_tenth, curve = rows[rows["kind"] == "mask"], rows[rows["kind"] == "fraction"]
    text = (
        f"{at_tenth['section'].nunique()} sections of {at_tenth['patient'].nunique()} patients, each from the sections of "
        f"the other {SETTINGS['n_patients'] - 1} patients; {at_tenth['mask'].nunique()} masks, 10 % prompts. PCC of the "
        "depth-free target, scattered / block, by what drives a gene."
    )
    parts = [text, _kind_table(at_tenth), _verdict(at_tenth)]
    known = [[name, words] for name, words in KNOWS.items() if name in set(rows["method"])]
    parts += ["What the oracles know:", markdown(["oracle", "knows"], known)]
    parts += ["### More prompts", "Nested prompts, the same held-out spots for all shares.", fraction_table(curve)]
    return "\n\n".join(parts) + "\n"


def _mean(rows: pd.DataFrame, regime: str, score: str) -> pd.Series:
    chosen = rows[rows["regime"] == regime]
    return chosen.groupby(["method", "learned", "section"])[score].mean().groupby(level=["method", "learned"]).mean()


def _kind_table(rows: pd.DataFrame) -> str:
    scores = ("pcc", *(f"pcc_{kind}" for kind in KINDS), "ccc", "mae")
    values = {score: [_mean(rows, regime, score) for regime in REGIMES] for score in scores}
    whole = [by[(CONDITIONAL_MEAN, TRUTH)] for by in values["pcc"]]
    lines = []
    for key in sorted(values["pcc"][0].index, key=_place):
        cells = [" / ".join("–" if np.isnan(by[key]) else f"{by[key]:.3f}" for by in values[score]) for score in scores]
        share = " / ".join(f"{100 * by[key] / top:.0f} %" for by, top in zip(values["pcc"], whole, strict=True))
        lines.append([f"**{key[0]}**" if key[0] == OURS else key[0], key[1], cells[0], share, *cells[1:]])
    header = [
        "method",
        "learned from",
        "pcc",
        "of the conditional mean",
        *(f"{kind} genes" for kind in KINDS),
        "ccc",
        "mae",
    ]
    return markdown(header, lines)


def _place(key: tuple[str, str]) -> tuple[int, str, int]:
    order = (OURS, LINEAR, *ORACLES, PAPER, *METHODS)
    return order.index(key[0]), key[1], 0


def _verdict(rows: pd.DataFrame) -> str:
    words = []
    for regime in REGIMES:
        means, noise = _mean(rows, regime, "pcc"), rows[(rows["regime"] == regime) & (rows["method"] == OURS)]
        ours = means[(OURS, OTHERS)]
        simple = means[[key for key in means.index if key[0] in METHODS and not key[0].startswith("best_")]]
        by_section = noise[noise["learned"] == OTHERS].groupby("section")["pcc_noise"].mean()
        error = by_section.std() / np.sqrt(len(by_section)) if len(by_section) > 1 else float("nan")
        words.append(
            f"- {regime}: `{OURS}` reaches {ours:.3f}, {100 * ours / means[(CONDITIONAL_MEAN, TRUTH)]:.0f} % of the generator's "
            f"conditional mean, {100 * ours / means[(EQUAL_DEPTHS, TRUTH)]:.0f} % of what its rates reach without the depths, and "
            f"{100 * ours / means[(COMBINED, TRUTH)]:.0f} % of the combined oracle; the best simple method, "
            f"`{simple.idxmax()[0]}` ({simple.idxmax()[1]}), {simple.max():.3f}. Genes of pure noise: "
            f"{by_section.mean():+.4f} ± {error:.4f} (standard error over sections)."
        )
    return "\n".join(words)


def fraction_table(rows: pd.DataFrame) -> str:
    """By the share of prompts, and the largest fall from one share to the next."""
    tables = []
    for regime in REGIMES:
        chosen = rows[rows["regime"] == regime]
        means = chosen.groupby(["method", "learned", "x"])["pcc"].mean().unstack("x").sort_index(axis=1)
        means = means.loc[sorted(means.index, key=_place)]
        falls = means.diff(axis=1).min(axis=1)
        lines = [
            [*key, *(f"{value:.3f}" for value in row), f"{-falls[key]:.3f}" if falls[key] < -5e-4 else "none"]
            for key, row in means.iterrows()
        ]
        header = ["method", "learned from", *(f"{100 * x:g} %" for x in means.columns), "largest fall"]
        tables += [f"**{regime}**", markdown(header, lines)]
    return "\n\n".join(tables)


def as_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that ``draw_curves`` takes: the conditional mean for the ceiling, not the oracles that know everything."""
    curve = rows[rows["kind"] == "fraction"]
    keys = ["section", "regime", "mask"]
    top = curve[curve["method"] == CONDITIONAL_MEAN].groupby(keys)["pcc"].mean().rename("top")
    flat = (CONDITIONAL_MEAN, EQUAL_DEPTHS, PLAIN_RATE)
    kept = curve[~curve["method"].isin(flat)].join(top, on=keys)
    return kept.assign(ceiling=kept["top"])
