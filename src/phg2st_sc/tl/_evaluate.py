"""Score a prediction at the spots that were not measured, beside other methods on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._progress import part, parts
from .._reading import Reading, clear_columns, is_gene, open_source
from .._slide import Slide, is_target, spots_table
from .._text import quoted
from .._threads import limited_threads
from .._warn import one_message_per_fault, warn_user
from ..metrics import published_counts, score_published, score_section, summarize
from ._promise import add_promise
from ._rivals import Rival, predict_rival, rivals
from ._stored import HIDE, Stored, check_mask, find_layer, pitch_kept, reading_kept, stored, table_with_prediction

if TYPE_CHECKING:
    from anndata import AnnData

Protocol = Literal["honest", "published"]


@renamed_parameters(table="table_key")
@one_message_per_fault
@limited_threads()
@documented
def evaluate(
    data: Any,
    *,
    layer: str | None = None,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    prompt_mask: Any = None,
    slide_key: str | None = None,
    compare: Any = None,
    genes: Sequence[str] | None = None,
    top_genes: Sequence[str] | None = None,
    extra: str | Sequence[str] = (),
    markers: Sequence[str] | None = None,
    protocol: Protocol = "honest",
    n_splits: int = 5,
    seed: int = 0,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Score a prediction at the held-out spots of every slide.

    Only spots that were *not* prompts of the prediction are scored; their counts are read here and were read nowhere
    before. The rules are those of :func:`phg2st_sc.metrics.score_section`; read ``pcc`` beside ``ceiling``.

    Parameters
    ----------
    {data}
        :func:`phg2st_sc.tl.impute` was run on it, and it has raw counts of spots that were held out then.
    layer
        Layer of the prediction: the ``key_added`` of :func:`phg2st_sc.tl.impute`. ``None``: ``"phg2st"``, or the only
        prediction there is.
    {counts_layer:kept} {gex_only:kept} {prompt_mask:stored}
    {slide_key} {table_key} {coordinate_system} {pitch:kept} {pitch_um}
    compare
        What to score beside, on the same prompts: names of methods, which are run on the slide alone; fitted models;
        names of other predictions in the object, which must be made from the same prompts. One of them, a list, or a
        dict by the label to give (where a string may also be the folder or repository of a model). ``"simple"``: all
        simple methods that can run on this data. A method with the name of ``layer`` is labelled ``"<name> (this
        slide)"``, and left out where that very method made the layer.
    genes
        Genes to report; default the predicted panel. Depths are over the whole panel either way.
    top_genes
        Genes whose mean is reported beside that of the panel: the most variable ones in *training* patients.
    {extra} {markers}
    protocol
        ``"honest"``, or ``"published"``: smoothed labels, prompts scored. The latter leaks and warns; it is there to
        show what published figures mean, see :func:`phg2st_sc.metrics.score_published`.
    {n_splits}
        0 leaves it out.
    {seed}
        That is the noise ceiling, and what the compared methods draw.
    {progress:long}

    Returns
    -------
    One row per section, method and gene: ``section``, ``patient`` (where known), ``method`` (the layer or what it is
    compared with), ``made_by`` (the method that really predicted this section, e.g. what ``best_simple`` chose;
    ``"kriging (trained)"`` for a model), ``gene``, ``top`` (with ``top_genes``) and the scores. ``.attrs`` holds
    ``protocol``, ``layer``, ``means`` by method, and ``sections`` with the number of scored spots and the like. With
    ``extra``, further columns, and in ``.attrs["summary"]`` numbers by method that belong to no single gene, averaged
    over sections, then patients; they are over the whole panel whatever ``genes`` says, and by section in ``sections``.

    Where the prediction was made with ``uncertainty=True`` there is a column ``trust``, the correlation that was promised, and
    ``.attrs["sections"][section]["promise"]`` compares it with ``pcc``: ``promised`` and ``reached``, means over genes;
    ``rank_correlation``, how far genes are ranked as they turn out; ``rank_reachable``, how far they could be, given that two halves
    of the held-out counts rank them differently; ``top_tenth``, the mean of the most trusted tenth.

    Held-out spots whose counts are all NaN or all zero were not measured: they are left out, and counted in
    ``.attrs["sections"][section]["n_spots_unmeasured"]``. A section that was measured only in part is scored by hiding
    part of the measured spots: ``phg2st_sc.pp.sample_prompts(data, within=measured)`` draws prompts from among them, the
    section is predicted from these, and the measured ones that were left out are scored. Targets of
    :func:`phg2st_sc.pp.add_targets` take no part, nor in the methods that are compared.

    Reads ``layers[layer]``, ``obs["<layer>_prompt"]``, ``var["<layer>_predicted"]``, ``uns[layer]`` and raw counts;
    writes nothing.

    Raises
    ------
    KeyError
        If there is no such prediction, or what ``impute`` wrote beside it is gone.
    ValueError
        If ``prompt_mask`` is another mask than that of the prediction, nothing that was held out was measured, too few
        held-out spots have counts, or held-out counts are no counts.

    Warns
    -----
    UserWarning
        If the prediction was made by a model that was trained on the very slide.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.impute(adata)
    >>> scores = phg2st.tl.evaluate(adata, n_splits=1)
    >>> len(scores), list(scores.attrs["means"])
    (60, ['phg2st'])
    """
    _check(protocol, extra)
    table_key = table_key or table_with_prediction(data, layer)
    said = Reading.among(locals())
    table = spots_table(data, said.table_key)
    layer = find_layer(table, layer)
    reading = said.after(reading_kept(table, layer), data, of="The prediction was made")
    reading = replace(reading, kept_pitch=pitch_kept(table, layer))
    slides = [_spots(slide) for slide in reading.slides(data)]
    results = [stored(slide.table, layer).on(slide) for slide in slides]
    check_mask(slides, results, prompt_mask)
    _warn_of_training(slides, results)
    others = rivals(compare, slides, results[0])
    call = _Asked(reading, top_genes, extra, markers, n_splits, seed)
    score = _score_honest if protocol == "honest" else _score_published
    with parts(progress):
        pairs = part(list(zip(slides, results, strict=True)), desc="evaluate", unit="slide")
        tables = [score(slide, result, others, call) for slide, result in pairs]
    return _assemble(tables, slides, layer, protocol, genes)


def _check(protocol: str, extra: str | Sequence[str]) -> None:
    if protocol not in ("honest", "published"):
        msg = f"`protocol` is 'honest' or 'published', not {protocol!r}."
        raise ValueError(msg)
    if protocol == "published" and extra:
        msg = "`extra` scores are for held-out spots: leave them out, or leave out protocol='published'."
        raise ValueError(msg)


def _spots(slide: Slide) -> Slide:
    """Return the slide without its targets, where there is no truth."""
    there = ~is_target(slide.table, slide.rows)
    return replace(slide, rows=slide.rows[there], positions=slide.positions[there])


@dataclass(frozen=True)
class _Asked:
    """What the user asked for, beyond the data."""

    reading: Reading
    top_genes: Sequence[str] | None
    extra: str | Sequence[str]
    markers: Sequence[str] | None
    n_splits: int
    seed: int


def _warn_of_training(slides: Sequence[Slide], results: Sequence[Stored]) -> None:
    seen = [
        s.name
        for s, r in zip(slides, results, strict=True)
        if _keys.slide_entry(s.name) in r.record.get("trained_on", {})
    ]
    if seen:
        msg = (
            f"The model that made layers[{results[0].layer!r}] was trained on {quoted(seen)} itself, every spot of it: the "
            "scores there mean nothing. Train without the slides that are to be scored."
        )
        warn_user(msg)


def _score_honest(slide: Slide, result: Stored, others: Sequence[Rival], call: _Asked) -> pd.DataFrame:
    heldout = np.flatnonzero(~result.used[slide.rows])
    measured = _have_counts(slide, slide.rows[heldout], call)
    heldout, n_unmeasured = heldout[measured], int((~measured).sum())
    rows = slide.rows[heldout]
    counts, totals = call.reading.counts(slide.table, rows, genes=result.genes)
    counted = np.asarray(counts.sum(axis=1)).reshape(-1) > 0
    if counted.sum() < counted.size:  # before predictions are read, which are then held once
        heldout, rows, counts, totals = heldout[counted], rows[counted], counts[counted], totals[counted]
    predictions, makers = {result.layer: result.rows(rows, slide)}, {result.layer: result.made_by(slide)}
    if others:
        one = _one_slide(slide)
        for other in part(others, desc=f"compare on {slide.name}", unit="method"):
            values, makers[other.label] = _predicted(one, other, result, slide, call)
            predictions[other.label] = values[heldout]
    scores = score_section(
        counts,
        totals,
        slide.pitch_positions()[heldout],
        predictions,
        result.target_sum(slide),
        genes=result.genes,
        top_genes=call.top_genes,
        extra=call.extra,
        markers=call.markers,
        n_splits=call.n_splits,
        seed=call.seed,
    )
    scores.attrs.update(n_spots_unmeasured=n_unmeasured, n_spots_empty=int((~counted).sum()))
    seed = call.seed if call.n_splits else None
    places = slide.pitch_positions()[heldout]
    add_promise(scores, result, slide, counts, predictions[result.layer], places, seed=seed)
    return _with_makers(scores, makers)


def _have_counts(slide: Slide, rows: NDArray[np.int64], call: _Asked) -> NDArray[np.bool_]:
    """Which held-out rows were measured: those that are neither all NaN nor all zero."""
    source = open_source(slide.table, call.reading.layer)
    measured = _not_blank(source.rows(rows), is_gene(source.var, call.reading.gex_only))
    if not measured.any():
        msg = f"None of the {rows.size} held-out spots of slide {slide.name!r} was measured: there is no truth. {HIDE}"
        raise ValueError(msg)
    return measured


def _not_blank(matrix: Any, genes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import sparse

    clear_columns(matrix, ~genes)
    if not sparse.issparse(matrix):
        return np.asarray((~np.isnan(matrix) & (matrix != 0)).any(axis=1))
    there = (~np.isnan(matrix.data) & (matrix.data != 0)).astype(np.int64)
    return np.asarray(sparse.csr_array((there, matrix.indices, matrix.indptr), shape=matrix.shape).sum(axis=1)) > 0


def _score_published(slide: Slide, result: Stored, others: Sequence[Rival], call: _Asked) -> pd.DataFrame:
    counts, totals = call.reading.counts(slide.table, slide.rows, genes=result.genes)
    target_sum, positions = result.target_sum(slide), slide.pitch_positions()
    predictions, makers = {result.layer: result.rows(slide.rows, slide)}, {result.layer: result.made_by(slide)}
    if others:
        one = _one_slide(slide)
        everything, _ = call.reading.counts(slide.table, slide.rows)
        smoothed = published_counts(everything, totals, positions)
        if call.reading.layer is None:
            one.X = smoothed
        else:  # before `.raw`, a layer of that name is read
            one.layers[call.reading.layer] = smoothed
        for other in part(others, desc=f"compare on {slide.name}", unit="method"):
            predictions[other.label], makers[other.label] = _predicted(one, other, result, slide, call)
    used = result.used[slide.rows]
    tables = {
        name: score_published(counts, totals, positions, values, target_sum, used, genes=result.genes)
        for name, values in predictions.items()
    }
    scores = pd.concat(tables, names=["method"]).reset_index(level="method").reset_index(drop=True)
    scores.attrs = {"protocol": "published", "n_spots": int(used.size), "n_genes": len(result.genes)}
    return _with_makers(scores, makers)


def _with_makers(scores: pd.DataFrame, makers: Mapping[str, str]) -> pd.DataFrame:
    scores.insert(list(scores.columns).index("method") + 1, "made_by", scores["method"].map(makers))
    return scores


def _one_slide(slide: Slide) -> AnnData:
    """Return a copy of one slide that stands alone, with its spot centres, whatever container it came from."""
    one = slide.table[slide.rows].copy()
    one.obsm[_keys.SPATIAL] = slide.positions
    one.uns.pop(_keys.SPATIALDATA_ATTRS, None)
    return one


def _predicted(
    one: AnnData, other: Rival, result: Stored, slide: Slide, call: _Asked
) -> tuple[NDArray[np.floating], str]:
    return predict_rival(one, other, result, slide, reading=call.reading, seed=call.seed)


def _assemble(
    tables: Sequence[pd.DataFrame],
    slides: Sequence[Slide],
    layer: str,
    protocol: Protocol,
    genes: Sequence[str] | None,
) -> pd.DataFrame:
    sections = {slide.name: dict(table.attrs) for slide, table in zip(slides, tables, strict=True)}
    parts = []
    for slide, table in zip(slides, tables, strict=True):
        labels = {"section": slide.name} | ({"patient": slide.patient} if slide.patient is not None else {})
        part = pd.concat([pd.DataFrame(labels, index=table.index), table.set_axis(table.index)], axis=1)
        part.attrs = {}
        parts.append(part)
    scores = pd.concat(parts, ignore_index=True)
    if genes is not None:
        scores = _only(scores, genes)
    means = summarize(scores, by="method")
    scores.attrs = {
        "protocol": protocol,
        "layer": layer,
        "sections": sections,
        "means": {str(method): {str(k): float(v) for k, v in row.items()} for method, row in means.iterrows()},
    }
    if any("summary" in table.attrs for table in tables):
        scores.attrs["summary"] = _mean_summary(tables, slides)
    return scores


def _mean_summary(tables: Sequence[pd.DataFrame], slides: Sequence[Slide]) -> dict[str, dict[str, float]]:
    """Means by method over the sections of each patient, then over patients; a slide without one stands alone."""
    rows = [
        {"method": method, "patient": slide.name if slide.patient is None else slide.patient, **summary}
        for slide, table in zip(slides, tables, strict=True)
        for method, summary in table.attrs["summary"].items()
    ]
    by_patient = pd.DataFrame(rows).groupby(["method", "patient"], sort=False).mean()
    means = by_patient.groupby(level="method", sort=False).mean()
    return {str(method): {str(k): float(v) for k, v in row.items()} for method, row in means.iterrows()}


def _only(scores: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    unknown = set(genes).difference(scores["gene"])
    if unknown:
        msg = f"{len(unknown)} of `genes` were not predicted: {quoted(sorted(unknown))}."
        raise ValueError(msg)
    return scores[scores["gene"].isin(set(genes))].reset_index(drop=True)
