"""Low-rank predictions in the slots of an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._slide import SlotUpdate, numbers
from .._text import quoted
from ._low_rank import Components, Factored, factored
from ._predictions import Predicted
from ._results import layers_beside, slots_of

if TYPE_CHECKING:
    from anndata import AnnData

    from ..models import Prediction


def check_low_rank(low_rank: Any, write: object) -> None:
    """Refuse what is no number of components."""
    if low_rank is None:
        return
    if isinstance(low_rank, bool) or not isinstance(low_rank, (int, np.integer)) or low_rank < 1:
        raise ValueError(f"low_rank={low_rank!r} must be a number of components, e.g. 64, or None for a layer.")
    if write == "table":
        msg = "`low_rank` keeps scores on the object itself: leave `write='table'` out, and give it to `phg2st_sc.tl.expand`."
        raise ValueError(msg)


def scores_of(done: Predicted, key: str, n_components: int) -> SlotUpdate:
    """A prediction as scores, and the components that belong to them."""
    n_obs = done.table.n_obs
    scores = np.full((n_obs, n_components), np.nan, dtype=np.float32)
    factor, names = np.full(n_obs, np.nan, dtype=np.float32), np.full(n_obs, None, dtype=object)
    records, most = {}, 1
    for slide in done.slides:
        lacking = done.lacking[slide.name]
        found, amount, components = _factored(done.by_slide[slide.name], n_components, lacking, done.target_sum)
        most = max(most, found.shape[1])
        scores[slide.rows] = 0.0
        scores[slide.rows[:, None], np.arange(found.shape[1])] = found
        factor[slide.rows] = amount
        # told from components of the same name by another call: joining objects keeps the record of one of them
        name = f"{slide.name}@{components.mark(done.genes, done.target_sum)}"
        names[slide.rows] = name
        records[_keys.slide_entry(name)] = components.record()
    update = slots_of(done, key)
    update.uns[key][_keys.LOW_RANK] = {"genes": np.array(done.genes, dtype=object), _keys.COMPONENTS: records}
    update.obsm[_keys.scores(key)] = np.ascontiguousarray(scores[:, :most])
    update.obs[_keys.factor(key)] = factor
    update.obs[_keys.components(key)] = pd.Categorical(names)
    update.remove["layers"] = [key, *(name for _, name in layers_beside(key))]
    return update


def _factored(
    prediction: Prediction | Factored, n_components: int, lacking: NDArray[np.bool_], target_sum: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], Components]:
    if isinstance(prediction, Factored):
        return prediction.scores, prediction.factor, prediction.components
    return factored(prediction, n_components, lacking, target_sum)


@dataclass(frozen=True, eq=False)
class Scores:
    """A low-rank prediction as it stands in an object.

    Attributes
    ----------
    genes
        Names of the predicted genes.
    values, factor
        (n_obs, k) scores, and (n_obs,) factors.
    names
        (n_obs,) number of the components of every spot; -1 where nothing was predicted.
    components
        In that order.
    target_sum
        Scale of the prediction.
    """

    genes: pd.Index
    values: NDArray[np.float32]
    factor: NDArray[np.float32]
    names: NDArray[np.int64]
    components: list[Components]
    target_sum: float

    @classmethod
    def of(cls, table: AnnData, key: str) -> Scores:
        """Read it.

        Raises
        ------
        KeyError
            If there is none, or a part of it is missing.
        ValueError
            If its parts do not belong together.
        """
        record = _record(table, key)
        column = table.obs[_keys.components(key)].astype("category")
        by_name = {name: record[_keys.COMPONENTS].get(_keys.slide_entry(str(name))) for name in column.cat.categories}
        strange = [str(name) for name, one in by_name.items() if one is None and (column == name).any()]
        if strange:
            msg = (
                f"Spots of {quoted(strange)} have scores in obsm[{_keys.scores(key)!r}] whose components are not in "
                f"uns[{key!r}]: joining objects keeps the record of one of them. Expand the objects before they are joined, or "
                f"predict the joined one, `phg2st_sc.tl.impute(data, key_added={key!r}, low_rank=..., slide_key=...)`."
            )
            raise ValueError(msg)
        components = [Components.from_record(one) for one in by_name.values() if one is not None]
        there = [name for name, one in by_name.items() if one is not None]
        values = numbers(table.obsm[_keys.scores(key)], f"obsm[{_keys.scores(key)!r}]").astype(np.float32, copy=False)
        genes = pd.Index(np.asarray(record["genes"], dtype=object).astype(str))
        scale = float(table.uns[key][_keys.TARGET_SUM])
        marks = [str(name).rpartition("@")[2] for name in there]
        fit = [one.mark(genes, scale) == mark for one, mark in zip(components, marks, strict=True)]
        if not all(fit) or any(one.values.shape[0] > values.shape[1] for one in components):
            msg = (
                f"obsm[{_keys.scores(key)!r}] has {values.shape[1]} scores a spot, which do not fit the components in "
                f"uns[{key!r}] over {len(genes)} genes: one of the two was changed since, or they are of several predictions. "
                "Predict anew."
            )
            raise ValueError(msg)
        factor = table.obs[_keys.factor(key)].to_numpy(dtype=np.float32, na_value=np.nan)
        number = pd.Index(there).get_indexer(column.to_numpy(dtype=object))
        return cls(genes, values, factor, number, components, scale)

    def at(self, rows: slice, genes: NDArray[np.int64]) -> NDArray[np.float32]:
        """(rows, genes) expression of some genes, by position; NaN where nothing was predicted."""
        out = np.full((rows.stop - rows.start, genes.size), np.nan, dtype=np.float32)
        numbers_here = self.names[rows]
        for number in np.unique(numbers_here[numbers_here >= 0]):
            here, one = np.flatnonzero(numbers_here == number), self.components[number]
            values = self.values[rows][here, : len(one.values)]
            out[here] = one.expression(values, self.factor[rows][here], genes, self.target_sum)
        return out


def low_rank_in(table: AnnData) -> list[str]:
    """Names of the low-rank predictions in a table."""
    return [key for key, record in table.uns.items() if isinstance(record, Mapping) and _keys.LOW_RANK in record]


def _record(table: AnnData, key: str) -> Mapping[str, Any]:
    if key not in low_rank_in(table):
        found = low_rank_in(table)
        there = f"there are: {quoted(found)}" if found else "there is none"
        msg = (
            f"No low-rank prediction {key!r} in uns ({there}); `anndata.concat` keeps uns only with `uns_merge=`. Make one "
            f"with `phg2st_sc.tl.impute(data, key_added={key!r}, low_rank=64)`."
        )
        raise KeyError(msg)
    columns = (_keys.factor(key), _keys.components(key), _keys.used_prompts(key))
    slots = [("obsm", _keys.scores(key)), *(("obs", column) for column in columns)]
    missing = [f"{slot}[{name!r}]" for slot, name in slots if name not in getattr(table, slot)]
    if missing:
        msg = f"The low-rank prediction {key!r} is not whole: {' and '.join(missing)} of `phg2st_sc.tl.impute` are missing. Predict anew."
        raise KeyError(msg)
    record: Mapping[str, Any] = table.uns[key][_keys.LOW_RANK]
    return record
