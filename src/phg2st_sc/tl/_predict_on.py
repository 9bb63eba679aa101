"""Predict slides on a cluster: each is a task. Prompts are read here and sent; workers predict, and their answers are put together here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from .._arrays import Prediction, SlideArrays
from .._cluster import run_tasks
from .._reading import Reading, SlidePatches, slide_arrays
from .._row_blocks import RowBlocks
from .._slide import InStore, Slide, by_path
from ._low_rank import Factored, factored
from ._one_slide import Question
from ._predict_slides import Asked
from ._predictions import Predicted

if TYPE_CHECKING:
    from ..models import Estimator

SENT_BYTES = 1 << 26
"""Image side of a slide up to which it is sent as it is in memory; more is read by the worker where it stands in a store."""


def predict_on(
    client: Any, objects: Sequence[Any], asked: Sequence[Asked], *, low_rank: int | None, progress: bool | None
) -> list[Predicted]:
    """Answers of the workers of a client, for all slides of several objects at a time."""
    call = uuid4().hex
    tasks: dict[str, tuple[Any, ...]] = {}
    places: dict[str, tuple[int, str]] = {}
    for number, (data, one) in enumerate(zip(objects, asked, strict=True)):
        for measured in one.measured:
            name = measured.slide.name
            side = ImageSide.of(data, one, measured.slide, call)
            label = f"slide {name!r} of object {number + 1}" if len(asked) > 1 else f"slide {name!r}"
            tasks[label] = (number, one.questions[name], side, low_rank, one.target_sum)
            places[label] = number, name
    found: list[dict[str, Any]] = [{} for _ in asked]

    def take(label: str, prediction: Prediction | Factored) -> None:
        number, name = places[label]
        found[number][name] = prediction

    run_tasks(
        client,
        _answer,
        tasks,
        take,
        shared=tuple(one.estimator for one in asked),
        what="What is read of",
        what_shared="The method, with what its priors know,",
        progress=progress,
        unit="slide",
        desc="predict",
    )
    in_order = [
        {m.slide.name: by_name[m.slide.name] for m in one.measured} for one, by_name in zip(asked, found, strict=True)
    ]
    return [one.answered(predictions) for one, predictions in zip(asked, in_order, strict=True)]


@dataclass(frozen=True, eq=False)
class ImageSide:
    """The image side of a slide as it is sent: arrays, or where they stand.

    Attributes
    ----------
    arrays
        What was in memory.
    beside
        What goes with it in any case, by its name in the arrays: patient, record of the features, pictures.
    store, reading, slide, settings
        Where it stands, how it is read there, and which slide it is.
    mark
        Hash of what must be there.
    call
        Of which call it is: a store is read once by a process in each.
    """

    arrays: SlideArrays | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    store: InStore | None = None
    reading: Reading = field(default_factory=Reading)
    slide: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""
    call: str = ""

    @classmethod
    def of(cls, data: Any, asked: Asked, slide: Slide, call: str) -> ImageSide:
        """What is sent of a slide."""
        store = by_path(data)
        arrays = slide_arrays(slide, **asked.image_side)
        patches = arrays.patches.anywhere() if isinstance(arrays.patches, SlidePatches) else arrays.patches
        if not isinstance(store, InStore) or _size(arrays) <= SENT_BYTES:
            return cls(replace(arrays, patches=patches))
        beside = {"patient": arrays.patient, "feature_record": arrays.feature_record, "patches": patches}
        settings = {**asked.image_side, "patches": False}
        return cls(None, beside, store, asked.reading, slide.name, settings, _mark(arrays), call)

    def read(self) -> SlideArrays:
        """The arrays.

        Raises
        ------
        ValueError
            If the store holds others than there were in memory.
        """
        if self.arrays is not None:
            return self.arrays
        data = _read(self.store, self.call)
        slide = next((one for one in self.reading.slides(data) if one.name == self.slide), None)
        arrays = None if slide is None else _arrays_there(slide, self.settings)
        if arrays is None or _mark(arrays) != self.mark:
            path = "" if self.store is None else self.store.path
            msg = (
                f"Slide {self.slide!r}: {path} holds other places or embeddings than the object in memory, or lacks them. Write "
                "them (`pp.extract_embeddings(..., write=True)`, or `sdata.write(path)` to a new store), or call without `client=`."
            )
            raise ValueError(msg)
        return replace(arrays, **self.beside)


def _arrays_there(slide: Slide, settings: Mapping[str, Any]) -> SlideArrays | None:
    try:
        return slide_arrays(slide, **settings)
    except KeyError:
        return None


@lru_cache(maxsize=1)
def _read(store: InStore | None, call: str) -> Any:
    return None if store is None else store.read()


def _answer(
    estimators: tuple[Estimator, ...],
    number: int,
    question: Question,
    side: ImageSide,
    low_rank: int | None,
    target_sum: float,
) -> Prediction | Factored:
    """Predict one slide, on a worker."""
    found = question.answer(estimators[number], side.read())
    if low_rank is not None:
        return Factored(found.details, found.assessment, *factored(found, low_rank, question.lacking, target_sum))
    samples = [RowBlocks.of(one.whole()) for one in found.samples]
    return Prediction(found.mean, found.std, found.details, assessment=found.assessment, samples=samples)


def _parts(arrays: SlideArrays) -> list[Any]:
    incidence = arrays.incidence
    graph = () if incidence is None else (incidence.data, incidence.indices, incidence.indptr)
    return [arrays.positions, arrays.features, arrays.context_index, arrays.tiles, *graph]


def _size(arrays: SlideArrays) -> int:
    return sum(0 if part is None else np.asarray(part).nbytes for part in _parts(arrays))


def _mark(arrays: SlideArrays) -> str:
    digest = sha256()
    for part in _parts(arrays):
        digest.update(b"none" if part is None else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
