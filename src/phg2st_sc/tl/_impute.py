"""Predict, and write the prediction into the object."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _keys
from .._cluster import check_client
from .._deprecated import renamed_parameters
from .._docs import documented
from .._progress import bar, is_shown, parts
from .._reading import Reading, check_gene_names
from .._slide import write_slots
from .._threads import limited_threads
from .._warn import one_message_per_fault, warn_user
from ..models import choose_estimator
from ._predict_on import predict_on
from ._predict_slides import ask, predict_slides
from ._predictions import Predicted
from ._priors import offered
from ._results import copied, is_table, layers_of, put_table, refuse_early, table_of
from ._scores import check_low_rank, scores_of

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client
    from spatialdata import SpatialData

    from ..models import Estimator


_LARGE_LAYER = 50_000_000
"""Values, 200 MB, from which on a layer that is nearly all NaN is told of."""
_FEW_GENES = 0.1


@renamed_parameters(table="table_key")
@one_message_per_fault
@limited_threads()
@documented
def impute(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData] | Mapping[str, AnnData | SpatialData],
    *,
    prompt_mask: Any = None,
    model: Estimator | str | os.PathLike[str] | None = None,
    prior: Any = None,
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
    low_rank: int | None = None,
    uncertainty: bool = False,
    n_samples: int = 0,
    client: Client | None = None,
    progress: bool | None = None,
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
    {model:use} {prior} {method:section} {genes:returned} {use_rep} {trust_rep} {counts_layer:kept} {gex_only:kept} {target_sum}
        ``None``: the median total count of the prompts.
    {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um} {gene_key} {patient_key}
        A model that was trained on sections of the same patient uses them as neighbours of the slide. ``None``: as in
        training, where there is such a column.
    key_added
        Name of the result. ``None``: ``"phg2st"`` for the default, else the name of the method.
    {seed} {copy} {write:predicted}

        ``"table"``: put the prediction into a table of its own, for panels too large for a layer and for few genes of many. Of
        a SpatialData it is named ``key_added``, and saved too where there is a store; of an AnnData it is returned, an object
        over the same spots and the predicted genes, as by :func:`phg2st_sc.tl.predict`, and ``data`` stays as it is.
    low_rank
        Keep so many numbers a spot, say 64, in place of a layer: scores in ``obsm``, from which
        :func:`phg2st_sc.tl.expand` makes the expression of the genes that are asked for. For panels too large for a layer.
    uncertainty
        Whether to say how far the prediction can be trusted, by gene, by spot, and at every gene and spot. Prompts are left
        out in turn for that; with fewer than 10, and no model, there is nothing to say. See :func:`phg2st_sc.tl.intervals`.
    n_samples
        Draw so many maps that are as likely as the prediction, at most 100, to carry what is not known through an analysis: what
        differs between them is not known. Implies ``uncertainty``. Each takes the memory of a layer.
    {client}
        Each slide is a task. This process reads the prompts and writes the results, so that a prediction passes through its memory
        as a whole, ``write=True`` or not; ``low_rank`` is made by the workers.
    {progress:long} {**parameters}

    Returns
    -------
    ``None``, or the copy (of several objects a list or dict of copies). With ``write="table"`` the table of an AnnData (of
    several objects a list or dict of tables).

    Raises
    ------
    ValueError
        If both ``model`` and ``method``, or ``model`` and ``prior``, are given, a prior does not fit the object or, of single cells, is given as ``model``, counts of a prompt are no counts, there are too few prompts, embeddings
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
        layer would be large, and nearly all of it NaN. If uncertainty is asked for, and too few prompts tell of it.

    Notes
    -----
    Reads counts of the prompted rows, ``obsm["spatial"]``, and the embeddings where a method uses the image. Writes

    - ``layers[key_added]``: float32 log1p(s * rate) at every spot, prompts included (measurements are not echoed); NaN at
      genes that were not predicted, and on slides that never measured a gene;
    - with ``uncertainty=True``: ``layers["<key_added>_std"]``, the standard deviation of the rate on the scale of the prediction;
      ``obs["<key_added>_trust"]``, the share of what varies that the prompts tell of a spot, 0 to 1;
      ``obs["<key_added>_unlike"]``, whether a spot looks like no prompt in the image;
      ``var["<key_added>_trust"]``, the held-out correlation that is expected of a gene, ``var["<key_added>_trust_se"]``, its standard
      error, and ``var["<key_added>_trust_null"]``, the chance that its prediction says nothing;
      ``uns[key_added]["trust"]``, what it rests on, and what to expect on average, by slide;
    - with ``n_samples``: ``layers["<key_added>_sample_0"]`` and so on;
    - ``var["<key_added>_predicted"]``: the predicted genes;
    - ``obs["<key_added>_prompt"]``: the mask that was used;
    - ``uns[key_added]``: provenance.

    With ``low_rank``, in place of the layer: ``obsm["<key_added>_scores"]``, float32 scores; ``obs["<key_added>_factor"]`` and
    ``obs["<key_added>_components"]``, by which they become expression; the components of every slide in
    ``uns[key_added]["low_rank"]``, with the share of the prediction that they hold (``kept``).

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, seed=0)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    >>> phg2st.tl.impute(adata, prompt_mask="prompt")
    >>> adata.layers["phg2st"].shape
    (120, 60)
    """
    check_client(client)
    check_gene_names(genes)
    objects = _objects(data, prompt_mask)
    reading = Reading.among(locals())
    estimator = choose_estimator(model, method, seed, parameters, impute)
    by_default = model is None and method is None
    given = offered(prior, estimator, model)
    key = key_added or estimator.name
    alone = write == "table"
    check_low_rank(low_rank, write)
    uncertainty = _check_samples(n_samples, low_rank) or uncertainty
    targets = [copied(one) if copy and not (alone and is_table(one)) else one for one in objects]
    for target in targets:
        if not alone:
            refuse_early(target, key, write, low_rank=low_rank is not None, assessed=uncertainty)
    asked: dict[str, Any] = {
        "prompt_mask": prompt_mask,
        "genes": genes,
        "seed": seed,
        "by_default": by_default,
        "given": given,
        "uncertainty": uncertainty,
        "n_samples": n_samples,
    }
    # all are predicted before any is written
    if client is None:
        results = [
            predict_slides(target, reading, estimator, **asked, progress=progress)
            for target in bar(targets, progress=is_shown(progress) and len(targets) > 1, desc="predict", unit="object")
        ]
    else:
        questions = [ask(target, reading, estimator, **asked) for target in targets]
        results = predict_on(client, targets, questions, low_rank=low_rank, progress=progress)
    with parts(progress):
        if alone:
            tables = _put_tables(targets, results, key, copy=copy)
            return None if all(one is None for one in tables) else _like(data, tables)
        _put_slots(targets, results, key, low_rank, write=bool(write))
    return _like(data, targets) if copy else None


def _check_samples(n_samples: Any, low_rank: int | None) -> bool:
    """Whether maps are to be drawn."""
    if (
        isinstance(n_samples, bool)
        or not isinstance(n_samples, (int, np.integer))
        or not 0 <= n_samples <= _keys.MOST_SAMPLES
    ):
        msg = f"n_samples={n_samples!r} must be a number of maps from 0 to {_keys.MOST_SAMPLES}, e.g. 20."
        raise ValueError(msg)
    if n_samples and low_rank is not None:
        msg = f"`low_rank` keeps no layers, so that n_samples={n_samples} maps have no place: leave one of them out, or give `genes=`."
        raise ValueError(msg)
    return bool(n_samples)


def _put_tables(targets: Sequence[Any], results: Sequence[Predicted], key: str, *, copy: bool) -> list[Any]:
    """Put predictions into tables of their own, all of which are made before any is put."""
    made = [table_of(target, done) for target, done in zip(targets, results, strict=True)]
    return [put_table(*one, key, copy) for one in zip(targets, results, made, strict=True)]


def _put_slots(
    targets: Sequence[Any], results: Sequence[Predicted], key: str, low_rank: int | None, *, write: bool
) -> None:
    """Put predictions beside the counts, all of which are made before any is put."""
    if low_rank is None:
        _warn_of_empty(results, key)
    updates = [
        layers_of(done, key, write=write) if low_rank is None else scores_of(done, key, low_rank) for done in results
    ]
    for target, done, update in zip(targets, results, updates, strict=True):
        write_slots(target, done.table, update, write=write)


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
