"""Seconds and memory of one training step of the network, on a simulated slide; each case in a process of its own.

    python benchmarks/network_steps.py --out benchmarks/results/network_steps.csv

Forward, loss, backward and Adam at random features of width 1024 and 785 genes; the first step is not counted (with
``--steps 0`` it is all there is). Peak memory
is the resident set of the process (with torch and the slide), on CUDA what torch allocated.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CASES = [
    (preset, n_spots, engine, spots_per_step)
    for preset, spots_per_step in (("default", None), ("paper", 256), ("paper", None))
    for n_spots in (300, 1000)
    for engine in ("dgl", "torch")
    if not (preset == "paper" and spots_per_step is None and engine == "dgl")
]


def measure(preset: str, n_spots: int, engine: str, spots_per_step: int | None, steps: int, device: str) -> dict:
    import torch

    from phg2st_sc._arrays import SlideArrays
    from phg2st_sc.models.phg2st_paper.network import PHG2STNetwork
    from phg2st_sc.nn import FeatureStats, NetworkConfig, slide_tensors, three_part_loss

    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n_spots)))
    positions = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:n_spots].astype(float)
    tiles = rng.normal(size=(4 * n_spots, 1024)).astype(np.float16)
    index = rng.integers(0, len(tiles), size=(n_spots, 25)).astype(np.int32)
    arrays = SlideArrays("s", positions, rng.normal(size=(n_spots, 1024)).astype(np.float32), {}, None, index, tiles)
    config = NetworkConfig.preset(preset, n_features=1024, n_genes=785)
    began = time.perf_counter()
    slide = slide_tensors(arrays, config, FeatureStats.of([], 1024), n_neighbors=4, engine=engine).to(device)
    encode = time.perf_counter() - began
    network = PHG2STNetwork(config).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    y = torch.rand(n_spots, 785, device=device)
    seconds, cpu = [], []
    for _ in range(steps + 1):
        rows = torch.randperm(n_spots, device=device)[: spots_per_step or n_spots]
        began, used = time.perf_counter(), time.process_time()
        output = network(slide, y, torch.rand(n_spots, device=device) < 0.3, rows)
        three_part_loss(output, y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    peak = (
        torch.cuda.max_memory_allocated()
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "preset": preset,
        "n_spots": n_spots,
        "spots_per_step": spots_per_step or n_spots,
        "engine": engine,
        "device": device,
        "threads": torch.get_num_threads(),
        "seconds_per_step": round(float(np.median(seconds[1:] or seconds)), 3),
        "cpu_seconds_per_step": round(float(np.median(cpu[1:] or cpu)), 3),
        "encode_seconds": round(encode, 3),
        "peak_gb": round(peak / 2**30, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory-gb", type=float, default=14.0, help="a case that needs more is left out")
    parser.add_argument("--presets", nargs="+", default=["default", "paper"])
    parser.add_argument("--case", help="one case as JSON; used by the script itself")
    options = parser.parse_args()
    if options.case:
        if options.device == "cpu":
            limit = int(options.memory_gb * 2**30)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        print(json.dumps(measure(*json.loads(options.case), steps=options.steps, device=options.device)))
        return
    import pandas as pd

    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in CASES:
        if case[0] not in options.presets:
            continue
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--case", json.dumps(case)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(case, "left out:", done.stderr.strip().splitlines()[-1:])
            continue
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
        pd.DataFrame(rows).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
