"""Predict expression over whole slides from their prompts, and return it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._cluster import check_client
from .._deprecated import renamed_parameters
from .._docs import documented
from .._progress import parts
from .._reading import Reading, check_gene_names
from .._threads import limited_threads
from .._warn import one_message_per_fault
from ..models import choose_estimator
from ._predict_on import predict_on
from ._predict_slides import ask
from ._priors import offered

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client
    from spatialdata import SpatialData

    from ..models import Estimator


@renamed_parameters(table="table_key")
@one_message_per_fault
@limited_threads()
@documented
def predict(
    data: AnnData | SpatialData,
    *,
    model: Estimator | str | os.PathLike[str] | None = None,
    prior: Any = None,
    method: str | None = None,
    prompt_mask: Any = None,
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
    seed: int = 0,
    client: Client | None = None,
    progress: bool | None = None,
    **parameters: Any,
) -> AnnData:
    """Predict depth-free expression at every spot, and return it as an object of its own.

    Only the prompted rows of expression are read or checked: whatever stands in the other rows changes no bit of the
    result.

    Parameters
    ----------
    {data}
        Raw counts are read at the prompts.
    {model:use} {prior} {method:section} {prompt_mask} {genes:returned}
    {use_rep} {trust_rep} {counts_layer:kept} {gex_only:kept} {target_sum}
        ``None``: the median total count of the prompts.
    {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um} {gene_key} {patient_key}
        A model that was trained on sections of the same patient uses them as neighbours of the slide. ``None``: as in
        training, where there is such a column.
    {seed} {client}
        Each slide is a task.
    {progress:long} {**parameters}

    Returns
    -------
    AnnData (n_obs, genes): ``X`` the float32 prediction, ``obs["prompt"]`` the mask that was used, ``obsm["spatial"]``, and
    the provenance in ``uns`` (``target_sum``, ``method``, ...).

    Raises
    ------
    ValueError
        If both ``model`` and ``method``, or ``model`` and ``prior``, are given, a prior does not fit the object or, of single cells, is given as ``model``, counts of a prompt are no counts, there are too few
        prompts, or embeddings carry no proof that they come from the image.
    KeyError
        If the method, mask column, layer, embeddings or genes do not exist.
    TypeError
        If the method has no such setting, or an argument or setting is of the wrong type.

    Warns
    -----
    UserWarning
        With neither ``model`` nor ``method``, if slides that have an image have no embeddings with a record. If ``model``
        was trained on the very slide. If the default finds on 10 or more prompts that nothing is predictable from them.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, seed=0)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    >>> phg2st.tl.predict(adata, method="kriging").shape[0]
    120
    """
    check_client(client)
    check_gene_names(genes)
    reading = Reading.among(locals())
    estimator = choose_estimator(model, method, seed, parameters, predict)
    by_default = model is None and method is None
    asked = ask(
        data,
        reading,
        estimator,
        prompt_mask=prompt_mask,
        genes=genes,
        seed=seed,
        by_default=by_default,
        given=offered(prior, estimator, model),
    )
    if client is None:
        done = asked.here(progress)
    else:
        (done,) = predict_on(client, [data], [asked], low_rank=None, progress=progress)
    with parts(progress):
        return done.as_table()
