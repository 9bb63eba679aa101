"""The sections that the benchmarks score: expression, image features, masks.

The only benchmark file that reaches below the public functions: predicting for many masks of one section is cheap once
the section is read, and the methods themselves (``phg2st_sc.models``) take the arrays directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

import phg2st_sc as phg2st
from phg2st_sc._reading import Reading, training_slide

Mask = NDArray[np.bool_]
REP = "X_texture"
STRATEGIES = {"scattered": "random", "block": "block"}


@dataclass(frozen=True, eq=False)
class Section:
    """One section over the panel, its spots in the order that ``tl.predict`` puts them in."""

    table: ad.AnnData
    data: phg2st.models.TrainingSlide
    rows: NDArray[np.int64]

    @property
    def name(self) -> str:
        """Name of the section."""
        return self.data.arrays.name

    @property
    def patient(self) -> str:
        """Patient of the section."""
        return self.data.arrays.patient or self.name

    @property
    def imaged(self) -> bool:
        """Whether there are image features."""
        return self.data.arrays.features is not None

    def mask(self, regime: str, number: int, fraction: float) -> Mask:
        """Prompts number ``number`` of a regime, over the spots of ``data``."""
        phg2st.pp.sample_prompts(self.table, fraction=fraction, strategy=STRATEGIES[regime], seed=number)
        return self.table.obs["prompt"].to_numpy(dtype=bool)[self.rows]

    def without_image(self) -> Section:
        """Return the section as if it had no picture."""
        a, d = self.data.arrays, self.data
        arrays = phg2st.models.SlideArrays(a.name, a.positions, patient=a.patient)
        return Section(self.table, phg2st.models.TrainingSlide(arrays, d.counts, d.totals, d.genes), self.rows)


def open_sections(tables: Mapping[str, ad.AnnData], genes: Sequence[str]) -> dict[str, Section]:
    """Arrays of every table over the panel."""
    return {name: _open(table, genes) for name, table in tables.items()}


def _open(table: ad.AnnData, genes: Sequence[str]) -> Section:
    reading = Reading()
    slide = reading.slides(table)[0]
    data, _ = training_slide(reading, slide, REP if REP in table.obsm else None, genes)
    totals = np.asarray(table.X.sum(axis=1)).ravel()[slide.rows]
    return Section(table, data, slide.rows[totals > 0])


def read_her2st(path: Path, names: Sequence[str] | None, cache: Path) -> dict[str, ad.AnnData]:
    """Read HER2+ sections, with texture features where there is a picture."""
    return with_features(phg2st.datasets.her2st(path, sections=names), cache)


def read_folders(paths: Sequence[Path], cache: Path) -> dict[str, ad.AnnData]:
    """Read sections kept as one folder each, with texture features."""
    tables = {path.name: phg2st.datasets.read_section(path, patient=path.name) for path in paths}
    return with_features(tables, cache)


def with_picture(
    table: ad.AnnData, name: str, patient: str, picture: Path, *, mpp: float, spot_um: float
) -> ad.AnnData:
    """Say where the picture of a section is, whose spots are in its pixels."""
    table.obs["section"], table.obs["patient"] = name, patient
    table.obsm["spatial"] = np.asarray(table.obsm["spatial"], dtype=np.float64)
    metadata = {"mpp": float(mpp), "source_image_path": str(picture.resolve())}
    scale = {"spot_diameter_fullres": spot_um / mpp}
    table.uns["spatial"] = {name: {"images": {}, "scalefactors": scale, "metadata": metadata}}
    return table


def with_features(tables: dict[str, ad.AnnData], cache: Path) -> dict[str, ad.AnnData]:
    """Texture features of every table that has a picture, computed once and kept in ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    for name, table in tqdm(tables.items(), desc="features", unit="section"):
        (record,) = table.uns["spatial"].values()
        if "source_image_path" not in record["metadata"]:
            continue
        kept = cache / f"{name}.h5ad"
        if not kept.exists():
            phg2st.pp.extract_embeddings(table, encoder="texture", context=None, progress=False)
            records = {"phg2st_embeddings": {REP: table.uns["phg2st_embeddings"][REP]}}
            ad.AnnData(obs=table.obs[[]], obsm={REP: table.obsm[REP]}, uns=records).write_h5ad(kept)
        stored = ad.read_h5ad(kept)
        table.obsm[REP] = stored[table.obs_names].obsm[REP]
        table.uns.update(stored.uns)
    return tables


def shared_genes(tables: Mapping[str, ad.AnnData], panel: Path) -> list[str]:
    """Genes of a panel file that every section has."""
    names = [set(table.var_names) for table in tables.values()]
    return [gene for gene in phg2st.datasets.read_panel(panel) if all(gene in known for known in names)]


def most_counted(tables: Mapping[str, ad.AnnData], n_genes: int) -> list[str]:
    """Genes that every section has, those with the most counts."""
    shared = sorted(set.intersection(*(set(table.var_names) for table in tables.values())))
    total: Any = sum(np.asarray(t[:, shared].X.sum(axis=0)).ravel() / t.X.sum() for t in tables.values())
    return sorted(np.array(shared)[np.argsort(-total, kind="stable")[:n_genes]])


def most_variable(sections: Sequence[Section], n_genes: int) -> list[str]:
    """Genes whose log-normalised expression varies most within the given (training) sections."""
    variance = np.zeros(len(sections[0].data.genes))
    for section in sections:
        counts, totals = section.data.counts, section.data.totals
        variance += np.log1p(np.median(totals) * counts / totals[:, None]).var(axis=0)
    return [sections[0].data.genes[i] for i in np.argsort(-variance, kind="stable")[:n_genes]]


Predict = Callable[[Section, phg2st.models.Prompts], phg2st.models.Prediction]


def score_mask(
    section: Section,
    mask: Mask,
    methods: Mapping[tuple[str, str], phg2st.models.Estimator],
    *,
    top_genes: Sequence[str] | None = None,
    held_out: Mask | None = None,
    n_splits: int = 5,
) -> list[dict[str, Any]]:
    """Predict with every method from the same prompts; one row of mean scores each.

    Scored are the spots of ``held_out``, by default all that are no prompt; no ceiling with ``n_splits=0``.
    """
    scored = ~mask if held_out is None else held_out & ~mask
    data = section.data
    target_sum = float(np.median(data.totals[mask]))
    prompts = data.prompts(np.flatnonzero(mask), target_sum=target_sum)
    made = {key: method.predict(data.arrays, prompts) for key, method in methods.items()}
    scores = phg2st.metrics.score_section(
        data.counts[scored],
        data.totals[scored],
        data.arrays.positions[scored],
        {"/".join(key): prediction.mean[scored] for key, prediction in made.items()},
        target_sum,
        genes=list(data.genes),
        top_genes=top_genes,
        n_splits=n_splits,
    )
    rows = []
    for (method, training), prediction in made.items():
        key = f"{method}/{training}"
        top = {} if top_genes is None else {"pcc_top": scores.attrs["means_top"][key]["pcc"]}
        chosen = prediction.details.get("chosen", "")
        rows.append({"method": method, "training": training, "chosen": chosen, **scores.attrs["means"][key], **top})
    return rows
