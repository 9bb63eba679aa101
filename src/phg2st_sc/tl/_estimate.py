"""Time and memory of a prediction, before it is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import _keys
from .._docs import documented
from .._reading import Reading, check_gene_names, is_gene, resolve_mask
from .._slide import is_true
from .._warn import one_message_per_fault
from ..models import choose_estimator, costs_of, form_of, measured_forms
from . import _memory
from ._memory import GB, peaks, sizes_of
from ._predict_slides import features_of_method, reading_of

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from .._slide import Slide
    from ..models import Estimator, Sizes


@one_message_per_fault
@documented
def estimate(
    data: AnnData | SpatialData,
    *,
    model: Estimator | str | os.PathLike[str] | None = None,
    method: str | None = None,
    prompt_mask: Any = None,
    genes: Sequence[str] | None = None,
    use_rep: str | None = None,
    trust_rep: bool = False,
    gex_only: bool | str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    seed: int = 0,
    **parameters: Any,
) -> pd.DataFrame:
    """Say beforehand what :func:`phg2st_sc.tl.impute` or :func:`phg2st_sc.tl.predict` will take.

    No expression is read. Time and memory were measured at many sizes; what is said here is what such a slide takes with the
    settings that a method has by default. How fast this machine is, a moment of work tells. Not known is what Hist2ST, HGGEP,
    TRIPLEX and the published network take, nor any network that was trained, or is told a size or a training of its own: no figure
    is given for those, and :func:`phg2st_sc.tl.impute` does not warn.

    Parameters
    ----------
    {data}
    {model:use} {method:section} {prompt_mask} {genes:returned}
    {use_rep} {trust_rep} {gex_only:kept} {slide_key} {table_key} {coordinate_system} {seed} {**parameters}

    Returns
    -------
    pandas.DataFrame
        One row per slide, by name: ``n_spots``, ``n_prompts``, ``n_genes`` (that the method works with, at most), ``n_features``,
        ``cpu_seconds`` (one core), ``peak_gb`` (2**30 bytes, beyond the memory that is taken now, with the result of all slides
        so far), ``free_gb`` (that there is), and whether it ``fits``.

    Raises
    ------
    KeyError
        If the method, mask column, embeddings or genes do not exist, or nothing was measured of the method.
    ValueError
        If both ``model`` and ``method`` are given.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, seed=0)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    >>> bool(phg2st.tl.estimate(adata, method="kriging")["fits"].all())
    True
    """
    check_gene_names(genes)
    said = Reading.among(locals())
    estimator = choose_estimator(model, method, seed, parameters, estimate)
    costs = costs_of(estimator)
    if costs is None:
        raise KeyError(_unknown(estimator))
    reading = said.after(reading_of(estimator.card), data, of="The model was trained")
    slides = reading.slides(data)
    rep = features_of_method(slides[0].table, said, reading, estimator)
    sizes = {slide.name: _sizes(slide, reading, estimator, prompt_mask, genes, rep) for slide in slides}
    free = _memory.free_memory()
    rows = {
        name: {
            "n_spots": sizes[name].n_spots,
            "n_prompts": sizes[name].n_prompts,
            "n_genes": sizes[name].n_genes,
            "n_features": sizes[name].n_features,
            "cpu_seconds": costs.seconds_of(sizes[name]),
            "peak_gb": peak / GB,
            "free_gb": free / GB,
            "fits": peak <= free,
        }
        for name, peak in peaks(costs, sizes).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _unknown(estimator: Estimator) -> str:
    why = ""
    if estimator.kind == "published":
        why = (
            " Networks were measured untrained, with the settings that they have by default: how long a trained one is tuned to a slide "
            "is decided in training."
        )
    known = ", ".join(map(repr, measured_forms()))
    return f"Nothing was measured of {form_of(estimator)!r}; known are: {known}.{why} Try it on a part of the slide."


def _sizes(
    slide: Slide, reading: Reading, estimator: Estimator, prompt_mask: Any, genes: Sequence[str] | None, rep: str | None
) -> Sizes:
    table = slide.table
    mask = resolve_mask(table, slide.rows, prompt_mask, name=slide.name, allow_zero=estimator.is_fitted, allow_all=True)
    if estimator.genes is not None:
        n_genes = len(estimator.genes)
    elif _keys.PANEL in table.var:
        n_genes = int(is_true(table.var[_keys.PANEL]).sum())
    else:
        n_genes = int(is_gene(table.var, reading.gex_only).sum())
    n_shown = n_genes if genes is None else len(genes)
    return sizes_of(slide, rep, n_prompts=int(mask.sum()), n_genes=n_genes, n_shown=n_shown)
