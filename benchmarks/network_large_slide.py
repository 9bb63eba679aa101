"""Time and memory of a trained default on a large slide, with the networks that it averages in and without.

    OMP_NUM_THREADS=1 python benchmarks/network_large_slide.py --bins 100000 --features 512 --prompts 1000 --out benchmarks/results

The slide is simulated (``_large_slide.py``), the model is trained for a few steps on three small ones: what it predicts is worth
nothing, but takes as long. ``peak_gb`` is beyond the memory that is taken before the call. Each row has a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from _large_slide import FEATURES, large_slide
from _report import markdown
from tqdm.auto import tqdm

_GENES, _SHOWN = 100, 50
_FORMS = {"without networks": ("network",), "with networks": ()}


def train(folder: str, n_features: int) -> None:
    """A model that networks have a say in."""
    import phg2st_sc as phg2st

    slides = {f"s{seed}": large_slide(600, n_genes=_GENES, n_features=n_features, seed=seed) for seed in (10, 11, 12)}
    for name, one in slides.items():
        one.obs["patient"] = name
    quick = {"max_epochs": 2, "training": {"steps_per_epoch": 2}}
    phg2st.tl.train(slides, use_rep=FEATURES, trust_rep=True, progress=False, **quick).save(folder)


def measure(folder: str, form: str, sizes: dict[str, int]) -> dict[str, float]:
    """One prediction."""
    import lightning  # noqa: F401 - what is loaded at first use takes memory too

    import phg2st_sc as phg2st

    slide = large_slide(sizes["bins"], n_genes=_GENES, n_features=sizes["features"], seed=1)
    slide.obs["prompt"] = np.random.default_rng(0).permutation(slide.n_obs) < sizes["prompts"]
    model = phg2st.models.load(folder)
    model.without, model.accelerator = _FORMS[form], "cpu"
    before, began = _status("VmRSS"), time.process_time()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    shown = list(slide.var_names[:_SHOWN])
    phg2st.tl.predict(slide, model=model, use_rep=FEATURES, trust_rep=True, genes=shown, progress=False)
    return {"cpu_seconds": time.process_time() - began, "peak_gb": (_status("VmHWM") - before) / 2**20}


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    """Measure both, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("bins", 100_000), ("features", 512), ("prompts", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    sizes = {name: getattr(asked, name) for name in ("bins", "features", "prompts")}
    alone = multiprocessing.get_context("spawn")
    rows = []
    with TemporaryDirectory() as folder, alone.Pool(1, maxtasksperchild=1) as pool:
        pool.apply(train, (f"{folder}/model", sizes["features"]))
        for form in tqdm(_FORMS, desc="predict"):
            rows.append({**sizes, "form": form, **pool.apply(measure, (f"{folder}/model", form, sizes))})
    table = pd.DataFrame(rows)
    table.to_csv(asked.out / "network_large_slide.csv", index=False, float_format="%.2f")
    said = [
        [
            row.form,
            f"{row.bins:,}",
            f"{row.features:,}",
            f"{row.prompts:,}",
            f"{row.cpu_seconds:.0f}",
            f"{row.peak_gb:.2f}",
        ]
        for row in table.itertuples()
    ]
    page = markdown(["", "bins", "features", "prompts", "CPU seconds", "GB"], said)
    (asked.out / "network_large_slide.md").write_text(page + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
