"""Do genes reach what was promised of them? Expected held-out correlations against those that are reached.

    python benchmarks/trust_genes.py --data DATA --cache FEATURES --out benchmarks/results

Every section of the open data sets that is listed below, alone and with a trained default (without networks), prompts scattered and in one
block; truth that is drawn from what the model leaves open, for how far any ranking could come; simulated slides, of which it is known which
genes vary by place, for the false discovery rate.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _accuracy_settings import ALONE, BY_KEY, Fold, Library, folds
from _sections import STRATEGIES, Section
from _trust_genes_report import write_report
from numpy.typing import NDArray
from scipy.stats import norm
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc.metrics import depth_free_target, pcc
from phg2st_sc.models import Estimator, create
from phg2st_sc.tl._promise import compared
from phg2st_sc.uncertainty import assess, chances_below, discoveries

Array = NDArray[np.float64]
SECTIONS: dict[str, tuple[str, ...]] = {
    "her2_image": ("B4", "C2", "C3", "C4"),
    "her2": ("A1", "D3", "E2", "F1"),
    "her2_serial": ("B4", "C4"),
    "ra": ("RA1_2", "RA2_2", "RA3_1", "RA4_1"),
    "ra_serial": ("RA1_1", "RA3_1"),
    "als": ("CN51_C2_1", "CN52_C2_1", "CN62_E2", "CN63_C1"),
    "bulb": ("Rep11", "MOB1", "MOB2"),
    "colon": ("colon",),
}
SHARES = {"als": 0.2}
SHARE, FDR = 0.1, 0.1


def main() -> None:
    """Score what was asked for, and write table, text and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of all data sets")
    parser.add_argument("--cache", type=Path, required=True, help="where image features are kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--masks", type=int, default=2, help="by section and regime")
    parser.add_argument("--sets", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--report", action="store_true", help="write text and figure from the table that is there")
    options = parser.parse_args()
    path = options.out / "trust_genes.csv"
    if not options.report:
        library = Library(options.data.resolve(), options.cache, 1000)
        rows = [row for key in options.sets for row in real(library, key, options.masks)]
        rows += [*ideal(library), *simulated(options.masks)]
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4f")
    write_report(pd.read_csv(path), options.out)


def real(library: Library, key: str, n_masks: int) -> Iterator[dict[str, Any]]:
    """Rows of a data set."""
    setting = BY_KEY[key]
    for fold in folds(setting, library.patients(setting), SECTIONS[key]):
        sections = library.sections(fold)
        for learned, model in _models(fold, sections):
            for name in tqdm(fold.predicted, desc=f"{key} {learned}"):
                for regime in STRATEGIES:
                    for number in range(n_masks):
                        mask = sections[name].mask(regime, number, SHARES.get(key, SHARE))
                        labels = {"set": key, "learned": learned, "section": name, "regime": regime, "mask": number}
                        yield labels | scored(sections[name], mask, model)


def _models(fold: Fold, sections: dict[str, Section]) -> Iterator[tuple[str, Estimator]]:
    if fold.setting.alone:
        yield ALONE, create("phg2st")
    if fold.training:
        training = [sections[name].data for name in fold.training]
        yield "trained", create("phg2st", use_network=False).fit(training)


def scored(section: Section, mask: NDArray[np.bool_], model: Estimator) -> dict[str, Any]:
    """What was promised of the genes of a section, and what they reach."""
    data = section.data
    prompts = data.prompts(np.flatnonzero(mask), target_sum=float(np.median(data.totals[mask])))
    genes = np.arange(len(data.genes))
    made = assess(model.predict(data.arrays, prompts), model, data.arrays, prompts, genes, seed=0)
    if made.assessment is None or "trust" not in made.assessment.genes:
        return {"prompts": int(mask.sum())}
    said = {name: np.asarray(values, dtype=np.float64) for name, values in made.assessment.genes.items()}
    held_out = ~mask & (data.counts.sum(axis=1) > 0)
    counts, places, values = data.counts[held_out], data.arrays.positions[held_out], made.mean[held_out]
    reached = pcc(depth_free_target(counts, places), values)
    half = np.random.default_rng(0).binomial(counts.astype(np.int64), 0.5)
    halves = tuple(pcc(depth_free_target(one, places), values) for one in (half, counts - half))
    row = compared(said["trust"], reached, halves)  # type: ignore[arg-type]
    for name, simple in (("counts", prompts.counts.sum(axis=0)), ("spread", made.mean.std(axis=0))):
        other = compared(np.asarray(simple, dtype=np.float64), reached, None)
        row |= {f"{name}_rank": other["rank_correlation"], f"{name}_top": other["top_tenth"]}
    found = discoveries(chances_below(said["trust"], said["trust_se"], said["trust_null"], 0.0), FDR)
    return {"prompts": int(mask.sum()), **row, **_false(found, reached, halves)}


def _false(found: NDArray[np.int64], reached: Array, halves: tuple[Array, ...]) -> dict[str, float]:
    """Share of the reliable genes whose score is not above 0, and the same without the noise of its counts.

    Two halves of the molecules have the spots in common and no noise: their covariance over genes is the variance of what is
    behind the scores.
    """
    known = found[np.isfinite(reached[found])]
    out = {"reliable": found.size / reached.size}
    if known.size:
        out["not_above_0"] = float((reached[known] <= 0).mean())
    if known.size >= 20:
        spread = np.sqrt(max(float(np.cov(*(half[known] for half in halves))[0, 1]), 1e-9))
        out["false"] = float(norm.cdf(-reached[known].mean() / spread))
    return out


def ideal(library: Library, n_draws: int = 8) -> Iterator[dict[str, Any]]:
    """How far genes could be ranked if the model were right: truth is drawn from what it leaves open, and counted.

    The expected score of a gene is then known, the mean over the other draws, and nothing can rank genes better.
    """
    for key, name in (("her2_image", "C4"), ("ra", "RA3_1"), ("bulb", "MOB1")):
        setting = BY_KEY[key]
        (fold,) = folds(setting, library.patients(setting), [name])
        section = library.sections(fold)[name]
        training = [library.sections(fold)[one].data for one in fold.training]
        model = create("phg2st", use_network=False).fit(training)
        for regime in STRATEGIES:
            mask = section.mask(regime, 0, SHARES.get(key, SHARE))
            scores = np.array([_drawn(section, mask, model, seed) for seed in range(n_draws)])
            own = [
                compared(np.delete(scores[:, 0], n, axis=0).mean(axis=0), *_parts(scores[n])) for n in range(n_draws)
            ]
            mean = pd.DataFrame(own).mean()
            labels = {"set": "ideal", "learned": "trained", "section": name, "regime": regime, "mask": 0}
            yield labels | {"rank_correlation": mean["rank_correlation"], "rank_reachable": mean["rank_reachable"]}


def _parts(scores: Array) -> tuple[Array, tuple[Array, Array]]:
    return scores[0], (scores[1], scores[2])


def _drawn(section: Section, mask: NDArray[np.bool_], model: Estimator, seed: int) -> list[Array]:
    """(G,) scores against a truth that was drawn, and against either half of its counts."""
    data = section.data
    prompts = data.prompts(np.flatnonzero(mask), target_sum=float(np.median(data.totals[mask])))
    made = model.predict(data.arrays, prompts)
    left, left_out = made.posterior, made.left_out
    if left is None or left_out is None:
        raise ValueError("The default has both with these many prompts.")
    held_out = np.flatnonzero(~mask & (data.counts.sum(axis=1) > 0))
    rng = np.random.default_rng(seed)
    fields = left.fields(np.where(left.shared, 1, left.root.shape[1]), rng)(held_out)
    off = sum(values * root for values, root in zip(fields, left.root, strict=True))
    spread = 1.0 if left_out.spread is None else left_out.spread
    share = np.expm1(made.mean[held_out].astype(np.float64))
    share = np.maximum(share / share.sum(axis=1, keepdims=True) + off * spread * np.sqrt(left_out.level), 0.0)
    depth = data.counts[held_out].sum(axis=1, keepdims=True)
    counts = rng.poisson(depth * share / share.sum(axis=1, keepdims=True))
    half = rng.binomial(counts, 0.5)
    places, values = data.arrays.positions[held_out], made.mean[held_out]
    return [pcc(depth_free_target(one, places), values) for one in (counts, half, counts - half)]


def simulated(n_masks: int) -> Iterator[dict[str, Any]]:
    """Rows of simulated slides, where it is known which genes do not vary by place."""
    for noise in (0.15, 0.4):
        for n_spots in (300, 1200):
            for share in (0.1, 0.2):
                for seed in range(n_masks):
                    adata = phg2st.datasets.simulate(
                        n_spots=n_spots, n_genes=300, image=False, noise_fraction=noise, seed=seed, progress=False
                    )
                    phg2st.pp.sample_prompts(adata, fraction=share, seed=seed)
                    for method in ("phg2st", "kriging", "idw"):
                        phg2st.tl.impute(adata, method=method, uncertainty=True, progress=False)
                        found = phg2st.tl.reliable_genes(adata, layer=method, fdr=FDR).index
                        labels = {"set": "simulated", "learned": method, "section": f"{n_spots} spots", "mask": seed}
                        false = float(adata.var.loc[found, "is_noise"].mean()) if len(found) else 0.0
                        facts = {"noise": noise, "prompts": int(share * n_spots), "reliable": len(found) / 300}
                        yield labels | facts | {"regime": "scattered", "false": false, "reliable_n": len(found)}


if __name__ == "__main__":
    main()
