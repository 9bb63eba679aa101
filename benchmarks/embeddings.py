"""Reading tiles: the package beside a plain loop over the same store, and how often each chunk is decoded.

A made section of one resolution is written in several forms; the tiles of a Visium lattice are read from each, in the order
of the table, which is that of the barcodes, by the package and by a loop that slices the store and resamples. Both in one
process, in turn; read the ratios, not the seconds. With ``--context``, features of a network with and without the tiles around the spots::

    python benchmarks/embeddings.py --out benchmarks/results
    python benchmarks/embeddings.py --context --side 4096 --out benchmarks/results
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anndata as ad
import numpy as np
import pandas as pd
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc._image import TileReads, Tiles, open_image

MPP, TILE_UM, PITCH_UM, OUT_PX = 0.5, 112.0, 100.0, 224
MARGIN = 3
Pixels = NDArray[np.uint8]


def made_section(side: int) -> Pixels:
    """Smooth stain with grain, which compresses as tissue does."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(70, 240, (side // 64, side // 64, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    grain = rng.integers(-6, 7, (side, side, 1), dtype=np.int16)
    return np.clip(smooth.astype(np.int16) + grain, 0, 255).astype(np.uint8)


def spots(side: int, pitch_um: float = PITCH_UM) -> NDArray[np.float64]:
    """Centres (n, 2) of a hexagonal lattice over all of the picture, in no order."""
    pitch = pitch_um / MPP
    rows = np.arange(pitch, side - pitch, pitch * np.sqrt(0.75))
    centers = [(x + (i % 2) * pitch / 2, y) for i, y in enumerate(rows) for x in np.arange(pitch, side - pitch, pitch)]
    return np.random.default_rng(1).permutation(np.array(centers))


def _zarr(path: Path, pixels: Pixels, chunks: tuple[int, int, int]) -> Any:
    array = zarr.create_array(str(path), shape=pixels.shape, chunks=chunks, dtype="u1")
    array[:] = pixels
    return zarr.open_array(str(path), mode="r")


def _tiff(path: Path, pixels: Pixels, **layout: Any) -> Path:
    tifffile.imwrite(path, pixels, photometric="rgb", compression="deflate", **layout)
    return path


def stores(folder: Path, pixels: Pixels) -> Iterator[tuple[str, str, Any, Any]]:
    """Kind, name, what the package opens, and what the loop slices."""
    for kind, side in (("good", 256), ("good", 512), ("good", 1024), ("bad", 4096)):
        array = _zarr(folder / f"{side}.zarr", pixels, (side, side, 3))
        yield kind, f"zarr, chunks of {side} x {side}", array, array
    array = _zarr(folder / "rows.zarr", pixels, (64, pixels.shape[1], 3))
    yield "bad", "zarr, rows of 64", array, array
    array = _zarr(folder / "planes.zarr", pixels, (2048, 2048, 1))
    yield "bad", "zarr, chunks of 2048 x 2048 of one color", array, array
    for kind, name, layout in (
        ("good", "TIFF, tiles of 512 x 512", {"tile": (512, 512)}),
        ("bad", "TIFF, strips of 16 rows", {"rowsperstrip": 16}),
        ("bad", "TIFF, tiles of 4096 x 4096", {"tile": (4096, 4096)}),
    ):
        path = _tiff(folder / f"{len(name)}{name[-4:].strip()}.tif", pixels, **layout)
        yield kind, name, path, zarr.open_array(tifffile.TiffFile(path).aszarr(), mode="r")
    yield "good", "array in memory", pixels, pixels


def by_loop(source: Any, centers: NDArray[np.float64], side_px: float) -> Iterator[Pixels]:
    """What a script does: slice, resample, next."""
    half = side_px / 2
    for x, y in centers:
        left, top = int(x - half) - MARGIN, int(y - half) - MARGIN
        window = np.asarray(source[top : int(y + half) + MARGIN + 1, left : int(x + half) + MARGIN + 1])
        box = (x - half - left, y - half - top, x + half - left, y + half - top)
        yield np.asarray(Image.fromarray(window).resize((OUT_PX, OUT_PX), Image.Resampling.BICUBIC, box=box))


def by_package(source: Any, centers: NDArray[np.float64], side_px: float, counts: dict[str, int]) -> None:
    """Read all, and count what is decoded."""
    image = open_image(source)
    counts["chunks"] = counts["decoded"] = 0
    if hasattr(image, "_stored"):
        inner, seen = image._stored, set()

        def stored(keys: list[Any]) -> Any:
            counts["decoded"] += len(keys)
            seen.update(keys)
            counts["chunks"] = len(seen)
            return inner(keys)

        image._stored = stored
    for _ in TileReads.of(image, Tiles(centers, side_px), OUT_PX).batches(64):
        pass
    image.close()


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and processor seconds of all threads."""
    start, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - busy


def measure(options: argparse.Namespace, folder: Path) -> pd.DataFrame:
    """One row per store: the best of a few rounds of each."""
    pixels, centers, side_px = made_section(options.side), spots(options.side), TILE_UM / MPP
    sample = centers[: options.loop]
    rows = []
    for kind, name, opened, sliced in tqdm(list(stores(folder, pixels)), desc="stores"):
        counts: dict[str, int] = {}
        loops, packages = [], []
        for _ in range(options.rounds):
            loops.append(timed(lambda s=sliced: list(by_loop(s, sample, side_px))))
            packages.append(timed(lambda o=opened, c=counts: by_package(o, centers, side_px, c)))
        loop = np.min(loops, axis=0) / len(sample)
        package = np.min(packages, axis=0) / len(centers)
        rows.append(
            {
                "chunked": kind,
                "store": name,
                "loop_ms": 1000 * loop[0],
                "package_ms": 1000 * package[0],
                "times_faster": loop[0] / package[0],
                "times_less_processor": loop[1] / package[1],
                **counts,
            }
        )
    return pd.DataFrame(rows)


def to_markdown(table: pd.DataFrame, options: argparse.Namespace) -> str:
    """The table as Markdown."""
    n = len(spots(options.side))
    lines = [
        f"{n} tiles of {OUT_PX} px from a picture of {options.side} x {options.side} px, without a pyramid; milliseconds a tile.",
        "",
        "| chunked | store | plain loop | package | times faster | times less processor time | chunks | decoded |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.chunked} | {r.store} | {r.loop_ms:.2f} | {r.package_ms:.2f} | {r.times_faster:.1f} | "
        f"{r.times_less_processor:.1f} | {r.chunks} | {r.decoded} |"
        for r in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def around_spots(options: argparse.Namespace) -> pd.DataFrame:
    """Tiles and processor time of a small convolutional network, without and with the tiles around the spots."""
    import torch

    torch.set_num_threads(1)
    widths = (3, 32, 64, 128, 256, 512)
    layers = [torch.nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)]
    stacked = torch.nn.Sequential(*(part for layer in layers for part in (layer, torch.nn.ReLU())))
    network = torch.nn.Sequential(stacked, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    pixels, rows = made_section(options.side), []

    def random_network(tiles: Pixels) -> NDArray[np.float32]:
        seen.append(len(tiles))
        with torch.inference_mode():
            return network(torch.tensor(tiles).permute(0, 3, 1, 2).float() / 255).numpy()

    for name, pitch_um in (("Visium, 100 µm", 100.0), ("ST, 200 µm", 200.0)):
        centers = spots(options.side, pitch_um)
        found: dict[str, Any] = {}
        for context in (5, None, 5):  # the first warms up
            table = ad.AnnData(np.ones((len(centers), 1), np.float32), obsm={"spatial": centers})
            seen: list[int] = []
            settings = {"image": pixels, "mpp": MPP, "pitch_um": pitch_um, "context": context, "progress": False}
            _, busy = timed(lambda t=table, s=settings: phg2st.pp.extract_embeddings(t, encoder=random_network, **s))
            found |= {f"tiles_{context}": sum(seen), f"seconds_{context}": busy}
        rows.append(
            {"lattice": name, "spots": len(centers), **found, "ratio": found["seconds_5"] / found["seconds_None"]}
        )
    return pd.DataFrame(rows)


def around_markdown(table: pd.DataFrame) -> str:
    """The table as Markdown."""
    lines = [
        "| lattice | spots | tiles | tiles with `context=5` | processor time with it, times |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [f"| {r.lattice} | {r.spots} | {r.tiles_None} | {r.tiles_5} | {r.ratio:.1f} |" for r in table.itertuples()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=8192, help="of the picture, in pixels")
    parser.add_argument("--loop", type=int, default=150, help="tiles that the plain loop reads")
    parser.add_argument("--rounds", type=int, default=2, help="of which the faster counts")
    parser.add_argument("--context", action="store_true", help="features with and without the tiles around the spots")
    parser.add_argument("--out", type=Path, help="folder for embeddings_reading or embeddings_context, .csv and .md")
    options = parser.parse_args()
    if options.context:
        table, name = around_spots(options), "embeddings_context"
        told = around_markdown(table)
    else:
        with tempfile.TemporaryDirectory() as folder:
            table, name = measure(options, Path(folder)), "embeddings_reading"
        told = to_markdown(table, options)
    print(told)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / f"{name}.csv", index=False, float_format="%.3f")
        (options.out / f"{name}.md").write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main()
