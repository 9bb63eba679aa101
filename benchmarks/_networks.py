"""What the benchmarks of networks share: sections with tiles around their spots, and scores over masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
from _sections import REP, Section, open_sections, score_mask, shared_genes

import phg2st_sc as phg2st

SLOTS = (REP, f"{REP}_context_index")
RECORDS = ("phg2st_embeddings", "phg2st_tiles")
IMAGED = ("B4", "C2", "C3", "C4")


def imaged_sections(data: Path, panel: Path, cache: Path, names: Sequence[str] = IMAGED) -> dict[str, Section]:
    """HER2+ sections with a picture, with texture features of spots and of the tiles around them."""
    tables = phg2st.datasets.her2st(data, sections=list(names))
    cache.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        kept = cache / f"{name}_context.h5ad"
        if not kept.exists():
            phg2st.pp.extract_embeddings(table, encoder="texture", context=5, progress=False)
            only = ad.AnnData(
                obs=table.obs[[]],
                obsm={key: table.obsm[key] for key in SLOTS},
                uns={key: table.uns[key] for key in RECORDS},
            )
            only.write_h5ad(kept)
        stored = ad.read_h5ad(kept)[table.obs_names]
        for key in SLOTS:
            table.obsm[key] = stored.obsm[key]
        table.uns.update(stored.uns)
    return open_sections(tables, shared_genes(tables, panel))


def simulated_sections(n_slides: int = 6, *, n_spots: int = 250, n_genes: int = 120) -> dict[str, Section]:
    """Simulated sections of as many patients, with texture features of spots and tiles."""
    tables = phg2st.datasets.simulate(
        n_slides=n_slides, n_patients=n_slides, n_spots=n_spots, n_genes=n_genes, progress=False, seed=0
    )
    for table in tables.values():
        phg2st.pp.extract_embeddings(table, image="hires", encoder="texture", context=5, progress=False)
    return open_sections(tables, list(next(iter(tables.values())).var_names))


def score(
    section: Section,
    methods: dict[tuple[str, str], phg2st.models.Estimator],
    *,
    n_masks: int,
    fraction: float,
    **labels: Any,
) -> list[dict[str, Any]]:
    """Rows of mean scores over masks of both regimes."""
    rows = []
    for regime in ("scattered", "block"):
        for number in range(n_masks):
            mask = section.mask(regime, number, fraction)
            common = {"section": section.name, "patient": section.patient, "regime": regime, "mask": number, **labels}
            rows += [{**common, **row} for row in score_mask(section, mask, methods)]
    return rows


def table(scores: pd.DataFrame, by: Sequence[str], columns: Sequence[str] = ("pcc", "ccc", "mae")) -> str:
    """Markdown: mean over masks, then over sections, scattered / block."""
    means = scores.groupby([*by, "regime", "section"], sort=False)[list(columns)].mean()
    means = means.groupby(level=[*by, "regime"], sort=False).mean().unstack("regime")
    header = [*by, *columns]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(by) + "--:|" * len(columns)]
    for key, row in means.iterrows():
        names = [str(k) for k in (key if isinstance(key, tuple) else (key,))]
        cells = [f"{row[(c, 'scattered')]:.3f} / {row[(c, 'block')]:.3f}" for c in columns]
        lines.append("| " + " | ".join([*names, *cells]) + " |")
    return "\n".join(lines)


def add_rows(path: Path, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Append to a CSV, and return all of it."""
    new = pd.DataFrame(rows)
    whole = pd.concat([pd.read_csv(path), new], ignore_index=True) if path.exists() else new
    whole.to_csv(path, index=False, float_format="%.4f")
    return whole
