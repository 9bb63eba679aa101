"""Press Ctrl-C at random moments while predictions and embeddings are made and written: every object is as before, or has all of the result.

    python benchmarks/reliability/interrupts.py --count 300 --out interrupts.csv

A thread sends the signal; the last line sums up, and the exit code is 1 where an object was left half-written.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse
from tqdm.auto import tqdm

import phg2st_sc as phg2st

_COLOR: dict[str, Any] = {"input_px": 16, "batch_size": 16, "progress": False}
SLOTS = ("layers", "obsm", "obsp", "obs", "var", "uns")


def contents(table: AnnData) -> dict[str, Any]:
    """What an object holds, by slot and key, as bytes and plain values that can be compared."""
    return {f"{slot}/{key}": plain(getattr(table, slot)[key]) for slot in SLOTS for key in list(getattr(table, slot))}


def plain(value: Any) -> Any:
    """Bytes of an array of numbers, plain values of anything else."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    array = value.toarray() if sparse.issparse(value) else np.asarray(value)
    return array.tolist() if array.dtype == object else (str(array.dtype), array.tobytes())


def mean_color(tiles: Any) -> Any:
    """Mean color of every tile."""
    return np.asarray(tiles, dtype=np.float32).mean(axis=(1, 2))


def impute(table: AnnData) -> None:
    """A second prediction in the place of a first."""
    phg2st.tl.impute(table, method="idw", n_neighbors=3, key_added="made", progress=False)


def embeddings(table: AnnData) -> None:
    """Embeddings in the place of others."""
    phg2st.pp.extract_embeddings(table, image="hires", encoder=mean_color, tile_um=150, **_COLOR)


def hypergraph(table: AnnData) -> None:
    """A hypergraph in the place of another."""
    phg2st.pp.build_hypergraph(table, n_neighbors=6)


CALLS: dict[str, Callable[[AnnData], None]] = {one.__name__: one for one in (impute, embeddings, hypergraph)}


def prepared() -> AnnData:
    """A section with a prediction, embeddings and a hypergraph that the calls replace."""
    table = phg2st.datasets.simulate(n_spots=80, n_genes=40, progress=False)
    phg2st.pp.sample_prompts(table, fraction=0.2)
    phg2st.pp.extract_embeddings(table, image="hires", encoder=mean_color, **_COLOR)
    phg2st.pp.build_hypergraph(table)
    phg2st.tl.impute(table, method="idw", key_added="made", progress=False)
    return table


def interrupted(call: Callable[[AnnData], None], table: AnnData, delay: float) -> str:
    """What a call ends in when the signal comes after ``delay`` seconds."""
    sent = threading.Event()

    def press() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)
        sent.set()

    ended = "finished"
    try:
        threading.Thread(target=press, daemon=True).start()
        call(table)
        while not sent.is_set():
            time.sleep(0.001)
        time.sleep(0.001)
    except KeyboardInterrupt:
        ended = "interrupted"
    except BaseException as error:  # noqa: BLE001 - what else comes out, is the question
        ended = type(error).__name__
    return ended


def main() -> None:
    """Interrupt every call ``count`` times in all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, first = np.random.default_rng(settings.seed), prepared()
    rows, before = [], contents(first)
    known = {}
    for name, call in CALLS.items():
        done = first.copy()
        call(done)
        began = time.perf_counter()
        call(done)
        known[name] = (contents(done), time.perf_counter() - began)
    for number in tqdm(range(settings.count), desc="Ctrl-C"):
        name = list(CALLS)[number % len(CALLS)]
        table, (after, seconds) = first.copy(), known[name]
        ended = interrupted(CALLS[name], table, float(rng.uniform(0.0, 1.1 * seconds)))
        found = contents(table)
        state = "old" if found == before else "new" if found == after else "half"
        rows.append({"call": name, "ended": ended, "object": state})
    table = pd.DataFrame(rows)
    if settings.out is not None:
        table.to_csv(settings.out, index=False)
    wrong = (table["object"] == "half") | ~table["ended"].isin(["interrupted", "finished"])
    counted = table.groupby(["call", "ended", "object"]).size()
    sys.stdout.write(
        f"{counted.to_string()}\n{len(table)} signals, {int(wrong.sum())} objects or errors that should not be\n"
    )
    sys.exit(int(wrong.any()))


if __name__ == "__main__":
    main()
