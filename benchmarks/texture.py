"""Texture features from tiles that are cut out, and pooled from an image that is filtered once: time, agreement, scores.

    python benchmarks/texture.py speed --out benchmarks/results
    python benchmarks/texture.py sections --her2st her2st/data --colon visium_mouse_colon --panel her2st_genes.txt \
        --out benchmarks/results

``speed`` writes a simulated slide of 20,000 x 20,000 pixels (tiles of 512, JPEG) and embeds regular lattices of spots on
it, each way in a process of its own, one thread; tiles are cut out for a patch of 400 neighbouring spots and their time scaled to all.
``sections`` embeds real sections both ways: correlation by feature, with that between tiles cut out half a pixel apart
beside it, and the scores of methods that look at the image.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc._image import Tiles
from phg2st_sc.encoders import encode_places, encode_tiles, get_encoder, pooled_fields

SIDE_PX, SIDE_UM, TILE_UM = 20_000, 6_600.0, 112.0
LATTICES = {"5,000 spots": 5_000, "50,000 spots": 50_000, "8 um bins": 680_625}
SAMPLE = 400
TILES, POOLED, RULE = "cut out", "pooled", "as called"
METHODS = ("image_ridge", "space_image_kriging", "phg2st")


def peak_gb() -> float:
    """Peak resident memory of this process; what getrusage says starts from that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024**2


def write_slide(path: Path) -> None:
    """Write a slide whose tissue is a simulated section, over and over, turned and mirrored."""
    import tifffile

    adata = phg2st.datasets.simulate(n_spots=400, n_genes=20, seed=0, progress=False)
    (record,) = adata.uns["spatial"].values()
    picture = record["images"]["hires"]
    block = np.asarray(picture if picture.dtype == np.uint8 else np.rint(picture * 255), dtype=np.uint8)[..., :3]
    rng = np.random.default_rng(0)
    px = 512

    def tiles() -> Iterator[NDArray[np.uint8]]:
        for _ in tqdm(range((-(-SIDE_PX // px)) ** 2), desc="slide", unit="tile"):
            y, x = (int(rng.integers(0, size - px)) if size > px else 0 for size in block.shape[:2])
            tile = np.rot90(block[y : y + px, x : x + px], int(rng.integers(4)))
            yield np.ascontiguousarray(np.resize(tile, (px, px, 3)))

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        shape = (SIDE_PX, SIDE_PX, 3)
        file.write(
            tiles(), shape=shape, dtype="uint8", tile=(px, px), photometric="rgb", compression="jpeg", metadata=None
        )


def lattice(n_spots: int) -> NDArray[np.float64]:
    """Centres of a square lattice over the slide, row by row, in pixels."""
    side = round(n_spots**0.5)
    steps = (np.arange(side) + 0.5) * SIDE_PX / side
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])


def neighbours(centers: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The ``n`` centres nearest to the middle."""
    far = np.abs(centers - SIDE_PX / 2).max(axis=1)
    return centers[np.argsort(far, kind="stable")[:n]]


def measure(slide: Path, n_spots: int, way: str) -> dict[str, Any]:
    """Embed in this process; CPU seconds are scaled to all spots where only a patch of them was embedded."""
    image, encoder, centers = phg2st.io.open_image(slide), get_encoder("texture"), lattice(n_spots)
    encoder(np.zeros((1, 160, 160, 3), dtype=np.uint8))
    size_px = TILE_UM / SIDE_UM * SIDE_PX
    all_spots = Tiles(centers, size_px)
    before, start = time.process_time(), time.perf_counter()
    if way == TILES:
        patch = Tiles(neighbours(centers, SAMPLE), size_px)
        encode_tiles(image, patch, encoder)
        share, pooled = len(patch) / len(centers), ()
    else:
        pooled = pooled_fields(image, all_spots, encoder) if way == RULE else encoder.card.fields
        encode_places(image, all_spots, encoder, pooled=pooled)
        share = 1.0
    cpu, wall = time.process_time() - before, time.perf_counter() - start
    return {"cpu_s": cpu / share, "measured_share": share, "wall_s": wall, "peak_gb": peak_gb(), "pooled": list(pooled)}


def speed(options: argparse.Namespace) -> None:
    """Each way in a process of its own; the table grows row by row."""
    slide = options.cache / "texture_slide.tif"
    if not slide.exists():
        write_slide(slide)
    rows = []
    for name in options.lattices:
        n_spots = LATTICES[name]
        for way in (TILES, RULE):
            command = [sys.executable, __file__, "one", "--slide", str(slide), "--spots", str(n_spots), "--way", way]
            done = subprocess.run([*command, "--out", str(options.out)], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr)
            rows.append({"lattice": name, "way": way, **json.loads(done.stdout.strip().splitlines()[-1])})
            table = pd.DataFrame(rows)
            cut = table[table["way"] == TILES].set_index("lattice")["cpu_s"]
            table["times_less"] = table["lattice"].map(cut) / table["cpu_s"]
            table.to_csv(options.out / "texture_speed.csv", index=False, float_format="%.4g")


def sections(options: argparse.Namespace) -> Iterator[tuple[str, ad.AnnData, list[str]]]:
    """Real sections, and their genes."""
    from _sections import most_counted, shared_genes

    her2 = phg2st.datasets.her2st(options.her2st, sections=["C2", "C3", "C4"])
    panel = shared_genes(her2, options.panel)
    for name, table in her2.items():
        yield name, table, panel
    colon = ad.read_h5ad(options.colon / "section1.h5ad")
    mpp = json.loads((options.colon / "meta.json").read_text())["um_per_px"]
    image = str(options.colon / "section1.jpg")
    scale = {"spot_diameter_fullres": 55 / mpp}
    colon.uns["spatial"] = {
        "colon": {"images": {}, "scalefactors": scale, "metadata": {"source_image_path": image, "mpp": mpp}}
    }
    yield "colon", colon, most_counted({"colon": colon}, 1000)


def embed(table: ad.AnnData, way: str) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Features, those of places half a pixel of a tile off, and CPU seconds of the features."""
    from phg2st_sc._image import tile_pixels
    from phg2st_sc._reading import Reading, pixel_size

    slide = Reading().open(table, image=None, mpp=None, pitch_um=None, platform=None)[0]
    image, encoder = slide.open_image(), get_encoder("texture")
    size_px = tile_pixels(TILE_UM, pixel_size(slide, image)[0])
    image.read(0, 0, 1, 1)
    spots = Tiles(slide.positions, size_px)
    before = time.process_time()
    if way == TILES:
        made = encode_tiles(image, spots, encoder)
    else:
        pooled = pooled_fields(image, spots, encoder) if way == RULE else encoder.card.fields
        made = encode_places(image, spots, encoder, pooled=pooled)
    cpu = time.process_time() - before
    off = made
    if way == TILES:
        shifted = [
            encode_tiles(image, Tiles(slide.positions + 0.5 * f * size_px / encoder.card.input_px, size_px), encoder)
            for f in encoder.card.fields
        ]
        dim = encoder.card.dim
        off = np.hstack([part[:, i * dim : (i + 1) * dim] for i, part in enumerate(shifted)])
    image.close()
    return made, off, cpu


def correlations(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlation of two forms of every feature over the spots."""
    a, b = (x.astype(np.float64) - x.mean(axis=0, dtype=np.float64) for x in (a, b))
    return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))


def compare(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """CPU seconds, agreement by feature, scores by mask."""
    from phg2st_sc.encoders._texture import FIELDS, feature_names

    names = [f"{name} ({TILE_UM * f:g} um)" for f in FIELDS for name in feature_names()]
    times, agreement, scores = [], [], []
    for name, table, panel in sections(options):
        made = {}
        for way in (TILES, POOLED, RULE):
            kept = options.cache / f"texture_{name}_{way.replace(' ', '_')}.npz"
            if not kept.exists():
                features, off, cpu = embed(table, way)
                np.savez(kept, features=features, off=off, cpu=cpu)
            stored = np.load(kept)
            made[way] = stored["features"]
            times.append({"section": name, "way": way, "spots": table.n_obs, "cpu_s": float(stored["cpu"])})
            if way == TILES:
                half = correlations(made[TILES], stored["off"])
        agreement.append(
            pd.DataFrame(
                {
                    "section": name,
                    "feature": names,
                    POOLED: correlations(made[TILES], made[POOLED]),
                    RULE: correlations(made[TILES], made[RULE]),
                    "half a pixel apart": half,
                    "bias_in_sd": (made[POOLED] - made[TILES]).mean(axis=0) / made[TILES].std(axis=0),
                }
            )
        )
        scores += list(score(name, table, made, panel, options.colon_masks if name == "colon" else options.masks))
        pd.DataFrame(scores).to_csv(options.cache / "texture_scores_so_far.csv", index=False)
    return pd.DataFrame(times), pd.concat(agreement, ignore_index=True), pd.DataFrame(scores)


def score(
    name: str, table: ad.AnnData, made: dict[str, NDArray[np.float32]], panel: list[str], n_masks: int
) -> Iterator[dict[str, Any]]:
    """Depth-free scores of every way, on the same masks."""
    from _sections import REP, STRATEGIES, open_sections, score_mask

    opened = {}
    for way, features in made.items():
        copy = table.copy()
        copy.obsm[REP] = features
        copy.uns["phg2st_embeddings"] = {REP: {"source": "image", "encoder": "texture", "revision": "1"}}
        opened[way] = open_sections({name: copy}, panel)[name]
    for regime in STRATEGIES:
        for number in tqdm(range(n_masks), desc=f"{name} {regime}"):
            mask = opened[TILES].mask(regime, number, 0.1)
            for way, section in opened.items():
                methods = {(method, "alone"): phg2st.models.create(method) for method in METHODS}
                for row in score_mask(section, mask, methods, n_splits=0):
                    yield {"section": name, "regime": regime, "mask": number, "way": way, **row}


def report(options: argparse.Namespace) -> str:
    """Whatever has been measured, as Markdown."""
    lines = ["# Texture features: tiles cut out, and one pass over the image", ""]
    if (path := options.out / "texture_speed.csv").exists():
        t = pd.read_csv(path)
        lines += [f"Slide of {SIDE_PX:,} x {SIDE_PX:,} px, {SIDE_UM / SIDE_PX:.2f} um per pixel, one thread.", ""]
        lines += ["| spots | way | processor s | times less | peak, GB |", "|---|---|--:|--:|--:|"]
        lines += [
            f"| {r.lattice} | {r.way}{' (scaled)' if r.measured_share < 1 else ''} | {r.cpu_s:,.0f} | {r.times_less:.1f} | {r.peak_gb:.2f} |"
            for r in t.itertuples()
        ]
    if (path := options.out / "texture_times.csv").exists():
        t = pd.read_csv(path)
        lines += ["", "| section | spots | way | processor s |", "|---|--:|---|--:|"]
        lines += [f"| {r.section} | {r.spots} | {r.way} | {r.cpu_s:.1f} |" for r in t.itertuples()]
    if (path := options.out / "texture_agreement.csv").exists():
        t = pd.read_csv(path)
        lines += ["", "| section | field | with | median correlation | share > .999 | share > .99 | lowest |"]
        lines += ["|---|---|---|--:|--:|--:|--:|"]
        t["field"] = t["feature"].str.extract(r"\((.*)\)")
        for (name, field), part in t.groupby(["section", "field"], sort=False):
            for way in (POOLED, "half a pixel apart"):
                v = part[way].dropna()
                lines.append(
                    f"| {name} | {field} | {way} | {v.median():.4f} | {(v > 0.999).mean():.2f} | {(v > 0.99).mean():.2f} | {v.min():.2f} |"
                )
    if (path := options.out / "texture_scores.csv").exists():
        t = pd.read_csv(path)
        wide = t.pivot_table(index=["section", "regime", "method", "mask"], columns="way", values="pcc").reset_index()
        lines += [
            "",
            f"| section | regime | method | {TILES} | {POOLED} | difference | its s.e. | {RULE} | difference | its s.e. |",
        ]
        lines += ["|---|---|---|--:|--:|--:|--:|--:|--:|--:|"]
        for key, part in wide.groupby(["section", "regime", "method"], sort=False):
            line = f"| {' | '.join(key)} | {part[TILES].mean():.4f} |"
            for way in (POOLED, RULE):
                d = part[way] - part[TILES]
                line += f" {part[way].mean():.4f} | {d.mean():+.4f} | {d.sem():.4f} |"
            lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("speed", "sections", "one", "report"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="where the slide and the features are kept; default <out>/cache")
    parser.add_argument("--lattices", nargs="+", choices=LATTICES, default=list(LATTICES))
    parser.add_argument("--her2st", type=Path, help="folder of the HER2+ repository")
    parser.add_argument("--colon", type=Path, help="folder of the mouse colon section")
    parser.add_argument("--panel", type=Path, help="file with the gene panel of HER2+")
    parser.add_argument("--masks", type=int, default=10, help="masks by section and regime")
    parser.add_argument("--colon-masks", type=int, default=4, help="the same of the colon, which takes a minute a mask")
    parser.add_argument("--slide", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--spots", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "one":
        print(json.dumps(measure(options.slide, options.spots, options.way)))
        return
    options.cache = options.cache or options.out / "cache"
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.part == "speed":
        speed(options)
    elif options.part == "sections":
        tables = compare(options)
        for name, table in zip(("times", "agreement", "scores"), tables, strict=True):
            table.to_csv(options.out / f"texture_{name}.csv", index=False, float_format="%.4f")
    (options.out / "texture.md").write_text(report(options))


if __name__ == "__main__":
    main()
