"""HER2-positive breast tumours (Andersson et al. 2021): 28 open sections of patients A to F, four with a picture at hand."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
from _sections import read_her2st, shared_genes

IMAGED = ("B4", "C2", "C3", "C4")


def read(data: Path, cache: Path) -> dict[str, ad.AnnData]:
    """Sections over the published panel, with texture features where there is a picture."""
    return read_her2st(data / "her2st", None, cache / "her2st")


def panel(tables: dict[str, ad.AnnData], data: Path) -> list[str]:
    """Genes of the published panel that every section has."""
    return shared_genes(tables, data / "her2st_genes.txt")
