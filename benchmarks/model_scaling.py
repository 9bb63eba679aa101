"""Time and memory of the default method with a model, by the size of the section.

Sections are simulated: bins of an uneven piece of tissue, a dozen factors of which half are seen in the features, sparse counts. The
model is trained on a section of the same patient, as large as the one that is predicted, and on one of 5,000 bins of another. ``score`` is
the mean correlation over genes of the prediction with the planted expression. Peak memory is what a call took beyond what the process held
before it. Each size has a process of its own; those that the table in ``--out`` has already are not run again. To compare with another version of
the package, name its ``src``::

    python benchmarks/model_scaling.py --bins 10000 30000 100000 --before ../older/src --out benchmarks/results
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse
from tqdm.auto import tqdm

CALLS = ("train", "fixed", "share")
"""Training; predicting from 1,000 prompts; predicting from a tenth of the bins."""
FIXED, SHARE = 1000, 0.1
REP = "X_simulated"
N_GENES, N_FEATURES, N_FACTORS, N_WAVES = 785, 64, 12, 40
COLUMNS = ["call", "version", "bins", "prompts", "cpu_seconds", "gb_beyond", "gb_before", "score"]
_DEPTH = 800.0
_BLOCK = 4096
_SCORED = 2000
_FROM = 30_000


def tissue(n_bins: int) -> np.ndarray:
    """Bins (n, 2) of a piece of tissue that looks the same only as it lies."""
    side = int(np.sqrt(1.6 * n_bins)) + 1
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)
    x, y = (places - side / 2).T
    angle = np.arctan2(y, x)
    edge = 0.82 + 0.1 * np.cos(angle + 0.5) + 0.06 * np.cos(2 * angle + 1) + 0.03 * np.cos(3 * angle)
    return places[np.sort(np.argsort(np.hypot(x, y) / edge, kind="stable")[:n_bins])]


def factors(places: np.ndarray, patient: int) -> np.ndarray:
    """(n, 12) factors of a patient, of unit variance, that vary over tens of bins and over the whole tissue."""
    rng = np.random.default_rng(patient)
    half = N_WAVES * N_FACTORS // 2
    waves = rng.normal(size=(2, 2 * half)) * np.repeat([0.25, 25.0 / np.ptp(places[:, 0])], half)
    phase = rng.uniform(0, 2 * np.pi, 2 * half)

    def at(some: np.ndarray) -> np.ndarray:
        return np.cos(some @ waves + phase).reshape(len(some), N_WAVES, N_FACTORS).sum(axis=1)

    found = np.concatenate([at(places[start : start + _BLOCK]) for start in range(0, len(places), _BLOCK)])
    return found / found.std(axis=0)


def rates(found: np.ndarray) -> np.ndarray:
    """(n, G) shares of the genes, which follow the factors alike in all patients."""
    rng = np.random.default_rng(77)
    level, loadings = np.exp(rng.normal(0.0, 1.3, N_GENES)), rng.normal(scale=0.25, size=(N_FACTORS, N_GENES))
    share = level * np.exp(found @ loadings)
    return share / share.sum(axis=1, keepdims=True)


def section(n_bins: int, *, patient: int, seed: int, degrees: float = 0.0) -> AnnData:
    """One section of a patient, turned by some degrees."""
    rng = np.random.default_rng(seed)
    places = tissue(n_bins)
    found = factors(places, patient)
    totals = _DEPTH * rng.gamma(6.0, 1 / 6.0, n_bins)
    counts = [
        sparse.csr_matrix(rng.poisson(rates(found[s : s + _BLOCK]) * totals[s : s + _BLOCK, None]).astype(np.float32))
        for s in range(0, n_bins, _BLOCK)
    ]
    table = AnnData(sparse.vstack(counts, format="csr"))
    table.obs_names = [f"bin{number}" for number in range(n_bins)]
    table.var_names = [f"gene{number}" for number in range(N_GENES)]
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    table.obsm["spatial"] = 60.0 * (places @ turn.T)
    looks = np.tanh(found[:, :6] @ np.random.default_rng(78).normal(size=(6, N_FEATURES)))
    table.obsm[REP] = (looks + rng.normal(size=looks.shape)).astype(np.float32)
    table.obs["patient"] = f"p{patient}"
    scored = np.sort(rng.choice(n_bins, min(n_bins, _SCORED), replace=False))
    table.uns["truth"] = {"rows": scored, "log": np.log1p(1e4 * rates(found[scored]))}
    return table


def measure(n_bins: int, calls: Sequence[str]) -> Iterator[dict[str, object]]:
    """Make calls here, one after the other, and say what each took."""
    import phg2st_sc as phg2st

    warnings.simplefilter("ignore")
    seen = {"use_rep": REP, "trust_rep": True, "patient_key": "patient", "progress": False}
    slides = {"same": section(n_bins, patient=1, seed=1), "other": section(5000, patient=2, seed=2)}
    before, worked = _start()
    model = phg2st.tl.train(slides, **seen)
    if "train" in calls:
        yield {"call": "train", **_took(before, worked)}
    slides.clear()
    target = section(n_bins, patient=1, seed=3, degrees=7.0)
    for call in [one for one in calls if one != "train"]:
        n_prompts = FIXED if call == "fixed" else round(SHARE * n_bins)
        phg2st.pp.sample_prompts(target, n=n_prompts, seed=0)
        before, worked = _start()
        phg2st.tl.impute(target, prompt_mask="prompt", model=model, key_added="made", **seen)
        took = _took(before, worked)
        yield {"call": call, **took, "prompts": n_prompts, "score": _score(target, target.layers.pop("made"))}


def _start() -> tuple[float, float]:
    """What the process holds, and has worked; its peak counts from here on."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory("VmRSS"), time.process_time()


def _took(before: float, worked: float) -> dict[str, float]:
    return {"cpu_seconds": time.process_time() - worked, "gb_beyond": _memory("VmHWM") - before, "gb_before": before}


def _score(table: AnnData, layer: np.ndarray) -> float:
    rows, truth = table.uns["truth"]["rows"], table.uns["truth"]["log"]
    made = np.asarray(layer[rows], dtype=float)
    made, truth = made - made.mean(axis=0), truth - truth.mean(axis=0)
    spread = np.sqrt((made**2).sum(axis=0) * (truth**2).sum(axis=0))
    return float(((made * truth).sum(axis=0) / np.maximum(spread, 1e-12)).mean())


def _memory(which: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(which)) / 2**20


def child(n_bins: int, calls: Sequence[str], source: str | None) -> list[dict[str, object]]:
    """The same in a fresh process, with another version of the package where its source is named."""
    path = {} if source is None else {"PYTHONPATH": source}
    command = [sys.executable, __file__, "--here", "--bins", str(n_bins), "--calls", *calls]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **path})
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def exponent(table: pd.DataFrame, column: str) -> float:
    """Slope of the logarithms, from 30,000 bins on."""
    large = table[table["bins"] >= _FROM]
    if len(large) < 2:
        return float("nan")
    return float(np.polyfit(np.log(large["bins"]), np.log(large[column]), 1)[0])


def to_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown, and the exponents."""
    lines = [
        "| call | version | bins | prompts | processor s | GB beyond what was held | score |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in table.sort_values(["call", "bins", "version"], kind="stable").itertuples():
        prompts, score = (
            "" if np.isnan(one) else form.format(one) for one, form in ((row.prompts, "{:.0f}"), (row.score, "{:.3f}"))
        )
        lines.append(
            f"| {row.call} | {row.version} | {row.bins:,} | {prompts} | {row.cpu_seconds:.1f} | {row.gb_beyond:.2f} | {score} |"
        )
    lines += ["", f"Exponent of the processor time from {_FROM:,} bins on:", ""]
    for (call, version), part in table.groupby(["call", "version"], sort=False):
        slope = exponent(part, "cpu_seconds")
        if not np.isnan(slope):
            lines.append(f"- {call}, {version}: {slope:.2f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every size in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bins", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=list(CALLS))
    parser.add_argument(
        "--before", help="`src` of another version of the package, for `--before-bins` and `--before-calls`"
    )
    parser.add_argument("--before-bins", type=int, nargs="+", default=[10_000, 30_000])
    parser.add_argument("--before-calls", nargs="+", choices=CALLS, default=["train", "fixed"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.here:
        for row in measure(settings.bins[0], settings.calls):
            print(json.dumps(row), flush=True)
        return
    cases = [("now", n_bins, settings.calls, None) for n_bins in settings.bins]
    if settings.before:
        cases += [("before", n_bins, settings.before_calls, settings.before) for n_bins in settings.before_bins]
    settings.out.mkdir(parents=True, exist_ok=True)
    kept = settings.out / "model_scaling.csv"
    rows = pd.read_csv(kept).to_dict("records") if kept.exists() else []
    done = {(row["version"], row["bins"]) for row in rows}
    for version, n_bins, calls, source in tqdm(
        [one for one in cases if one[:2] not in done], desc="sizes", unit="size"
    ):
        rows += [{"version": version, "bins": n_bins, **row} for row in child(n_bins, calls, source)]
        table = pd.DataFrame(rows).reindex(columns=COLUMNS)
        table.to_csv(kept, index=False, float_format="%.4g")
        text = to_markdown(table)
        (settings.out / "model_scaling.md").write_text(text, encoding="utf-8")
        tqdm.write(text)


if __name__ == "__main__":
    main()
