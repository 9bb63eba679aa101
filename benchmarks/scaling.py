"""Time and memory of every step by the number of bins, each step in a process of its own, on one core.

The slides are simulated (``_large_slide.py``): 785 genes, 64 features of the picture, a tenth of the bins as prompts. ``cpu_seconds``
are those of the call alone; ``peak_gb`` is that of the whole process with the slide in memory, ``slide_gb`` that of the slide before
the call. ``score`` is the mean over genes of the correlation with the true logarithm of the rate, over bins that were no
prompts. Exponents are fitted to the CPU seconds from 30,000 bins on.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py --out benchmarks/results

Steps and sizes that are measured again take the place of those in ``<out>/scaling.csv``; the others stay. Score by the number of prompts, and beside it that of one exact system of all prompts where it fits::

    OMP_NUM_THREADS=1 python benchmarks/scaling.py --curve --bins 30000 --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from _large_slide import FEATURES, large_slide, true_log_rates
from anndata import AnnData
from tqdm.auto import tqdm

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 600_000)
PROMPTS = (300, 1_000, 1_500, 1_600, 3_000, 6_000, 15_000)
INTO_STORE = "hypergraph + impute, into zarr"
_FIT_FROM = 30_000
_TRAINING_BINS = 3_000
_MOST_SCORED = 20_000
_EXACT_TO = 6_000


def _hypergraph(slide: AnnData, _: str) -> None:
    import phg2st_sc as phg2st

    phg2st.pp.build_hypergraph(slide, use_rep=FEATURES, trust_rep=True)


def _impute(slide: AnnData, _: str, **how: Any) -> None:
    import phg2st_sc as phg2st

    phg2st.tl.impute(slide, use_rep=FEATURES, trust_rep=True, key_added="made", progress=False, **how)


def _with_model(slide: AnnData, folder: str) -> None:
    _impute(slide, folder, model=f"{folder}/model")


def _evaluate(slide: AnnData, _: str) -> None:
    import phg2st_sc as phg2st

    phg2st.tl.evaluate(slide, layer="made", progress=False)


def _into_store(sdata: Any, _: str) -> None:
    import phg2st_sc as phg2st

    phg2st.pp.build_hypergraph(sdata, use_rep=FEATURES, trust_rep=True, write=True)
    phg2st.tl.impute(sdata, use_rep=FEATURES, trust_rep=True, key_added="made", write=True, progress=False)


STEPS: dict[str, Callable[[AnnData, str], None]] = {
    "build_hypergraph": _hypergraph,
    "impute": _impute,
    "impute, with a model": _with_model,
    "kriging": lambda slide, folder: _impute(slide, folder, method="kriging"),
    "gene_kriging": lambda slide, folder: _impute(slide, folder, method="gene_kriging"),
    "space_image_kriging": lambda slide, folder: _impute(slide, folder, method="space_image_kriging"),
    "idw": lambda slide, folder: _impute(slide, folder, method="idw"),
    "evaluate": _evaluate,
    INTO_STORE: _into_store,
}


def measure(step: str, n_bins: int, n_prompts: int) -> dict[str, Any]:
    """Run one step here, and say what it took."""
    import phg2st_sc as phg2st

    slide = large_slide(n_bins, seed=1)
    _choose_prompts(slide, n_prompts)
    with TemporaryDirectory() as folder:
        if step == "impute, with a model":
            others = [large_slide(_TRAINING_BINS, seed=seed) for seed in (2, 3)]
            for number, other in enumerate(others):
                other.obs["patient"] = f"P{number}"
            phg2st.tl.train(others, use_rep=FEATURES, trust_rep=True, progress=False).save(f"{folder}/model")
            del others
        if step == "evaluate":
            _impute(slide, folder, method="idw")
        data = _stored(slide, folder) if step == INTO_STORE else slide
        slide_gb, began, worked = _peak(), time.perf_counter(), time.process_time()
        STEPS[step](data, folder)
        took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}
        peak = _peak()
        score = _score(slide) if "made" in slide.layers and step != "evaluate" else np.nan
    return {**took, "slide_gb": slide_gb, "peak_gb": peak, "score": score}


def curve(n_bins: int, n_prompts: int, method: str, *, exact: bool) -> dict[str, Any]:
    """Score and time of one number of prompts."""
    from phg2st_sc.linear import _krige

    slide = large_slide(n_bins, seed=1)
    _choose_prompts(slide, n_prompts)
    if exact:
        _krige.MAX_EXACT = n_prompts
    worked = time.process_time()
    _impute(slide, "", method=method)
    return {"cpu_seconds": time.process_time() - worked, "score": _score(slide)}


def _stored(slide: AnnData, folder: str) -> Any:
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    slide.obs["region"], slide.obs["instance"] = pd.Categorical(["bins"] * slide.n_obs), np.arange(slide.n_obs)
    table = TableModel.parse(slide, region="bins", region_key="region", instance_key="instance")
    centers = slide.obsm["spatial"]
    sdata = SpatialData(shapes={"bins": ShapesModel.parse(centers, geometry=0, radius=8.0)}, tables={"table": table})
    sdata.write(f"{folder}/slide.zarr")
    return sdata


def _choose_prompts(slide: AnnData, n_prompts: int) -> None:
    order = np.random.default_rng(1).permutation(slide.n_obs)
    slide.obs["prompt"] = False
    slide.obs.iloc[order[:n_prompts], slide.obs.columns.get_loc("prompt")] = True


def _score(slide: AnnData) -> float:
    unseen = np.flatnonzero(~slide.obs["prompt"].to_numpy())
    unseen = np.random.default_rng(2).permutation(unseen)[:_MOST_SCORED]
    made = np.asarray(slide.layers["made"][unseen], dtype=np.float64)
    genes = np.isfinite(made).all(axis=0)
    truth = true_log_rates(slide, unseen)[:, genes]
    made, truth = made[:, genes] - made[:, genes].mean(axis=0), truth - truth.mean(axis=0)
    return float(np.mean((made * truth).sum(axis=0) / np.sqrt((made**2).sum(axis=0) * (truth**2).sum(axis=0) + 1e-30)))


def _peak() -> float:
    """Peak resident memory of this process; what getrusage says starts from that of the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return round(next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20, 2)


def _elsewhere(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tqdm.write(f"{' '.join(command[3:])}: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return json.loads(done.stdout.splitlines()[-1])


def exponents(table: pd.DataFrame) -> pd.Series:
    """By step, the power of the number of bins with which CPU seconds grow from 30,000 bins on."""
    large = table[(table["bins"] >= _FIT_FROM) & (table["cpu_seconds"] > 0)]
    fitted = {
        step: np.polyfit(np.log(rows["bins"]), np.log(rows["cpu_seconds"]), 1)[0]
        for step, rows in large.groupby("step", sort=False)
        if len(rows) > 1
    }
    return pd.Series(fitted, name="exponent", dtype=float)


def _draw(table: pd.DataFrame, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, column, label in zip(axes, ("cpu_seconds", "peak_gb"), ("CPU seconds", "peak memory, GB"), strict=True):
        for step, rows in table.groupby("step", sort=False):
            axis.loglog(rows["bins"], rows[column], marker="o", label=step)
        axis.set(xlabel="bins", ylabel=label)
        axis.grid(alpha=0.3, which="both")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def _run_steps(settings: argparse.Namespace) -> None:
    jobs = [(step, n_bins) for n_bins in settings.sizes for step in settings.steps]
    file = settings.out / "scaling.csv"
    table = pd.read_csv(file) if file.exists() else pd.DataFrame()
    for step, n_bins in tqdm(jobs, desc="steps"):
        row = {"step": step, "bins": n_bins, "prompts": n_bins // 10, **_elsewhere(step, n_bins, n_bins // 10)}
        table = pd.concat([table, pd.DataFrame([row]).round(4)], ignore_index=True)
        table = table.drop_duplicates(["step", "bins"], keep="last")
        table.to_csv(file, index=False)
    report(table, settings.out)


def report(table: pd.DataFrame, folder: Path) -> None:
    """Write a page and a figure of the steps that were measured."""
    wide = {
        name: table.pivot(index="bins", columns="step", values=name) for name in ("cpu_seconds", "peak_gb", "score")
    }
    titles = {"cpu_seconds": "CPU seconds, one core", "peak_gb": "Peak memory of the process, GB", "score": "Score"}
    text = "\n\n".join(f"{titles[name]}\n\n```text\n{part.round(3).to_string()}\n```" for name, part in wide.items())
    fitted = f"Exponents from {_FIT_FROM:,} bins on\n\n```text\n{exponents(table).round(2).to_string()}\n```"
    page = f"# Time and memory by the number of bins\n\n{text}\n\n{fitted}\n"
    (folder / "scaling.md").write_text(page, encoding="utf-8")
    _draw(table, folder / "scaling.png")
    tqdm.write(page)


def _run_curve(settings: argparse.Namespace) -> None:
    rows = []
    for method in settings.methods:
        for n_prompts in tqdm(settings.prompts, desc=method):
            row = {"method": method, "bins": settings.bins, "prompts": n_prompts}
            row |= _elsewhere("curve", settings.bins, n_prompts, method)
            if n_prompts <= _EXACT_TO:
                exact = _elsewhere("exact", settings.bins, n_prompts, method)
                row |= {f"{name}_exact": value for name, value in exact.items()}
            rows.append(row)
            pd.DataFrame(rows).round(4).to_csv(settings.out / "prompts.csv", index=False)
    table = pd.DataFrame(rows).round(4)
    text = f"# Score by the number of prompts\n\n```text\n{table.to_string(index=False)}\n```\n"
    (settings.out / "prompts.md").write_text(text, encoding="utf-8")
    tqdm.write(text)


def main() -> None:
    """Run every step in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", nargs="+", default=tuple(STEPS), choices=tuple(STEPS))
    parser.add_argument("--curve", action="store_true", help="score by the number of prompts")
    parser.add_argument("--bins", type=int, default=30_000, help="bins of the curve")
    parser.add_argument("--prompts", type=int, nargs="+", default=PROMPTS)
    parser.add_argument("--methods", nargs="+", default=("phg2st", "kriging"))
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.one:
        kind, n_bins, n_prompts, *rest = settings.one
        ways = kind in ("curve", "exact")
        made = (
            curve(int(n_bins), int(n_prompts), rest[0], exact=kind == "exact")
            if ways
            else measure(kind, int(n_bins), int(n_prompts))
        )
        sys.stdout.write(f"{json.dumps(made)}\n")
        return
    settings.out.mkdir(parents=True, exist_ok=True)
    (_run_curve if settings.curve else _run_steps)(settings)


if __name__ == "__main__":
    main()
