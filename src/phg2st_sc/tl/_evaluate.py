"""Score a prediction at the spots that were not measured, beside other methods on the same prompts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._counts import read_counts
from .._prompts import full_mask
from .._slide import Slide, open_slides
from .._text import some
from ..metrics import published_counts, score_published, score_section, summarise

if TYPE_CHECKING:
    from anndata import AnnData

Protocol = Literal["honest", "published"]
SIMPLE_METHODS = (
    "prompt_mean",
    "idw",
    "kriging",
    "gene_kriging",
    "image_ridge",
    "space_image_kriging",
    "regression_kriging",
)
"""What every other method has to beat; those that need an image are left out where there are no embeddings."""


def evaluate(
    data: Any,
    *,
    layer: str = _keys.DEFAULT_RESULT,
    counts_layer: str | None = None,
    prompt_mask: Any = None,
    slide_key: str | None = None,
    compare: str | Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    top_genes: Sequence[str] | None = None,
    protocol: Protocol = "honest",
    n_splits: int = 5,
    seed: int = 0,
    table: str | None = None,
) -> pd.DataFrame:
    """Score a prediction at the held-out spots of every slide.

    Only spots that were *not* prompts of the prediction are scored; their counts are read here and were read nowhere
    before. The rules are those of :func:`phg2st_sc.metrics.score_section`; read ``pcc`` beside ``ceiling``.

    Parameters
    ----------
    data
        AnnData or SpatialData that :func:`phg2st_sc.tl.impute` was run on, with raw counts of spots that were held
        out from it.
    layer
        Layer of the prediction: the ``key_added`` of :func:`phg2st_sc.tl.impute`.
    counts_layer
        Layer with raw counts; ``None`` for ``X``.
    prompt_mask
        Not needed: the mask that the prediction was made with is stored. A mask given here must be the same.
    slide_key
        Column of ``obs`` that tells slides apart.
    compare
        Methods to run on the same prompts and to score beside: names, or ``"simple"`` for all simple methods that can
        run on this data.
    genes
        Genes to report; default the predicted panel. Depths are over the whole panel either way.
    top_genes
        Genes whose mean is reported beside that of the panel: the most variable ones in *training* patients.
    protocol
        ``"honest"``, or ``"published"``: smoothed labels, prompts scored. The latter leaks and warns; it is there to
        show what published figures mean, see :func:`phg2st_sc.metrics.score_published`.
    n_splits
        Splits of the noise ceiling; 0 leaves it out.
    seed
        Seed of the noise ceiling, and of the compared methods.
    table
        Name of the SpatialData table, where there are several.

    Returns
    -------
    One row per section, method and gene: ``section``, ``patient`` (where known), ``method``, ``gene``, ``top`` (with
    ``top_genes``) and the scores. ``.attrs`` holds ``protocol``, ``layer``, ``means`` by method, and ``sections`` with
    the number of scored spots and the like.

    Reads ``layers[layer]``, ``obs["<layer>_prompt"]``, ``var["<layer>_predicted"]``, ``uns[layer]`` and raw counts;
    writes nothing.

    Raises
    ------
    KeyError
        If there is no such prediction.
    ValueError
        If ``prompt_mask`` is another mask than that of the prediction, all spots of a slide were prompts, too few
        held-out spots have counts, or held-out counts are no counts.

    Warns
    -----
    UserWarning
        If the prediction was made by a model that was trained on the very slide.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(seed=0)  # doctest: +SKIP
    >>> phg2st.pp.sample_prompts(adata, fraction=0.1, seed=0)  # doctest: +SKIP
    >>> phg2st.tl.impute(adata, prompt_mask="prompt")  # doctest: +SKIP
    >>> phg2st.tl.evaluate(adata).attrs["means"]  # doctest: +SKIP
    """
    if protocol not in ("honest", "published"):
        msg = f"`protocol` is 'honest' or 'published', not {protocol!r}."
        raise ValueError(msg)
    slides = open_slides(data, slide_key=slide_key, table=table)
    results = [_stored_result(slide.table, layer) for slide in slides]
    _check_mask(slides, results, prompt_mask, layer)
    _warn_of_training(slides, results)
    names = _compared(compare, slides, layer)
    call = _Call(counts_layer, top_genes, n_splits, seed)
    score = _score_honest if protocol == "honest" else _score_published
    tables = [score(slide, result, names, call) for slide, result in zip(slides, results, strict=True)]
    return _assemble(tables, slides, layer, protocol, genes)


@dataclass(frozen=True)
class _Call:
    """What the user asked for, beyond the data."""

    counts_layer: str | None
    top_genes: Sequence[str] | None
    n_splits: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Result:
    """A stored prediction, over the whole table."""

    layer: str
    values: Any
    used: NDArray[np.bool_]
    genes: list[str]
    columns: NDArray[np.int64]
    record: Mapping[str, Any]

    def rows(self, rows: NDArray[np.int64], slide: Slide) -> NDArray[np.floating]:
        values = np.asarray(self.values[rows][:, self.columns])
        if not np.isfinite(values).all():
            msg = (
                f"layers[{self.layer!r}] is not finite everywhere on slide {slide.name!r}: predict this slide too, "
                f"`phg2st_sc.tl.impute(data, key_added={self.layer!r})`."
            )
            raise ValueError(msg)
        return values

    def target_sum(self, slide: Slide) -> float:
        value = self.record[_keys.TARGET_SUM]
        return float(value[_keys.slide_entry(slide.name)] if isinstance(value, Mapping) else value)


def _stored_result(table: AnnData, layer: str) -> _Result:
    used, predicted = _keys.used_prompts(layer), _keys.predicted(layer)
    slots = (
        (layer in table.layers, f"layers[{layer!r}]"),
        (used in table.obs, f"obs[{used!r}]"),
        (predicted in table.var, f"var[{predicted!r}]"),
        (layer in table.uns and _keys.TARGET_SUM in table.uns[layer], f"uns[{layer!r}][{_keys.TARGET_SUM!r}]"),
    )
    missing = [name for present, name in slots if not present]
    if missing:
        msg = f"No prediction to score: {missing[0]} is missing. Run `phg2st_sc.tl.impute(data, key_added={layer!r})`."
        raise KeyError(msg)
    columns = np.flatnonzero(table.var[predicted].to_numpy(dtype=bool))
    return _Result(
        layer=layer,
        values=table.layers[layer],
        used=table.obs[used].to_numpy(dtype=bool),
        genes=list(table.var_names[columns]),
        columns=columns,
        record=table.uns[layer],
    )


def _check_mask(slides: Sequence[Slide], results: Sequence[_Result], prompt_mask: Any, layer: str) -> None:
    for slide, result in zip(slides, results, strict=True):
        used = result.used[slide.rows]
        if prompt_mask is not None and (full_mask(slide.table, prompt_mask)[slide.rows] != used).any():
            msg = (
                f"`prompt_mask` is not the mask that layers[{layer!r}] was predicted from (slide {slide.name!r}). Leave "
                "it out to score that prediction, or run `phg2st_sc.tl.impute` again with the new mask."
            )
            raise ValueError(msg)
        if used.all():
            msg = f"Every spot of slide {slide.name!r} was a prompt: nothing is held out that could be scored."
            raise ValueError(msg)


def _warn_of_training(slides: Sequence[Slide], results: Sequence[_Result]) -> None:
    seen = [
        s.name
        for s, r in zip(slides, results, strict=True)
        if _keys.slide_entry(s.name) in r.record.get("trained_on", {})
    ]
    if seen:
        msg = (
            f"the model that made layers[{results[0].layer!r}] was trained on {some(seen)} itself, every spot of it: the "
            "scores there mean nothing. Train without the slides that are to be scored."
        )
        warnings.warn(msg, UserWarning, stacklevel=3)


def _compared(compare: str | Sequence[str] | None, slides: Sequence[Slide], layer: str) -> list[str]:
    if compare is None:
        return []
    if compare == "simple":
        from ..models import get_method

        has_image = all(slide.table.uns.get(_keys.EMBEDDINGS) for slide in slides)
        names = [name for name in SIMPLE_METHODS if has_image or not get_method(name).needs_image]
    else:
        names = [compare] if isinstance(compare, str) else list(compare)
    return [name for name in dict.fromkeys(names) if name != layer]


def _score_honest(slide: Slide, result: _Result, methods: Sequence[str], call: _Call) -> pd.DataFrame:
    heldout = ~result.used[slide.rows]
    rows = slide.rows[heldout]
    counts, totals = read_counts(slide.table, rows, counts_layer=call.counts_layer, genes=result.genes)
    target_sum = result.target_sum(slide)
    predictions = {result.layer: result.rows(rows, slide)}
    if methods:
        one = _one_slide(slide)
        for name in methods:
            predictions[name] = _predict(one, name, result, slide, call)[heldout]
    return score_section(
        counts,
        totals,
        slide.pitch_positions()[heldout],
        predictions,
        target_sum,
        genes=result.genes,
        top_genes=call.top_genes,
        n_splits=call.n_splits,
        seed=call.seed,
    )


def _score_published(slide: Slide, result: _Result, methods: Sequence[str], call: _Call) -> pd.DataFrame:
    counts, totals = read_counts(slide.table, slide.rows, counts_layer=call.counts_layer, genes=result.genes)
    target_sum, positions = result.target_sum(slide), slide.pitch_positions()
    predictions = {result.layer: result.rows(slide.rows, slide)}
    if methods:
        one = _one_slide(slide)
        everything, _ = read_counts(slide.table, slide.rows, counts_layer=call.counts_layer)
        smoothed = published_counts(everything, totals, positions)
        if call.counts_layer is None:
            one.X = smoothed
        else:
            one.layers[call.counts_layer] = smoothed
        predictions |= {name: _predict(one, name, result, slide, call) for name in methods}
    used = result.used[slide.rows]
    tables = {
        name: score_published(counts, totals, positions, values, target_sum, used, genes=result.genes)
        for name, values in predictions.items()
    }
    scores = pd.concat(tables, names=["method"]).reset_index(level="method").reset_index(drop=True)
    scores.attrs = {"protocol": "published", "n_spots": int(used.size), "n_genes": len(result.genes)}
    return scores


def _one_slide(slide: Slide) -> AnnData:
    """Return a copy of one slide that stands alone, with its spot centres, whatever container it came from."""
    one = slide.table[slide.rows].copy()
    one.obsm[_keys.SPATIAL] = slide.positions
    one.uns.pop(_keys.SPATIALDATA_ATTRS, None)
    return one


def _predict(one: AnnData, method: str, result: _Result, slide: Slide, call: _Call) -> NDArray[np.floating]:
    """Prediction of another method from the same prompts, on the scale of the stored one."""
    from ._predict import predict

    predicted = predict(
        one,
        method=method,
        prompt_mask=result.used[slide.rows],
        counts_layer=call.counts_layer,
        genes=result.genes,
        seed=call.seed,
    )
    values = np.asarray(predicted[:, result.genes].X)
    own, wanted = float(predicted.uns[_keys.TARGET_SUM]), result.target_sum(slide)
    return values if own == wanted else np.log1p(wanted / own * np.expm1(values))


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
    means = summarise(scores, by="method")
    scores.attrs = {
        "protocol": protocol,
        "layer": layer,
        "sections": sections,
        "means": {str(method): {str(k): float(v) for k, v in row.items()} for method, row in means.iterrows()},
    }
    return scores


def _only(scores: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    unknown = set(genes).difference(scores["gene"])
    if unknown:
        msg = f"{len(unknown)} of `genes` were not predicted: {some(sorted(unknown))}."
        raise ValueError(msg)
    return scores[scores["gene"].isin(set(genes))].reset_index(drop=True)
