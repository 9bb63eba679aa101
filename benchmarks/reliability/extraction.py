"""Kill ``pp.extract_embeddings`` while it encodes, make the same call again, and compare.

Half of the kills are of calls that keep their features in the store of a SpatialData (``write=True``), half of calls on an AnnData
with ``cache=``; half at a random time, half before a given change of a file, between the two files of a batch among them. Some of the
second calls are killed too. Asked each time: are the bits those of a call that was left alone? How many tiles were encoded
more than once? Does ``io.recover`` leave nothing behind?::

    python benchmarks/reliability/extraction.py --count 30 --seed 0 --out made
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad  # children are forked with everything loaded
import numpy as np
from _steps import Steps, in_child
from spatialdata import SpatialData

import phg2st_sc as phg2st

BATCH, KEPT = 16, ".phg2st-embeddings"
SETTINGS = {"context": 3, "batch_size": BATCH, "progress": False}
Call = Callable[[Path, Path], list[str]]


def encoder(log: Path) -> Any:
    """Colors of a tile, at the pace of a small network; every batch that it has done is noted."""

    def colors(tiles: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        features = tiles.reshape(len(tiles), -1, 3).astype(np.float32)
        found = np.hstack([features.mean(axis=1), features.std(axis=1)])
        with log.open("a") as file:
            file.write(f"{len(tiles)}\n")
        return found

    return phg2st.encoders.get_encoder(colors, name="colors", input_px=64)


def in_store(folder: Path, log: Path) -> list[str]:
    """Embed the section in a store."""
    sdata = SpatialData.read(folder / "section.zarr")
    phg2st.pp.extract_embeddings(sdata, encoder=encoder(log), write=True, **SETTINGS)
    return digest(next(iter(SpatialData.read(folder / "section.zarr").tables.values())))


def in_cache(folder: Path, log: Path) -> list[str]:
    """Embed the section of a file."""
    table = ad.read_h5ad(folder / "section.h5ad")
    options = {**SETTINGS, "context_mode": "lattice"}
    phg2st.pp.extract_embeddings(table, image="hires", encoder=encoder(log), cache=folder / "kept", **options)
    return digest(table)


CALLS: dict[str, tuple[Call, str]] = {"in the store": (in_store, "section.zarr"), "with cache=": (in_cache, "kept")}


def digest(table: ad.AnnData) -> list[str]:
    """Fingerprints of what was written."""
    tiles = table.uns["phg2st_tiles"]["X_colors"]
    arrays = [table.obsm["X_colors"], table.obsm["X_colors_context_index"], tiles["features"], tiles["positions"]]
    return [hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16] for array in arrays]


def make(folder: Path) -> None:
    """The same section as a store and as a file."""
    settings = {"n_spots": 250, "n_genes": 10, "seed": 0, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        phg2st.datasets.simulate(container="spatialdata", **settings).write(folder / "section.zarr")
        phg2st.datasets.simulate(**settings).write_h5ad(folder / "section.h5ad")


def encoded(log: Path) -> int:
    """Tiles that were encoded, but for the one by which an encoder without weights is known."""
    batches = [int(line) for line in log.read_text().split()] if log.exists() else []
    return sum(n for n in batches if n > 1)


class Campaign:
    """A number of kills, and what came out."""

    def __init__(self, out: Path, seed: int) -> None:
        self.out, self.draw, self.rows = out, random.Random(seed), []
        self.base = out / "base"
        self.base.mkdir(parents=True)
        in_child(lambda: make(self.base))
        self.plans = {name: self._plan(name) for name in CALLS}

    def _plan(self, name: str) -> dict[str, Any]:
        call, changes = CALLS[name]
        folder = self._copy()
        start = time.perf_counter()
        expected = in_child(lambda: call(folder, folder / "log"))
        seconds, tiles = time.perf_counter() - start, encoded(folder / "log")
        folder = self._copy()
        steps = in_child(lambda: _count(folder / changes, partial(call, folder, folder / "log")))
        return {"expected": expected, "seconds": seconds, "tiles": tiles, "steps": steps}

    def kill(self, number: int) -> None:
        """One kill, sometimes two, and the call made again."""
        name = list(CALLS)[number % 2]
        call, changes = CALLS[name]
        plan, folder = self.plans[name], self._copy()
        log, kills, finished = folder / "log", 0, 0
        for _ in range(2 if self.draw.random() < 0.3 else 1):
            work = partial(call, folder, log)
            if number % 4 < 2:
                where = f"after {self.draw.uniform(0.2, 1.0):.2f} of the time"
                done = in_child(work, kill_after=plan["seconds"] * float(where.split()[1]))
            else:
                at = self.draw.randrange(plan["steps"])
                where = f"before change {at}"
                done = in_child(partial(_until, folder / changes, at, work))
            kills += done is None
            finished += done is not None
        found = in_child(lambda: call(folder, log))
        again = encoded(log) - plan["tiles"]
        if name == "in the store":  # which keeps nothing of a call that has ended
            again -= finished * plan["tiles"]
        faults = []
        if found != plan["expected"]:
            faults.append("other bits")
        if again > BATCH * kills:
            faults.append(f"{again} tiles encoded again")
        if name == "in the store":
            in_child(lambda: phg2st.io.recover(folder / "section.zarr"))
            if (folder / "section.zarr" / KEPT).exists():
                faults.append("something is left in the store")
        self.rows.append(
            {"call": name, "where": where, "kills": kills, "again": max(again, 0), "fault": "; ".join(faults)}
        )
        print(json.dumps(self.rows[-1]), flush=True)

    def _copy(self) -> Path:
        folder = self.out / "work"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.base, folder)
        return folder


def _count(root: Path, work: Callable[[], object]) -> int:
    """Changes of files until the first result would be exchanged, or the end."""
    root.mkdir(exist_ok=True)
    steps = Steps(root)
    work()
    steps.on = False
    return steps.first("journal.json")


def _until(root: Path, at: int, work: Callable[[], object]) -> object:
    root.mkdir(exist_ok=True)
    Steps(root, at)
    return work()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder that is not there yet")
    options = parser.parse_args()
    os.environ["TQDM_DISABLE"] = "1"
    warnings.simplefilter("ignore")
    campaign = Campaign(options.out, options.seed)
    for number in range(options.count):
        campaign.kill(number)
    failed = [row for row in campaign.rows if row["fault"]]
    kills, most = sum(row["kills"] for row in campaign.rows), max(row["again"] for row in campaign.rows)
    print(f"{kills} kills in {options.count} extractions; at most {most} tiles encoded again; {len(failed)} failed")
    (options.out / "extraction.json").write_text(json.dumps(campaign.rows, indent=1), encoding="utf-8")
    shutil.rmtree(options.out / "base")
    shutil.rmtree(options.out / "work")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
