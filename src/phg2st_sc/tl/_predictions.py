"""Predictions of all slides of one table, and what they leave in ``uns``: who made them, from what, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._progress import part
from .._provenance import FINGERPRINTS, names_hash, package_versions
from .._reading import Reading, identity
from .._slide import Slide, embedding_records, new_table

if TYPE_CHECKING:
    from anndata import AnnData

    from ..models import Estimator, Prediction

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of all slides of one table.

    Attributes
    ----------
    table
        Table annotating the spots.
    slides
        Its slides.
    mask
        (n_obs,) the prompts.
    genes
        The predicted genes, as the table names them.
    target_sum
        Scale of the predictions.
    by_slide
        Prediction by name of the slide.
    estimator
        What predicted.
    reading
        How the object was read.
    rep
        Key in ``obsm`` of the embeddings that were used.
    trained_on
        By name of the slide, the training slide that it is; empty for a new one.
    seed
        Seed of the call.
    not_measured
        By name of the slide, genes of the panel that it did not measure.
    """

    table: AnnData
    slides: list[Slide]
    mask: NDArray[np.bool_]
    genes: tuple[str, ...]
    target_sum: float
    by_slide: dict[str, Prediction]
    estimator: Estimator
    reading: Reading
    rep: str | None
    trained_on: Mapping[str, str]
    seed: int
    not_measured: Mapping[str, Sequence[str]]

    def mean(self, columns: NDArray[np.int64] | None = None, width: int | None = None) -> NDArray[np.float32]:
        """(n_obs, genes) of all rows; or (n_obs, width) with the genes in some columns. NaN where nothing was predicted."""
        columns = np.arange(len(self.genes)) if columns is None else columns
        out = np.full((self.table.n_obs, len(self.genes) if width is None else width), np.nan, dtype=np.float32)
        for slide in self.slides:
            blocks = self.by_slide[slide.name].blocks
            for rows in part(blocks.slices(), desc="predict", unit="block"):
                out[np.ix_(slide.rows[rows], columns)] = blocks.make(rows)
        return out

    def std(self) -> NDArray[np.float32] | None:
        """(n_obs, genes) of all rows; ``None`` where no prediction has one."""
        found = {slide.name: self.by_slide[slide.name].std for slide in self.slides}
        if all(one is None for one in found.values()):
            return None
        out = np.full((self.table.n_obs, len(self.genes)), np.nan, dtype=np.float32)
        for slide in self.slides:
            if found[slide.name] is not None:
                out[slide.rows] = found[slide.name]
        return out

    def as_table(self) -> AnnData:
        """Predictions as an object of their own."""
        positions = np.full((self.table.n_obs, 2), np.nan)
        for slide in self.slides:
            positions[slide.rows] = slide.positions
        std = self.std()
        return new_table(
            self.mean(),
            self.table,
            self.genes,
            obs={_keys.PROMPT: self.mask},
            obsm={_keys.SPATIAL: positions},
            layers={} if std is None else {_keys.STD: std},
            uns=self.facts(),
        )

    def facts(self) -> dict[str, Any]:
        """Provenance, as ``uns`` takes it."""
        estimator, slides = self.estimator, self.slides
        record = embedding_records(self.table).get(self.rep, {}) if self.rep else {}
        pitches = {slide.name: slide.pitch for slide in slides if slide.pitch_source != "lattice"}
        card = {key: value for key, value in estimator.card.items() if key not in (FINGERPRINTS, _keys.GENE_COUNTS)}
        return {
            _keys.METHOD: estimator.name,
            "parameters": storable(estimator.kept_parameters()),
            _keys.MODEL: storable(card),
            "trained_on": _by_slide({name: slide for name, slide in self.trained_on.items() if slide}),
            "genes": np.array(self.genes, dtype=object),
            _keys.TARGET_SUM: self.target_sum,
            "scale": "log1p(target_sum * rate)",
            "use_rep": self.rep or "",
            _keys.READING: self.reading.as_record(),
            _keys.FEATURES: storable(identity(record)),
            "n_prompts": _by_slide({slide.name: int(self.mask[slide.rows].sum()) for slide in slides}),
            _keys.DETAILS: _by_slide({s.name: storable(self.by_slide[s.name].details) for s in slides}),
            **self._gaps(),
            **({_keys.PITCH: _by_slide(pitches)} if pitches else {}),
            "seed": self.seed,
            _keys.NAMES_HASH: names_hash(self.table.obs_names),
            "versions": package_versions(),
        }

    def _gaps(self) -> dict[str, Any]:
        lacking = {name: np.array(genes, dtype=object) for name, genes in self.not_measured.items() if len(genes)}
        return {_keys.NOT_MEASURED: _by_slide(lacking)} if lacking else {}


def _by_slide(facts: Mapping[str, _T]) -> dict[str, _T]:
    """What ``uns`` may hold of each slide: keys as :func:`phg2st_sc._keys.slide_entry` writes them."""
    return {_keys.slide_entry(name): fact for name, fact in facts.items()}


def storable(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as h5ad and zarr take it: no None, no tuples, no nested lists."""
    out: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            out[str(key)] = storable(value)
        elif isinstance(value, (list, tuple)):
            out[str(key)] = np.array(value, dtype=object if any(isinstance(v, str) for v in value) else None)
        elif value is not None:
            out[str(key)] = value
    return out
