"""Time and memory of `pp.build_hypergraph` by builder and number of spots, beside the search that it had before.

    python benchmarks/hypergraphs.py --sizes 10000 30000 100000 300000 --out benchmarks/results
    python benchmarks/hypergraphs.py --sizes 600000 --out benchmarks/results --resume

Simulated bins on a square lattice, with 64 features: smooth maps of 12 kinds, mixed, with noise; `--noise-only` takes features that
are independent of each other, the hardest there are. Every case runs in a process of its own, on one thread. Seconds are of
the processor; those that the index takes to compile once a process are apart, and the recall is what the record says.

"trees": what was done before beyond 20,000 spots, a tree over places and one over places and features side by side, of 65 candidates each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import anndata as ad
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc.graph import CombinedKNN, FeatureKNN

BUILDERS = ("position", "radius", "feature", "combined")
TREES_UP_TO = 30_000
N_FEATURES, N_MAPS, N_WAVES = 64, 12, 6
FIT_FROM = 30_000


def bins(n: int, *, noise_only: bool, seed: int = 0) -> ad.AnnData:
    """Simulated bins without expression."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    places = np.argwhere(np.ones((side, side)))[:n].astype(np.float64)
    if noise_only:
        features = rng.normal(size=(n, N_FEATURES))
    else:
        maps = 0.5 * rng.normal(size=(n, N_MAPS))
        for kind in range(N_MAPS):
            for _ in range(N_WAVES):
                wave = rng.normal(0, 2 * np.pi / (20 + 10 * kind), 2)
                maps[:, kind] += np.cos(places @ wave + rng.uniform(0, 2 * np.pi))
        mixed = maps @ rng.normal(size=(N_MAPS, N_FEATURES)) / np.sqrt(N_MAPS)
        features = np.tanh(mixed) + 0.1 * rng.normal(size=mixed.shape)
    adata = ad.AnnData(obs=pd.DataFrame(index=pd.RangeIndex(n).astype(str)))
    adata.obsm["spatial"], adata.obsm["X_image"] = places, features.astype(np.float32)
    return adata


def build(adata: ad.AnnData, builder: str) -> dict[str, Any]:
    """Build, and return the record."""
    uses = builder in ("feature", "combined")
    phg2st.pp.build_hypergraph(adata, builder=builder, use_rep="X_image" if uses else None, trust_rep=uses, pitch=1.0)
    params = adata.uns["hypergraph"]["params"]
    return {"search": str(params["search"][0]), "recall": float(params["recall"][0])}


def compiled(builder: str) -> float:
    """Processor seconds of the first index of a process, on few spots."""
    kind = {"feature": FeatureKNN, "combined": CombinedKNN}.get(builder)
    start = time.process_time()
    if kind is not None:
        small = bins(600, noise_only=False)
        kind(exact_up_to=100).build(small.obsm["spatial"], small.obsm["X_image"])
    return time.process_time() - start


def trees(adata: ad.AnnData, k: int = 4) -> dict[str, Any]:
    """Nearest under the combined distance, as they were searched before; recall on 1,000 spots."""
    from sklearn.neighbors import NearestNeighbors

    from phg2st_sc.graph._knn import normalized
    from phg2st_sc.graph._pairs import closest, ranked

    terms = [normalized(adata.obsm[name]) for name in ("spatial", "X_image")]
    terms = [term - term.mean(axis=0) for term in terms]
    spaces = [terms[0], np.hstack(terms)]
    found = [NearestNeighbors(n_neighbors=k + 65).fit(space).kneighbors(return_distance=False) for space in spaces]
    own = np.arange(adata.n_obs)
    distance = ranked(terms, np.hstack(found), k, queries=terms, own=own)[1]
    few = np.random.default_rng(0).choice(adata.n_obs, 1000, replace=False)
    some = [term[few] for term in terms]
    truth = ranked(terms, closest(terms, k + 16, queries=some, own=few), k, queries=some, own=few)[1]
    recall = float((distance[few] <= truth[:, -1:] * (1 + 1e-9)).mean())
    return {"search": "trees", "recall": recall}


def peak_bytes() -> int:
    """Peak resident memory of this process; what getrusage says starts from that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def measured(builder: str, n: int, *, noise_only: bool) -> dict[str, Any]:
    """One case, in this process."""
    import psutil

    compiling = compiled(builder) if n > FeatureKNN().exact_up_to else 0.0
    adata = bins(n, noise_only=noise_only)
    held = psutil.Process().memory_info().rss
    start = time.process_time()
    record = trees(adata) if builder == "trees" else build(adata, builder)
    seconds = time.process_time() - start
    peak = peak_bytes()
    kind = "noise" if noise_only else "smooth"
    sizes = {"cpu_s": seconds, "compile_s": compiling, "peak_gb": peak / 1e9, "beyond_gb": (peak - held) / 1e9}
    return {"features": kind, "builder": builder, "spots": n, **record, **sizes}


def in_own_process(builder: str, n: int, *, noise_only: bool) -> dict[str, Any]:
    """One case, in a process of its own."""
    command = [sys.executable, __file__, "--case", builder, str(n), *(["--noise-only"] if noise_only else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def exponents(rows: pd.DataFrame) -> pd.DataFrame:
    """Slope of log time over log spots, of all sizes from 30,000."""
    large = rows[rows["spots"] >= FIT_FROM]
    fits = [
        (*key, round(float(np.polyfit(np.log(group["spots"]), np.log(group["cpu_s"]), 1)[0]), 2))
        for key, group in large.groupby(["features", "builder"], sort=False)
        if len(group) > 1
    ]
    return pd.DataFrame(fits, columns=["features", "builder", "exponent"])


def write(rows: pd.DataFrame, out: Path) -> None:
    """The table, and a page."""
    out.mkdir(parents=True, exist_ok=True)
    rows = rows.sort_values(["features", "builder", "spots"], ascending=[False, True, True])
    rows.round(4).to_csv(out / "hypergraphs.csv", index=False)
    text = rows.round({"cpu_s": 1, "compile_s": 1, "peak_gb": 2, "beyond_gb": 2, "recall": 4}).to_string(index=False)
    lines = ["# Hypergraphs of many spots", "", "Made by `benchmarks/hypergraphs.py`, one thread.", ""]
    lines += ["```text", text, "", exponents(rows).to_string(index=False), "```", ""]
    (out / "hypergraphs.md").write_text("\n".join(lines), encoding="utf-8")
    print(text)


def main() -> None:
    """Measure, and write the table after every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--builders", nargs="+", choices=(*BUILDERS, "trees"), default=[*BUILDERS, "trees"])
    parser.add_argument("--noise-only", action="store_true", help="features that are nothing but noise")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--case", nargs=2, metavar=("BUILDER", "SPOTS"), help="one case in this process, as JSON")
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measured(given.case[0], int(given.case[1]), noise_only=given.noise_only)))
        return
    path = given.out / "hypergraphs.csv"
    rows = pd.read_csv(path) if given.resume and path.exists() else pd.DataFrame()
    cases = [(b, n) for n in given.sizes for b in given.builders if b != "trees" or n <= TREES_UP_TO]
    for builder, n in tqdm(cases, desc="hypergraphs"):
        row = in_own_process(builder, n, noise_only=given.noise_only)
        rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
        rows = rows.drop_duplicates(["features", "builder", "spots"], keep="last")
        write(rows, given.out)


if __name__ == "__main__":
    main()
