"""The methods of the paper's Table 1, and those it left out, on the same prompts and the same frozen embeddings.

    python benchmarks/table1.py --data her2st/data --panel her2st_genes.txt --out benchmarks/results
    python benchmarks/table1.py ... --full          # published sizes on raw pictures, for a machine with a GPU
    python benchmarks/table1.py ... --methods bleep  # one method again, its rows put in the place of the old ones
    python benchmarks/table1.py ... --report-only   # only make the tables and the figures again

Three parts: sections of patients that no method saw (leave one patient out), sections of patients of whom other sections
train, and a simulated cohort. Each under the honest and the published protocol. What is done is kept in ``--work`` and not done
again.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import anndata as ad
import pandas as pd
from _table1_report import PARTS, draw, report

import phg2st_sc as phg2st

PUBLISHED = ("stnet", "histogene", "hist2st", "hggep", "bleep", "triplex")
SIMPLE = ("prompt_mean", "idw", "kriging", "gene_kriging", "image_ridge", "space_image_kriging", "regression_kriging")
_MEMORY = ("_peak_mb", "_gpu_mb")
"""Growth of one process depends on what ran before: ``method_cost.py`` measures memory instead."""
DRAWS = {"unseen": 10, "seen": 3, "simulated": 3}
"""Draws of prompts by part: fewer where networks are tuned at length."""
SIMULATED = {"n_slides": 6, "n_patients": 6, "n_spots": 350, "n_genes": 300, "seed": 11}


def methods(*, full: bool) -> dict[str, str | dict[str, object]]:
    """Methods by label; with ``full`` the published networks in published sizes, on raw pictures."""
    preset = {"preset": "paper"} if full else {}
    networks = {name: {"method": name, **preset} for name in (*PUBLISHED, "phg2st_paper")}
    return {**{name: name for name in SIMPLE}, **networks, "phg2st": "phg2st"}


def embedded(slide: ad.AnnData, path: Path) -> ad.AnnData:
    """The section with embeddings of its spots and of the 5 x 5 tiles around them, from the cache where they are there."""
    if not path.is_file():
        phg2st.pp.extract_embeddings(slide, encoder="texture", context=5)
        path.parent.mkdir(parents=True, exist_ok=True)
        slide.write_h5ad(path)
    return ad.read_h5ad(path)


def her2(options: argparse.Namespace) -> dict[str, ad.AnnData]:
    """Imaged sections of the data set."""
    found = phg2st.datasets.her2st(options.data)
    imaged = {name: one for name, one in found.items() if _has_image(one)}
    return {name: embedded(one, options.cache / f"{name}_table1.h5ad") for name, one in imaged.items()}


def _has_image(slide: ad.AnnData) -> bool:
    records = slide.uns.get("spatial", {}).values()
    return any(Path(str(one.get("metadata", {}).get("source_image_path", ""))).is_file() for one in records)


def shared_panel(path: Path, slides: dict[str, ad.AnnData]) -> list[str]:
    """Genes of the panel that every section has."""
    return [gene for gene in phg2st.datasets.read_panel(path) if all(gene in s.var_names for s in slides.values())]


def simulated(cache: Path) -> dict[str, ad.AnnData]:
    """A cohort whose picture predicts part of the expression."""
    slides = phg2st.datasets.simulate(**SIMULATED, progress=False)
    return {name: embedded(one, cache / f"simulated_table1_{name}.h5ad") for name, one in slides.items()}


def seen_folds(slides: dict[str, ad.AnnData]) -> dict[str, list[str]]:
    """Each section whose patient has others, left out by itself."""
    patients = pd.Series({name: str(one.obs["patient"].iloc[0]) for name, one in slides.items()})
    several = patients.map(patients.value_counts()) > 1
    return {name: [name] for name in patients.index[several]}


def run(options: argparse.Namespace) -> pd.DataFrame:
    """All rows of all parts."""
    chosen = methods(full=options.full)
    shared = {
        "methods": {name: chosen[name] for name in options.methods or chosen},
        "protocol": ["honest", "published"],
        "seeds": list(range(options.seeds)),
    }
    tables = []
    wanted = [part for part in ("unseen", "seen") if part in options.parts]
    if wanted:
        slides = her2(options)
        panel = shared_panel(options.panel, slides)
        folds = {"unseen": "patient", "seen": seen_folds(slides)}
        for part in wanted:
            shared["n_masks"] = options.masks or DRAWS[part]
            table = phg2st.tl.benchmark(slides, folds=folds[part], genes=panel, out=options.work / part, **shared)
            tables.append(table.assign(part=part))
    if "simulated" in options.parts:
        slides = simulated(options.cache)
        folds = {"new": [name for name, one in slides.items() if one.obs["patient"].iloc[0] in ("P5", "P6")]}
        shared["n_masks"] = options.masks or DRAWS["simulated"]
        table = phg2st.tl.benchmark(slides, folds=folds, genes=None, out=options.work / "simulated", **shared)
        tables.append(table.assign(part="simulated"))
    table = pd.concat(tables, ignore_index=True)
    return table[~table["metric"].str.endswith(_MEMORY)]


def joined(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Both tables; where both have rows of a part and method, those of ``now``."""
    by = ["part", "method"]
    again = pd.MultiIndex.from_frame(before[by]).isin(pd.MultiIndex.from_frame(now[by]))
    table = pd.concat([before[~again], now], ignore_index=True)
    order = table["part"].map(list(PARTS).index)
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def main() -> None:
    """Run, then write table, figure and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the HER2+ data set")
    parser.add_argument("--panel", type=Path, help="file of gene names")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--work", type=Path, default=Path("table1_work"), help="finished units")
    parser.add_argument("--cache", type=Path, default=Path("table1_cache"), help="embedded sections")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--methods", nargs="+", choices=list(methods(full=False)), help="only these; default all")
    parser.add_argument("--masks", type=int, help=f"draws of prompts; by default {DRAWS}")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="published sizes on raw pictures")
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    path = options.out / ("table1_full.csv" if options.full else "table1.csv")
    if not options.report_only:
        warnings.filterwarnings("ignore", message="protocol='published'")
        table = run(options)
        if path.is_file():  # parts and methods that were run by another call
            table = joined(pd.read_csv(path, keep_default_na=False, na_values=["nan"]), table)
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False, float_format="%.5g")
    table = pd.read_csv(path, keep_default_na=False, na_values=["nan"])
    text = report(table)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    draw(table, options.out, path.stem)
    print(text)


if __name__ == "__main__":
    main()
