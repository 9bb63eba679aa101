"""How often genes are called never measured that were, and found that were not: public sections with genes hidden at random.

python benchmarks/reliability/unmeasured.py --data ../shared/data --count 1 --seed 0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import phg2st_sc as phg2st
from phg2st_sc._reading import never_measured

SHARES = (0.03, 0.1, 0.3, 1.0)
"""Of the spots that are prompts."""
HIDDEN = (0.05, 0.2, 0.6)
"""Of the genes that one slide lacks."""
PANELS = (None, 300)
"""All genes, or a panel."""
SLIDES = 6
"""Slides of a cohort from which genes are hidden in turn."""


def cohorts(data: Path) -> Iterator[tuple[str, dict[str, ad.AnnData]]]:
    """Sections of one tissue, and of two that share the names of their genes."""
    tumours = phg2st.datasets.her2st(data / "her2st", with_images=False, progress=False)
    joints = {path.stem: ad.read_h5ad(path) for path in sorted(data.glob("ra3dst/*.h5ad"))}
    cord = {path.parent.name: ad.read_h5ad(path) for path in sorted(data.glob("als_spinal_cord/*/counts.h5ad"))}
    bulb = ad.read_h5ad(data / "stahl_mob/Rep11/counts.h5ad")
    colon = ad.read_h5ad(data / "visium_mouse_colon/section1.h5ad")
    yield "breast tumours", tumours
    yield "two breast tumours", {name: tumours[name] for name in ("A1", "F1")}
    yield "synovium", joints
    yield "spinal cord", cord
    yield "olfactory bulb and colon", {"bulb": bulb, "colon": colon}
    yield (
        "breast tumours and synovium",
        {**{n: tumours[n] for n in ("A1", "B1")}, **{n: joints[n] for n in ("RA1_1", "RA3_1")}},
    )
    yield "spinal cord and colon", {"cord": next(iter(cord.values())), "colon": colon}


def counts_of(
    slides: dict[str, ad.AnnData], share: float, n_genes: int | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(slides, G) counts over random prompts, and the counts in all."""
    genes = None
    for adata in slides.values():
        genes = adata.var_names if genes is None else genes[genes.isin(adata.var_names)]
    sums, totals = [], []
    for adata in slides.values():
        rows = np.sort(rng.choice(adata.n_obs, max(3, int(share * adata.n_obs)), replace=False))
        whole = np.asarray(adata.X[rows].sum(axis=0), dtype=np.float64).ravel()
        sums.append(whole[adata.var_names.get_indexer(genes)])
        totals.append(whole.sum())
    counts, depth = np.stack(sums), np.array(totals)
    if n_genes is None:
        return counts, depth
    counts = counts[:, rng.choice(np.argsort(-counts.sum(axis=0))[:2000], n_genes, replace=False)]
    return counts, counts.sum(axis=1)


def tried(counts: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """What is found where genes of one slide are hidden: rows of a table."""
    yield {"hidden": 0.0, "false slides": never_measured(counts, depth).any(axis=1).sum(), "slides": len(depth)}
    for part in HIDDEN:
        for slide in range(min(len(depth), SLIDES)):
            gone = rng.random(counts.shape[1]) < part
            less, lower = counts.copy(), depth.copy()
            less[slide, gone] = 0
            lower[slide] -= counts[slide, gone].sum()
            found = never_measured(less, lower)
            others = np.delete(found, slide, axis=0).any(axis=1)
            strong = gone & (counts[slide] * (1 - part) >= 40)
            yield {
                "hidden": part,
                "false slides": others.sum(),
                "slides": others.size,
                "block found": float(found[slide].any()) if strong.sum() >= 10 else np.nan,
                "strong genes found": found[slide, strong].mean() if strong.sum() >= 10 else np.nan,
                "genes called": found[slide].sum(),
                "rightly": (found[slide] & gone).sum(),
            }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--count", type=int, default=1, help="draws of prompts and of hidden genes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="table of all that was tried, CSV")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    rows = []
    for name, slides in cohorts(options.data):
        for share in SHARES:
            for n_genes in PANELS:
                for _ in range(options.count):
                    counts, depth = counts_of(slides, share, n_genes, rng)
                    known = {"cohort": name, "prompts": share, "panel": n_genes or "all"}
                    rows += [{**known, **row} for row in tried(counts, depth, rng)]
        print(f"{name}: done", flush=True)
    table = pd.DataFrame(rows)
    if options.out is not None:
        table.to_csv(options.out, index=False)
    by = table[table["hidden"] > 0].groupby("hidden")
    sums = by[["genes called", "rightly"]].sum()
    print(
        by[["block found", "strong genes found"]]
        .mean()
        .assign(**{"rightly called": sums["rightly"] / sums["genes called"]})
        .round(3)
    )
    wrong, seen = int(table["false slides"].sum()), int(table["slides"].sum())
    print(f"{seen} slides that measured all their genes: {wrong} called otherwise.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
