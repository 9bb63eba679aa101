"""What a prediction is compared with: methods, models and other stored predictions, on the same prompts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._slide import embedding_records
from ._stored import Stored, made_by, predictions_in, stored

if TYPE_CHECKING:
    from anndata import AnnData

    from .._reading import Reading
    from .._slide import Slide

SIMPLE = "simple"
"""In ``compare``: all methods of this kind; those that need an image are left out where there are no embeddings."""


@dataclass(frozen=True, eq=False)
class Rival:
    """One of ``compare``: a method by name, a model, or a stored prediction."""

    label: str
    method: str | None = None
    model: Any = None
    layer: str | None = None


def rivals(compare: Any, slides: Sequence[Slide], result: Stored) -> list[Rival]:
    """What to compare with, under labels of its own."""
    found: dict[str, Rival] = {}
    for label, value in _items(compare, slides):
        rival = _rival(label, value, slides, result)
        if rival is None or (label is None and rival.label in found and rival.model is None):
            continue
        if rival.label in found:
            msg = f"Two of `compare` are called {rival.label!r}: name them, `compare={{'one': ..., 'other': ...}}`."
            raise ValueError(msg)
        found[rival.label] = rival
    return list(found.values())


def _items(compare: Any, slides: Sequence[Slide]) -> list[tuple[str | None, Any]]:
    if compare is None:
        return []
    if isinstance(compare, Mapping):
        return [(str(label), value) for label, value in compare.items()]
    if isinstance(compare, str) and compare == SIMPLE:
        from ..models import METHODS

        has_image = all(embedding_records(slide.table) for slide in slides)
        simple = {name: method for name, method in METHODS.items() if method.kind == SIMPLE}
        return [(None, name) for name, method in simple.items() if has_image or not method.needs_image]
    return [(None, value) for value in (compare if isinstance(compare, (list, tuple)) else [compare])]


def _rival(label: str | None, value: Any, slides: Sequence[Slide], result: Stored) -> Rival | None:
    """A rival, or ``None`` where it is the scored prediction itself."""
    from ..models import Estimator, get_method, methods

    if isinstance(value, Estimator):
        rival = Rival(label or made_by(value.name, value.is_fitted, {}), model=value)
    elif value in methods():
        if label is None and value == result.layer and _is_plain(result, value):
            return None
        rival = Rival(label or value, method=value)
    elif isinstance(value, str) and all(value in predictions_in(slide.table) for slide in slides):
        if value == result.layer:
            return None
        rival = Rival(label or value, layer=value)
    elif label is not None and isinstance(value, (str, os.PathLike)):
        rival = Rival(label, model=value)
    else:
        get_method(value)  # says what the names are
        raise TypeError(f"`compare` takes names of methods, models and stored predictions, not {value!r}.")
    return rival if rival.label != result.layer else _relabeled(rival)


def _is_plain(result: Stored, method: str) -> bool:
    """Whether the stored prediction was made by a method of this name from the slide alone."""
    return str(result.record.get(_keys.METHOD, method)) == method and not result.record.get(_keys.MODEL)


def _relabeled(rival: Rival) -> Rival:
    ending = "this slide" if rival.method is not None else "compared"
    return Rival(f"{rival.label} ({ending})", rival.method, rival.model, rival.layer)


def predict_rival(
    one: AnnData, rival: Rival, result: Stored, slide: Slide, *, reading: Reading, seed: int
) -> tuple[NDArray[np.floating], str]:
    """Predictions (n, G) of a rival from the same prompts on the scale of the stored one, and who made them.

    Parameters
    ----------
    one
        The slide as an object of its own.
    """
    if rival.layer is not None:
        values, own, maker = _other_layer(rival.layer, result, slide)
    else:
        values, own, maker = _run(one, rival, result, slide, reading, seed)
    wanted = result.target_sum(slide)
    return (values if own == wanted else np.log1p(wanted / own * np.expm1(values))), maker


def _run(
    one: AnnData, rival: Rival, result: Stored, slide: Slide, reading: Reading, seed: int
) -> tuple[NDArray[np.floating], float, str]:
    from ._predict import predict

    rep = str(result.record.get("use_rep", ""))
    same: dict[str, Any] = {"use_rep": rep, "trust_rep": True} if rival.model is None and rep in one.obsm else {}
    if slide.pitch_source != "lattice":
        same["pitch"] = slide.pitch_px
    predicted = predict(
        one,
        method=rival.method,
        model=rival.model,
        prompt_mask=result.used[slide.rows],
        counts_layer=reading.layer or _keys.X,
        gex_only=reading.as_record()[_keys.GEX_ONLY],  # what is no gene was told of by the prediction
        genes=result.genes,
        seed=seed,
        progress=False,
        **same,
    )
    details: Mapping[str, Any] = next(iter(predicted.uns[_keys.DETAILS].values()), {})
    maker = made_by(predicted.uns[_keys.METHOD], bool(predicted.uns[_keys.MODEL]), details)
    return np.asarray(predicted[:, result.genes].X), float(predicted.uns[_keys.TARGET_SUM]), maker


def _other_layer(layer: str, result: Stored, slide: Slide) -> tuple[NDArray[np.floating], float, str]:
    other = stored(slide.table, layer).on(slide)
    if (other.used != result.used)[slide.rows].any():
        msg = (
            f"layers[{layer!r}] was predicted from other prompts than layers[{result.layer!r}]: they cannot be compared. "
            f"Run `phg2st_sc.tl.impute(data, key_added={layer!r})` with the same mask."
        )
        raise ValueError(msg)
    place = {gene: position for position, gene in enumerate(other.genes)}
    missing = [gene for gene in result.genes if gene not in place]
    if missing:
        msg = f"layers[{layer!r}] lacks {len(missing)} of the genes of layers[{result.layer!r}]: predict the same `genes=`."
        raise ValueError(msg)
    values = other.rows(slide.rows, slide)[:, [place[gene] for gene in result.genes]]
    return values, other.target_sum(slide), other.made_by(slide)
