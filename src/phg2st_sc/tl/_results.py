"""How a prediction is put into an object: what ``impute`` and ``expand`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._slide import Owner, ScatteredRows, SlotKey, SlotUpdate, check_table, refuse_foreign, store_behind, write_table

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from ._assessed import Assessed

MOST_IN_MEMORY = 1 << 27
"""Values, 512 MB, from which on what is written into a store is not held in memory too."""


class Result(Protocol):
    """A prediction of some genes at all rows of a table."""

    @property
    def table(self) -> AnnData:
        """Table annotating the spots."""
        ...

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(n_obs,) the prompts."""
        ...

    @property
    def columns(self) -> NDArray[np.int64]:
        """Columns of the table that the genes are."""
        ...

    def mean(self) -> ScatteredRows:
        """(n_obs, genes)."""
        ...

    def layer(self) -> ScatteredRows:
        """(n_obs, n_vars)."""
        ...

    def layers_beside(self) -> dict[str, ScatteredRows]:
        """(n_obs, n_vars) layers that go with it, by what is added to its name."""
        ...

    def assessed(self) -> Assessed | None:
        """What is said of genes and spots, by slot and name; ``None`` where what stands there is to stay."""
        ...

    def facts(self) -> dict[str, Any]:
        """Provenance."""
        ...

    def as_table(self, *, values: bool = True) -> AnnData:
        """The prediction as an object of its own."""
        ...


def copied(data: AnnData | SpatialData) -> AnnData | SpatialData:
    """A copy of an object."""
    from copy import deepcopy

    return data.copy() if is_table(data) else deepcopy(data)


def is_table(data: AnnData | SpatialData) -> bool:
    """Whether an object is an AnnData."""
    return hasattr(data, "obs_names")


def owner_of(key: str) -> Owner:
    """How to tell that an earlier call wrote a result."""
    parts = (
        (scores_keys(key), Owner((key, _keys.LOW_RANK), ())),
        (layers_beside(key)[:1], Owner((key,), (_keys.HAS_STD,))),
        (layers_beside(key)[1:], Owner((key,), (_keys.N_SAMPLES,))),
        (assessed_keys(key), Owner((key, _keys.TRUST), ())),
    )
    return Owner((key,), (_keys.METHOD, "scale"), parts=parts)


def scores_keys(key: str) -> tuple[SlotKey, ...]:
    """Slots of a low-rank prediction beside those of every other."""
    return ("obsm", _keys.scores(key)), ("obs", _keys.factor(key)), ("obs", _keys.components(key))


def layers_beside(key: str) -> tuple[SlotKey, ...]:
    """Layers that go with a prediction: its standard deviation, and drawn maps."""
    drawn = (_keys.sample(key, number) for number in range(_keys.MOST_SAMPLES))
    return tuple(("layers", name) for name in (_keys.std(key), *drawn))


def assessed_keys(key: str) -> tuple[SlotKey, ...]:
    """Columns that say how far a prediction can be trusted."""
    return tuple((slot, _keys.assessed(key, name)) for slot, names in _keys.ASSESSED.items() for name in names)


def refuse_early(
    data: AnnData | SpatialData, key: str, write: object, *, low_rank: bool = False, assessed: bool = False
) -> None:
    """Refuse a view, a key that holds something of the user's, and a missing store, before the work rather than after it."""
    if write:
        store_behind(data)
    if is_table(data):
        check_table(data)
        owner = owner_of(key)
        slots = [("layers", key), ("uns", key), ("obs", _keys.used_prompts(key)), ("var", _keys.predicted(key))]
        slots += scores_keys(key) if low_rank else ()
        slots += [*layers_beside(key), *assessed_keys(key)] if assessed else ()
        refuse_foreign(data, slots, owner)


def slots_of(done: Result, key: str) -> SlotUpdate:
    """What every result writes beside its values."""
    predicted = np.zeros(done.table.n_vars, dtype=bool)
    predicted[done.columns] = True
    update = SlotUpdate(
        var={_keys.predicted(key): predicted},
        obs={_keys.used_prompts(key): done.mask},
        uns={key: done.facts()},
        owner=owner_of(key),
    )
    assessed = done.assessed()
    if assessed is not None:
        update.var |= {_keys.assessed(key, name): _at(values, done) for name, values in assessed["var"].items()}
        update.obs |= {_keys.assessed(key, name): values for name, values in assessed["obs"].items()}
        gone = [(slot, name) for slot, name in assessed_keys(key) if name not in getattr(update, slot)]
        update.remove = {slot: [name for where, name in gone if where == slot] for slot in _keys.ASSESSED}
    return update


def _at(values: NDArray[Any], done: Result) -> NDArray[Any]:
    """Values of the predicted genes at all genes of the table."""
    out = np.full(done.table.n_vars, np.nan, dtype=np.float32)
    out[done.columns] = values
    return out


def layers_of(done: Result, key: str, *, write: bool) -> SlotUpdate:
    """A result as layers; blocks for the store where they are too large for memory."""
    update = slots_of(done, key)
    beside = {f"{key}_{name}": layer for name, layer in done.layers_beside().items()}
    for name, layer in {key: done.layer(), **beside}.items():
        update.layers[name] = layer if write and _stays_on_disk(layer) else layer.whole()
    if _keys.std(key) in beside:
        update.uns[key][_keys.HAS_STD] = True
        update.uns[key][_keys.N_SAMPLES] = len(beside) - 1
    # also where only the table in the store has them
    update.remove["layers"] = [name for _, name in layers_beside(key) if name not in beside]
    if _keys.LOW_RANK not in update.uns[key]:  # of an earlier call under this name
        stale = [_keys.factor(key), _keys.components(key)]
        update.remove |= {"obsm": [_keys.scores(key)], "obs": [*update.remove.get("obs", ()), *stale]}
    return update


def table_of(data: AnnData | SpatialData, done: Result) -> AnnData:
    """A result as an object; without values where they are too many for memory, and there is a store for them."""
    in_store = not is_table(data) and data.is_backed()
    return done.as_table(values=not (in_store and _stays_on_disk(done.mean())))


def put_table(data: Any, done: Result, table: AnnData, key: str, copy: bool) -> Any:
    """Put a result into a table of its own; returns it where the object cannot hold it, or the copy that does."""
    if is_table(data):
        return table
    source = next(name for name, one in data.tables.items() if one is done.table)
    rows = done.mean() if table.X is None else None
    write_table(data, key, table, source=source, rows=rows, overwrite=True, write=data.is_backed())
    return data if copy else None


def _stays_on_disk(rows: ScatteredRows) -> bool:
    return rows.shape[0] * rows.shape[1] >= MOST_IN_MEMORY
