"""Make the prior that comes with the package, and others for those who may use their data.

    python benchmarks/make_priors.py --data ../shared/data --scores benchmarks/results/priors.csv
    python benchmarks/make_priors.py --data ../shared/data --cache features --priors spinal_cord --out my_priors

Only statistics of the sections are kept: levels, noise and components of genes, an image regression, slopes. Shipped is what was
learned from data that their own repository licenses: its folder has the licence and the address of the source beside the prior.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _sets_als
import _sets_ra
import pandas as pd
from _sections import most_counted

import phg2st_sc as phg2st

SHIPPED = Path(phg2st.models.__file__).parent / "_shipped"
MOST_BYTES = 8_000_000


@dataclass(frozen=True)
class Recipe:
    """What a prior is made of."""

    name: str
    read: Any
    scores: str
    folder: str
    facts: dict[str, str]
    shipped: bool = False


RECIPES = (
    Recipe(
        "rheumatoid_synovium",
        _sets_ra.read,
        "ra",
        "ra3dst",
        {
            "tissue": "synovium, rheumatoid arthritis",
            "species": "human",
            "platform": "Spatial Transcriptomics, 150 and 200 µm pitch",
            "license": "BSD-3-Clause",
            "source": "Vickovic et al. 2022, https://github.com/mssanjavickovic/3dst, commit 35b0bed",
        },
        shipped=True,
    ),
    Recipe(
        "spinal_cord",
        _sets_als.read,
        "als",
        "als_spinal_cord",
        {
            "tissue": "lumbar spinal cord, ALS model and wild type",
            "species": "mouse",
            "platform": "Spatial Transcriptomics, 200 µm pitch",
            "license": "none stated for the data",
            "source": "Maniatis et al. 2019, as in https://github.com/BiomedicalMachineLearning/Spacell",
        },
    ),
)


def held_out(path: Path, key: str) -> dict[str, float]:
    """Depth-free correlation on patients that were left out, by regime."""
    if not path.exists():
        raise SystemExit(f"{path} is not there: run benchmarks/priors.py first, or say --scores.")
    rows = pd.read_csv(path)
    rows = rows[(rows["set"] == key) & (rows["priors"] == "own")]
    if rows.empty:
        raise SystemExit(
            f"{path} has no rows of set {key!r} with its own prior: run benchmarks/priors.py --sets {key}."
        )
    by_section = rows.groupby(["regime", "section"])["pcc"].mean()
    return {str(regime): round(float(part.mean()), 3) for regime, part in by_section.groupby("regime")}


def made(recipe: Recipe, options: argparse.Namespace) -> Any:
    """The prior, learned from all sections."""
    tables = recipe.read(options.data.resolve(), options.cache)
    genes = most_counted(tables, options.genes)
    return phg2st.tl.train(tables, genes=genes, use_network=False, keep_sections=False, progress=False)


def main() -> None:
    options = _options()
    chosen = [one for one in RECIPES if (one.name in options.priors if options.priors else one.shipped)]
    if options.out == SHIPPED and not all(one.shipped for one in chosen):
        raise SystemExit("What its data's owners did not license does not come with the package: say --out.")
    for recipe in chosen:
        facts: dict[str, Any] = {**recipe.facts, "held_out": held_out(options.scores, recipe.scores)}
        prior = phg2st.models.load(options.out / recipe.name) if options.cards_only else made(recipe, options)
        folder = prior.prior(name=recipe.name, **facts).save(options.out / recipe.name, overwrite=True)
        if recipe.shipped:
            shutil.copyfile(options.data / recipe.folder / "LICENSE", folder / "LICENSE")
        print(folder, sum(file.stat().st_size for file in folder.iterdir()), "bytes", prior.card["prior"])
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        raise SystemExit(f"{size} bytes are more than the {MOST_BYTES} that come with the package: take fewer --genes.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="where image features are kept")
    parser.add_argument("--scores", type=Path, default=Path("benchmarks/results/priors.csv"))
    parser.add_argument(
        "--priors", nargs="+", choices=[one.name for one in RECIPES], help="default: those that are shipped"
    )
    parser.add_argument("--genes", type=int, default=3000, help="those with the most counts")
    parser.add_argument("--cards-only", action="store_true", help="write the scores anew, and learn nothing")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    return parser.parse_args()


if __name__ == "__main__":
    main()
