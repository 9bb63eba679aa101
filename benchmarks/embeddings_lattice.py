"""One lattice of tiles beside a tile for every spot: how many tiles are encoded, and what that costs in accuracy.

Depth-free correlation of held-out spots at 10 % prompts, on sections with a picture, with image features of either kind::

    python benchmarks/embeddings_lattice.py --data her2st/data --panel her2st_genes.txt --colon visium_mouse_colon \
        --out benchmarks/results
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anndata as ad
import numpy as np
import pandas as pd
from _sections import open_sections, score_mask
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc._image import SharedLattice, context_blocks, context_grid, tile_pixels
from phg2st_sc._reading import Reading, pixel_size

SECTIONS, CONTEXT, TILE_UM = ("C2", "C3", "C4"), 5, 112.0
METHODS = ("phg2st", "space_image_kriging")
LATTICE = {"context_mode": "lattice", "skip_glass": False, "context": 1}
MODES = {"own tile": {}, "lattice": LATTICE, "nearest tile": LATTICE}
COLON_MPP, N_COLON_GENES = 0.9707, 500


def sections(options: argparse.Namespace) -> Iterator[tuple[str, ad.AnnData, dict[str, Any], list[str]]]:
    """Name, table, how its image is opened, and the genes that are scored."""
    panel = phg2st.datasets.read_panel(options.panel)
    for name, table in phg2st.datasets.her2st(options.data, sections=SECTIONS, progress=False).items():
        yield name, table, {}, [gene for gene in panel if gene in set(table.var_names)]
    if options.colon is not None:
        table = ad.read_h5ad(options.colon / "section1.h5ad")
        table.obs["section"] = "colon"
        most = np.argsort(-np.asarray(table.X.sum(axis=0)).ravel(), kind="stable")[:N_COLON_GENES]
        opening = {"image": options.colon / "section1.jpg", "mpp": COLON_MPP}
        yield "colon", table, opening, sorted(table.var_names[most])


def _counts(centers: Any, side: float, image: Any, exact: int) -> dict[str, int]:
    """Tiles that are encoded without those around the spots, and with 5 x 5 of them."""
    return {
        "spots": len(centers),
        "lattice alone": len(SharedLattice.over(centers, side, image, context=0).tiles),
        "exact": len(centers) + exact,
        "grid": len(centers) + len(context_grid(centers, side, CONTEXT, image)[0]),
        "lattice": len(SharedLattice.over(centers, side, image, context=CONTEXT).tiles),
    }


def passes(table: ad.AnnData, opening: dict[str, Any]) -> dict[str, int]:
    """Tiles that are encoded, by mode."""
    slide = Reading().open(table, **opening)[0]
    image = slide.open_image()
    side, centers = tile_pixels(TILE_UM, pixel_size(slide, image)[0]), slide.positions
    return _counts(centers, side, image, len(context_blocks(centers, side, CONTEXT, image)[0]))


class Square:
    """As much of an image as laying tiles asks for: 6.5 mm at 0.5 µm per pixel."""

    height = width = 13_000


def passes_of_bins() -> dict[str, int]:
    """The same for bins of 8 µm all over a capture area."""
    at = np.arange(8, 12_992, 16.0)
    centers, side = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2), TILE_UM / 0.5
    return _counts(centers, side, Square(), len(centers) * CONTEXT**2)  # but for a few beyond the edge


def scores(name: str, table: ad.AnnData, opening: dict[str, Any], genes: list[str], masks: int) -> list[dict[str, Any]]:
    """One row per mode, regime, mask and method."""
    methods = {(method, ""): phg2st.models.create(method) for method in METHODS}
    rows = []
    for mode, settings in MODES.items():
        phg2st.pp.extract_embeddings(table, encoder="texture", progress=False, **opening, **settings)
        if mode == "nearest tile":
            nearest = table.obsm["X_texture_context_index"][:, 0]
            table.obsm["X_texture"] = table.uns["phg2st_tiles"]["X_texture"]["features"][nearest].astype(np.float32)
        section = open_sections({name: table}, genes)[name]
        for regime in ("scattered", "block"):
            for number in range(masks):
                made = score_mask(section, section.mask(regime, number, 0.1), methods, n_splits=0)
                rows += [{"section": name, "features": mode, "regime": regime, "mask": number, **row} for row in made]
    return rows


def to_markdown(counts: pd.DataFrame, table: pd.DataFrame) -> str:
    """Both tables as Markdown."""
    lines = [
        f"Tiles encoded without tiles around the spots, and with `context={CONTEXT}`; in brackets how many times fewer than of a tile "
        "for every spot with as many around it. Spots of C2 to C4 are 200 µm apart, further than tiles are wide, and those of the colon, "
        "a Visium section, 100 µm.",
        "",
        f'| section | spots, a tile each | `"lattice"` | `"exact"`, {CONTEXT} x {CONTEXT} | `"grid"`, {CONTEXT} x {CONTEXT} '
        f'| `"lattice"`, {CONTEXT} x {CONTEXT} |',
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in counts.to_dict("records"):
        alone = f"{row['lattice alone']:,} ({row['spots'] / row['lattice alone']:,.1f})"
        shared = [f"{row[mode]:,} ({row['exact'] / row[mode]:,.1f})" for mode in ("grid", "lattice")]
        lines.append(f"| {row['section']} | {row['spots']:,} | {alone} | {row['exact']:,} | {' | '.join(shared)} |")
    means = table.pivot_table(index=["section", "regime", "method"], columns="features", values="pcc", sort=False)
    lines += [
        "",
        "Depth-free correlation of held-out spots, 10 % prompts, texture features: of a tile for every spot, weighted from the four tiles "
        "of the lattice around it, and of the nearest one alone.",
        "",
        "| section | prompts | method | a tile for every spot | lattice | difference | nearest tile |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for (section, regime, method), row in means.iterrows():
        own, lattice = row["own tile"], row["lattice"]
        lines.append(
            f"| {section} | {regime} | {method} | {own:.3f} | {lattice:.3f} | {lattice - own:+.3f} | {row['nearest tile']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the HER2+ repository")
    parser.add_argument("--panel", type=Path, required=True, help="file with the gene panel")
    parser.add_argument("--colon", type=Path, help="folder of the Visium section of a mouse colon")
    parser.add_argument("--masks", type=int, default=5, help="of each regime; 0: the scores in --out stay")
    parser.add_argument("--out", type=Path, required=True, help="folder for embeddings_lattice.csv and .md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts, rows = [], []
    for name, table, opening, genes in tqdm(sections(options), desc="sections"):
        counts.append({"section": name, **passes(table, opening)})
        rows += scores(name, table, opening, genes, options.masks) if options.masks else []
    counts.append({"section": "bins of 8 µm, 6.5 mm", **passes_of_bins()})
    options.out.mkdir(parents=True, exist_ok=True)
    if options.masks:
        table = pd.DataFrame(rows)[["section", "features", "regime", "mask", "method", "pcc"]]
        table.to_csv(options.out / "embeddings_lattice.csv", index=False, float_format="%.4f")
    else:
        table = pd.read_csv(options.out / "embeddings_lattice.csv")
    text = to_markdown(pd.DataFrame(counts), table)
    (options.out / "embeddings_lattice.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
