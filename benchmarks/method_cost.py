"""Time and memory of the methods of table 1: train on two sections, predict a third, each in a process of its own.

    python benchmarks/method_cost.py --data her2st/data --panel her2st_genes.txt --out benchmarks/results

Small presets on frozen embeddings, one thread. The published sizes on raw pictures, on a CPU: a single epoch on a single
section, with random weights; where timm cannot be imported, methods that need it are left out, and named.
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

import pandas as pd
from tqdm.auto import tqdm

NETWORKS = ("stnet", "histogene", "hist2st", "hggep", "bleep", "triplex")
SMALL, PUBLISHED = "small, on embeddings", "published, on pictures, one epoch"
ROWS = [(SMALL, name) for name in ("phg2st", "regression_kriging", "phg2st_paper", *NETWORKS)] + [
    (PUBLISHED, name) for name in NETWORKS
]
PAPER = {"preset": "paper", "weights": "random", "max_epochs": 1, "validation_fraction": 0.0, "fine_tune": 0}
"""One epoch, and nothing chosen."""


def peak_gb() -> float:
    """Peak resident memory of this process; what getrusage says starts from that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024**2


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Train and predict in this process."""
    import table1

    import phg2st_sc as phg2st

    cached = {name: options.cache / f"{name}_table1.h5ad" for name in ("C2", "C3", "C4")}
    slides = {name: table1.embedded(None, path) for name, path in cached.items()}
    panel = table1.shared_panel(options.panel, slides)
    small = options.size == SMALL
    train = [slides["C2"], slides["C3"]] if small else [slides["C2"]]
    phg2st.pp.sample_prompts(slides["C4"], fraction=0.1, seed=0)
    start, before = time.process_time(), time.perf_counter()
    model = phg2st.tl.train(train, method=options.method, genes=panel, progress=False, **({} if small else PAPER))
    trained, after = time.process_time(), time.perf_counter()
    phg2st.tl.impute(slides["C4"], prompt_mask="prompt", model=model)
    return {
        "train_seconds": after - before,
        "train_cpu_seconds": trained - start,
        "impute_seconds": time.perf_counter() - after,
        "process_gb": peak_gb(),
    }


def child(options: argparse.Namespace, size: str, method: str) -> dict[str, float] | None:
    """The same in a fresh process; ``None`` where timm cannot be imported."""
    command = [sys.executable, __file__, "--size", size, "--method", method, "--cache", str(options.cache)]
    done = subprocess.run([*command, "--panel", str(options.panel)], capture_output=True, text=True)
    if done.returncode and "ImportError" in done.stderr:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def to_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    lines = [
        "| size | method | training, s | processor s | one section, s | peak of the process, GB |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in table.itertuples():
        cells = [
            f"{row.train_seconds:.1f}",
            f"{row.train_cpu_seconds:.1f}",
            f"{row.impute_seconds:.1f}",
            f"{row.process_gb:.2f}",
        ]
        shown = ["not measured"] * 4 if pd.isna(row.train_seconds) else cells
        lines.append(f"| {row.size_} | `{row.method}` | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every method in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the HER2+ data set")
    parser.add_argument("--panel", type=Path, required=True, help="file of gene names")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--cache", type=Path, default=Path("table1_cache"), help="embedded sections")
    parser.add_argument("--size", help=argparse.SUPPRESS)
    parser.add_argument("--method", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        warnings.simplefilter("ignore")
        print(json.dumps(measured(options)))
        return
    import table1

    table1.her2(options)
    rows = [
        {"size_": size, "method": method, **(child(options, size, method) or {})}
        for size, method in tqdm(ROWS, desc="methods")
    ]
    table = pd.DataFrame(rows)
    options.out.mkdir(parents=True, exist_ok=True)
    table.rename(columns={"size_": "size"}).to_csv(options.out / "method_cost.csv", index=False, float_format="%.4g")
    text = to_markdown(table)
    (options.out / "method_cost.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
