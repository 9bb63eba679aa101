"""Score predictions of points off any lattice, by the unit in which distances are counted.

Simulated beads and cells over a known smooth field: thrown at random, standing there twice, in clusters, two sections far apart, a lattice
with jitter, with gaps, and whole (ten minutes on one core)::

    python benchmarks/point_patterns.py --out benchmarks/results

With ``--data`` HER2+ sections too, of which a part of the spots is kept, each moved by up to half a pitch::

    python benchmarks/point_patterns.py --data her2st --out benchmarks/results

The unit is told (``told``: the distance of neighbours by which points were laid), measured (``measured``: what the package does), or that of
a lattice whatever the points are (``lattice``). ``pcc`` is the mean over genes of the correlation with the true log rate over
spots that were no prompts; on real sections it is the depth-free score of ``tl.evaluate``.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anndata as ad
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc._spacing import lattice_pitch, spacing

PITCH = 77.0
METHODS = ("idw", "kriging", "phg2st")
UNITS = ("told", "measured", "lattice")
PATTERNS = ("thrown", "doubles", "clusters", "two sections", "jittered", "gaps", "lattice")
LENGTHS = (3.0, 12.0)
"""Over which the field changes, in pitches."""
REGIMES = {"scattered": "random", "block": "block"}
N_GENES, N_PROGRAMS, N_WAVES, DEPTH = 120, 8, 60, 400.0


def places(pattern: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Points of a pattern in pitches, each with a square of one pitch to itself."""
    side = int(np.sqrt(n))
    if pattern in ("jittered", "gaps", "lattice"):
        points = np.argwhere(np.ones((side, side))).astype(float)
        if pattern == "gaps":
            return points[rng.random(len(points)) < 0.4]
        return points + rng.normal(0.0, 0.5, points.shape) * (pattern == "jittered")
    points = rng.random((n, 2)) * np.sqrt(n)
    if pattern == "doubles":
        return np.concatenate([points, points[rng.random(n) < 0.2] + 0.02])
    if pattern == "clusters":
        centers = points[: max(n // 40, 4)]
        return centers[rng.integers(len(centers), size=n)] + rng.normal(0.0, 2.0, (n, 2))
    if pattern == "two sections":
        return points / np.sqrt(2.0) + np.where(np.arange(n) < n // 2, 0.0, 1000.0)[:, None]
    return points


def rates(points: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Shares of the genes at every point: a few programs, each a sum of waves of many lengths."""
    programs = np.zeros((len(points), N_PROGRAMS))
    for k in range(N_PROGRAMS):
        waves = rng.standard_t(2.5, size=(2, N_WAVES)) / length
        programs[:, k] = np.sqrt(2 / N_WAVES) * np.cos(points @ waves + 2 * np.pi * rng.random(N_WAVES)).sum(axis=1)
    level = rng.gamma(0.6, 1.0, N_GENES) + 0.02
    rate = level * np.exp(programs @ rng.normal(0.0, 0.35, (N_PROGRAMS, N_GENES)))
    return rate / rate.sum(axis=1, keepdims=True)


def simulated(pattern: str, n: int, length: float, seed: int) -> ad.AnnData:
    """Counts of points over a field, and the true rates."""
    rng = np.random.default_rng(seed)
    points = places(pattern, n, rng)
    rate = rates(points, length, rng)
    depth = rng.gamma(3.0, DEPTH / 3.0, len(points))
    adata = ad.AnnData(rng.poisson(rate * depth[:, None]).astype(np.float32))
    adata.obs_names = [f"bead{i}" for i in range(adata.n_obs)]
    adata.obsm["spatial"], adata.layers["rate"] = points * PITCH, rate
    return adata


def unit_of(unit: str, adata: ad.AnnData, told: float) -> dict[str, float]:
    """What ``pitch=`` is given."""
    if unit == "lattice":
        return {"pitch": lattice_pitch(adata.obsm["spatial"])}
    return {"pitch": told} if unit == "told" else {}


def against_truth(adata: ad.AnnData, prediction: ad.AnnData) -> float:
    """Mean correlation with the true log rate at the points that were no prompts."""
    rest = ~adata.obs["prompt"].to_numpy(dtype=bool)
    truth = np.log1p(1e4 * adata[:, prediction.var_names].layers["rate"][rest])
    made = np.asarray(prediction.X, dtype=float)[rest]
    truth, made = truth - truth.mean(axis=0), made - made.mean(axis=0)
    spread = np.sqrt((truth**2).sum(axis=0) * (made**2).sum(axis=0))
    return float(((truth * made).sum(axis=0) / np.maximum(spread, 1e-12)).mean())


def simulated_rows(patterns: list[str], sizes: list[int], seeds: int) -> Iterator[dict[str, Any]]:
    """Scores over simulated points."""
    cases = [(p, n, length, seed) for p in patterns for n in sizes for length in LENGTHS for seed in range(seeds)]
    for pattern, n, length, seed in tqdm(cases, desc="simulated"):
        adata = simulated(pattern, n, length, seed)
        for regime, strategy in REGIMES.items():
            phg2st.pp.sample_prompts(adata, fraction=0.1, strategy=strategy, seed=seed)
            for unit in UNITS:
                for method in METHODS:
                    made = phg2st.tl.predict(adata, method=method, **unit_of(unit, adata, PITCH))
                    labels = {"points": pattern, "n": adata.n_obs, "length": length, "seed": seed, "regime": regime}
                    yield {**labels, "unit": unit, "method": method, "pcc": against_truth(adata, made)}


def resampled(adata: ad.AnnData, seed: int) -> tuple[ad.AnnData, float]:
    """Three of four spots, each moved by up to half a pitch, and the distance of neighbours that is left."""
    rng = np.random.default_rng(seed)
    pitch = spacing(adata.obsm["spatial"]).distance
    kept = adata[np.sort(rng.choice(adata.n_obs, 3 * adata.n_obs // 4, replace=False)), :].copy()
    kept.obsm["spatial"] = kept.obsm["spatial"] + rng.uniform(-0.5, 0.5, (kept.n_obs, 2)) * pitch
    return kept, pitch / np.sqrt(0.75)


def real_rows(data: Path, n_masks: int) -> Iterator[dict[str, Any]]:
    """Scores over HER2+ sections."""
    sections = phg2st.datasets.her2st(data)
    for name, whole in tqdm(sections.items(), desc="sections"):
        for mask in range(n_masks):
            adata, told = resampled(whole, mask)
            adata = adata[:, np.argsort(-np.asarray(adata.X.sum(axis=0)).ravel(), kind="stable")[:300]].copy()
            for regime, strategy in REGIMES.items():
                phg2st.pp.sample_prompts(adata, fraction=0.1, strategy=strategy, seed=mask)
                for unit in UNITS:
                    for method in METHODS:
                        phg2st.tl.impute(adata, method=method, key_added=method, **unit_of(unit, adata, told))
                        scores = phg2st.tl.evaluate(adata, layer=method, pitch=told, n_splits=0)
                        labels = {"points": "HER2+ resampled", "n": adata.n_obs, "section": name, "seed": mask}
                        pcc = scores.attrs["means"][method]["pcc"]
                        yield {**labels, "regime": regime, "unit": unit, "method": method, "pcc": pcc}


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Means by points, regime and method; what measuring lacks to being told, with its standard error over cases."""
    case = [name for name in ("points", "regime", "method", "n", "length", "seed", "section") if name in rows]
    wide = rows.pivot_table(index=case, columns="unit", values="pcc", dropna=False).dropna(how="all")
    wide["measured - told"] = wide["measured"] - wide["told"]
    by = wide.groupby(level=["points", "regime", "method"], sort=False)
    out = by.mean()[["told", "measured", "lattice", "measured - told"]]
    out["se"] = by["measured - told"].sem()
    return out.round(4)


def main() -> None:
    """Score, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the HER2+ data set")
    parser.add_argument("--points", nargs="*", choices=PATTERNS, default=list(PATTERNS), help="simulated patterns")
    parser.add_argument("--sizes", type=int, nargs="+", default=[600, 1500])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--masks", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*lie on no lattice.*")
    warnings.filterwarnings("ignore", message=".*gex_only.*")
    rows = list(simulated_rows(given.points, given.sizes, given.seeds))
    if given.data is not None:
        rows += list(real_rows(given.data, given.masks))
    table = pd.DataFrame(rows)
    given.out.mkdir(parents=True, exist_ok=True)
    table.round(5).to_csv(given.out / "point_patterns.csv", index=False)
    text = summary(table).to_string()
    print(text)
    lines = ["# Points off any lattice", "", "```text", text, "```", ""]
    (given.out / "point_patterns.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
