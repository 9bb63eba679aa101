"""Do files that were written with one set of libraries open with another? Write with one environment, read with the other.

    .venv/bin/python     benchmarks/reliability/stacks.py write from_old
    .venv-new/bin/python benchmarks/reliability/stacks.py read  from_old
    .venv-new/bin/python benchmarks/reliability/stacks.py write from_new
    .venv/bin/python     benchmarks/reliability/stacks.py read  from_new

``write`` leaves simulated sections in a folder, as h5ad, as zarr and as a SpatialData store, with image features, a hypergraph, prompts and
predictions in them, two saved models, and a benchmark that is half done. ``read`` opens them all: stored predictions have to be the same to the last
bit, those made anew from what was stored within ``TOLERANCE`` (other versions of numpy and torch add numbers in another order), and
results are written back into the stores. It ends with exit code 1 where anything fails.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import spatialdata as sd

import phg2st_sc as phg2st

KEY, AGAIN = "phg2st", "again"
TOLERANCE = 1e-4
METHODS = {
    "phg2st": {},
    "regression_kriging": {},
    "phg2st_paper": {"max_epochs": 2, "network": {"width": 32, "hypergraph_width": 32}},
}
PLAN = {"fraction": 0.2, "strategies": ("random",), "n_masks": 1}


def main() -> None:
    """Write or read one folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("write", "read"))
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("phg2st_sc").setLevel(logging.ERROR)
    print("with", _versions())
    if given.what == "write":
        write(given.folder)
    else:
        sys.exit(read(given.folder))


def _versions() -> str:
    import torch
    import zarr

    modules = (ad, sd, pd, np, zarr, torch)
    return ", ".join([f"Python {sys.version.split()[0]}", *(f"{m.__name__} {m.__version__}" for m in modules)])


def write(folder: Path) -> None:
    """Fill a new folder."""
    folder.mkdir(parents=True)
    for kind, slides in (("anndata", _sections("anndata")), ("spatialdata", _sections("spatialdata"))):
        for slide in slides.values():
            _prepare(slide)
        first, *others = slides.values()
        if kind == "anndata":
            _write_models(others, folder)
            _benchmark(slides, folder)
            phg2st.tl.impute(first, key_added=KEY)
            first.write_h5ad(folder / "slide.h5ad")
            first.write_zarr(folder / "slide.zarr")
            _keep(folder, first, {name: _predict(first, folder / name) for name in METHODS})
        else:
            first.write(folder / "slide.sdata.zarr")
            phg2st.tl.impute(first, key_added=KEY, write=True)
            np.savez(folder / "kept_store.npz", stored=first.tables["table"].layers[KEY])
    (folder / "written.json").write_text(json.dumps({"with": _versions()}), encoding="utf-8")
    print(f"written: {folder}")


def read(folder: Path) -> int:
    """Open everything, and count what fails."""
    print("written with", json.loads((folder / "written.json").read_text(encoding="utf-8"))["with"])
    kept = dict(np.load(folder / "kept.npz"))
    checks: dict[str, Callable[[], None]] = {
        "h5ad": lambda: _check_table(ad.read_h5ad(folder / "slide.h5ad"), kept),
        "zarr": lambda: _check_table(ad.read_zarr(folder / "slide.zarr"), kept),
        "SpatialData": lambda: _check_store(folder / "slide.sdata.zarr", dict(np.load(folder / "kept_store.npz"))),
        "benchmark": lambda: _check_benchmark(folder),
    }
    checks |= {f"model {name}": lambda name=name: _check_model(folder, name, kept) for name in METHODS}
    failed = 0
    for name, check in checks.items():
        try:
            check()
        except Exception:  # noqa: BLE001 - what fails is counted, and the others go on
            failed += 1
            print(f"{name}: FAILED")
            traceback.print_exc()
        else:
            print(f"{name}: opens, agrees, and is written to")
    print(f"{len(checks) - failed} of {len(checks)} open with the other libraries")
    return min(failed, 1)


def _sections(container: str) -> dict[str, ad.AnnData] | dict[str, sd.SpatialData]:
    return phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=150, n_genes=30, container=container, seed=0)


def _prepare(slide: ad.AnnData | sd.SpatialData) -> None:
    phg2st.pp.normalize(slide)
    phg2st.pp.extract_embeddings(slide, encoder="texture", context=5, progress=False)
    phg2st.pp.sample_prompts(slide, fraction=0.2, seed=0)
    phg2st.pp.build_hypergraph(slide)


def _write_models(slides: list[ad.AnnData], folder: Path) -> None:
    for name, settings in METHODS.items():
        phg2st.tl.train(slides, method=name, progress=False, **settings).save(folder / name)


def _benchmark(slides: dict[str, ad.AnnData], folder: Path) -> pd.DataFrame:
    return phg2st.tl.benchmark(slides, methods=["idw", "kriging"], out=folder / "benchmark", progress=False, **PLAN)


def _predict(slide: ad.AnnData, model: Path) -> np.ndarray:
    return np.asarray(phg2st.tl.predict(slide, model=model).X)


def _keep(folder: Path, slide: ad.AnnData, predicted: dict[str, np.ndarray]) -> None:
    np.savez(
        folder / "kept.npz", stored=slide.layers[KEY], score=phg2st.tl.evaluate(slide, layer=KEY)["pcc"], **predicted
    )


def _check_table(slide: ad.AnnData, kept: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(slide.layers[KEY], kept["stored"])
    np.testing.assert_allclose(phg2st.tl.evaluate(slide, layer=KEY)["pcc"], kept["score"], atol=TOLERANCE)
    phg2st.tl.impute(slide, key_added=AGAIN)
    np.testing.assert_allclose(slide.layers[AGAIN], kept["stored"], atol=TOLERANCE)


def _check_store(path: Path, kept: dict[str, np.ndarray]) -> None:
    slide = sd.read_zarr(path)
    np.testing.assert_array_equal(slide.tables["table"].layers[KEY], kept["stored"])
    phg2st.tl.impute(slide, key_added=AGAIN, write=True)
    written = sd.read_zarr(path).tables["table"].layers
    np.testing.assert_array_equal(written[KEY], kept["stored"])
    np.testing.assert_allclose(written[AGAIN], kept["stored"], atol=TOLERANCE)


def _check_model(folder: Path, name: str, kept: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(_predict(ad.read_h5ad(folder / "slide.h5ad"), folder / name), kept[name], atol=TOLERANCE)
    phg2st.models.load(folder / name).save(folder / f"{name}_again", overwrite=True)


def _check_benchmark(folder: Path) -> None:
    slides = _sections("anndata")
    for slide in slides.values():
        _prepare(slide)
    before = {path: path.stat().st_mtime_ns for path in (folder / "benchmark" / "units").iterdir()}
    scores = _benchmark(slides, folder)
    after = {path: path.stat().st_mtime_ns for path in before}
    if scores.empty or before != after:
        raise ValueError("The units of the benchmark were made again.")


if __name__ == "__main__":
    main()
