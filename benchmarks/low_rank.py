"""What it costs to keep a few scores a spot in place of a layer: ``tl.impute(low_rank=)`` and ``tl.expand`` against ``tl.impute``.

The depth-free score at the spots that were not prompts, of the layer and of what is made of 4, 8, ... scores, from the same
prompts; the largest difference of a value; and the share of the prediction that the components hold. On three HER2+ sections with
texture features, and on a Visium section over the genes with most counts.

    python benchmarks/low_rank.py --her2st her2st --panel her2st_genes.txt --colon visium_mouse_colon
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _sections import REP, most_counted, read_her2st, shared_genes
from tqdm.auto import tqdm

import phg2st_sc as phg2st

METHODS = ("phg2st", "gene_kriging", "regression_kriging", "idw")
MODEL = "model"
RANKS = (4, 8, 16, 32, 64)
STRATEGIES = ("random", "block")


def sections(given: argparse.Namespace) -> Iterator[tuple[str, ad.AnnData, Any]]:
    """Name, table and, for those that have a cohort, a model of the others."""
    tables = read_her2st(given.her2st, given.sections, given.cache)
    genes = shared_genes(tables, given.panel)
    tables = {name: _over(table, genes) for name, table in tables.items()}
    for name, table in tables.items():
        others = {key: other for key, other in tables.items() if key != name}
        model = phg2st.tl.train(others, method="gene_kriging", progress=False) if others else None
        yield name, table, model
    if given.colon is not None:
        colon = ad.read_h5ad(given.colon / "section1.h5ad")
        colon.var_names_make_unique()
        yield "colon", colon[:, most_counted({"colon": colon}, 1000)].copy(), None


def _over(table: ad.AnnData, genes: list[str]) -> ad.AnnData:
    table = table.copy()
    table.var["phg2st_panel"] = table.var_names.isin(genes)
    return table


def case(name: str, table: ad.AnnData, model: Any, method: str, strategy: str, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of one draw of prompts and one method."""
    phg2st.pp.sample_prompts(table, fraction=0.1, strategy=strategy, seed=seed)
    how = {"model": model} if method == MODEL else {"method": method}
    label = {"section": name, "method": method, "prompts": strategy, "seed": seed}
    phg2st.tl.impute(table, key_added="full", progress=False, **how)
    shown = table.var["full_predicted"].to_numpy(dtype=bool)
    full = np.asarray(table.layers["full"][:, shown])
    yield {**label, "rank": 0, "pcc": _score(table, "full"), "kept": 1.0, "largest": 0.0}
    for rank in RANKS:
        phg2st.tl.impute(table, key_added="few", low_rank=rank, progress=False, **how)
        phg2st.tl.expand(table, key="few", progress=False)
        (record,) = table.uns["few"]["low_rank"]["components"].values()
        largest = float(np.abs(table.layers["few"][:, shown] - full).max())
        yield {**label, "rank": rank, "pcc": _score(table, "few"), "kept": record["kept"], "largest": largest}


def _score(table: ad.AnnData, layer: str) -> float:
    found = phg2st.tl.evaluate(table, layer=layer, n_splits=0, progress=False)
    return float(found["pcc"].mean())


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores by number of components, less that of the layer."""
    place = np.where(rows["section"] == "colon", "colon", "C2, C3, C4")
    full = rows[rows["rank"] == 0].set_index(["section", "method", "prompts", "seed"])["pcc"]
    keys = pd.MultiIndex.from_frame(rows[["section", "method", "prompts", "seed"]])
    rows = rows.assign(sections=place, cost=full.reindex(keys).to_numpy() - rows["pcc"].to_numpy())
    by = rows.groupby(["sections", "method", "rank"])
    out = by[["pcc", "cost", "kept"]].mean()
    return out.assign(largest=by["largest"].max(), worst_cost=by["cost"].max()).round(5)


def main() -> None:
    """Score, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--her2st", type=Path, required=True)
    parser.add_argument("--panel", type=Path, required=True)
    parser.add_argument("--colon", type=Path)
    parser.add_argument("--sections", nargs="+", default=["C2", "C3", "C4"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    rows = []
    for name, table, model in tqdm(sections(given), desc="section"):
        methods = [*METHODS, *([MODEL] if model is not None else [])]
        methods = methods if REP in table.obsm else [one for one in methods if one != "regression_kriging"]
        for strategy in STRATEGIES:
            for seed in range(given.seeds):
                for method in methods:
                    rows += list(case(name, table, model, method, strategy, seed))
    found = pd.DataFrame(rows)
    given.out.mkdir(parents=True, exist_ok=True)
    found.round(6).to_csv(given.out / "low_rank.csv", index=False)
    text = summary(found).to_string()
    print(text)
    lines = ["# A few scores a spot in place of a layer", "", "`cost`: pcc of the layer less that of the scores.", ""]
    (given.out / "low_rank.md").write_text("\n".join([*lines, "```text", text, "```", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
