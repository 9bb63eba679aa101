"""Predictions that stand in an object, as ``tl.impute`` left them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._reading import full_mask
from .._slide import is_true, numbers
from .._text import quoted
from ._scores import low_rank_in

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide

_PIECE_VALUES = 1 << 24


@dataclass(frozen=True, eq=False)
class Stored:
    """A stored prediction, over the whole table."""

    layer: str
    values: Any
    used: NDArray[np.bool_]
    genes: list[str]
    columns: NDArray[np.int64]
    record: Mapping[str, Any]

    def on(self, slide: Slide) -> Stored:
        """The prediction over the genes that a slide measured."""
        lacking = set(self.record.get(_keys.NOT_MEASURED, {}).get(_keys.slide_entry(slide.name), ()))
        if not lacking:
            return self
        keep = np.array([gene not in lacking for gene in self.genes])
        return replace(self, genes=[gene for gene in self.genes if gene not in lacking], columns=self.columns[keep])

    def rows(self, rows: NDArray[np.int64], slide: Slide) -> NDArray[np.floating]:
        """Predictions of some rows over its genes; an error where they have gaps."""
        pieces = _pieces(self.values, rows, len(self.columns))
        if len(pieces) == 1:
            return self._read(rows, slide)
        values: NDArray[np.floating] = np.empty((len(rows), len(self.columns)), self.values.dtype)
        ends = np.cumsum([len(piece) for piece in pieces])
        for piece, end in zip(pieces, ends, strict=True):  # a large layer is not held twice
            values[end - len(piece) : end] = self._read(piece, slide)
        return values

    def _read(self, rows: NDArray[np.int64], slide: Slide) -> NDArray[np.floating]:
        values = numbers(self.values, f"layers[{self.layer!r}]", rows)[:, self.columns]
        if not np.isfinite(values).all():
            msg = (
                f"layers[{self.layer!r}] is not finite everywhere on slide {slide.name!r}: predict this slide too, "
                f"`phg2st_sc.tl.impute(data, key_added={self.layer!r})`."
            )
            raise ValueError(msg)
        return values

    def target_sum(self, slide: Slide) -> float:
        """Scale of the prediction."""
        value = self.record[_keys.TARGET_SUM]
        return float(value[_keys.slide_entry(slide.name)] if isinstance(value, Mapping) else value)

    def made_by(self, slide: Slide) -> str:
        """Method that made the prediction of a slide."""
        details = self.record.get(_keys.DETAILS, {}).get(_keys.slide_entry(slide.name), {})
        return made_by(str(self.record.get(_keys.METHOD, "")), bool(self.record.get(_keys.MODEL)), details)


def _pieces(values: Any, rows: NDArray[np.int64], n_columns: int) -> list[NDArray[np.int64]]:
    """Rows to read at a time: some of what is in memory, those of a chunk of what is not; all where that would read more."""
    if getattr(values, "dtype", np.dtype(object)).kind not in "iuf" or isinstance(values, np.ma.MaskedArray):
        return [rows]
    if isinstance(values, np.ndarray) or sparse.issparse(values):
        return np.array_split(rows, max(1, len(rows) * n_columns // _PIECE_VALUES))
    chunks = getattr(values, "chunks", None)
    if not hasattr(values, "compute") or not chunks or (np.diff(rows) < 0).any():
        return [rows]
    return [part for part in np.split(rows, np.searchsorted(rows, np.cumsum(chunks[0]))) if part.size] or [rows]


def made_by(method: str, trained: bool, details: Mapping[str, Any]) -> str:
    """Method as scores name it: the one that was chosen, and whether it was trained."""
    return str(details.get("chosen", method)) + (" (trained)" if trained else "")


def predictions_in(table: AnnData) -> list[str]:
    """Layers that hold a prediction."""
    return [key for key in table.layers if key is not None and _keys.used_prompts(key) in table.obs]


def table_with_prediction(data: Any, layer: str | None) -> str | None:
    """Name of the only table of a SpatialData that holds the prediction; ``None`` where there is no such, or several."""
    if not hasattr(data, "tables"):
        return None
    predicted = {name: predictions_in(table) for name, table in data.tables.items()}
    holding = [name for name, layers in predicted.items() if (layer in layers if layer else layers)]
    return holding[0] if len(holding) == 1 else None


def find_layer(table: AnnData, layer: str | None) -> str:
    """Name of the prediction to score: the one asked for, else the default one, else the only one there is."""
    if layer is not None and not isinstance(layer, str):
        msg = f"`layer` is the name of one prediction, not {layer!r}: name the others in `compare=`."
        raise TypeError(msg)
    found = predictions_in(table)
    if layer is None:
        layer = found[0] if len(found) == 1 and _keys.DEFAULT_RESULT not in found else _keys.DEFAULT_RESULT
    if layer in table.layers:
        return layer
    msg = f"No prediction to score: layers[{layer!r}] is missing. "
    if layer in low_rank_in(table):
        raise KeyError(f"{msg}Scores of it are there: make it, `phg2st_sc.tl.expand(data, key={layer!r})`.")
    close = difflib.get_close_matches(str(layer), found, n=1)
    meant = f"did you mean `layer={close[0]!r}`? " if close else ""
    there = f"The predictions there are: {quoted(found)}; {meant}name one with `layer=`, or run" if found else "Run"
    raise KeyError(f"{msg}{there} `phg2st_sc.tl.impute(data, key_added={layer!r})`.")


def reading_kept(table: AnnData, layer: str) -> Mapping[str, Any]:
    """How the object was read for a prediction; one that was made before this was kept counted all features."""
    record = table.uns.get(layer, {})
    return {_keys.GEX_ONLY: False, **record.get(_keys.READING, {})}


def pitch_kept(table: AnnData, layer: str) -> Mapping[str, float]:
    """Unit of distances of a prediction by entry of the slide, where it is not the pitch of a lattice."""
    kept: Mapping[str, float] = table.uns.get(layer, {}).get(_keys.PITCH, {})
    return kept


def stored(table: AnnData, layer: str) -> Stored:
    """A prediction with all that belongs to it."""
    used, predicted = _keys.used_prompts(layer), _keys.predicted(layer)
    slots = (
        (used in table.obs, f"obs[{used!r}]"),
        (predicted in table.var, f"var[{predicted!r}]"),
        (layer in table.uns and _keys.TARGET_SUM in table.uns[layer], f"uns[{layer!r}][{_keys.TARGET_SUM!r}]"),
    )
    missing = [name for present, name in slots if not present]
    if missing:
        msg = (
            f"No prediction to score: layers[{layer!r}] is there, but {' and '.join(missing)} of `phg2st_sc.tl.impute` "
            "are missing. Joining objects (`anndata.concat`) loses them: score the objects before they are joined, or "
            f"predict the joined one, `phg2st_sc.tl.impute(data, key_added={layer!r}, slide_key=...)`."
        )
        raise KeyError(msg)
    columns = np.flatnonzero(is_true(table.var[predicted]))
    return Stored(
        layer=layer,
        values=table.layers[layer],
        used=full_mask(table, used),
        genes=list(table.var_names[columns]),
        columns=columns,
        record=table.uns[layer],
    )


def check_mask(slides: Sequence[Slide], results: Sequence[Stored], prompt_mask: Any) -> None:
    """Refuse another mask than that of the prediction, and slides without a held-out spot."""
    for slide, result in zip(slides, results, strict=True):
        used = result.used[slide.rows]
        if prompt_mask is not None and (full_mask(slide.table, prompt_mask)[slide.rows] != used).any():
            msg = (
                f"`prompt_mask` is not the mask that layers[{result.layer!r}] was predicted from (slide {slide.name!r}). "
                "Leave it out to score that prediction, or run `phg2st_sc.tl.impute` again with the new mask."
            )
            raise ValueError(msg)
        if used.all():
            msg = f"Every spot of slide {slide.name!r} was a prompt: nothing is held out that could be scored. {HIDE}"
            raise ValueError(msg)


HIDE = (
    "Hide part of your measured spots: `phg2st_sc.pp.sample_prompts(data, within=measured)` draws prompts from among them; "
    "predict from these, and score the measured ones that were left out."
)
"""What to do where nothing measured was held out."""
