"""Compare methods on many sections, by the scoring rules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import _keys
from .._benchmark import (
    HONEST,
    PATIENT,
    PUBLISHED,
    Fold,
    FoldData,
    MethodSpec,
    Scoring,
    Section,
    SentSections,
    UnitStore,
    choose_genes,
    describe_settings,
    make_folds,
    make_units,
    method_specs,
    most_variable,
    open_sections,
    picture_mark,
    run_units,
    run_units_on,
    section_mark,
)
from .._cluster import check_client
from .._deprecated import renamed_parameters
from .._docs import documented
from .._provenance import package_versions
from .._reading import Reading, check_gene_names, context_of, embedding_call, feature_kinds
from .._slide import embedding_records
from .._text import quoted
from .._threads import limited_threads
from .._warn import one_message_per_fault, warn_user
from ..metrics import PUBLISHED_WARNING
from ..models import check_seed
from ..prompts import number_of_prompts

if TYPE_CHECKING:
    from distributed import Client

    from ..models import Estimator

_DEFAULT_METHODS = ("phg2st", "regression_kriging", "space_image_kriging", "gene_kriging", "kriging", "prompt_mean")
_TOP_GENES = 50


@renamed_parameters(datas="adatas")
@one_message_per_fault
@limited_threads()
@documented
def benchmark(
    adatas: Any,
    *,
    methods: str | Sequence[Any] | Mapping[str, Any] = _DEFAULT_METHODS,
    folds: str | int | Mapping[str, Any] | None = PATIENT,
    genes: int | Sequence[str] | None = 1000,
    fraction: float = 0.1,
    strategies: str | Sequence[str] = ("random", "block"),
    n_masks: int = 3,
    seeds: Sequence[int] = (0,),
    protocol: str | Sequence[str] = HONEST,
    extra: Sequence[str] = (),
    markers: Sequence[str] | None = None,
    n_splits: int = 5,
    out: str | os.PathLike[str] | None = None,
    use_rep: str | None = None,
    trust_rep: bool = False,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    patient_key: str = _keys.PATIENT,
    client: Client | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Score methods on sections whose patients they never saw, on the same prompts.

    In every fold methods learn from the training sections, genes are chosen on these alone, and each test section is predicted
    from several draws of prompts. Scores are those of :func:`phg2st_sc.metrics.score_section`: held-out spots, depth taken
    out. Expression of a test section is read at the prompts to predict, and at the other spots to score.

    Parameters
    ----------
    {adatas}
        All are sections that were measured at every spot.
    methods
        Names (:func:`phg2st_sc.models.methods`), or a dict by label of names or settings, e.g. ``{"long": {"method":
        "kriging", "length_scale": 8.0}}``. A method with a cohort form learns from the training sections;
        ``"<name>:section"`` takes the form that learns from the prompts of the section alone.
    folds
        ``"patient"``: leave one patient out. A number: that many patient-grouped folds. A dict of test sections by name of
        the fold: all others train, of the same patients too. ``None``: nothing is trained.
    genes
        How many to choose in each fold, on its training sections. Or the panel. ``None``: all genes that the objects share,
        or those that :func:`phg2st_sc.pp.select_genes` marked. With ``folds=None`` a number stands for all genes.
    fraction
        Part of the spots of a section that are prompts.
    strategies
        How prompts are drawn, see :func:`phg2st_sc.pp.sample_prompts`; the column ``regime``.
    n_masks
        Draws per section and strategy; draw ``m`` is that of ``sample_prompts(..., seed=m)``.
    seeds
        Trainings of each method.
    protocol
        ``"honest"``, ``"published"``, or both. The latter smooths labels over neighbours before prompts are drawn from
        them, and scores prompts: it leaks, warns, and is there to show what published figures mean.
    {extra} {markers} {n_splits}
        0 leaves it out, and further scores that allow for noise too.
    out
        Folder for finished units. A call that was interrupted goes on where it stopped; methods and seeds can be added: name
        all that the table is to hold, what is finished is not run again. Other data or settings are refused.
    {use_rep} {trust_rep} {counts_layer} {gex_only} {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um}
    {patient_key}
        Folds leave patients out.
    {client}
        Each training of a method in a fold, with all that is predicted by it, is a task. Results are kept in ``out`` by this
        process, as they come.
    {progress}

    Returns
    -------
    Tidy table, one row per number: ``protocol``, ``fold``, ``section``, ``patient``, ``method``, ``learned`` (``"cohort"``,
    ``"section"``, or ``"reference"`` for the rows ``noise_ceiling``, ``depth_only`` and, of further scores,
    ``half_of_counts``: one half of the counts as a prediction of the other), ``seed``, ``regime``, ``mask``, ``metric``,
    ``value``, ``error``. Scores are means over genes. ``pcc_top`` is over the 50 genes most variable in the
    training sections. ``predict_seconds``, ``predict_cpu_seconds``, ``predict_peak_mb`` (growth of the process) and
    ``predict_gpu_mb`` (the most that torch gave out, 0 without a GPU) are of each draw, the first of which encodes the
    section; ``train_...`` of each fold, in rows without a section. A method that fails has a row with ``metric="error"``, of
    the fold, or of a section that lacks what it needs; all else goes on. Reduce it with
    :func:`phg2st_sc.tl.summarize_benchmark`.

    Raises
    ------
    KeyError, TypeError, ValueError
        Before anything runs: for unknown methods, settings, genes, sections or patient columns, too few patients, features or
        tiles that a method needs and no section has, or an ``out`` that holds another benchmark.

    Warns
    -----
    UserWarning
        If a method fails, if the patient of a section is not known, and with ``protocol="published"``.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.simulate(
    ...     n_slides=3, n_patients=3, n_spots=80, n_genes=40, image=False, progress=False
    ... )
    >>> table = phg2st.tl.benchmark(
    ...     slides, methods=["gene_kriging", "idw"], genes=20, n_masks=1, n_splits=0, progress=False
    ... )
    >>> sorted(table["learned"].unique())
    ['cohort', 'reference', 'section']
    """
    check_client(client)
    protocols, scoring, trainings = _checked(protocol, fraction, strategies, n_masks, seeds, extra, markers, n_splits)
    genes = _checked_genes(genes)
    specs = method_specs(methods, has_folds=folds is not None)
    reading = Reading.among(locals())
    found = open_sections(adatas, reading)
    sections = {one.name: one for one in found}
    reads_pictures = _check_methods(specs, found)
    for one in found:
        number_of_prompts(one.slide.n_spots, fraction=fraction, n=None, name=f"slide {one.name!r}")
    planned = _folds(sections, folds, genes)
    _check_markers(planned, scoring.markers)
    plan = _plan(sections, planned, scoring, specs, reads_pictures=reads_pictures)
    store = UnitStore(out, {"protocols": list(protocols), **plan})
    data = {fold.name: FoldData(fold, sections, scoring, _top(sections, fold)) for fold in planned}
    units = make_units(planned, specs, trainings, protocols)
    store.check(unit.labels for unit in units)
    if client is None:
        table = run_units(units, data, store, progress=progress)
    else:
        sent = SentSections.of(adatas, reading, {kind: plan[kind] for kind in ("sections", "pictures")}, data)
        table = run_units_on(client, units, sent, store, progress=progress)
    store.finish(table)
    return table


def _checked(
    protocol: str | Sequence[str],
    fraction: float,
    strategies: str | Sequence[str],
    n_masks: int,
    seeds: Sequence[int],
    extra: Sequence[str],
    markers: Sequence[str] | None,
    n_splits: int,
) -> tuple[tuple[str, ...], Scoring, tuple[int, ...]]:
    from ..metrics import EXTRAS
    from ..prompts import STRATEGIES

    protocols = (protocol,) if isinstance(protocol, str) else tuple(protocol)
    unknown = [one for one in protocols if one not in (HONEST, PUBLISHED)]
    if unknown or not protocols:
        msg = f"`protocol` is {HONEST!r}, {PUBLISHED!r} or both, not {protocol!r}."
        raise ValueError(msg)
    if PUBLISHED in protocols:
        warn_user(PUBLISHED_WARNING)
    regimes = (strategies,) if isinstance(strategies, str) else tuple(strategies)
    for name in regimes:
        STRATEGIES[name]
    if not regimes or isinstance(n_masks, bool) or not isinstance(n_masks, int) or n_masks < 1:
        msg = f"strategies={strategies!r}, n_masks={n_masks!r}: draw prompts in at least one way, at least once."
        raise ValueError(msg)
    trainings = tuple(seeds)
    for seed in trainings:
        check_seed(seed)
    if not trainings:
        raise ValueError("`seeds` is empty: give at least one, e.g. seeds=[0].")
    wanted = (extra,) if isinstance(extra, str) else tuple(extra)
    for name in wanted:
        if name != "all":
            EXTRAS[name]
    scores = tuple(EXTRAS) if "all" in wanted else wanted
    check_gene_names(markers, argument="markers")
    marked = tuple(markers) if markers is not None and "markers" in scores else None
    return protocols, Scoring(fraction, regimes, n_masks, scores, marked, n_splits), trainings


def _checked_genes(genes: Any) -> int | tuple[str, ...] | None:
    if genes is None or isinstance(genes, (list, tuple, pd.Index, np.ndarray, str)):
        names = genes if genes is None or isinstance(genes, str) else tuple(map(str, genes))
        check_gene_names(names)
        return names  # type: ignore[return-value]
    if isinstance(genes, (bool, np.bool_)) or not isinstance(genes, (int, np.integer)) or genes < 2:
        msg = f"genes={genes!r}: give how many to choose (at least 2), their names, or None for all that are shared."
        raise ValueError(msg)
    return int(genes)


def _check_markers(folds: Sequence[Fold], markers: Sequence[str] | None) -> None:
    for fold in folds:
        if markers is not None and not set(markers) & set(fold.genes):
            msg = (
                f"None of the {len(markers)} `markers` ({quoted(markers)}) is in the panel of fold {fold.name!r}: name them in "
                "`genes` too, or choose more genes."
            )
            raise ValueError(msg)


def _check_methods(specs: Sequence[MethodSpec], sections: Sequence[Section]) -> bool:
    """Refuse settings that a method does not take, and sections that lack what it needs. Whether any reads pictures."""
    made = {spec.label: spec.create(0) for spec in specs}
    for method in made.values():
        method.check_settings()
    _check_pictures(sections, made)
    return any(method.reads_patches for method in made.values())


def _check_pictures(sections: Sequence[Section], methods: Mapping[str, Estimator]) -> None:
    """A method that needs embeddings, or tiles around the spots, is told before anything runs that there are none."""
    embedded = [one for one in sections if one.rep is not None]
    has_features = bool(embedded)
    record = embedding_records(embedded[0].slide.table).get(str(embedded[0].rep), {}) if embedded else {}
    if _keys.PARTS in record:  # joined features have no tiles: those of one encoder are asked for
        record = {}
    has_tiles = any(context_of(one.slide, str(one.rep))[0] is not None for one in embedded)
    for label, method in methods.items():
        lacks_tiles = method.needs_context or (method.uses_context and has_features)
        if (method.needs_image and not has_features) or (lacks_tiles and not has_tiles):
            what, more = ("the tiles around spots", "context=5") if has_features else ("image features", "")
            msg = (
                f"Method {label!r} needs {what}, and no section has any: call {embedding_call(record, more=more)} on each, or "
                "leave this method out."
            )
            raise ValueError(msg)


def _folds(sections: Mapping[str, Section], folds: Any, genes: Any) -> list[Fold]:
    return [
        Fold(name, tuple(train), tuple(test), choose_genes(sections, train, genes))
        for name, train, test in make_folds(list(sections.values()), folds)
    ]


def _top(sections: Mapping[str, Section], fold: Fold) -> list[str] | None:
    if not fold.train:
        return None
    return most_variable(sections, fold.train, fold.genes, _TOP_GENES)


def _plan(
    sections: Mapping[str, Section],
    folds: Sequence[Fold],
    scoring: Scoring,
    specs: Sequence[MethodSpec],
    *,
    reads_pictures: bool,
) -> dict[str, Any]:
    return {
        "embeddings": feature_kinds([one.slide for one in sections.values()], [one.rep for one in sections.values()]),
        "sections": {name: section_mark(one) for name, one in sections.items()},
        "pictures": {name: picture_mark(one) for name, one in sections.items()} if reads_pictures else {},
        "features": {name: one.rep for name, one in sections.items()},
        "folds": {fold.name: {"test": list(fold.test), "genes": list(fold.genes)} for fold in folds},
        "prompts": {"fraction": scoring.fraction, "strategies": list(scoring.strategies), "n_masks": scoring.n_masks},
        "scores": {
            "extra": list(scoring.extra),
            "markers": None if scoring.markers is None else list(scoring.markers),
            "n_splits": scoring.n_splits,
            "layer": next(iter(sections.values())).reading.layer,
        },
        "software": package_versions(["phg2st-sc"]),
        "methods": {f"{spec.label} ({spec.learned})": describe_settings(spec) for spec in specs},
    }
