"""Embeddings know the picture that they were computed from: what contradicts it is told of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from .. import _keys
from .._image import Picture, only_picture, recorded_pictures
from .._slide import Slide, embedding_records, overlap, picture_source
from .._warn import warn_user

if TYPE_CHECKING:
    from anndata import AnnData


def pictures_of(slide: Slide, rep: str | None = None) -> list[Picture]:
    """Pictures that embeddings of a slide were computed from: those of one key, or of all and of dropped ones."""
    kept = embedding_records(slide.table)
    records = [kept.get(rep)] if rep is not None else [*kept.values(), _of_targets(slide)]
    found = [_picture_of(slide, record) for record in records]
    return [picture for picture in found if picture is not None]


def _picture_of(slide: Slide, record: Any) -> Picture | None:
    """Picture of a slide in a record, which was written before a cohort gave the slide its name."""
    only = only_picture(record)
    if only is not None and (slide.n_spots == slide.table.n_obs or not _is_of_fewer(record, slide.table)):
        return only
    kept = recorded_pictures(record)
    return kept.get(slide.name) or next((one for name, one in kept.items() if slide.name.endswith(f"/{name}")), None)


def _is_of_fewer(record: Any, table: AnnData) -> bool:
    """Whether a record is that of one of several objects that were joined; one that was merged has lost what differed."""
    whole = {_keys.SLIDES, _keys.NAMES_HASH} <= set(record)
    return whole and int(record.get(_keys.N_OBS, table.n_obs)) < table.n_obs


def _of_targets(slide: Slide) -> object:
    """Record of the pictures of embeddings that were dropped when targets were added."""
    record = slide.table.uns.get(_keys.TARGET)
    return record.get(_keys.PICTURES) if isinstance(record, Mapping) else None


def warn_of_another_picture(slide: Slide, picture: Picture, rep: str | None = None) -> None:
    """Warn where a slide was embedded from a picture that cannot be this one, not even at another resolution."""
    kept = _picture_of(slide, _of_targets(slide))
    before = pictures_of(slide, rep) + ([kept] if rep is not None and kept is not None else [])
    other = next((one for one in before if picture.is_another(one)), None)
    if other is not None:
        warn_user(
            f"Slide {slide.name!r}: the picture {picture} is not the one that it was embedded from before, {other}. If it is "
            f"the wrong one, pass the right one, `image={{{slide.name!r}: path}}`, and look at it with `pl.tiles(data, image=...)`."
        )


def warn_of_pictures(slides: Sequence[Slide], reps: Sequence[str | None]) -> None:
    """Warn where features of slides, by their keys in ``obsm``, cannot be of the picture of each, or are of pictures unknown."""
    pictures = [[] if rep is None else pictures_of(slide, rep) for slide, rep in zip(slides, reps, strict=True)]
    warn_of_one_picture(slides, pictures)
    for rep in dict.fromkeys(rep for rep in reps if rep is not None):
        _warn_of_partial_record([slide.table for slide, own in zip(slides, reps, strict=True) if own == rep], rep)


def warn_of_one_picture(slides: Sequence[Slide], pictures: Sequence[Iterable[Picture]]) -> None:
    """Warn where slides that lie on each other were embedded from one picture; one pair stands for all."""
    for (first, seen), (second, also) in combinations(zip(slides, pictures, strict=True), 2):
        if picture_source(first) is not None and picture_source(first) == picture_source(second):
            continue  # told of where they were opened
        shared = next((one for one in seen if any(one.is_same(other) for other in also)), None)
        found = None if shared is None else overlap([first, second], [first.positions, second.positions])
        if found is not None:
            warn_user(
                f"Slides {first.name!r} and {second.name!r} were both embedded from the picture {shared}, and {found.share:.0%} of "
                f"the spots of {second.name!r} lie on spots of {first.name!r}: one of them has the features of another slide, or "
                "they are the same slide. Run `phg2st_sc.pp.extract_embeddings` with the picture of each, `image={slide: path}`."
            )
            return


def _warn_of_partial_record(tables: Iterable[AnnData], rep: str) -> None:
    """Warn where a record of embeddings is that of fewer spots: one of several objects that were joined, and not of all."""
    for table in tables:
        record = embedding_records(table).get(rep, {})
        if recorded_pictures(record) and _is_of_fewer(record, table):
            warn_user(
                f"The record of obsm[{rep!r}] in uns[{_keys.EMBEDDINGS!r}] is of {int(record[_keys.N_OBS])} spots, and the object has "
                f"{table.n_obs}: that of one of several objects which were joined with `uns_merge='first'`. Nothing tells of "
                "which pictures, and by which encoder, the features of the others are: join the objects with "
                "`uns_merge='unique'`, which keeps what all records share, or run `phg2st_sc.pp.extract_embeddings` again."
            )
            return
