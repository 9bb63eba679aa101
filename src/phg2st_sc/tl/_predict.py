"""Predict expression over whole slides from their prompts: the primitive under ``impute``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._provenance import trained_on
from .._reading import (
    DEFAULT_TARGET_SUM,
    Panel,
    by_place,
    check_gene_names,
    choose_rep,
    common_target_sum,
    identity,
    model_panel,
    prompted_panel,
    read_measured,
    readable,
    slide_arrays,
    why_ignored,
    without_features,
)
from .._slide import open_slides
from .._text import some
from .._warn import warn_user
from ..models import DEFAULT_METHOD, choose_estimator
from ._record import facts

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from .._arrays import Prediction
    from .._reading import Measured
    from .._slide import Slide
    from ..models import Estimator

_WORDS = {"dim": "number of features of"}


logger = logging.getLogger("phg2st_sc")


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of all slides of one table."""

    table: AnnData
    slides: list[Slide]
    mask: NDArray[np.bool_]
    genes: tuple[str, ...]
    target_sum: float
    by_slide: dict[str, Prediction]
    estimator: Estimator
    rep: str | None
    trained_on: Mapping[str, str]

    def full(self, what: str) -> NDArray[np.float32] | None:
        """(n_obs, genes) of all rows; NaN where no slide is. ``None`` where no prediction carries it."""
        parts = {s.name: getattr(self.by_slide[s.name], what) for s in self.slides}
        if all(part is None for part in parts.values()):
            return None
        out = np.full((self.table.n_obs, len(self.genes)), np.nan, dtype=np.float32)
        for slide in self.slides:
            if parts[slide.name] is not None:
                out[slide.rows] = parts[slide.name]
        return out


def predict(
    data: AnnData | SpatialData,
    *,
    model: Estimator | str | os.PathLike[str] | None = None,
    method: str | None = None,
    prompt_mask: Any = None,
    genes: Sequence[str] | None = None,
    use_rep: str | None = None,
    trust_rep: bool = False,
    counts_layer: str | None = None,
    target_sum: float | None = None,
    slide_key: str | None = None,
    table: str | None = None,
    gene_key: str | None = None,
    patient_key: str | None = None,
    seed: int = 0,
    **parameters: Any,
) -> AnnData:
    """Predict depth-free expression at every spot, and return it as an object of its own.

    Only the prompted rows of expression are read or checked: whatever stands in the other rows changes no bit of the
    result.

    Parameters
    ----------
    data
        AnnData or SpatialData with raw counts at the prompts.
    model
        A fitted method, the folder it was saved to, or its repository ``owner/name`` on the Hugging Face hub. Excludes
        ``method``. Genes are matched by name; genes of the model that the object lacks are not predicted.
    method
        Name of a method that learns from this slide's prompts alone (:func:`phg2st_sc.models.methods`). With neither,
        :class:`phg2st_sc.models.PHG2ST` as it is without training.
    prompt_mask
        Which spots were measured: boolean array over all rows, boolean Series by obs name, or an ``obs`` column. ``None``
        reads ``obs["prompt"]``.
    genes
        Genes to return. The method works with all genes detected in at least three prompts (or those that
        :func:`phg2st_sc.pp.select_genes` marked) whatever is asked for here. ``None`` returns all of these.
    use_rep
        Key in ``obsm`` of the image embeddings; needed only where there are several.
    trust_rep
        Accept embeddings without a record that they come from the image.
    counts_layer
        Layer with raw counts; ``None`` for ``X``.
    target_sum
        Scale s of the prediction log1p(s * rate). ``None``: the median total count of the prompts.
    slide_key
        Column of ``obs`` that tells slides apart; every slide is predicted from its own prompts.
    table
        Name of the SpatialData table, where there are several.
    gene_key
        Column of ``var`` with the gene names that ``model`` uses. ``None``: ``var_names``, or whatever column of ``var``
        matches where those do not (symbols against Ensembl ids).
    patient_key
        Column of ``obs`` with the patient. A model that was trained on sections of the same patient uses them as neighbours
        of the slide. ``None``: as in training, where there is such a column.
    seed
        Seed of methods that draw at random.
    **parameters
        Settings of ``method``, e.g. ``length_scale=4.0`` for ``"kriging"``.

    Returns
    -------
    AnnData (n_obs, genes): ``X`` the float32 prediction, ``obs["prompt"]`` the mask that was used, ``obsm["spatial"]``, and
    the provenance in ``uns`` (``target_sum``, ``method``, ...).

    Raises
    ------
    ValueError
        If both ``model`` and ``method`` are given, counts of a prompt are no counts, there are too few
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
    done = run(
        readable(data),
        model=model,
        method=method,
        prompt_mask=prompt_mask,
        genes=genes,
        use_rep=use_rep,
        trust_rep=trust_rep,
        counts_layer=counts_layer,
        target_sum=target_sum,
        slide_key=slide_key,
        table=table,
        gene_key=gene_key,
        patient_key=patient_key,
        seed=seed,
        parameters=parameters,
        call=predict,
    )
    return as_table(done, seed)


def as_table(done: Predicted, seed: int) -> AnnData:
    """Predictions as an object of their own."""
    from anndata import AnnData

    out = AnnData(done.full("mean"), obs=done.table.obs[[]].copy(), var=done.table.var.loc[list(done.genes), []].copy())
    out.obs[_keys.PROMPT] = done.mask
    positions = np.full((out.n_obs, 2), np.nan)
    for slide in done.slides:
        positions[slide.rows] = slide.positions
    out.obsm[_keys.SPATIAL] = positions
    out.uns.update(facts(done, seed))
    std = done.full("std")
    if std is not None:
        out.layers[_keys.STD] = std
    return out


def run(
    data: AnnData | SpatialData,
    *,
    model: Estimator | str | os.PathLike[str] | None,
    method: str | None,
    prompt_mask: Any,
    genes: Sequence[str] | None,
    use_rep: str | None,
    trust_rep: bool,
    counts_layer: str | None,
    target_sum: float | None,
    slide_key: str | None,
    table: str | None,
    gene_key: str | None,
    patient_key: str | None,
    seed: int,
    parameters: Mapping[str, Any],
    call: Callable[..., Any],
) -> Predicted:
    """Everything :func:`predict` and ``impute`` share; writes nothing."""
    from tqdm.auto import tqdm

    check_gene_names(genes)
    estimator = choose_estimator(model, method, seed, parameters, call)
    patients = patient_key or str(estimator.card.get("patient_key", _keys.PATIENT))
    slides = [by_place(s) for s in open_slides(data, slide_key=slide_key, table=table, patient_key=patients)]
    spots = slides[0].table
    if patient_key is not None and patient_key not in spots.obs:
        raise KeyError(f"no column {patient_key!r} in obs with the patient; there are: {some(spots.obs.columns)}")
    panel = None if estimator.genes is None else model_panel(spots, estimator.genes, gene_key=gene_key)
    measured = [
        read_measured(s, prompt_mask, counts_layer=counts_layer, allow_zero=estimator.is_fitted) for s in slides
    ]
    for one in measured:
        _check_number(estimator, one)
    panel = panel or prompted_panel(spots, measured, genes)
    shown = panel.shown(spots, genes)
    scale = common_target_sum(measured, target_sum, float(estimator.card.get(_keys.TARGET_SUM, DEFAULT_TARGET_SUM)))
    rep = None
    if use_rep is not None or _may_use_image(estimator):
        rep = choose_rep(spots, use_rep, trust_rep=trust_rep, like=estimator.card.get(_keys.FEATURES))
    _check_features(spots, rep, estimator)
    if model is None and method is None:
        _say_without_image(slides, rep)
    shown_slides = tqdm(measured, desc="predict", unit="slide", disable=len(measured) == 1)
    predictions = {m.slide.name: _predict_one(m, estimator, rep, panel, shown, scale) for m in shown_slides}
    for one in measured:
        _say_what_was_chosen(one, predictions[one.slide.name])
    seen = {m.slide.name: _seen_in_training(estimator, m) for m in measured}
    mask = np.zeros(spots.n_obs, dtype=bool)
    for one in measured:
        mask[one.slide.rows] = one.mask
    names = tuple(spots.var_names[panel.columns[shown]])
    return Predicted(spots, slides, mask, names, scale, predictions, estimator, rep, seen)


def _check_number(estimator: Estimator, measured: Measured) -> None:
    n = measured.index.size
    if n == 0 and estimator.is_fitted:
        msg = (
            f"slide {measured.slide.name!r} has no prompts: predicted from the model alone, at the level of its cohort"
        )
        warn_user(msg)
    elif not estimator.is_fitted and n < estimator.min_prompts:
        msg = (
            f"method {estimator.name!r} needs at least {estimator.min_prompts} prompts, and slide "
            f"{measured.slide.name!r} has {n}: measure more spots, or use method 'prompt_mean' or 'idw'"
        )
        raise ValueError(msg)


def _seen_in_training(estimator: Estimator, measured: Measured) -> str:
    """Name of the training slide that this slide is; empty for a new one."""
    slide = measured.slide
    names = slide.table.obs_names[slide.rows[measured.index]]
    found = trained_on(estimator.card, names, measured.totals)
    if found:
        msg = (
            f"the model was trained on slide {slide.name!r} itself (as {found!r}) and has read every spot of it: a score on "
            "this slide means nothing. Train without it to predict or score it."
        )
        warn_user(msg)
    return found


def _check_features(table: AnnData, rep: str | None, estimator: Estimator) -> None:
    """A model takes features of the encoder and geometry that it was trained on, and no others."""
    wanted, recorded = estimator.card.get(_keys.FEATURES), table.uns.get(_keys.EMBEDDINGS, {})
    if rep is None and (
        estimator.needs_image or estimator.uses_image
    ):  # none fits: say what is wrong with the one that is there
        rep = next((key for key in recorded if key in table.obsm), None)
    if rep is None and estimator.needs_image and why_ignored(table):
        msg = (
            f"method {estimator.name!r} needs image features, and there are none:{why_ignored(table)} Else call "
            "`phg2st_sc.pp.extract_embeddings(data)`, or use a method without an image such as 'kriging'."
        )
        raise ValueError(msg)
    if not wanted or rep is None:
        return
    have = {**identity(recorded.get(rep, {})), "dim": int(table.obsm[rep].shape[1])}
    wrong = [key for key in wanted if key in have and have[key] != wanted[key]]
    if wrong:
        key = wrong[0]
        msg = (
            f"obsm[{rep!r}] has {_WORDS.get(key, key)} {have[key]!r}, and the model was trained on {wanted[key]!r}: run "
            f"`phg2st_sc.pp.extract_embeddings(data, encoder={wanted.get('encoder')!r}, tile_um={wanted.get('tile_um')!r})`"
        )
        raise ValueError(msg)


def _say_what_was_chosen(measured: Measured, prediction: Prediction) -> None:
    """Log how left-out prompts were predicted; warn where nothing predicted them at all."""
    name, chosen, compared = measured.slide.name, prediction.details.get("chosen"), prediction.details.get("compared")
    if prediction.details.get("another_tissue"):
        msg = (
            f"slide {name!r} looks like another tissue than the model was trained on: gene levels agree with a rank "
            f"correlation of only {prediction.details['level_agreement']:.2f}. It is predicted from its own prompts, as "
            "without a model. Check that counts and gene names are what they should be."
        )
        warn_user(msg)
    if not compared:
        if chosen is not None:
            logger.info("slide %r: predicted by %r, without a comparison on its prompts", name, chosen)
        return
    best = max(scores["correlation"] for scores in compared.values())
    if chosen is not None:
        logger.info("slide %r: predicted by %r, the best of %d on prompts left out", name, chosen, len(compared))
    else:
        logger.info("slide %r: prompts left out in turn are predicted with a mean correlation of %.2f", name, best)
    # among many weak genes a mean correlation over left-out folds lies below 0 even where the strong ones are predicted
    if best <= 0 and max(scores["explained"] for scores in compared.values()) <= 0:
        msg = (
            f"nothing is predictable from these prompts: over the {measured.index.size} prompts of slide {name!r}, left out "
            f"in turn, neither correlation (best: {best:.2f}) nor squares explained come out above 0. Check that counts and "
            "spot centres belong together, or measure more spots."
        )
        warn_user(msg)


def _may_use_image(estimator: Estimator) -> bool:
    return estimator.needs_image or estimator.uses_image or estimator.name == DEFAULT_METHOD


def _say_without_image(slides: Sequence[Slide], rep: str | None) -> None:
    if without_features(slides, [rep] * len(slides)):
        msg = (
            "no image features: predicted from places and prompts alone; call `phg2st_sc.pp.extract_embeddings(data)` "
            f"first to use the image.{why_ignored(slides[0].table)}"
        )
        warn_user(msg)


def _predict_one(
    measured: Measured,
    estimator: Estimator,
    rep: str | None,
    panel: Panel,
    shown: NDArray[np.int64],
    target_sum: float,
) -> Prediction:
    from .._arrays import Prediction

    arrays = slide_arrays(
        measured.slide,
        rep,
        hypergraph_key=estimator.card.get(_keys.HYPERGRAPH_KEY),
        patches=estimator.reads_patches,
    )
    prompts = measured.prompts(panel, target_sum)
    prediction = estimator.adapt(arrays, prompts).predict(arrays, prompts)
    if np.array_equal(shown, np.arange(len(panel.genes))):
        return prediction
    return Prediction(
        prediction.mean[:, shown],
        None if prediction.std is None else prediction.std[:, shown],
        None if prediction.trust is None else prediction.trust[shown],
        prediction.details,
    )
