"""Time and memory of the default method with a model, by the size of the section, each call in a process of its own.

Sections are simulated: bins of an uneven piece of tissue, a dozen factors of which half are seen in the features, sparse counts. The
model is trained on a section of the same patient, as large as the one that is predicted, and a smaller one of another; ``train`` trains on
the larger of them alone. Calls that the table in ``--out`` has already are not made again. ``score`` is the mean correlation over genes of the prediction with the planted expression. Peak memory is what a call
took beyond the objects it was given. To compare with another version of the package, name its ``src``: each call is made with both, one after
the other::

    python benchmarks/model_scaling.py --bins 10000 30000 100000 --before ../older/src --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse
from tqdm.auto import tqdm

CALLS = ("train", "fixed", "share")
"""Training on one section; predicting from 1,000 prompts; predicting from a tenth of the bins."""
FIXED, SHARE = 1000, 0.1
REP = "X_simulated"
N_GENES, N_FEATURES, N_FACTORS, N_WAVES = 785, 64, 12, 40
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


def measure(call: str, n_bins: int) -> dict[str, float]:
    """Make one call here, and say what it took."""
    import phg2st_sc as phg2st

    warnings.simplefilter("ignore")
    seen = {"use_rep": REP, "trust_rep": True, "patient_key": "patient", "progress": False}
    same = section(n_bins, patient=1, seed=1)
    if call == "train":
        _reset_peak()
        before, worked = _memory("VmRSS"), time.process_time()
        phg2st.tl.train({"same": same}, **seen)
        return _took(before, worked)
    other = section(5000, patient=2, seed=2)
    model = phg2st.tl.train({"same": same, "other": other}, **seen)
    target = section(n_bins, patient=1, seed=3, degrees=7.0)
    del same, other
    n_prompts = FIXED if call == "fixed" else round(SHARE * n_bins)
    phg2st.pp.sample_prompts(target, n=n_prompts, seed=0)
    _reset_peak()
    before, worked = _memory("VmRSS"), time.process_time()
    phg2st.tl.impute(target, prompt_mask="prompt", model=model, **seen)
    return _took(before, worked) | {"prompts": n_prompts, "score": _score(target)}


def _took(before: float, worked: float) -> dict[str, float]:
    return {"cpu_seconds": time.process_time() - worked, "gb_beyond": _memory("VmHWM") - before, "gb_before": before}


def _score(table: AnnData) -> float:
    rows, truth = table.uns["truth"]["rows"], table.uns["truth"]["log"]
    (layer,) = (key for key in table.layers if key is not None)
    made = np.asarray(table.layers[layer][rows], dtype=float)
    made, truth = made - made.mean(axis=0), truth - truth.mean(axis=0)
    spread = np.sqrt((made**2).sum(axis=0) * (truth**2).sum(axis=0))
    return float(((made * truth).sum(axis=0) / np.maximum(spread, 1e-12)).mean())


def _reset_peak() -> None:
    """From here on the peak of this process is that of the call."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _memory(which: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(which)) / 2**20


def child(call: str, n_bins: int, source: str | None) -> dict[str, float]:
    """The same in a fresh process, with another version of the package where its source is named."""
    path = {} if source is None else {"PYTHONPATH": source}
    command = [sys.executable, __file__, "--here", call, "--bins", str(n_bins)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **path})
    return json.loads(done.stdout.splitlines()[-1])


def exponent(table: pd.DataFrame, column: str) -> float:
    """Slope of the logarithms, from 30,000 bins on."""
    large = table[table["bins"] >= _FROM]
    if len(large) < 2:
        return float("nan")
    return float(np.polyfit(np.log(large["bins"]), np.log(large[column]), 1)[0])


def to_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown, and the exponents."""
    lines = [
        "| call | version | bins | prompts | processor s | GB beyond the objects | score |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in table.itertuples():
        prompts, score = (
            "" if np.isnan(one) else form.format(one) for one, form in ((row.prompts, "{:.0f}"), (row.score, "{:.3f}"))
        )
        lines.append(
            f"| {row.call} | {row.version} | {row.bins:,} | {prompts} | {row.cpu_seconds:.1f} | {row.gb_beyond:.2f} | {score} |"
        )
    lines += ["", f"Exponent of the processor time from {_FROM:,} bins on:", ""]
    for (call, version), part in table.groupby(["call", "version"], sort=False):
        lines.append(f"- {call}, {version}: {exponent(part, 'cpu_seconds'):.2f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make every call in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bins", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=list(CALLS))
    parser.add_argument("--before", help="`src` of another version of the package")
    parser.add_argument("--before-up-to", type=int, default=30_000, help="bins that the other version is measured with")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--here", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.here:
        sys.stdout.write(json.dumps(measure(settings.here, settings.bins[0])) + "\n")
        return
    sources = {"before": settings.before, "now": None} if settings.before else {"now": None}
    cases = [
        (call, n_bins, version)
        for call in settings.calls
        for n_bins in settings.bins
        for version in sources
        if version == "now" or n_bins <= settings.before_up_to
    ]
    settings.out.mkdir(parents=True, exist_ok=True)
    kept = settings.out / "model_scaling.csv"
    rows = pd.read_csv(kept).to_dict("records") if kept.exists() else []
    done = {(row["call"], row["bins"], row["version"]) for row in rows}
    for call, n_bins, version in tqdm([case for case in cases if case not in done], desc="calls", unit="call"):
        rows.append({"call": call, "version": version, "bins": n_bins, **child(call, n_bins, sources[version])})
        tqdm.write(json.dumps(rows[-1]))
        table = pd.DataFrame(rows).reindex(
            columns=["call", "version", "bins", "prompts", "cpu_seconds", "gb_beyond", "gb_before", "score"]
        )
        table.to_csv(kept, index=False, float_format="%.4g")
        (settings.out / "model_scaling.md").write_text(to_markdown(table), encoding="utf-8")


if __name__ == "__main__":
    main()
