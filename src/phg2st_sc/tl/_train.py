"""Train a method on slides that were measured at every spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._progress import bar
from .._provenance import FINGERPRINTS, package_versions
from .._reading import (
    Reading,
    check_gene_names,
    check_patient_key,
    choose_reps,
    genes_by_slide,
    measured_by_all,
    never_measured,
    same_features,
    training_slide,
    why_ignored,
    without_features,
)
from .._settings import settings
from .._slide import is_target, is_true
from .._text import quoted
from .._threads import limited_threads
from .._warn import one_message_per_fault, warn_user
from ..models import check_parameters, check_seed

if TYPE_CHECKING:
    from .._arrays import TrainingSlide
    from .._slide import Slide
    from ..models import Estimator

DEFAULT_COHORT_METHOD = "phg2st"


@renamed_parameters(datas="adatas")
@one_message_per_fault
@limited_threads()
@documented
def train(
    adatas: Any,
    *,
    method: str = DEFAULT_COHORT_METHOD,
    genes: Sequence[str] | None = None,
    use_rep: str | None = None,
    trust_rep: bool = False,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    patient_key: str = _keys.PATIENT,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    hypergraph_key: str | None = None,
    keep_sections: bool = True,
    seed: int = 0,
    progress: bool | None = None,
    **parameters: Any,
) -> Estimator:
    """Train a method on a cohort, to be used on slides it never saw.

    Every spot of the training slides is read, whatever ``obs["prompt"]`` says: do not train on a slide that is to be
    scored.

    Parameters
    ----------
    {adatas}
    method
        Name of a method with a cohort form (:func:`phg2st_sc.models.methods`).
    genes
        The panel, in order. ``None``: the genes that :func:`phg2st_sc.pp.select_genes` marked in every object; without such
        a mark, all genes that the objects share.
    {use_rep}
        Slides without an image take part with what they can teach.
    {trust_rep} {counts_layer} {gex_only} {patient_key}
        Choices inside training leave patients out, and sections of a patient serve as neighbours of new sections of the
        same patient.
    {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um}
    hypergraph_key
        Train on the hypergraphs that :func:`phg2st_sc.pp.build_hypergraph` stored under this ``key_added``; slides to
        predict then need one too. ``None``: methods with a hypergraph build their own.
    keep_sections
        Whether the default keeps the training sections, smoothed over their spots, to lay them on new sections of the
        same patients. ``False``: what it learned is kept alone, as by :meth:`phg2st_sc.models.PHG2ST.prior`, and nothing in a
        saved model was measured on a single section.
    {seed} {progress}
        While slides are read, and while networks train.
    {**parameters}

    Returns
    -------
    The fitted method: pass it as ``model=`` to :func:`phg2st_sc.tl.impute`, keep it with ``model.save(folder)``.

    Raises
    ------
    KeyError
        If the method, genes, or a `patient_key` that was asked for do not exist.
    TypeError
        If the method has no cohort form or no such setting, or cannot do without the sections.
    ValueError
        If objects share no genes, embeddings are of different kinds, or counts are no counts.

    Warns
    -----
    UserWarning
        If ``obs["prompt"]`` marks only some spots of a slide: all are read. If the method looks at the image, and slides
        that have one have no embeddings with a record.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=100, n_genes=60, image=False, progress=False)
    >>> new = slides.pop("P3_S1")
    >>> model = phg2st.tl.train(slides, method="gene_kriging", progress=False)
    >>> phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    >>> phg2st.tl.impute(new, model=model)
    """
    check_gene_names(genes)
    estimator = _create(method, seed, settings.progress if progress is None else progress, parameters)
    if not keep_sections:
        _check_without_sections(estimator)
    reading = Reading.among(locals())
    slides = reading.cohort(adatas)
    check_patient_key(slides, patient_key)
    _warn_of_prompts(slides)
    reading.say_no_genes(slides)
    panel = list(genes) if genes is not None else _shared_panel(slides, reading)
    reps = _reps(slides, estimator, reading)
    pairs = bar(list(zip(slides, reps, strict=True)), progress=progress, desc="read", unit="slide")
    looks = {"patches": estimator.reads_patches, "context": estimator.reads_context}
    read = [training_slide(reading, slide, rep, panel, hypergraph_key=hypergraph_key, **looks) for slide, rep in pairs]
    training = [slide for slide, _ in read]
    features = same_features(slides, reps, training)
    if genes is not None:
        _warn_of_unmeasured(training, panel)
    estimator.fit(training)
    estimator.card = {
        **_card(training, features, seed),
        _keys.READING: reading.as_record(),
        FINGERPRINTS: [mark for _, mark in read],
        **estimator.record,
        **({} if hypergraph_key is None else {_keys.HYPERGRAPH_KEY: hypergraph_key}),
    }
    return estimator if keep_sections else estimator.prior()


def _check_without_sections(estimator: Estimator) -> None:
    from ..models import Estimator

    if type(estimator).prior is Estimator.prior:
        estimator.prior()  # says why it cannot


def _create(method: str, seed: int, progress: bool, parameters: Mapping[str, Any]) -> Estimator:
    from ..models import Estimator, create, get_method

    made = get_method(method)
    method, parameters = made.called_today(parameters)
    if made.fit is Estimator.fit:
        msg = f"Method {method!r} learns nothing from a cohort: use it directly, `phg2st_sc.tl.impute(data, method={method!r})`."
        raise TypeError(msg)
    check_seed(seed)
    known = check_parameters(method, parameters, train)
    shared = {name: value for name, value in (("seed", seed), ("progress", progress)) if name in known}
    estimator = create(method, **shared, **parameters)
    estimator.check_settings()
    return estimator


def _reps(slides: Sequence[Slide], estimator: Estimator, reading: Reading) -> list[str | None]:
    """Embeddings that a method learns from, slide by slide."""
    reps = choose_reps(slides, reading.use_rep, trust_rep=reading.trust_rep)
    if estimator.reads_patches and not estimator.uses_image:  # embeddings are no part of what it learns
        reps = [None] * len(slides)
    if estimator.uses_image or estimator.needs_image:
        _warn_without_image(slides, reps)
    return reps


def _warn_without_image(slides: Sequence[Slide], reps: Sequence[str | None]) -> None:
    lacking = without_features(slides, reps)
    if lacking:
        msg = (
            f"No image features on {len(lacking)} of {len(slides)} slides ({quoted(slide.name for slide in lacking)}): nothing "
            "is learned from their images; call `phg2st_sc.pp.extract_embeddings(data)` first."
            f"{why_ignored(lacking[0].table)}"
        )
        warn_user(msg)


def _shared_panel(slides: Sequence[Slide], reading: Reading) -> list[str]:
    tables = list({id(slide.table): slide.table for slide in slides}.values())
    shared = tables[0].var_names
    for table in tables:
        shared = shared[shared.isin(table.var_names[reading.genes(table)])]
    if all(_keys.PANEL in table.var for table in tables):
        for table in tables:
            marked = table.var_names[is_true(table.var[_keys.PANEL])]
            shared = shared[shared.isin(marked)]
    if len(slides) > 1 and len(shared):
        shared = measured_by_all(reading, slides, shared)
    if len(shared) < 2:
        msg = (
            f"The {len(tables)} objects share {len(shared)} genes of their panels: check that they use the same names "
            "(symbols or Ensembl ids), and run `phg2st_sc.pp.select_genes([...])` on all of them together."
        )
        raise ValueError(msg)
    return list(shared)


def _warn_of_prompts(slides: Sequence[Slide]) -> None:
    marked = [slide.name for slide in slides if _some_prompted(slide)]
    if marked:
        msg = (
            f"Every spot of {quoted(marked)} is read, although obs[{_keys.PROMPT!r}] marks only some as measured. Right for "
            "training slides; leave out a slide that is to be predicted or scored."
        )
        warn_user(msg)


def _some_prompted(slide: Slide) -> bool:
    if _keys.PROMPT not in slide.table.obs:
        return False
    marked = is_true(slide.table.obs[_keys.PROMPT])[slide.rows]
    marked = marked[~is_target(slide.table, slide.rows)]
    return bool(marked.any() and not marked.all())


def _sums(read: TrainingSlide) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = read.counts.sum(axis=0, dtype=np.float64)
    return sums


def _warn_of_unmeasured(read: Sequence[TrainingSlide], genes: Sequence[str]) -> None:
    """Tell of genes that were asked for, although a slide does not seem to have measured them."""
    lacking = never_measured(np.stack([_sums(one) for one in read]), [float(one.totals.sum()) for one in read])
    if lacking.any():
        which = genes_by_slide([one.arrays.name for one in read], lacking, pd.Index(list(genes)))
        warn_user(
            f"Some of `genes` seem never to have been measured on a slide, and are learned as not expressed there: "
            f"{which}. Leave them out, or the slide."
        )


def _card(read: Sequence[TrainingSlide], features: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {
        "slides": [one.arrays.name for one in read],
        "patients": sorted({one.arrays.patient for one in read if one.arrays.patient is not None}),
        "n_spots": int(sum(one.arrays.n_spots for one in read)),
        _keys.FEATURES: dict(features),
        _keys.TARGET_SUM: float(np.median(np.concatenate([one.totals for one in read]))),
        _keys.GENE_COUNTS: sum(_sums(one) for one in read).astype(np.int64).tolist(),  # type: ignore[union-attr]
        _keys.N_COUNTS: int(sum(one.totals.sum() for one in read)),
        "seed": seed,
        "versions": package_versions(),
    }
