"""Which image features a method is given, and the proof that they come from the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._slide import embedding_records, leave_out, spot_numbers
from .._text import quoted
from .._warn import warn_user
from ._feature_kinds import embedding_call, identity, same_kind

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide

_ADVICE = "compute them with `phg2st_sc.pp.extract_embeddings(data)`"
_OF_EXPRESSION = (
    "pca",
    "umap",
    "tsne",
    "diffmap",
    "draw_graph",
    "phate",
    "harmony",
    "scvi",
    "scanvi",
    "lsi",
    "svd",
    "nmf",
)
"""What other packages write beside image embeddings as ``obsm["X_..."]``."""


def choose_rep(
    table: AnnData, use_rep: str | None, *, trust_rep: bool = False, like: Mapping[str, Any] | None = None
) -> str | None:
    """Key in ``obsm`` of the features to use; ``None`` when there are none.

    Parameters
    ----------
    table
        Table annotating the spots.
    use_rep
        Key the user asked for.
    trust_rep
        Accept features without proof that they come from the image.
    like
        Provenance of the features a model was trained on: take those, whatever else is there.

    Raises
    ------
    KeyError
        If there are no features of the name that was asked for.
    ValueError
        If they have no record, or hold nothing but NaN; or several have a record, and none is named.
    """
    recorded = embedding_records(table)
    if use_rep is not None:
        _check_rep(table, use_rep, recorded, trust_rep=trust_rep)
        return use_rep
    found = [rep for rep, record in recorded.items() if rep in table.obsm and _from_image(record)]
    found = [rep for rep in found if not _blank(table, rep)]
    if like:
        found = [rep for rep in found if same_kind(identity(recorded[rep]), identity(like))]
    if len(found) > 1:
        whole = next((rep for rep in found if np.isfinite(spot_numbers(table, rep)).all()), found[0])
        msg = f"Several embeddings are there ({quoted(found)}): say which to use, e.g. `use_rep={whole!r}`."
        raise ValueError(msg)
    return found[0] if found else None


def features_of(slide: Slide, rep: str | None) -> tuple[NDArray[np.float32] | None, dict[str, Any]]:
    """Features (n, d) of a slide and their provenance; ``(None, {})`` for a slide that was not embedded.

    Raises
    ------
    TypeError, ValueError
        If they are no numbers, one row a spot, or not finite at some spots.
    """
    if rep is None or rep not in slide.table.obsm:
        return None, {}
    values = spot_numbers(slide.table, rep, slide.rows)
    if np.isnan(values).all():
        return None, {}
    with np.errstate(over="ignore"):  # what is too large is refused below
        rows = values.astype(np.float32)
    finite = np.isfinite(rows)
    if not finite.all():
        raise ValueError(_not_finite(slide, rep, finite))
    record = embedding_records(slide.table).get(rep, {})
    dim = record.get(_keys.DIM)
    if dim is not None and int(dim) != rows.shape[1]:
        warn_user(
            f"obsm[{rep!r}] has {rows.shape[1]} columns, and its record in uns[{_keys.EMBEDDINGS!r}] says {int(dim)}: it was changed "
            "after it was made. Keep what you change under another name, and pass `use_rep=` with `trust_rep=True`."
        )
    return rows, identity(record)


def has_features(slide: Slide, rep: str | None) -> bool:
    """Whether a slide was embedded: there are features, and they are not NaN throughout."""
    return rep is not None and rep in slide.table.obsm and not _blank(slide.table, rep, slide.rows)


def _blank(table: AnnData, rep: str, rows: NDArray[np.int64] | None = None) -> bool:
    """Whether features are NaN throughout, as a slide without any has them beside one that was embedded."""
    rows = np.arange(table.n_obs, dtype=np.int64) if rows is None else rows
    # most often the first row says it
    return all(bool(np.isnan(spot_numbers(table, rep, some)).all()) for some in (rows[:1], rows))


def _not_finite(slide: Slide, rep: str, finite: NDArray[np.bool_]) -> str:
    """Which spots have no features, and the ways on that leave the others as they are."""
    spots, columns = ~finite.all(axis=1), ~finite.all(axis=0)
    names, where = slide.table.obs_names[slide.rows[spots]], f"obsm[{rep!r}]"
    start = f"{where} is not finite at {len(names)} spots of slide {slide.name!r} ({quoted(names)})"
    call = embedding_call(embedding_records(slide.table).get(rep), more="key_added='X_new'")
    anew = f"embed the slide under another name with {call}, and pass `use_rep='X_new'`"
    if spots.all():
        which = f"in {int(columns.sum())} of {columns.size} features (columns {', '.join(map(str, np.flatnonzero(columns)[:5]))}"
        which += ", ...)" if columns.sum() > 5 else ")"
        return f"{start}, {which}: leave these features out, or {anew}."
    return f"{start}: leave these spots out, e.g. `{leave_out(slide.table, rep, names)}`, or {anew}."


def unproven(table: AnnData) -> list[str]:
    """Keys ``X_...`` of ``obsm`` that may be image embeddings, and carry no record that they are."""
    recorded = embedding_records(table)
    start = _keys.embedding("")
    blocks = (_keys.context_index(""), _keys.context(""))
    found = [key for key in table.obsm if key.startswith(start) and not key.endswith(blocks)]
    return [key for key in found if not _from_image(recorded.get(key)) and not named_by_expression(key)]


def named_by_expression(key: str) -> bool:
    """Whether a key ``X_...`` of ``obsm``, or what follows ``X_``, is called as what other packages compute from expression."""
    return key.removeprefix(_keys.embedding("")).lower().startswith(_OF_EXPRESSION)


def why_ignored(table: AnnData) -> str:
    """Sentence on the embeddings that are not used, for want of numbers or of a record, with a leading space; empty where none are."""
    empty = _empty(table)
    if empty:
        return (
            f" obsm[{empty[0]!r}] holds nothing but NaN: compute it with "
            f"{embedding_call(embedding_records(table)[empty[0]])}."
        )
    keys = unproven(table)
    if not keys:
        return ""
    return (
        f" obsm[{keys[0]!r}] is not used: no record in uns[{_keys.EMBEDDINGS!r}] says that it was computed from the image "
        "(`anndata.concat` drops records unless it is given `uns_merge='unique'`). If you are sure that it was, name it "
        f"with `use_rep={keys[0]!r}, trust_rep=True`."
    )


def without_features(slides: Sequence[Slide], reps: Sequence[str | None]) -> list[Slide]:
    """Slides that have no features to use, and could have: they have an image, or embeddings of no use."""
    return [
        slide
        for slide, rep in zip(slides, reps, strict=True)
        if rep is None and (_has_image(slide) or unproven(slide.table) or _empty(slide.table))
    ]


def _empty(table: AnnData) -> list[str]:
    """Features with a record that hold nothing but NaN."""
    recorded = embedding_records(table)
    return [key for key, record in recorded.items() if key in table.obsm and _from_image(record) and _blank(table, key)]


def _has_image(slide: Slide) -> bool:
    return slide.image_source is not None or bool(slide.other_images) or bool(slide.record.get(_keys.IMAGES))


def _from_image(record: Any) -> bool:
    return isinstance(record, Mapping) and str(record.get(_keys.SOURCE, "")) == _keys.FROM_IMAGE


def _check_rep(table: AnnData, rep: str, recorded: Mapping[str, Any], *, trust_rep: bool) -> None:
    if rep not in table.obsm:
        msg = f"No embeddings in obsm[{rep!r}] (there are: {quoted(table.obsm.keys()) or 'none'}): {_ADVICE}."
        raise KeyError(msg)
    if not trust_rep and not _from_image(recorded.get(rep)):
        msg = (
            f"obsm[{rep!r}] carries no record that it was computed from the image. Features computed from expression "
            f"would leak the spots to be predicted. Either {_ADVICE}, or pass `trust_rep=True` if you are sure."
        )
        raise ValueError(msg)
    if _blank(table, rep):
        anew = f"compute them with {embedding_call(recorded.get(rep))}"
        msg = f"obsm[{rep!r}] holds nothing but NaN: {anew}, or leave `use_rep=` out to do without the image."
        raise ValueError(msg)
