"""Time the two engines of the hypergraph convolution against each other.

Rounds alternate between the engines, so that whatever else the machine does hits both; figures are medians over the
rounds, and the ratio is the median of the rounds' ratios::

    python benchmarks/engines.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from phg2st_sc.graph import CombinedKNN, HypergraphOperator, context_operator
from phg2st_sc.graph._conv_engine import load_dgl

SIZES = ((300, 4), (1000, 4), (5000, 6))
WIDTH = 512
TILES = 25


def slide(n_spots: int, n_neighbors: int, rng: np.random.Generator) -> tuple[CombinedKNN, np.ndarray, np.ndarray]:
    """Jittered lattice with features that vary smoothly over it."""
    side = int(np.ceil(np.sqrt(n_spots)))
    lattice = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:n_spots]
    positions = lattice + rng.normal(scale=0.05, size=lattice.shape)
    features = np.sin(0.3 * positions @ rng.normal(size=(2, 16))) @ rng.normal(size=(16, 64))
    return CombinedKNN(n_neighbors=n_neighbors), positions, features + 0.5 * rng.normal(size=features.shape)


def seconds(step: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def forward(operator: HypergraphOperator, x: torch.Tensor) -> None:
    """Values alone."""
    with torch.no_grad():
        operator.apply(x)


def both_ways(operator: HypergraphOperator, x: torch.Tensor) -> None:
    """Values and gradients."""
    x = x.detach().requires_grad_()
    operator.apply(x).square().sum().backward()


def rounds(steps: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> pd.DataFrame:
    """One row per round, one column per step; the first rounds warm up and are dropped."""
    rows = [{name: seconds(step, device) for name, step in steps.items()} for _ in range(repeats + 3)]
    return pd.DataFrame(rows[3:])


def summary(times: pd.DataFrame, **labels: object) -> dict[str, object]:
    """Medians in ms and the ratio with its quartiles."""
    ratio = times["dgl"] / times["torch"]
    low, middle, high = ratio.quantile([0.25, 0.5, 0.75])
    medians = {f"{name}_ms": 1e3 * times[name].median() for name in times}
    return {**labels, **medians, "dgl_over_torch": middle, "ratio_q25": low, "ratio_q75": high}


def convolution(repeats: int, device: torch.device) -> list[dict[str, object]]:
    """The spot hypergraph at every size, forward and forward + backward."""
    rng, out = np.random.default_rng(0), []
    for n_spots, n_neighbors in tqdm(SIZES, desc="spots"):
        builder, positions, features = slide(n_spots, n_neighbors, rng)
        hypergraph = builder.build(positions, features)
        operators = {
            engine: HypergraphOperator(hypergraph, engine=engine, device=device) for engine in ("torch", "dgl")
        }
        x = torch.randn(n_spots, WIDTH, device=device)
        for name, way in (("forward", forward), ("forward + backward", both_ways)):
            steps = {engine: partial(way, operator, x) for engine, operator in operators.items()}
            labels = {"what": name, "n_spots": n_spots, "n_neighbors": n_neighbors}
            out.append(summary(rounds(steps, repeats, device), **labels))
    return out


def context(repeats: int, device: torch.device, n_spots: int = 1000) -> dict[str, object]:
    """25-tile hypergraphs around every spot: one batched product against one large sparse graph of DGL."""
    from scipy import sparse

    dense = context_operator(torch.randn(n_spots, TILES, 64, device=device))
    blocks = sparse.block_diag([(block > 0).astype(float) for block in dense.cpu().numpy()[:n_spots]], format="csr")
    operator = HypergraphOperator(blocks, engine="dgl", device=device)
    x = torch.randn(n_spots, TILES, WIDTH, device=device)

    def batched() -> None:
        values = x.detach().requires_grad_()
        torch.bmm(dense, values).square().sum().backward()

    steps = {"torch": batched, "dgl": lambda: both_ways(operator, x.reshape(-1, WIDTH))}
    labels = {"what": "25-tile blocks, forward + backward", "n_spots": n_spots, "n_neighbors": 4}
    return summary(rounds(steps, repeats, device), **labels)


def main() -> None:
    """Time, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    rows = [*convolution(args.repeats, device), context(max(3, args.repeats // 4), device)]
    table = pd.DataFrame(rows).assign(
        width=WIDTH,
        device=str(device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        dgl=load_dgl().__version__,
        python=platform.python_version(),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out / "engines.csv", index=False, float_format="%.4g")
    print(table.drop(columns=["torch", "dgl", "python"]).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
