"""Train on several processors: run by a test as ``python two_processes.py <devices> <file>``.

Lightning starts the script again for every further process. What the first one learned is written to the file.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from types import SimpleNamespace
from unittest import mock

import lightning as L
import numpy as np

import phg2st_sc as phg2st

SETTINGS = {
    "branches": "spot",
    "network": {"width": 16, "hypergraph_width": 8, "spot_blocks": 1},
    "max_epochs": 3,
    "patience": 0,
    "validation_fraction": 0.2,
    "accelerator": "cpu",
    "progress": False,
}


def learned(devices: int, slides_a_step: int = 1) -> dict[str, np.ndarray]:
    """Arrays of a network that was trained by so many processes, each of which takes so many slides to a step."""
    slides = phg2st.datasets.simulate(n_slides=5, n_patients=5, n_spots=60, n_genes=10, image=False, progress=False)
    trainer = partial(L.Trainer, accumulate_grad_batches=slides_a_step)
    strategy = "ddp" if devices > 1 else "auto"
    with mock.patch("phg2st_sc.training._run.L", SimpleNamespace(Trainer=trainer)):
        model = phg2st.tl.train(slides, method="phg2st_paper", devices=devices, strategy=strategy, **SETTINGS)
    record = model.card["training"]
    return {**model.state()[1], "losses": np.array(record["losses"]), "scores": np.array(record["scores"])}


if __name__ == "__main__":
    found = learned(int(sys.argv[1]))
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        np.savez(sys.argv[2], **found)
