"""Say which spots to measure next."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._docs import documented
from .._progress import bar, is_shown, parts
from .._reading import Reading, full_mask
from .._slide import Owner, SlotUpdate, check_table, refuse_foreign, store_behind, write_slots
from .._threads import limited_threads
from .._warn import one_message_per_fault
from ..design import Chosen, suggest
from ..models import choose_estimator
from ._results import copied, is_table
from ._surveys import Surveyed, default_alone, surveyed

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from ..design import Survey
    from ..models import PHG2ST, Estimator

_BLOCK = "block"


@one_message_per_fault
@limited_threads()
@documented
def suggest_spots(
    data: AnnData | SpatialData,
    *,
    n: int,
    region: Literal["block"] | None = None,
    prompt_mask: Any = None,
    within: Any = None,
    model: Estimator | str | os.PathLike[str] | None = None,
    use_rep: str | None = None,
    trust_rep: bool = False,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    gene_key: str | None = None,
    patient_key: str | None = None,
    key_added: str = _keys.SUGGESTED,
    seed: int = 0,
    copy: bool = False,
    write: bool = False,
    progress: bool | None = None,
) -> AnnData | SpatialData | None:
    """Say which spots, or which one capture area, to measure next so that the rest of the tissue is predicted best.

    Spots are chosen one after the other, each so that the default method, :class:`phg2st_sc.models.PHG2ST`, has the least left
    open over the whole slide: where tissue lies, and looks, unlike what was measured or chosen before. This needs no
    expression, so that it can be asked with the image alone; with prompts so far, their covariance is used, and spots
    that are likely to have few counts come later. Features of the texture encoder tell of that by the nuclei they show.

    Parameters
    ----------
    {data}
        A single slide, or several by ``slide_key``.
    n
        How many spots to suggest on each slide.
    region
        ``None``: anywhere. ``"block"``: one square area of ``n`` spots, as a small capture area would be.
    {prompt_mask:so_far}
    within
        Suggest among these spots only, such as those that can be reached: a boolean array over the rows, a boolean Series by
        ``obs_names``, or the name of an ``obs`` column. ``None``: all that were not measured. All spots are predicted in any
        case. Targets of :func:`phg2st_sc.pp.add_targets` are suggested only where ``within`` marks them. A slide
        with none of them gets no suggestion.
    model
        A trained default, which knows how alike places of such tissue are; ``None`` for what holds for most tissues.
    {use_rep} {trust_rep} {counts_layer:kept} {gex_only:kept} {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um}
    {gene_key} {patient_key}
    key_added
        ``obs`` column to write.
    {seed} {copy} {write} {progress:long}

    Returns
    -------
    ``None``, or the copy. Writes ``obs[key_added]``, bool; ``obs["<key_added>_rank"]``, int, 1 for the spot to measure first and
    0 for spots that are not suggested (in a block all are of one measurement, and the order means nothing); and
    ``uns["phg2st_<key_added>"]``: how they were chosen, with ``open_before`` and ``open_after``, the variance that is open
    over the slide without and with them, in units of the signal's (where a slide is planned part by part, about the mean of each part).

    Raises
    ------
    KeyError
        If a column, layer or embeddings do not exist.
    TypeError
        If a mask is not boolean.
    ValueError
        If there are fewer than ``n`` spots to choose from, ``region`` is unknown, ``model`` is no default, ``data`` is a view, or
        ``obs[key_added]`` exists and was not written by this function. Nothing is changed then.

    Warns
    -----
    UserWarning
        If slides that have an image have no embeddings with a record.

    Notes
    -----
    Expression is read at the measured spots and at no other. Up to 3,000 spots of a slide are all compared. On larger ones
    3,000 spread evenly stand for the candidates, and 1,500 for the tissue, or, for more than 750 spots, the slide is cut
    into parts of up to 2,000 spots that are planned one by one. How it compares with random, regular and space-filling designs on
    real sections is told in the guide.

    References
    ----------
    Cohn, "Neural network exploration using optimal experiment design", Neural Networks 9 (1996).

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, progress=False)
    >>> phg2st.tl.suggest_spots(adata, n=12)
    >>> int(adata.obs["suggested"].sum()), int(adata.obs["suggested_rank"].max())
    (12, 12)

    Once they are measured, say which to measure next:

    >>> phg2st.tl.suggest_spots(adata, n=6, prompt_mask="suggested", key_added="next")
    >>> bool((adata.obs["suggested"] & adata.obs["next"]).any())
    False
    """
    reading = Reading.among(locals())
    _check(n, region)
    estimator = default_alone(choose_estimator(model, None, seed, {}, suggest_spots))
    target = copied(data) if copy else data
    if write:
        store_behind(target)
    if is_table(target):
        check_table(target)
        refuse_foreign(target, _slots(key_added), _owner(key_added))
    slides, rep = surveyed(target, reading, estimator, prompt_mask)
    asked = [_asked(one, within, n) for one in slides]
    with parts(progress):
        each = bar(
            list(zip(slides, asked, strict=True)),
            progress=is_shown(progress) and len(slides) > 1,
            desc="suggest",
            unit="slide",
        )
        made = [_suggested(one, candidates, n, region == _BLOCK, estimator, seed) for one, candidates in each]
    record = {
        "seed": int(seed),
        "n": int(n),
        _keys.DESIGN: "variance" if region is None else "variance of a block",
        **_told(slides, made),
    }
    if rep is not None:
        record[_keys.FEATURES] = rep
    write_slots(target, slides[0].slide.table, _update(slides, made, key_added, record), write=write)
    return target if copy else None


@dataclass(frozen=True, eq=False)
class _Suggested:
    survey: Survey
    chosen: Chosen


def _check(n: Any, region: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n={n!r} must be an integer of at least 1: the number of spots to suggest.")
    if region not in (None, _BLOCK):
        raise ValueError(
            f"`region` is None (spots anywhere) or {_BLOCK!r} (one square area of n spots), not {region!r}."
        )


def _slots(key: str) -> list[tuple[str, str]]:
    return [("obs", key), ("obs", _keys.rank(key)), ("uns", _keys.suggestion_record(key))]


def _owner(key: str) -> Owner:
    return Owner((_keys.suggestion_record(key),), (_keys.DESIGN,))


def _update(slides: Sequence[Surveyed], made: Sequence[_Suggested], key: str, record: dict[str, Any]) -> SlotUpdate:
    """Slots with what is suggested on all slides."""
    n_obs = slides[0].slide.table.n_obs
    mask, ranks = np.zeros(n_obs, dtype=bool), np.zeros(n_obs, dtype=np.int32)
    for one, done in zip(slides, made, strict=True):
        rows = one.slide.rows[done.chosen.spots]
        mask[rows], ranks[rows] = True, np.arange(1, rows.size + 1)
    return SlotUpdate(
        obs={key: mask, _keys.rank(key): ranks},
        uns={_keys.suggestion_record(key): record},
        owner=_owner(key),
    )


def _asked(one: Surveyed, within: Any, n: int) -> NDArray[np.int64]:
    """Spots of a slide that may be suggested."""
    free = one.candidates
    if within is not None:
        open_to = full_mask(one.slide.table, within)[one.slide.rows]
        free = np.flatnonzero(open_to & ~one.mask)
        if not open_to.any():
            return free
    if free.size < n:
        msg = (
            f"n={n} spots are asked for, and slide {one.slide.name!r} has {free.size} that "
            f"{'were not measured' if within is None else 'are within `within=` and were not measured'}: ask for fewer."
        )
        raise ValueError(msg)
    return free


def _suggested(
    one: Surveyed, candidates: NDArray[np.int64], n: int, block: bool, estimator: PHG2ST, seed: int
) -> _Suggested:
    survey = estimator.survey(one.arrays, one.prompts)
    if not candidates.size:
        return _Suggested(survey, Chosen(candidates, np.zeros(0), np.nan))
    return _Suggested(survey, suggest(survey, n, candidates, block=block, seed=seed))


def _told(slides: list[Surveyed], made: list[_Suggested]) -> dict[str, Any]:
    kernels = [done.survey.covariance.kernel for done in made]
    return {
        "slides": np.array([one.slide.name for one in slides], dtype=object),
        "n_measured": np.array([int(one.mask.sum()) for one in slides], dtype=np.int64),
        "n_suggested": np.array([done.chosen.spots.size for done in made], dtype=np.int64),
        "open_before": np.array([done.chosen.before for done in made]),
        "open_after": np.array([done.chosen.after for done in made]),
        "length_scale": np.array([kernel.length_scale for kernel in kernels]),
        "mix": np.array([kernel.mix for kernel in kernels]),
    }
