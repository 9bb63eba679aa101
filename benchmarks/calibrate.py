"""Measure what every method takes at many sizes, and fit the coefficients that ``tl.estimate`` and its warnings use.

Each run has a process of its own: ``cpu_seconds`` of ``tl.predict``, and how far its peak memory lies above that of the object. Coefficients
are fitted with none below zero, by relative errors; the page says how far off the fit is on the runs themselves, and on
one in five that were kept from it. One core::

    OMP_NUM_THREADS=1 python benchmarks/calibrate.py --out benchmarks/results --costs src/phg2st_sc/models/costs.json

Networks are measured at smaller sizes, untrained (``tl.predict(method=...)`` trains them on the prompts). Hist2ST and HGGEP take
minutes a run and are left out, TRIPLEX needs the tiles around spots, the published network training. ``--methods`` runs some again and
keeps the others as they are; with no name after it, it fits those anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from _large_slide import FEATURES, large_slide
from scipy.optimize import nnls
from tqdm.auto import tqdm

SIMPLE = (
    "prompt_mean",
    "idw",
    "kriging",
    "gene_kriging",
    "image_ridge",
    "space_image_kriging",
    "best_simple",
    "phg2st",
)
WITH_COHORT = ("kriging", "gene_kriging", "image_ridge", "space_image_kriging", "regression_kriging", "phg2st")
NETWORKS = ("stnet", "histogene", "bleep")
_LARGE = {"n_spots": (500, 40_000), "fraction": (0.03, 0.3), "n_genes": (50, 1500), "n_features": (16, 128)}
_SMALL = {"n_spots": (200, 900), "fraction": (0.1, 0.4), "n_genes": (50, 500), "n_features": (16, 64)}
_KEPT_OUT = 5
_SECONDS = (
    "call", "spots", "prompts", "spots x features", "spots x genes", "prompts x genes", "spots x reach", "spots x reach x genes",
    "system", "blocks", "blocks x genes",
)  # fmt: skip
_BYTES = (
    "call", "spots", "spots x features", "spots x genes", "spots x genes returned", "prompts x genes", "entries of the system",
    "blocks", "blocks x genes",
)  # fmt: skip
_SMALL_ENOUGH = {"cpu_seconds": 0.2, "bytes": 2.0**26}
"""What is less is nobody's concern, and as good as equal."""
_PAIRS = ("pairs of spots",)


def draw(n_runs: int, ranges: dict[str, tuple[float, float]], seed: int) -> list[dict[str, int]]:
    """Sizes spread evenly over the ranges, on a logarithmic scale (Latin hypercube)."""
    from scipy.stats import qmc

    points = qmc.LatinHypercube(len(ranges), rng=seed).random(n_runs)
    low, high = np.log(np.array(list(ranges.values()))).T
    values = pd.DataFrame(np.exp(low + points * (high - low)), columns=list(ranges))
    values["n_prompts"] = values["n_spots"] * values.pop("fraction")
    return values.round().astype(int).to_dict("records")


def measure(method: str, trained: bool, sizes: dict[str, int]) -> dict[str, float]:
    """Run one prediction here, and say what it took."""
    import phg2st_sc as phg2st

    def slide(n_bins: int, seed: int) -> Any:
        return large_slide(n_bins, n_genes=sizes["n_genes"], n_features=sizes["n_features"], depth=3000.0, seed=seed)

    target = slide(sizes["n_spots"], 1)
    target.obs["prompt"] = np.random.default_rng(1).permutation(target.n_obs) < sizes["n_prompts"]
    how: dict[str, Any] = {"method": method}
    with TemporaryDirectory() as folder:
        if trained:
            others = [slide(400, seed) for seed in (2, 3)]
            for number, other in enumerate(others):
                other.obs["patient"] = f"P{number}"
            alone = {"use_network": False} if method == "phg2st" else {}  # networks come on top, in `models/_costs.py`
            model = phg2st.tl.train(others, method=method, use_rep=FEATURES, trust_rep=True, progress=False, **alone)
            how = {"model": phg2st.models.load(model.save(f"{folder}/model"))}
        small = target[: min(200, target.n_obs)].copy()
        small.obs["prompt"] = np.arange(small.n_obs) % 4 == 0
        if method in (*SIMPLE, *WITH_COHORT):  # what is imported at first use, and compiled
            phg2st.tl.predict(small, use_rep=FEATURES, trust_rep=True, progress=False, **how)
        before, began = _now(), time.process_time()
        _reset_peak()
        phg2st.tl.predict(target, use_rep=FEATURES, trust_rep=True, progress=False, **how)
        return {"cpu_seconds": time.process_time() - began, "bytes": max(_status("VmHWM") - before, 0.0)}


def fit(runs: pd.DataFrame, column: str, terms: tuple[str, ...]) -> dict[str, float]:
    """Coefficients of the terms, none below zero, by relative errors."""
    table = _terms(runs)[list(terms)].to_numpy()
    wanted = runs[column].to_numpy()
    weight = 1.0 / np.maximum(wanted, _SMALL_ENOUGH[column])
    scale = np.maximum((table * weight[:, None]).max(axis=0), 1e-300)
    found, _ = nnls(table * weight[:, None] / scale, wanted * weight)
    return {term: float(value) for term, value in zip(terms, found / scale, strict=True) if value > 0}


def _terms(runs: pd.DataFrame) -> pd.DataFrame:
    from phg2st_sc.models import Sizes

    rows = runs[["n_spots", "n_prompts", "n_genes", "n_genes", "n_features"]].to_numpy()
    return pd.DataFrame([Sizes(*map(int, row)).terms() for row in rows], index=runs.index)


def _errors(runs: pd.DataFrame, column: str, terms: tuple[str, ...]) -> tuple[float, float]:
    """Median factor by which the fit is off, and that of runs kept from it."""
    out = np.arange(len(runs)) % _KEPT_OUT == 0
    factors = []
    for learn, ask in ((runs, runs), (runs[~out], runs[out])):
        found = fit(learn, column, terms)
        expected = (_terms(ask)[list(found)] * pd.Series(found)).sum(axis=1)
        small = _SMALL_ENOUGH[column]
        off = np.abs(np.log(np.maximum(expected, small) / np.maximum(ask[column], small)))
        factors.append(float(np.exp(np.median(off))))
    return factors[0], factors[1]


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def _now() -> float:
    return _status("VmRSS")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _elsewhere(job: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tqdm.write(f"{job}: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, fit, and write the coefficients and a page about them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--methods", nargs="*", default=[*SIMPLE, *(f"{one}, trained" for one in WITH_COHORT), *NETWORKS]
    )
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--costs", type=Path, required=False, help="file of coefficients, read and written")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.one:
        job = json.loads(settings.one)
        sys.stdout.write(f"{json.dumps(measure(job['method'], job['trained'], job['sizes']))}\n")
        return
    from phg2st_sc.models._costs import work

    settings.out.mkdir(parents=True, exist_ok=True)
    path = settings.out / "costs.csv"
    before = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["form"])
    rows = [] if before.empty else before[~before["form"].isin(settings.methods)].to_dict("records")
    jobs = [
        (form, sizes)
        for form in settings.methods
        for sizes in draw(settings.runs, _SMALL if form in NETWORKS else _LARGE, seed=0)
    ]
    for form, sizes in tqdm(jobs, desc="runs"):
        method, trained = form.removesuffix(", trained"), form.endswith(", trained")
        rows.append({"form": form, **sizes, **_elsewhere({"method": method, "trained": trained, "sizes": sizes})})
        pd.DataFrame(rows).to_csv(path, index=False)
    runs = pd.DataFrame(rows).dropna()
    # memory that the process had freed before is taken again unseen: there is no less than the result
    runs["bytes"] = np.maximum(runs["bytes"], 4.0 * runs["n_spots"] * runs["n_genes"])
    fitted, page = {}, []
    for form, some in runs.groupby("form", sort=False):
        pairs = _PAIRS if form in NETWORKS else ()
        seconds, size = fit(some, "cpu_seconds", _SECONDS + pairs), fit(some, "bytes", _BYTES + pairs)
        fitted[form] = {"seconds": seconds, "bytes": size}
        off = (*_errors(some, "cpu_seconds", _SECONDS + pairs), *_errors(some, "bytes", _BYTES + pairs))
        page.append({"method": form, "runs": len(some), **dict(zip(_OFF, off, strict=True))})
    if settings.costs:
        text = json.dumps({"seconds_of_work": min(work() for _ in range(5)), "methods": fitted}, indent=1)
        settings.costs.write_text(f"{text}\n", encoding="utf-8")
    table = pd.DataFrame(page).round(2).to_string(index=False)
    text = f"# What predictions take: median factor by which the fit is off\n\n```text\n{table}\n```\n"
    (settings.out / "costs.md").write_text(text, encoding="utf-8")
    tqdm.write(text)


_OFF = ("seconds", "seconds, kept out", "memory", "memory, kept out")

if __name__ == "__main__":
    main()
