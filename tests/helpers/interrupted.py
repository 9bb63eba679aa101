"""Press Ctrl-C: run by a test in a process of its own, as ``python interrupted.py <what> <folder>``.

A thread sends the signal once what the call is to be interrupted in is under way. Prints what came of it as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import phg2st_sc as phg2st
from phg2st_sc.training import TrainingModule

PAPER = {"branches": "spot", "max_epochs": 15, "patience": 0, "accelerator": "cpu"}


def slides(n: int = 3) -> dict[str, Any]:
    """Sections with embeddings."""
    made = phg2st.datasets.simulate(n_slides=n, n_patients=n, n_spots=60, n_genes=12, progress=False)
    for one in made.values():
        phg2st.pp.extract_embeddings(one, image="hires", encoder="texture", progress=False)
    return made


def press(call: Callable[[], Any], when: Callable[[], bool]) -> str:
    """What a call raises when Ctrl-C is pressed once ``when`` holds."""

    def wait() -> None:
        while not when():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - what it is, is the question
        return type(error).__name__
    return "nothing"


def training(folder: Path) -> dict[str, Any]:
    """Interrupted, resumed, and run in one go."""
    made = slides()

    def train(**settings: Any) -> Any:
        return phg2st.tl.train(made, method="phg2st_paper", progress=False, **PAPER, **settings)

    last = folder / "last.ckpt"
    raised = press(lambda: train(checkpoint_dir=folder), last.is_file)
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed, whole = train(resume_from=last), train()
    kept = [one.state()[1] for one in (resumed, whole)]
    same = all(np.array_equal(kept[0][name], kept[1][name]) for name in kept[1])
    return {"raised": raised, "handled": handled, "resumed": same and len(kept[1]) > 0}


def benchmark(folder: Path) -> dict[str, Any]:
    """Interrupted within the training of the second method, and called again."""
    made = slides()
    began: list[int] = []
    end = TrainingModule.on_train_epoch_end

    def watched(self: Any) -> None:
        began.append(self.current_epoch)
        end(self)

    TrainingModule.on_train_epoch_end = watched  # type: ignore[method-assign]
    before = {name: sorted([*one.layers, *one.obsm, *one.uns], key=str) for name, one in made.items()}

    def run() -> Any:
        methods = ["idw", {"method": "phg2st_paper", **PAPER}]
        return phg2st.tl.benchmark(made, methods=methods, genes=8, n_masks=1, n_splits=0, out=folder, progress=False)

    raised = press(run, lambda: bool(began))
    units = len(list((folder / "units").glob("*.csv")))
    again = run()
    after = {name: sorted([*one.layers, *one.obsm, *one.uns], key=str) for name, one in made.items()}
    done = sorted(again.loc[again["metric"] == "pcc", "method"].unique())
    hidden = [path.name for path in folder.rglob(".*")]
    return {"raised": raised, "units": units, "untouched": before == after, "methods": done, "hidden": hidden}


def embeddings(folder: Path) -> dict[str, Any]:
    """Interrupted while tiles of the second slide are encoded."""
    made = phg2st.datasets.simulate(n_spots=60, n_genes=12)
    seen: list[int] = []

    def encoder(tiles: Any) -> Any:
        seen.append(len(tiles))
        time.sleep(0.05)
        return tiles.reshape(len(tiles), -1)[:, :4].astype(np.float32)

    before = sorted([*made.obsm, *made.uns, *made.obs, *made.layers], key=str)

    def run() -> Any:
        phg2st.pp.extract_embeddings(
            made, image="hires", encoder=encoder, input_px=32, batch_size=4, context=5, progress=False
        )

    raised = press(run, lambda: len(seen) > 3)
    return {"raised": raised, "untouched": before == sorted([*made.obsm, *made.uns, *made.obs, *made.layers], key=str)}


if __name__ == "__main__":
    what = {one.__name__: one for one in (training, benchmark, embeddings)}[sys.argv[1]]
    sys.stdout.write(json.dumps(what(Path(sys.argv[2]))) + "\n")
