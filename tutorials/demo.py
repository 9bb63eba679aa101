"""Simulate sections, hide nine spots in ten, predict them, score every method, write stores and pictures.

Run by `make demo`; needs no data and no network. `--help` lists what can be changed.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
# The libraries underneath warn about each other; what the package itself has to say still shows.
for category in (DeprecationWarning, FutureWarning, SyntaxWarning):
    warnings.filterwarnings("ignore", category=category)
warnings.filterwarnings("ignore", message="zarr v3 autosharding")

import matplotlib.pyplot as plt
import pandas as pd
import spatialdata as sd
import squidpy as sq
from tqdm.auto import tqdm

import phg2st_sc as phg2st

LABELS = {
    "phg2st": "phg2st (the default), this section alone",
    "cohort": "phg2st, trained on other patients",
    "cohort_simple": "regression_kriging, trained on other patients",
}
COHORT = {"cohort": "phg2st", "cohort_simple": "regression_kriging"}
REGIMES = {"scattered": "random", "block": "block"}


def main() -> None:
    """Run the steps one after another and say how long each took."""
    settings = _settings()
    logging.getLogger("phg2st_sc").setLevel(logging.WARNING)
    _empty(settings.output)
    settings.output.mkdir(parents=True)
    start = time.perf_counter()

    with _step(f"simulate {settings.sections} sections"):
        slides = simulate(settings)
    with _step("image features (texture)"):
        for slide in tqdm(slides.values(), unit="section"):
            phg2st.pp.normalize(slide)
            phg2st.pp.extract_embeddings(slide, encoder="texture", context=None, progress=False)
    with _step("train on the sections of the other patients"):
        models = train(slides)
    with _step("predict and score, prompts scattered and in one block"):
        progress = tqdm(slides.items(), unit="section")
        scores = pd.concat([score(name, slide, models[name], settings) for name, slide in progress])
    with _step("write stores"):
        stores = {name: write(name, slide, settings) for name, slide in slides.items()}
    with _step("draw"):
        name, store = next(iter(stores.items()))
        gene = draw(sd.read_zarr(store), settings.output)

    report(scores, settings)
    print(f"\n{settings.output}/ holds the stores, scores.csv and pictures of {name} (gene {gene}).")
    print(f"Done in {time.perf_counter() - start:.0f} s.")


def _empty(folder: Path) -> None:
    """Take away what an earlier run left, and nothing else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "scores.csv").exists():
        raise SystemExit(f"{folder} is not empty and holds no earlier demonstration: choose another --output")
    shutil.rmtree(folder, ignore_errors=True)


def _settings() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder to write; emptied first")
    parser.add_argument("--sections", type=int, default=4)
    parser.add_argument("--patients", type=int, default=2)
    parser.add_argument("--spots", type=int, default=400, help="spots of a section")
    parser.add_argument("--genes", type=int, default=120)
    parser.add_argument("--depth", type=float, default=500.0, help="median counts of a spot")
    parser.add_argument("--fraction", type=float, default=0.1, help="part of the spots that count as measured")
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    if not 2 <= settings.patients <= settings.sections:
        parser.error("--patients must be at least 2, to leave one out in training, and at most --sections")
    return settings


@contextmanager
def _step(name: str) -> Iterator[None]:
    print(f"{name} ...", flush=True)
    start = time.perf_counter()
    yield
    print(f"    {time.perf_counter() - start:.1f} s", flush=True)


def simulate(settings: argparse.Namespace) -> dict[str, sd.SpatialData]:
    """Sections of several patients, each a SpatialData with its image."""
    return phg2st.datasets.simulate(
        n_slides=settings.sections,
        n_patients=settings.patients,
        n_spots=settings.spots,
        n_genes=settings.genes,
        depth=settings.depth,
        container="spatialdata",
        seed=settings.seed,
    )


def train(slides: dict[str, sd.SpatialData]) -> dict[str, dict[str, Any]]:
    """For each section, the models that learned from the sections of the other patients."""
    patients = {name: str(slide.tables["table"].obs["patient"].iloc[0]) for name, slide in slides.items()}
    models = {}
    for left_out in tqdm(sorted(set(patients.values())), unit="patient"):
        others = [slides[name] for name, patient in patients.items() if patient != left_out]
        models[left_out] = {
            key: phg2st.tl.train(others, method=method, progress=False) for key, method in COHORT.items()
        }
    return {name: models[patient] for name, patient in patients.items()}


def score(name: str, slide: sd.SpatialData, models: dict[str, Any], settings: argparse.Namespace) -> pd.DataFrame:
    """Held-out scores of every method on one section, with prompts scattered and in one block."""
    rows = []
    for regime, strategy in reversed(REGIMES.items()):  # the scattered prompts are drawn last, and stay in the store
        phg2st.pp.sample_prompts(slide, fraction=settings.fraction, strategy=strategy, seed=settings.seed)
        cohort = {}
        for key, model in models.items():
            phg2st.tl.impute(slide, model=model, key_added=key)
            cohort |= phg2st.tl.evaluate(slide, layer=key).attrs["means"]
        phg2st.tl.impute(slide)
        means = phg2st.tl.evaluate(slide, compare="simple").attrs["means"] | cohort
        rows += [{"section": name, "regime": regime, "method": method, **mean} for method, mean in means.items()]
    return pd.DataFrame(rows)


def write(name: str, slide: sd.SpatialData, settings: argparse.Namespace) -> Path:
    """Write one section; slots that come later go into the store by `write=True`."""
    path = settings.output / f"{name}.zarr"
    slide.write(path)
    phg2st.tl.impute(slide, write=True)
    return path


def draw(slide: sd.SpatialData, folder: Path) -> str:
    """Draw tiles over the image, and the best predicted gene: measured, known at the prompts, predicted."""
    phg2st.pl.tiles(slide, save=folder / "tiles.png")
    plt.close("all")
    scores = phg2st.tl.evaluate(slide)
    gene = str(scores.sort_values("pcc", ascending=False)["gene"].iloc[0])
    table = slide.tables["table"].copy()
    table.layers["known"] = table.to_df("phg2st_lognorm").where(table.obs["prompt"], axis=0).to_numpy()
    layers = {"phg2st_lognorm": "measured", "known": "known", "phg2st": "predicted"}
    figure, panels = plt.subplots(1, 3, figsize=(15, 4.5))
    for panel, (layer, title) in zip(panels, layers.items(), strict=True):
        # The image is an element of its own, not a thumbnail in the table: points, without it.
        sq.pl.spatial_scatter(table, color=gene, layer=layer, shape=None, library_id=["section"], size=40, ax=panel)
        panel.set_title(f"{gene}, {title}")
    figure.savefig(folder / "gene.png", dpi=120, bbox_inches="tight")
    plt.close("all")
    return gene


def report(scores: pd.DataFrame, settings: argparse.Namespace) -> None:
    """Print the mean over sections of the primary score, methods beside the ceiling, and keep all scores."""
    scores.to_csv(settings.output / "scores.csv", index=False)
    table = scores.pivot_table(index="method", columns="regime", values="pcc", sort=False)[list(REGIMES)]
    table = table.rename(index=LABELS)
    table.loc["noise ceiling"] = scores.groupby("regime")["ceiling"].mean()
    hidden = 1.0 - settings.fraction
    print(
        f"\nHeld-out correlation, depth taken out ({hidden:.0%} of the spots hidden; mean of {settings.sections} sections)\n"
    )
    print(table.to_string(float_format=lambda value: f"{value:.3f}"))
    print("\nSimulated sections: how the methods compare on yours is for `tl.evaluate` to say.")


if __name__ == "__main__":
    main()
