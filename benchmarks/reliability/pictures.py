"""Give slides their pictures in every way that goes right or wrong, and look at which one each is embedded from.

python benchmarks/reliability/pictures.py [--count 200] [--seed 0] [--out pictures.csv]

Each of `--count` objects holds two or three slides, as AnnData or SpatialData: on each other or beside each other, with records of their
own, records of one name, one lost, or none; with pictures in the records, as one for all or as a dict. Every tile has the colour of
its slide and spot. Right is: every slide has its own colours, or there is an error that names the slides and `image=`. The exit code is 1
where one was embedded from another picture without a word.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import logging
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
from tqdm import tqdm

import phg2st_sc as phg2st

PITCH, SIDE = 20, 6
RECORDS = ("own", "one name", "one lost", "none")
IMAGES = ("records", "one for all", "by slide")
FRAME = PITCH * (SIDE + 2)


def color(tiles: np.ndarray) -> np.ndarray:
    """Mean colour of the middle of every tile."""
    return tiles[:, 6:10, 6:10].mean(axis=(1, 2))


def lattice(rng: np.random.Generator, left: int) -> np.ndarray:
    """Spots of one slide, the first column at `left`."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    spots = np.column_stack([x.ravel(), y.ravel()]) * PITCH + PITCH + rng.integers(-4, 5, 2)
    return (spots + (left, 0)).astype(float)


def painted(picture: np.ndarray, spots: np.ndarray, slide: int) -> None:
    """Give the surroundings of every spot a colour that tells slide and spot."""
    for i, (x, y) in enumerate(spots.astype(int)):
        picture[max(y - 8, 0) : y + 8, max(x - 8, 0) : x + 8] = (60 + 50 * slide, 100 + 2 * i, 180 - 2 * i)


def made(rng: np.random.Generator, *, beside: bool, records: str, images: str) -> tuple[ad.AnnData, Any, np.ndarray]:
    """An object, what to pass as `image=`, and the features that its spots should get."""
    n_slides = int(rng.integers(2, 4))
    width = FRAME * (n_slides if beside else 1)
    parts, wanted, pictures = {}, [], {}
    common = np.full((FRAME, width, 3), 240, np.uint8)
    for i in range(n_slides):
        spots = lattice(rng, FRAME * i if beside else 0)
        picture = common if beside else np.full((FRAME, width, 3), 240, np.uint8)
        painted(picture, spots, i)
        part = ad.AnnData(np.ones((len(spots), 2), np.float32), obsm={"spatial": spots})
        part.obs_names = [f"spot{j}" for j in range(len(spots))]
        name = f"s{i}"
        pictures[name] = picture
        part.obs["library_id"] = "library" if records == "one name" else name
        if records != "none" and not (records == "one lost" and i):
            record = {"images": {"hires": picture}, "scalefactors": {"tissue_hires_scalef": 1.0}}
            part.uns["spatial"] = {part.obs["library_id"].iloc[0]: record}
        parts[name] = part
        wanted.append([(60 + 50 * i, 100 + 2 * j, 180 - 2 * j) for j in range(len(spots))])
    data = ad.concat(parts, label="sample", index_unique="-", uns_merge="first")
    image = {"records": None, "one for all": pictures["s0"], "by slide": pictures}[images]
    return data, image, np.concatenate(wanted)


def as_spatialdata(data: ad.AnnData, image: Any) -> tuple[Any, Any]:
    """The same with a region for each slide and an image element for each picture, all in one coordinate system."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel

    given = image if isinstance(image, dict) else {"he": image}
    elements = {f"{name}_image": Image2DModel.parse(p, dims=("y", "x", "c")) for name, p in given.items()}
    regions, table = {}, data.copy()
    table.obs["instance"] = 0
    for name in data.obs["sample"].unique():
        rows = np.flatnonzero(data.obs["sample"] == name)
        regions[name] = ShapesModel.parse(data.obsm["spatial"][rows], geometry=0, radius=5.0)
        table.obs.iloc[rows, table.obs.columns.get_loc("instance")] = np.arange(len(rows))
    del table.obsm["spatial"], table.uns
    table.obs["sample"] = table.obs["sample"].astype("category")
    table = TableModel.parse(table, region=list(regions), region_key="sample", instance_key="instance")
    return SpatialData(images=elements, shapes=regions, tables={"table": table}), None


def judge(data: Any, image: Any, wanted: np.ndarray, *, spatialdata: bool) -> tuple[str, str]:
    """What came out, and a word on it."""
    settings = {"encoder": color, "input_px": 16, "tile_um": 160.0, "context": None, "pitch_um": 10.0 * PITCH}
    if not spatialdata:
        settings["slide_key"] = "sample"
    try:
        phg2st.pp.extract_embeddings(data, image=image, progress=False, **settings)
    except (KeyError, ValueError) as error:
        return ("told" if "image=" in str(error) else "told badly"), str(error)
    found = (data["table"] if spatialdata else data).obsm["X_color"]
    return ("right" if np.abs(found - wanted).max() <= 6 else "wrong in silence"), ""


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    call = parser.parse_args()
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")
    ways = list(itertools.product((False, True), RECORDS, IMAGES, (False, True)))
    rows = []
    for i in tqdm(range(call.count), unit="object"):
        beside, records, images, spatialdata = ways[i % len(ways)]
        data, image, wanted = made(np.random.default_rng([call.seed, i]), beside=beside, records=records, images=images)
        if spatialdata:
            if image is None:
                continue
            data, image = as_spatialdata(data, image)
        came, word = judge(data, image, wanted, spatialdata=spatialdata)
        rows.append(
            {
                "beside": beside,
                "records": records,
                "images": images,
                "spatialdata": spatialdata,
                "came": came,
                "word": word,
            }
        )
    if call.out:
        with call.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    counts = Counter(row["came"] for row in rows)
    print(f"{len(rows)} objects: " + ", ".join(f"{n} {came}" for came, n in sorted(counts.items())))
    for row in rows:
        if row["came"] not in ("right", "told"):
            print(row)
    return 0 if set(counts) <= {"right", "told"} else 1


if __name__ == "__main__":
    sys.exit(main())
