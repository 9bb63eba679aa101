"""Predictions of all slides of one table, and what they leave in ``uns``: who made them, from what, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._provenance import FINGERPRINTS, names_hash, package_versions
from .._reading import Reading, identity
from .._slide import ScatteredRows, Slide, embedding_records, new_table
from ._assessed import Assessed, assessed_columns

if TYPE_CHECKING:
    from anndata import AnnData

    from .._row_blocks import RowBlocks
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
    lacking
        The same as (genes,) booleans.
    priors
        Those that were used, and those that were passed over, with the reason.
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
    lacking: Mapping[str, NDArray[np.bool_]]
    priors: Mapping[str, Any] = field(default_factory=dict)

    def mean(self) -> ScatteredRows:
        """(n_obs, genes) of all rows; NaN where no slide is."""
        n_genes = len(self.genes)
        return ScatteredRows((self.table.n_obs, n_genes), np.arange(n_genes), self._pieces)

    def layer(self) -> ScatteredRows:
        """(n_obs, n_vars) of all rows; NaN where no slide is, and at genes that were not predicted."""
        return ScatteredRows(self.table.shape, self.columns, self._pieces)

    def layers_beside(self) -> dict[str, ScatteredRows]:
        """(n_obs, n_vars) layers that go with it, by what is added to its name: standard deviation, and drawn maps."""
        found = {_keys.STD: [self.by_slide[slide.name].std_blocks for slide in self.slides]}
        for number in range(max(len(self.by_slide[slide.name].samples) for slide in self.slides)):
            of_slides = (self.by_slide[slide.name].samples for slide in self.slides)
            found[_keys.sample("", number)[1:]] = [one[number] if number < len(one) else None for one in of_slides]
        return {
            name: ScatteredRows(self.table.shape, self.columns, partial(self._of_slides, blocks))
            for name, blocks in found.items()
            if any(one is not None for one in blocks)
        }

    @property
    def columns(self) -> NDArray[np.int64]:
        """Columns of the table that its genes are."""
        return np.asarray(self.table.var_names.get_indexer(list(self.genes)), dtype=np.int64)

    def _pieces(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        return self._of_slides([self.by_slide[slide.name].blocks for slide in self.slides])

    def _of_slides(self, blocks: Sequence[RowBlocks | None]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for slide, one in zip(self.slides, blocks, strict=True):
            for rows, values in () if one is None else one.parts():
                yield slide.rows[rows], values

    def assessed(self) -> Assessed:
        """What is said of the genes and spots of all slides, by slot and name; empty where that was not asked."""
        return assessed_columns(
            {slide.name: slide.rows for slide in self.slides},
            {slide.name: self.by_slide[slide.name].assessment for slide in self.slides},
            (self.table.n_obs, len(self.genes)),
        )

    def as_table(self, *, values: bool = True) -> AnnData:
        """Predictions as an object of their own; without their values where these are to be added later."""
        positions = np.full((self.table.n_obs, 2), np.nan)
        for slide in self.slides:
            positions[slide.rows] = slide.positions
        assessed = self.assessed()
        return new_table(
            self.mean().whole() if values else None,
            self.table,
            self.genes,
            obs={_keys.PROMPT: self.mask, **assessed["obs"]},
            var=assessed["var"],
            obsm={_keys.SPATIAL: positions},
            layers={name: layer.whole()[:, self.columns] for name, layer in self.layers_beside().items()},
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
            **({_keys.PRIORS: _without_slashes(self.priors)} if self.priors else {}),
            "trained_on": _by_slide({name: slide for name, slide in self.trained_on.items() if slide}),
            "genes": np.array(self.genes, dtype=object),
            _keys.TARGET_SUM: self.target_sum,
            "scale": "log1p(target_sum * rate)",
            "use_rep": self.rep or "",
            _keys.READING: self.reading.as_record(),
            _keys.FEATURES: storable(identity(record)),
            "n_prompts": _by_slide({slide.name: int(self.mask[slide.rows].sum()) for slide in slides}),
            _keys.DETAILS: _by_slide({s.name: storable(self.by_slide[s.name].details) for s in slides}),
            **self._trust(),
            **self._gaps(),
            **({_keys.PITCH: _by_slide(pitches)} if pitches else {}),
            "seed": self.seed,
            _keys.NAMES_HASH: names_hash(self.table.obs_names),
            "versions": package_versions(),
        }

    def _trust(self) -> dict[str, Any]:
        found = {slide.name: self.by_slide[slide.name].assessment for slide in self.slides}
        said = {name: storable(one.facts) for name, one in found.items() if one is not None}
        return {_keys.TRUST: _by_slide(said)} if said else {}

    def _gaps(self) -> dict[str, Any]:
        lacking = {name: np.array(genes, dtype=object) for name, genes in self.not_measured.items() if len(genes)}
        return {_keys.NOT_MEASURED: _by_slide(lacking)} if lacking else {}


def _by_slide(facts: Mapping[str, _T]) -> dict[str, _T]:
    """What ``uns`` may hold of each slide: keys as :func:`phg2st_sc._keys.slide_entry` writes them."""
    return {_keys.slide_entry(name): fact for name, fact in facts.items()}


def _without_slashes(priors: Mapping[str, Any]) -> dict[str, Any]:
    """Priors by names that ``uns`` takes: those of folders and repositories have slashes."""
    return {how: storable(_by_slide(named)) for how, named in priors.items() if named}


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
