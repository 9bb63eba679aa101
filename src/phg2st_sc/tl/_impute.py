"""Predict, and write the prediction into the object."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._progress import bar, parts
from .._reading import Reading, check_gene_names
from .._slide import Owner, SlotUpdate, check_table, refuse_foreign, store_behind, write_slots, write_table
from .._warn import one_message_per_fault, warn_user
from ..models import choose_estimator
from ._predict_slides import predict_slides
from ._predictions import Predicted

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from .._slide import ScatteredRows
    from ..models import Estimator


_LARGE_LAYER = 50_000_000
"""Values, 200 MB, from which on a layer that is nearly all NaN is told of."""
_FEW_GENES = 0.1
_MOST_IN_MEMORY = 1 << 27
"""Values, 512 MB, from which on what is written into a store is not held in memory too."""


@renamed_parameters(table="table_key")
@one_message_per_fault
@documented
def impute(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData] | Mapping[str, AnnData | SpatialData],
    *,
    prompt_mask: Any = None,
    model: Estimator | str | os.PathLike[str] | None = None,
    method: str | None = None,
    genes: Sequence[str] | None = None,
    use_rep: str | None = None,
    trust_rep: bool = False,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    target_sum: float | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    gene_key: str | None = None,
    patient_key: str | None = None,
    key_added: str | None = None,
    seed: int = 0,
    copy: bool = False,
    write: bool | Literal["table"] = False,
    progress: bool = True,
    **parameters: Any,
) -> Any:
    """Predict depth-free expression at every spot from the prompts, and write it into the object.

    Parameters
    ----------
    {data}
        Raw counts are read at the prompts. A list or dict of objects is predicted as a whole before any is written; results
        that go into a store block by block are the exception.
    {prompt_mask}
        Of several objects a column.
    {model:use} {method:section} {genes:returned} {use_rep} {trust_rep} {counts_layer:kept} {gex_only:kept} {target_sum}
        ``None``: the median total count of the prompts.
    {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um} {gene_key} {patient_key}
        A model that was trained on sections of the same patient uses them as neighbours of the slide. ``None``: as in
        training, where there is such a column.
    key_added
        Name of the result. ``None``: ``"phg2st"`` for the default, else the name of the method.
    {seed} {copy} {write}
        A layer or table of 512 MB or more then goes into the store block by block and never stands in memory: on the object
        it is a dask array that reads from there (``.compute()`` for all of it). Until it is complete, store and object hold
        what they held before.

        ``"table"``: put the prediction into a table of its own, for panels too large for a layer and for few genes of many. Of
        a SpatialData it is named ``key_added``, and saved too where there is a store; of an AnnData it is returned, an object
        over the same spots and the predicted genes, as by :func:`phg2st_sc.tl.predict`, and ``data`` stays as it is.
    {progress:long} {**parameters}

    Returns
    -------
    ``None``, or the copy (of several objects a list or dict of copies). With ``write="table"`` the table of an AnnData (of
    several objects a list or dict of tables).

    Raises
    ------
    ValueError
        If both ``model`` and ``method`` are given, counts of a prompt are no counts, there are too few prompts, embeddings
        carry no proof that they come from the image, ``data`` is a view, or ``key_added`` names a slot that something else
        wrote. Nothing is changed then.
    KeyError
        If the method, mask column, layer, embeddings or genes do not exist.
    TypeError
        If the method has no such setting, or an argument or setting is of the wrong type.

    Warns
    -----
    UserWarning
        With neither ``model`` nor ``method``, if slides that have an image have no embeddings with a record. If ``model``
        was trained on the very slide. If the default finds on 10 or more prompts that nothing is predictable from them. If a
        layer would be large, and nearly all of it NaN.

    Notes
    -----
    Reads counts of the prompted rows, ``obsm["spatial"]``, and the embeddings where a method uses the image. Writes

    - ``layers[key_added]``: float32 log1p(s * rate) at every spot, prompts included (measurements are not echoed); NaN at
      genes that were not predicted, and on slides that never measured a gene;
    - ``layers["<key_added>_std"]`` where the method has one (none does yet);
    - ``var["<key_added>_predicted"]``: the predicted genes;
    - ``obs["<key_added>_prompt"]``: the mask that was used;
    - ``uns[key_added]``: provenance.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, seed=0)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    >>> phg2st.tl.impute(adata, prompt_mask="prompt")
    >>> adata.layers["phg2st"].shape
    (120, 60)
    """
    check_gene_names(genes)
    objects = _objects(data, prompt_mask)
    reading = Reading.among(locals())
    estimator = choose_estimator(model, method, seed, parameters, impute)
    by_default = model is None and method is None
    key = key_added or estimator.name
    alone = write == "table"
    targets = [_copy(one) if copy and not (alone and _is_table(one)) else one for one in objects]
    for target in targets:
        if not alone:
            _refuse_early(target, key, write)
    results = [  # all are predicted before any is written
        predict_slides(
            target,
            reading,
            estimator,
            prompt_mask=prompt_mask,
            genes=genes,
            seed=seed,
            by_default=by_default,
            progress=progress,
        )
        for target in bar(targets, progress=progress and len(targets) > 1, desc="predict", unit="object")
    ]
    if alone:
        with parts(progress):
            made = [_table(target, done) for target, done in zip(targets, results, strict=True)]
            tables = [_write_table(*one, key, copy) for one in zip(targets, results, made, strict=True)]
        return None if all(one is None for one in tables) else _like(data, tables)
    _warn_of_empty(results, key)
    with parts(progress):
        updates = [_update(done, key, write=bool(write)) for done in results]
        for target, done, update in zip(targets, results, updates, strict=True):
            write_slots(target, done.table, update, write=bool(write))
    return _like(data, targets) if copy else None


def _objects(data: Any, prompt_mask: Any) -> list[Any]:
    if not isinstance(data, (Mapping, list, tuple)):
        return [data]
    objects = list(data.values()) if isinstance(data, Mapping) else list(data)
    if not objects:
        raise ValueError("No data: `data` is empty.")
    if not (prompt_mask is None or isinstance(prompt_mask, str)):
        msg = "For several objects `prompt_mask` is the name of an `obs` column, or None for obs['prompt']."
        raise TypeError(msg)
    if len({id(one) for one in objects}) < len(objects):
        raise ValueError("The same object occurs more than once in `data`.")
    return objects


def _like(data: Any, targets: list[Any]) -> Any:
    if isinstance(data, Mapping):
        return dict(zip(data, targets, strict=True))
    return targets if isinstance(data, (list, tuple)) else targets[0]


def _copy(data: AnnData | SpatialData) -> AnnData | SpatialData:
    from copy import deepcopy

    return data.copy() if _is_table(data) else deepcopy(data)


def _is_table(data: AnnData | SpatialData) -> bool:
    return hasattr(data, "obs_names")


def _owner(key: str) -> Owner:
    return Owner((key,), (_keys.METHOD, "scale"))


def _refuse_early(data: AnnData | SpatialData, key: str, write: object) -> None:
    """Refuse a view, a key that holds something of the user's, and a missing store, before the work rather than after it."""
    if write:
        store_behind(data)
    if _is_table(data):
        check_table(data)
        slots = (("layers", key), ("uns", key), ("obs", _keys.used_prompts(key)), ("var", _keys.predicted(key)))
        refuse_foreign(data, slots, _owner(key))


def _stays_on_disk(rows: ScatteredRows) -> bool:
    return rows.shape[0] * rows.shape[1] >= _MOST_IN_MEMORY


def _table(data: Any, done: Predicted) -> AnnData:
    """The prediction as an object; without values where they are too many for memory, and there is a store for them."""
    in_store = not _is_table(data) and data.is_backed()
    return done.as_table(values=not (in_store and _stays_on_disk(done.mean())))


def _write_table(data: Any, done: Predicted, table: AnnData, key: str, copy: bool) -> Any:
    """Put the prediction into a table of its own; returns it where the object cannot hold it, or the copy that does."""
    if _is_table(data):
        return table
    source = next(name for name, one in data.tables.items() if one is done.table)
    rows = done.mean() if table.X is None else None
    write_table(data, key, table, source=source, rows=rows, overwrite=True, write=data.is_backed())
    return data if copy else None


def _warn_of_empty(results: Sequence[Predicted], key: str) -> None:
    """Tell of layers that take much memory to hold next to nothing."""
    sizes = {}
    for done in results:
        n_obs, n_vars = done.table.shape
        if n_obs * n_vars >= _LARGE_LAYER and len(done.genes) < _FEW_GENES * n_vars:
            sizes[len(done.genes), n_vars] = n_obs * n_vars * np.dtype(np.float32).itemsize
    if sizes:
        (n_genes, n_vars), size = max(sizes.items(), key=lambda item: item[1])
        msg = (
            f"layers[{key!r}] takes {size / 1e6:,.0f} MB, and {100 * (1 - n_genes / n_vars):.3g} % of it is NaN: {n_genes} of "
            f"{n_vars:,} genes are predicted. Pass `write='table'` for an object of these genes alone."
        )
        warn_user(msg)


def _update(done: Predicted, key: str, *, write: bool) -> SlotUpdate:
    columns = done.columns
    shape = (done.table.n_obs, done.table.n_vars)
    predicted = np.zeros(done.table.n_vars, dtype=bool)
    predicted[columns] = True
    update = SlotUpdate(
        var={_keys.predicted(key): predicted},
        obs={_keys.used_prompts(key): done.mask},
        uns={key: done.facts()},
        owner=_owner(key),
    )
    layer = done.layer()
    update.layers[key] = layer if write and _stays_on_disk(layer) else layer.whole()
    std = done.std()
    if std is not None:
        update.layers[_keys.std(key)] = spread = np.full(shape, np.nan, dtype=np.float32)
        spread[:, columns] = std
    # also where only the table in the store has them
    update.remove = {"layers": [name for name in (_keys.std(key),) if name not in update.layers]}
    return update
