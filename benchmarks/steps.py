"""Time and peak memory of every step of the main job on one real section, and of imputing a large slide.

Each line is a process of its own, so that its peak is its own; "memory of the step" is the peak above what the process
held before the step (imports, and the input of the step)::

    python benchmarks/steps.py --data her2st/data --panel her2st_genes.txt --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

SECTION = "C4"
LARGE = {"n_spots": 5000, "n_genes": 2000, "n_features": 156}


def peak_mb() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(step: Callable[[], Any]) -> dict[str, float]:
    """Run a step once."""
    before, start, busy = peak_mb(), time.perf_counter(), time.process_time()
    step()
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"seconds": seconds, "cpu_seconds": busy, "step_mb": peak_mb() - before, "process_mb": peak_mb()}


def prepared(folder: Path, *, panel: str | None) -> Any:
    """Section with normalisation, prompts and image features, as an earlier step left it."""
    import anndata as ad

    import phg2st_sc as phg2st

    table = ad.read_h5ad(folder / "prepared.h5ad")
    if panel is not None:
        table.var["phg2st_panel"] = table.var_names.isin(phg2st.datasets.read_panel(panel))
    return table


def step_import(_: argparse.Namespace) -> dict[str, float]:
    def imports() -> None:
        import phg2st_sc as phg2st

        _ = (phg2st.pp, phg2st.tl, phg2st.datasets)

    return measured(imports)


def step_read(options: argparse.Namespace) -> dict[str, float]:
    import phg2st_sc as phg2st

    read = phg2st.datasets.her2st
    return measured(lambda: read(options.data, sections=SECTION, progress=False))


def _read(options: argparse.Namespace) -> Any:
    import phg2st_sc as phg2st

    return phg2st.datasets.her2st(options.data, sections=SECTION, progress=False)[SECTION]


def step_normalize(options: argparse.Namespace) -> dict[str, float]:
    import phg2st_sc as phg2st

    table = _read(options)
    return measured(lambda: phg2st.pp.normalize(table))


def step_sample_prompts(options: argparse.Namespace) -> dict[str, float]:
    import phg2st_sc as phg2st

    table = _read(options)
    return measured(lambda: phg2st.pp.sample_prompts(table, fraction=0.1, seed=0))


def step_extract_embeddings(options: argparse.Namespace) -> dict[str, float]:
    import phg2st_sc as phg2st

    table = _read(options)
    phg2st.pp.normalize(table)
    phg2st.pp.sample_prompts(table, fraction=0.1, seed=0)
    result = measured(lambda: phg2st.pp.extract_embeddings(table, encoder="texture", progress=False))
    table.write_h5ad(options.scratch / "prepared.h5ad")
    return result


def _impute(options: argparse.Namespace, panel: Path | None) -> dict[str, float]:
    import phg2st_sc as phg2st

    table = prepared(options.scratch, panel=panel)
    result = measured(lambda: phg2st.tl.impute(table, prompt_mask="prompt"))
    table.write_h5ad(options.scratch / "imputed.h5ad")
    return result


def step_impute_all_genes(options: argparse.Namespace) -> dict[str, float]:
    return _impute(options, None)


def step_impute_panel(options: argparse.Namespace) -> dict[str, float]:
    return _impute(options, options.panel)


def step_evaluate(options: argparse.Namespace) -> dict[str, float]:
    import anndata as ad

    import phg2st_sc as phg2st

    table = ad.read_h5ad(options.scratch / "imputed.h5ad")
    return measured(lambda: phg2st.tl.evaluate(table))


def step_evaluate_beside_simple_methods(options: argparse.Namespace) -> dict[str, float]:
    import anndata as ad

    import phg2st_sc as phg2st

    table = ad.read_h5ad(options.scratch / "imputed.h5ad")
    return measured(lambda: phg2st.tl.evaluate(table, compare="simple"))


def step_write_zarr(options: argparse.Namespace) -> dict[str, float]:
    import anndata as ad

    table = ad.read_h5ad(options.scratch / "imputed.h5ad")
    return measured(lambda: table.write_zarr(options.scratch / "imputed.zarr"))


def large_slide(fraction: float) -> Any:
    """Slide of counts and features that share smooth fields, on a square lattice."""
    import anndata as ad
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    n, genes, d = LARGE["n_spots"], LARGE["n_genes"], LARGE["n_features"]
    side = int(np.ceil(np.sqrt(n)))
    positions = np.stack(np.divmod(np.arange(n), side), axis=1) * 100.0
    fields = np.sin(positions / 100.0 @ rng.normal(size=(2, 8)) * 0.2 + rng.uniform(0, 6, 8))
    rate = rng.dirichlet(np.full(genes, 0.5)) * np.exp(0.4 * fields @ rng.normal(size=(8, genes)))
    counts = rng.poisson(3000 * rng.lognormal(0, 0.4, (n, 1)) * rate / rate.sum(axis=1, keepdims=True))
    table = ad.AnnData(csr_matrix(counts, dtype=np.float32))
    table.obsm["spatial"] = positions
    table.obsm["X_image"] = (fields @ rng.normal(size=(8, d)) + rng.normal(size=(n, d))).astype(np.float32)
    table.obs["prompt"] = rng.permutation(n) < fraction * n
    return table


def step_large(options: argparse.Namespace) -> dict[str, float]:
    import phg2st_sc as phg2st

    table = large_slide(options.fraction)
    rep = {"use_rep": "X_image", "trust_rep": True} if options.with_image else {}
    method = {} if options.method is None else {"method": options.method}
    return measured(lambda: phg2st.tl.impute(table, prompt_mask="prompt", **rep, **method))


STEPS = {name.removeprefix("step_"): step for name, step in globals().items() if name.startswith("step_")}
ON_SECTION = (
    "import",
    "read",
    "normalize",
    "sample_prompts",
    "extract_embeddings",
    "impute_all_genes",
    "impute_panel",
    "evaluate",
    "evaluate_beside_simple_methods",
    "write_zarr",
)


def child(options: argparse.Namespace, step: str, *extra: str) -> dict[str, float]:
    """Run one step in a fresh process."""
    command = [sys.executable, __file__, "--step", step, "--scratch", str(options.scratch)]
    command += ["--data", str(options.data), "--panel", str(options.panel), *extra]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_all(options: argparse.Namespace) -> pd.DataFrame:
    """All steps in turn; each leaves what the next one reads."""
    rows = []
    for step in tqdm(ON_SECTION, desc=SECTION):
        rows.append({"data": f"section {SECTION}", "step": step.replace("_", " "), **child(options, step)})
    size = f"{LARGE['n_spots']:,} spots x {LARGE['n_genes']:,} genes"
    cases = [
        (m, f, i) for f in (0.1, 0.5) for m, i in (("", True), ("gene_kriging", False), ("space_image_kriging", True))
    ]
    for method, fraction, image in tqdm(cases, desc=size):
        extra = [
            "--fraction",
            str(fraction),
            *(["--with-image"] if image else []),
            *(["--method", method] if method else []),
        ]
        label = f"impute, {fraction:.0%} prompts, {method or 'phg2st'}"
        rows.append({"data": size, "step": label, **child(options, "large", *extra)})
    return pd.DataFrame(rows)


def to_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    lines = [
        "| data | step | seconds | processor seconds | memory of the step, MB | peak of the process, MB |",
        "|---|---|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.data} | {r.step} | {r.seconds:.2f} | {r.cpu_seconds:.2f} | {r.step_mb:.0f} | {r.process_mb:.0f} |"
        for r in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the HER2+ repository")
    parser.add_argument("--panel", type=Path, required=True, help="file with the gene panel")
    parser.add_argument("--out", type=Path, help="folder for steps.csv and steps.md")
    for name in ("--step", "--method"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--fraction", type=float, default=0.1, help=argparse.SUPPRESS)
    parser.add_argument("--with-image", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        warnings.simplefilter("ignore")
        print(json.dumps(STEPS[options.step](options)))
        return
    if options.out is None:
        parser.error("give --out")
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = Path(scratch)
        table = run_all(options)
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "steps.csv", index=False, float_format="%.3f")
    (options.out / "steps.md").write_text(to_markdown(table), encoding="utf-8")
    print(to_markdown(table))


if __name__ == "__main__":
    main()
