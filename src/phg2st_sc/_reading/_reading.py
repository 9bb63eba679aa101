"""How an object is read: one frozen record that travels from the call to the container, and is kept with what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._slide import Slide, check_finite_centers, open_cohort, open_slides, spots_table, warn_off_lattice
from .._text import quoted
from ._counts import CountRows, read_counts, read_rows
from ._gex import GexOnly, is_gene, say_no_genes
from ._source import Matrix, has_counts_layer, named_layers

if TYPE_CHECKING:
    from anndata import AnnData

_KEPT = ("counts_layer", "slide_key", "table_key", "coordinate_system", "patient_key", "use_rep")
"""Settings that say how an object is laid out; the others are said by every call anew."""


@dataclass(frozen=True)
class Reading:
    """Which counts, slides and embeddings of an object are read.

    Public functions take these as keywords and build a reading in their first line. A trained method keeps the one that it
    was trained with, a stored prediction the one that it was made with, and later calls start from it: see :meth:`after`.

    Attributes
    ----------
    counts_layer
        Layer with raw counts; ``None`` or ``"X"`` for ``X``, ``"raw"`` for ``.raw``.
    gex_only
        Which features count: see :func:`is_gene`.
    slide_key
        Column of ``obs`` that tells slides apart.
    table_key
        Table of a SpatialData, where several annotate spots.
    coordinate_system
        Coordinate system of a SpatialData in which spots and image are aligned.
    patient_key
        Column of ``obs`` with the patient; ``None`` for ``"patient"``.
    use_rep
        Key in ``obsm`` of the image embeddings; ``None`` for the only ones with a record.
    trust_rep
        Whether embeddings without a record that they come from the image are accepted. Said by every call anew.
    gene_key
        Column of ``var`` with the gene names of a model.
    target_sum
        Scale s of log1p(s * rate); ``None`` for the median total of the prompts.
    pitch, pitch_um
        Distance of neighbouring spots, in the unit of the spot centres (of all slides, or by slide name) or in µm. Said of one
        object: a model does not keep it.
    kept_pitch
        The former by entry of the slide, as a stored prediction was made with it.
    """

    counts_layer: str | None = None
    gex_only: GexOnly = None
    slide_key: str | None = None
    table_key: str | None = None
    coordinate_system: str | None = None
    patient_key: str | None = None
    use_rep: str | None = None
    trust_rep: bool = False
    gene_key: str | None = None
    target_sum: float | None = None
    pitch: float | Mapping[str, float] | None = None
    pitch_um: float | None = None
    kept_pitch: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def among(cls, settings: Mapping[str, Any]) -> Reading:
        """The reading among the keywords of a call, ``locals()`` in its first lines, whatever else it has."""
        return cls(**{one.name: settings[one.name] for one in fields(cls) if one.name in settings})

    @property
    def layer(self) -> str | None:
        """Layer with raw counts; ``None`` for ``X``."""
        return None if self.counts_layer == _keys.X else self.counts_layer

    @property
    def patients(self) -> str:
        """Column of ``obs`` with the patient."""
        return _keys.PATIENT if self.patient_key is None else self.patient_key

    def as_record(self) -> dict[str, Any]:
        """How the object is laid out, as plain values to keep: what was said, and which features counted."""
        said = {name: getattr(self, name) for name in _KEPT if getattr(self, name) is not None}
        return {**said, _keys.GEX_ONLY: True if self.gex_only is None else self.gex_only}

    def after(self, kept: Mapping[str, Any], data: Any, *, of: str) -> Reading:
        """Return the reading that starts from a kept one: what this one says counts, the rest is as it was kept.

        Columns, tables, systems and embeddings that the object does not have are passed over: another object may be laid
        out in another way. A layer of counts is not: counts would be read from somewhere else without a word.

        Parameters
        ----------
        kept
            What :meth:`as_record` returned.
        data
            The object.
        of
            Whose reading it was, for the message, such as ``"The model was trained"``.

        Raises
        ------
        KeyError
            If counts were read from a layer that the object does not have, and this reading does not say where they are.
        """
        unsaid = {name: kept[name] for name in _KEPT if kept.get(name) and getattr(self, name) is None}
        reading = replace(self, **{name: unsaid[name] for name in _held_by(data, unsaid)})
        table = spots_table(data, reading.table_key)
        held = {"slide_key": table.obs, "patient_key": table.obs, "use_rep": table.obsm}
        found = {name: unsaid[name] for name, slot in held.items() if name in unsaid and unsaid[name] in slot}
        layer = unsaid.get("counts_layer")
        if layer not in (None, _keys.X) and not has_counts_layer(table, layer):
            raise KeyError(_no_layer(table, layer, of))
        return replace(reading, counts_layer=self.counts_layer or layer, gex_only=self._genes_after(kept), **found)

    def _genes_after(self, kept: Mapping[str, Any]) -> GexOnly:
        """Which features count, after a kept reading; what an object leaves out is told of for each object anew."""
        before = kept.get(_keys.GEX_ONLY)
        if self.gex_only is not None or before is None:
            return self.gex_only
        return str(before) if isinstance(before, str) else None if before else False

    def say_no_genes(self, slides: Sequence[Slide]) -> None:
        """Warn, once, of features that are no genes and are left out, where the call does not say what to do with them."""
        say_no_genes(list({id(slide.table): slide.table for slide in slides}.values()), self.gex_only)

    def open(self, data: Any, **scale: Any) -> list[Slide]:
        """Slides of an object as they stand there, to write beside; ``scale`` goes to :func:`phg2st_sc._slide.open_slides`."""
        return open_slides(data, **{**self._places(), **scale})

    def open_cohort(self, adatas: Any) -> list[Slide]:
        """Slides of one object, of a list, or of a dict of objects as they stand there; names are distinct."""
        return open_cohort(adatas, **self._places())

    def slides(self, data: Any) -> list[Slide]:
        """Slides of an object to read from: views are taken too, and spots come in the order of their places."""
        return _in_order(self.open(_readable(data)))

    def cohort(self, adatas: Any) -> list[Slide]:
        """Slides of one object, of a list, or of a dict of objects, to read from; names are distinct."""
        if isinstance(adatas, Mapping):
            adatas = {name: _readable(data) for name, data in adatas.items()}
        else:
            adatas = [_readable(data) for data in adatas] if isinstance(adatas, (list, tuple)) else _readable(adatas)
        return _in_order(self.open_cohort(adatas))

    def counts(
        self, table: AnnData, rows: NDArray[np.int64], *, genes: Sequence[str] | None = None, dense: bool = False
    ) -> tuple[Matrix, NDArray[np.float64]]:
        """Counts and totals of some rows, and of no other; see :func:`read_counts`."""
        return read_counts(table, rows, counts_layer=self.layer, gex_only=self.gex_only, genes=genes, dense=dense)

    def read(self, table: AnnData, rows: NDArray[np.int64]) -> CountRows:
        """All counts of some rows, and of no other; see :func:`read_rows`."""
        return read_rows(table, rows, counts_layer=self.layer, gex_only=self.gex_only)

    def genes(self, table: AnnData) -> NDArray[np.bool_]:
        """Which features of a table are genes."""
        return is_gene(table.var, self.gex_only)

    def _places(self) -> dict[str, Any]:
        return {
            "slide_key": self.slide_key,
            "table_key": self.table_key,
            "coordinate_system": self.coordinate_system,
            "patient_key": self.patients,
            "pitch": self.pitch,
            "pitch_um": self.pitch_um,
            "kept_pitch": self.kept_pitch,
        }


def _held_by(data: Any, kept: Mapping[str, Any]) -> list[str]:
    """Which of the kept names of a table and a coordinate system a container has."""
    if not hasattr(data, "tables"):
        return []
    held = {"table_key": data.tables, "coordinate_system": data.coordinate_systems}
    return [name for name, names in held.items() if kept.get(name) in names]


def _no_layer(table: AnnData, layer: str, of: str) -> str:
    there = quoted(named_layers(table)) or "none"
    return (
        f"{of} with counts of layers[{layer!r}], and this object has no such layer (there are: {there}). Pass `counts_layer=` "
        "with the layer of raw counts, or `counts_layer='X'` where X holds them."
    )


def _readable(data: Any) -> Any:
    """``data``, or a copy of it in memory where it is a view: what only reads takes views too."""
    if not getattr(data, "is_view", False):
        return data
    return data.to_memory(copy=True) if data.isbacked else data.copy()


def _in_order(slides: list[Slide]) -> list[Slide]:
    """The slides as they are read, with a word on those whose spots lie on no lattice."""
    ordered = [_by_place(slide) for slide in slides]
    warn_off_lattice(ordered)
    return ordered


def _by_place(slide: Slide) -> Slide:
    """Return the slide with its spots in the order of their places.

    What a method draws at random, and which of equally near prompts it takes, then does not depend on how the rows of a
    table happen to be sorted.
    """
    places = slide.pitch_positions()
    check_finite_centers(slide)
    x, y = np.round(places, 6).T
    order = np.lexsort((y, x))
    return replace(slide, rows=slide.rows[order], positions=slide.positions[order])
