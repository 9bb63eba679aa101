"""Time and memory of predicting a few genes, or all, of a large object: each call in a process of its own.

The object is simulated: a square of bins, sparse counts, gene levels over four decades, a dozen domains. Peak memory is that of the
whole process, the object itself included. To compare with another version of the package, put its ``src`` first in ``PYTHONPATH``.

    python benchmarks/few_genes.py --bins 12000 100000 --genes 18000 --ask 5 --out few_genes.csv

``beyond_gb`` is the peak over what the process held when the call began, the object among it.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse
from tqdm.auto import tqdm

CALLS = ("nothing", "predict", "impute", "table", "store", "low_rank")
"""``nothing`` makes the object alone; ``table`` is ``tl.impute(..., write="table")``, ``store`` ``tl.impute(..., write=True)`` into
the store of a SpatialData, ``low_rank`` keeps 64 scores a spot."""
_DEPTH = 800
_DOMAINS = 12


def simulate(n_bins: int, n_genes: int, *, fraction: float) -> AnnData:
    """Bins of a square with sparse counts, a share of them measured."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n_bins)))
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:n_bins]
    centers = rng.uniform(0, side, (_DOMAINS, 2))
    domain = np.argmin(((places[:, None] - centers) ** 2).sum(axis=-1), axis=1)
    level = np.exp(rng.normal(0.0, 2.0, n_genes))
    shares = level * np.exp(rng.normal(0.0, 0.5, (_DOMAINS, n_genes)))
    shares /= shares.sum(axis=1, keepdims=True)
    counts = [sparse.csr_matrix(rng.poisson(_DEPTH * shares[one]).astype(np.float32)) for one in domain]
    table = AnnData(sparse.vstack(counts, format="csr"))
    table.obs_names = [f"bin{number}" for number in range(n_bins)]
    table.var_names = [f"gene{number}" for number in range(n_genes)]
    table.obsm["spatial"] = places * 60.0
    table.obs["prompt"] = rng.permutation(n_bins) < round(fraction * n_bins)
    return table


def measure(call: str, settings: argparse.Namespace) -> dict[str, object]:
    """Run one call here, and say what it took."""
    import phg2st_sc as phg2st

    table = simulate(settings.bins, settings.genes, fraction=settings.fraction)
    totals = np.asarray(table.X.sum(axis=0)).ravel()
    sdata = _stored(table) if call == "store" else None
    wanted = None if settings.ask <= 0 else list(table.var_names[np.argsort(-totals)[: settings.ask]])
    kind = {"method": settings.method, "genes": wanted}
    before, held = _status("VmHWM"), _from_here()
    began, worked, result = time.perf_counter(), time.process_time(), None
    if call == "predict":
        result = phg2st.tl.predict(table, **kind).X
    elif call == "impute":
        phg2st.tl.impute(table, key_added="made", **kind)
        result = table.layers["made"][:, table.var["made_predicted"]]
    elif call == "store":
        phg2st.tl.impute(sdata, key_added="made", write=True, **kind)
    elif call == "low_rank":
        phg2st.tl.impute(table, key_added="made", low_rank=64, **kind)
        result = table.obsm["made_scores"]
    elif call == "table":
        made = phg2st.tl.impute(table, key_added="made", write="table", **kind)
        result = made.X
    took = {"seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(time.process_time() - worked, 1)}
    mark = "" if result is None else sha256(np.ascontiguousarray(result).tobytes()).hexdigest()[:12]
    peak = _status("VmHWM")
    memory = {"peak_gb": max(before, peak), "object_gb": before, "beyond_gb": round(peak - held, 2)}
    return {**took, **memory, "result": mark}


def _stored(table: AnnData) -> Any:
    """The object as a SpatialData in a store, in a folder that is deleted at the end."""
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    shapes = ShapesModel.parse(table.obsm["spatial"], geometry=0, radius=4.0, index=np.arange(table.n_obs))
    table.obs["region"] = pd.Categorical(["bins"] * table.n_obs)
    table.obs["instance"] = np.arange(table.n_obs)
    table = TableModel.parse(table, region="bins", region_key="region", instance_key="instance")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sdata = SpatialData(shapes={"bins": shapes}, tables={"table": table})
    sdata.write(Path(folder) / "bins.zarr")
    return sdata


def _from_here() -> float:
    """Memory that is held now, from which on the peak is counted anew."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return _status("VmRSS")


def _status(what: str) -> float:
    """Resident memory of this process, in GB; what getrusage says starts from that of the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return round(next(float(line.split()[1]) for line in lines if line.startswith(what)) / 2**20, 2)


def main() -> None:
    """Run every call in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bins", type=int, nargs="+", default=[12_000])
    parser.add_argument("--genes", type=int, default=18_000)
    parser.add_argument("--ask", type=int, default=5, help="genes to ask for; 0 for all")
    parser.add_argument("--fraction", type=float, nargs="+", default=[0.1, 0.2])
    parser.add_argument("--method", nargs="+", default=["phg2st"])
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=list(CALLS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.here is not None:
        settings.fraction, settings.method, settings.bins = settings.fraction[0], settings.method[0], settings.bins[0]
        sys.stdout.write(json.dumps(measure(settings.here, settings)) + "\n")
        return
    rows = []
    cases = list(product(settings.bins, settings.fraction, settings.method, settings.calls))
    for bins, fraction, method, call in tqdm(cases):
        case = {"bins": bins, "genes": settings.genes, "fraction": fraction, "method": method, "call": call}
        rows.append({**case, **_child(call, bins, fraction, method, settings)})
        tqdm.write(json.dumps(rows[-1]))
    if settings.out is not None:
        pd.DataFrame(rows).to_csv(settings.out, index=False)


def _child(call: str, bins: int, fraction: float, method: str, settings: argparse.Namespace) -> dict[str, object]:
    command = [sys.executable, __file__, "--here", call, "--fraction", str(fraction), "--method", method]
    command += ["--bins", str(bins), "--genes", str(settings.genes), "--ask", str(settings.ask)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"error": done.returncode}


if __name__ == "__main__":
    main()
