"""Predict, and write the prediction into the object."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _keys
from .._slide import Owner, SlotUpdate, write_slots, write_table
from ._method import DEFAULT_METHOD
from ._predict import Predicted, as_table, run
from ._record import facts

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from ..models import Estimator


def impute(
    data: AnnData | SpatialData,
    *,
    prompt_mask: Any = None,
    model: Estimator | str | os.PathLike[str] | None = None,
    method: str | None = None,
    genes: Sequence[str] | None = None,
    use_rep: str | None = None,
    trust_rep: bool = False,
    counts_layer: str | None = None,
    target_sum: float | None = None,
    slide_key: str | None = None,
    table: str | None = None,
    gene_key: str | None = None,
    key_added: str | None = None,
    seed: int = 0,
    copy: bool = False,
    write: bool | Literal["table"] = False,
    **parameters: Any,
) -> AnnData | SpatialData | None:
    """Predict depth-free expression at every spot from the prompts, and write it into the object.

    Parameters
    ----------
    data, prompt_mask, model, method, genes, use_rep, trust_rep, counts_layer, target_sum, slide_key, table, gene_key, seed, **parameters
        As for :func:`phg2st_sc.tl.predict`. With neither ``model`` nor ``method``, the best simple method for each slide is
        chosen on its prompts.
    key_added
        Name of the result. ``None``: ``"phg2st"`` for the default, else the name of the method.
    copy
        Return a changed copy, and leave ``data`` as it is.
    write
        ``True``: also save the new slots, and nothing else, into the zarr store behind a SpatialData. ``"table"``: put the
        prediction into a table of its own named ``key_added``, for panels too large for a layer; saved too where there is
        a store.

    Returns
    -------
    ``None``, or the copy.

    Raises
    ------
    ValueError, KeyError, TypeError
        As :func:`phg2st_sc.tl.predict`; nothing is changed then.

    Notes
    -----
    Reads counts of the prompted rows, ``obsm["spatial"]``, and the embeddings where a method uses the image. Writes

    - ``layers[key_added]``: float32 log1p(s * rate) at every spot, prompts included (measurements are not echoed); NaN at
      genes that were not predicted;
    - ``layers["<key_added>_std"]`` and ``var["<key_added>_trust"]`` where the method provides them;
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
    settings: dict[str, Any] = {
        "model": model,
        "method": method,
        "prompt_mask": prompt_mask,
        "genes": genes,
        "use_rep": use_rep,
        "trust_rep": trust_rep,
        "counts_layer": counts_layer,
        "target_sum": target_sum,
        "slide_key": slide_key,
        "table": table,
        "gene_key": gene_key,
        "seed": seed,
    }
    target = _copy(data) if copy else data
    done = run(target, parameters=parameters, call=impute, **settings)
    key = key_added or _default_key(done)
    if write == "table":
        _write_table(target, done, key, seed)
    else:
        write_slots(target, done.table, _update(done, key, seed), write=bool(write))
    return target if copy else None


def _copy(data: AnnData | SpatialData) -> AnnData | SpatialData:
    from copy import deepcopy

    return data.copy() if hasattr(data, "obs_names") else deepcopy(data)


def _default_key(done: Predicted) -> str:
    return _keys.DEFAULT_RESULT if done.estimator.name == DEFAULT_METHOD else done.estimator.name


def _write_table(data: AnnData | SpatialData, done: Predicted, key: str, seed: int) -> None:
    if hasattr(data, "obs_names"):
        msg = "`write='table'` is for a SpatialData; for an AnnData use `phg2st_sc.tl.predict`, which returns a table"
        raise ValueError(msg)
    source = next(name for name, table in data.tables.items() if table is done.table)
    write_table(data, key, as_table(done, seed), source=source, overwrite=True, write=data.is_backed())


def _update(done: Predicted, key: str, seed: int) -> SlotUpdate:
    columns = done.table.var_names.get_indexer(list(done.genes))
    shape = (done.table.n_obs, done.table.n_vars)
    predicted = np.zeros(done.table.n_vars, dtype=bool)
    predicted[columns] = True
    update = SlotUpdate(
        var={_keys.predicted(key): predicted},
        obs={_keys.used_prompts(key): done.mask},
        uns={key: facts(done, seed)},
        owner=Owner((key,), ("method", "scale")),
    )
    for name, what in ((key, "mean"), (_keys.std(key), "std")):
        values = done.full(what)
        if values is not None:
            layer = np.full(shape, np.nan, dtype=np.float32)
            layer[:, columns] = values
            update.layers[name] = layer
    stale = [name for name in (_keys.std(key),) if name not in update.layers and name in done.table.layers]
    update.remove = {"layers": stale} if stale else {}
    return update
