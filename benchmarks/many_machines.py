"""What it costs to have workers of Dask do the work: CPU of all processes, and what is sent, beside one process.

The same calls on the same simulated slides in stores, in this process and on two workers of this machine, which have imported the
package already::

    python benchmarks/many_machines.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import psutil
from distributed import Client, LocalCluster
from spatialdata import read_zarr
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc._cluster import _client, _tasks

SLIDES, SPOTS, GENES, WORKERS = 4, 1000, 300, 2


def stores(folder: Path) -> list[Path]:
    made = phg2st.datasets.simulate(
        n_slides=SLIDES, n_patients=SLIDES, n_spots=SPOTS, n_genes=GENES, container="spatialdata", progress=False
    )
    paths = []
    for name, one in made.items():
        phg2st.pp.sample_prompts(one, fraction=0.1, seed=0)
        one.write(folder / f"{name}.zarr")
        paths.append(folder / f"{name}.zarr")
    return paths


def cpu(client: Client | None) -> float:
    """Seconds of this process, and of the workers."""
    own = psutil.Process().cpu_times()
    there = [] if client is None else list(client.run(_cpu_of_worker).values())
    return own.user + own.system + sum(there)


def _cpu_of_worker() -> float:
    own = psutil.Process().cpu_times()
    return own.user + own.system


class Sent:
    """Counts what is packed for workers."""

    def __init__(self) -> None:
        self.n_bytes, self._packed = 0, _client.packed
        _tasks.packed = self

    def __call__(self, *what: Any) -> bytes:
        packed = self._packed(*what)
        self.n_bytes += len(packed)
        return packed


def calls(slides: dict[str, Any], client: Client | None) -> dict[str, Callable[[], Any]]:
    settings = {"client": client, "progress": False}
    tables = {name: one["table"] for name, one in slides.items()}
    return {
        "extract_embeddings (texture)": lambda: phg2st.pp.extract_embeddings(slides, encoder="texture", **settings),
        "impute": lambda: phg2st.tl.impute(slides, **settings),
        "benchmark": lambda: phg2st.tl.benchmark(
            tables, methods=["kriging", "gene_kriging"], genes=100, n_masks=2, n_splits=0, **settings
        ),
    }


def measured(paths: list[Path], client: Client | None, sent: Sent) -> tuple[pd.DataFrame, dict[str, Any]]:
    slides = {path.stem: read_zarr(path) for path in paths}
    rows, results = [], {}
    for name, call in tqdm(calls(slides, client).items(), desc="one process" if client is None else "workers"):
        sent.n_bytes, before, start = 0, cpu(client), time.perf_counter()
        results[name] = call()
        row = {"call": name, "workers": 0 if client is None else WORKERS, "cpu_s": cpu(client) - before}
        rows.append({**row, "wall_s": time.perf_counter() - start, "sent_mb": sent.n_bytes / 1e6})
    results["layers"] = [np.asarray(one["table"].layers["phg2st"]) for one in slides.values()]
    return pd.DataFrame(rows), results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    sent = Sent()
    with tempfile.TemporaryDirectory() as folder:
        paths = stores(Path(folder))
        measured(paths[:2], None, sent)  # imports
        alone, expected = measured(paths, None, sent)
        with (
            LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
            Client(cluster) as client,
        ):
            for _ in range(2):  # imports there, on both
                measured(paths[:2], client, sent)
            there, found = measured(paths, client, sent)
    same = all(np.array_equal(a, b) for a, b in zip(found["layers"], expected["layers"], strict=True))
    table = pd.concat([alone, there], ignore_index=True)
    table["same_bits"] = same
    options.out.mkdir(parents=True, exist_ok=True)
    table.round(2).to_csv(options.out / "many_machines.csv", index=False)
    lines = [
        "| call | CPU seconds, one process | CPU seconds, two workers | of one process | MB sent |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, one in table.groupby("call", sort=False):
        before, after = one["cpu_s"]
        lines.append(f"| `{name}` | {before:.1f} | {after:.1f} | {after / before:.2f} | {one['sent_mb'].iloc[1]:.1f} |")
    (options.out / "many_machines.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines), "same bits:", same)


if __name__ == "__main__":
    main()
