"""What the network in the default model is worth on simulated cohorts whose pictures act on genes in ways that are not linear.

    python benchmarks/network_member.py --out benchmarks/results --cache features

Learning curve over the number of training patients, one section each: the default with and without its network, the best of
two simple methods, and oracles. Sections of four further patients are predicted, scattered and block.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anndata as ad
import numpy as np
import pandas as pd
from _accuracy_oracles import COMBINED, LINEAR_COMBINED, Oracle, Truth, expected_target
from _report import REGIMES, markdown
from _sections import REP, Mask, Section, open_sections
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc.metrics import depth_free_target, pcc, pearson_residuals
from phg2st_sc.models import create

N_PREDICTED, FRACTION = 4, 0.1
SIZES = (2, 4, 8, 16)
OFF, ON = "without network", "with network"
SIMPLE = ("gene_kriging", "regression_kriging")


def simulated(n: int, nonlinear: float, cache: Path) -> dict[str, Section]:
    """Sections of as many patients, with texture features that are kept."""
    folder = cache / f"sim{nonlinear:g}_0"
    folder.mkdir(parents=True, exist_ok=True)
    kept = len(list(folder.glob("*.h5ad"))) >= n
    settings = {"n_slides": n, "n_patients": n, "n_spots": 350, "n_genes": 200, "nonlinear_fraction": nonlinear}
    tables = phg2st.datasets.simulate(**settings, image=not kept, seed=0)
    for name, table in tqdm(tables.items(), desc="features", unit="section"):
        path = folder / f"{name}.h5ad"
        if not path.exists():
            phg2st.pp.extract_embeddings(table, image="hires", encoder="texture", context=None, progress=False)
            records = {"phg2st_embeddings": table.uns["phg2st_embeddings"]}
            ad.AnnData(obs=table.obs[[]], obsm={REP: table.obsm[REP]}, uns=records).write_h5ad(path)
        stored = ad.read_h5ad(path)[table.obs_names]
        table.obsm[REP] = stored.obsm[REP]
        table.uns.update(stored.uns)
    return open_sections(tables, list(next(iter(tables.values())).var_names))


def scores(section: Section, held_out: Mask, made: Any) -> dict[str, float]:
    """By the averaged target, and by the one that is not."""
    held = held_out & (section.data.counts.sum(axis=1) > 0)
    counts, positions = section.data.counts[held], section.data.arrays.positions[held]
    return {
        "pcc": float(np.nanmean(pcc(depth_free_target(counts, positions), made[held]))),
        "pcc_unsmoothed": float(np.nanmean(pcc(pearson_residuals(counts), made[held]))),
    }


def oracles(section: Section, mask: Mask) -> dict[str, float]:
    """What parts of the truth reach by the averaged target."""
    truth, positions = Truth.of(section), section.data.arrays.positions
    held = ~mask & (section.data.counts.sum(axis=1) > 0)
    target, found = depth_free_target(section.data.counts[held], positions[held]), {}
    for name in (LINEAR_COMBINED, COMBINED):
        rates = Oracle(name).rates(truth, positions, np.flatnonzero(mask))
        found[name] = float(np.nanmean(pcc(target, expected_target(section, rates, held, depths=False))))
    return found


def run(options: argparse.Namespace) -> pd.DataFrame:
    """Rows by size of the cohort, method, section, regime and mask."""
    sections = list(simulated(max(SIZES) + N_PREDICTED, options.nonlinear, options.cache).values())
    predicted, rows = sections[-N_PREDICTED:], []
    for size in tqdm(SIZES, desc="cohorts", unit="size"):
        training = [section.data for section in sections[:size]]
        methods: dict[str, Any] = {name: create(name).fit(training) for name in SIMPLE}
        for name, use in ((OFF, False), (ON, True)):
            start = time.process_time()
            methods[name] = create("phg2st", use_network=use, accelerator="cpu").fit(training)
            print(f"{size} patients, {name}: {time.process_time() - start:.0f} s of one core")
        for section in predicted:
            for regime in REGIMES:
                for number in range(options.masks):
                    rows += _rows(section, regime, number, methods, {"patients": size})
    return pd.DataFrame(rows)


def _rows(section: Section, regime: str, number: int, methods: dict[str, Any], about: dict[str, Any]) -> list[Any]:
    mask = section.mask(regime, number, FRACTION)
    prompts = section.data.prompts(np.flatnonzero(mask), target_sum=float(np.median(section.data.totals[mask])))
    labels = {**about, "section": section.name, "regime": regime, "mask": number}
    made = {name: method.predict(section.data.arrays, prompts).mean for name, method in methods.items()}
    rows = [{**labels, "method": name, **scores(section, ~mask, mean)} for name, mean in made.items()]
    return rows + [{**labels, "method": name, "pcc": value} for name, value in oracles(section, mask).items()]


def report(rows: pd.DataFrame) -> str:
    """PCC, scattered / block, by the averaged target and by the one that is not."""
    means = rows.groupby(["method", "patients", "regime"])[["pcc", "pcc_unsmoothed"]].mean()
    sizes, lines = sorted(rows["patients"].unique()), []
    for method in (*SIMPLE, OFF, ON, LINEAR_COMBINED, COMBINED):
        for score, title in (("pcc", ""), ("pcc_unsmoothed", ", not averaged")):
            if not np.isnan(means.loc[(method, sizes[0], REGIMES[0]), score]):
                cells = [" / ".join(f"{means.loc[(method, n, r), score]:.3f}" for r in REGIMES) for n in sizes]
                lines.append([method + title, *cells])
    return markdown(["method", *(f"{n} patients" for n in sizes)], lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nonlinear", type=float, default=0.8, help="share of the picture's genes that are not linear")
    parser.add_argument("--masks", type=int, default=2, help="masks by section and regime")
    parser.add_argument("--cache", type=Path, required=True, help="where image features are kept")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = run(options)
    path = options.out / "network_member.csv"
    rows.to_csv(path, index=False, float_format="%.4f")
    path.with_suffix(".md").write_text(report(rows), encoding="utf-8")
    print(report(rows))


if __name__ == "__main__":
    main()
