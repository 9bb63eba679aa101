"""A prediction that stands in an object, and what was measured there, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._reading import Reading, full_mask, open_source
from .._slide import is_target, is_true, numbers, spots_table
from .._text import quoted

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide


@dataclass(frozen=True, eq=False)
class Shown:
    """A stored prediction.

    Attributes
    ----------
    key
        Its name.
    table
        Table that holds it.
    reading
        How the object was read for it; what the call says comes first.
    record
        ``uns[key]``.
    """

    key: str
    table: AnnData
    reading: Reading
    record: Mapping[str, Any]

    @classmethod
    def find(cls, data: Any, key: str, said: Reading) -> Shown:
        """The prediction of a name in an object.

        Raises
        ------
        KeyError
            If there is none, or what belongs to it is gone.
        """
        said = replace(said, table_key=said.table_key or _only_table(data, key))
        table = spots_table(data, said.table_key)
        missing = [slot for slot in _slots(table, key) if slot]
        if missing:
            raise KeyError(_no_prediction(table, key, missing))
        record = table.uns[key]
        kept = {_keys.GEX_ONLY: False, **record.get(_keys.READING, {})}
        reading = said.after(kept, data, of="The prediction was made")
        return cls(key, table, replace(reading, kept_pitch=record.get(_keys.PITCH, {})), record)

    @property
    def genes(self) -> list[str]:
        """The predicted genes."""
        return list(self.table.var_names[is_true(self.table.var[_keys.predicted(self.key)])])

    def panel(self, slide: Slide) -> list[str]:
        """The predicted genes that a slide measured."""
        lacking = set(self.record.get(_keys.NOT_MEASURED, {}).get(_keys.slide_entry(slide.name), ()))
        return [gene for gene in self.genes if gene not in lacking]

    @property
    def has_std(self) -> bool:
        """Whether it says how sure it is."""
        return _keys.std(self.key) in self.table.layers

    def name_of(self, gene: str) -> str:
        """The gene, and how far it can be believed where that is known."""
        column = _keys.assessed(self.key, _keys.TRUST)
        if _keys.TRUST not in self.record or column not in self.table.var:
            return gene
        trust = float(self.table.var[column][gene])
        return f"{gene}\ntrust {trust:.2f}" if np.isfinite(trust) else gene

    def prompts(self, slide: Slide) -> NDArray[np.bool_]:
        """(n,) which spots it was made from."""
        return full_mask(self.table, _keys.used_prompts(self.key))[slide.rows]

    def target_sum(self, slide: Slide) -> float:
        """Scale s of log1p(s * share)."""
        value = self.record[_keys.TARGET_SUM]
        return float(value[_keys.slide_entry(slide.name)] if isinstance(value, Mapping) else value)

    def values(self, slide: Slide, genes: Sequence[str], *, std: bool = False) -> NDArray[np.floating]:
        """(n, genes) of a slide, NaN where nothing was predicted."""
        layer = _keys.std(self.key) if std else self.key
        return numbers(self.table[slide.rows, list(genes)].layers[layer], f"layers[{layer!r}]")

    def measured(self, slide: Slide) -> NDArray[np.bool_]:
        """(n,) which spots have a count of anything: neither targets nor all NaN or zero."""
        there = ~is_target(self.table, slide.rows)
        there[there] = _any_count(open_source(self.table, self.reading.layer).rows(slide.rows[there]))
        return there

    def check_genes(self, genes: str | Sequence[str]) -> list[str]:
        """The genes that are asked for, as a list.

        Raises
        ------
        ValueError
            If none is asked for, or some were not predicted.
        """
        asked = [genes] if isinstance(genes, str) else list(genes)
        if not asked:
            raise ValueError("`genes` is empty: name the genes to draw, one or several.")
        unknown = [gene for gene in asked if gene not in set(self.genes)]
        if unknown:
            msg = (
                f"{len(unknown)} of the {len(asked)} genes were not predicted in layers[{self.key!r}]: {quoted(unknown)}. "
                f"var[{_keys.predicted(self.key)!r}] marks those that were; `phg2st_sc.tl.impute(data, genes=...)` predicts others."
            )
            raise ValueError(msg)
        return asked


def _only_table(data: Any, key: str) -> str | None:
    """Table of a SpatialData that alone holds the prediction."""
    holding = [name for name, table in getattr(data, "tables", {}).items() if key in table.layers]
    return holding[0] if len(holding) == 1 else None


def _slots(table: AnnData, key: str) -> list[str]:
    """What is missing of a prediction."""
    used, predicted = _keys.used_prompts(key), _keys.predicted(key)
    return [
        "" if key in table.layers else f"layers[{key!r}]",
        "" if used in table.obs else f"obs[{used!r}]",
        "" if predicted in table.var else f"var[{predicted!r}]",
        "" if _keys.TARGET_SUM in table.uns.get(key, {}) else f"uns[{key!r}]",
    ]


def _no_prediction(table: AnnData, key: str, missing: Sequence[str]) -> str:
    found = [name for name in table.layers if name is not None and _keys.used_prompts(name) in table.obs]
    there = f" The predictions there are: {quoted(found)}." if found and key not in found else ""
    call = "tl.impute(data, key_added={!r})"
    if key not in table.layers and _keys.LOW_RANK in table.uns.get(key, {}):
        call = "tl.expand(data, key={!r})"
    return (
        f"No prediction {key!r} to draw: {' and '.join(missing)} of `phg2st_sc.tl.impute` are missing.{there} Make it, "
        f"`phg2st_sc.{call.format(key)}`, or name another one with `key=`."
    )


def _any_count(matrix: Any) -> NDArray[np.bool_]:
    from scipy import sparse

    if not sparse.issparse(matrix):
        return np.asarray((~np.isnan(matrix) & (matrix != 0)).any(axis=1))
    there = (~np.isnan(matrix.data) & (matrix.data != 0)).astype(np.int64)
    return np.asarray(sparse.csr_array((there, matrix.indices, matrix.indptr), shape=matrix.shape).sum(axis=1)) > 0
