"""Embed slides on a cluster: tiles that lie together are a task; a worker opens the encoder once, and the image of each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._cluster import check_wanted, run_tasks
from .._image import Noted, Picture, WatchedImage
from ._embedding_slide import Asked, EmbeddedSlide, Survey

if TYPE_CHECKING:
    from .._image import SlideImage
    from .._slide import Slide, StoredPicture
    from ..encoders import Keeping
    from ._embedding_job import Job
    from ._embedding_work import Part, PatchWork, TileWork


def embed_on(client: Any, asked: Sequence[Asked]) -> None:
    """Embed the slides of several objects on the workers of a client; each object is taken as soon as it is done."""
    made = [[_Slide.of(slide, one.job) for slide in one.slides] for one in asked]
    slides = [(slide, number) for number, of_object in enumerate(made) for slide in of_object]
    parts = {
        f"slide {slide.survey.slide.name!r}, part {i + 1} of {len(slide.parts)} ({number})": (number, i)
        for number, (slide, _) in enumerate(slides)
        for i in range(len(slide.parts))
    }

    def take(label: str, part: _Encoded) -> None:
        number, i = parts[label]
        slide, of_object = slides[number]
        slide.add(i, part)
        if all(one.is_done for one in made[of_object]):
            asked[of_object].take([one.finish() for one in made[of_object]])

    run_tasks(
        client,
        _encode,
        {label: (number, slides[number][0].parts[i][1]) for label, (number, i) in parts.items()},
        take,
        shared=_Sent(asked[0].job, tuple(slide.sent for slide, _ in slides)),
        what="Pictures and encoder",
        smaller="Pass pictures as paths, or in a SpatialData that was read from its store, and an encoder by its name",
        progress=asked[0].job.progress,
        unit="part",
    )


@dataclass(eq=False)
class _Slide:
    """A slide whose parts are encoded elsewhere, and what came back of it."""

    survey: Survey
    parts: list[Part]
    sent: _SentSlide
    left: set[int]
    features: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, slide: Slide, job: Job) -> _Slide:
        image = slide.open_image()
        try:
            survey = Survey.of(slide, image, job)
            parts = survey.layout.work.parts(image, job)
        finally:
            image.close()  # there may be more slides than files that a process may keep open
        watch = None if survey.is_looked_at else (slide.positions, survey.watched.size_px)
        sent = _SentSlide(slide.picture().anywhere(), survey.picture, survey.keeping(job), watch)
        return cls(survey, parts, sent, set(range(len(parts))))

    @property
    def is_done(self) -> bool:
        return not self.left

    def add(self, number: int, part: _Encoded) -> None:
        rows, _ = self.parts[number]
        if self.features is None:
            n_rows = sum(len(own) for own, _ in self.parts)
            self.features = np.empty((n_rows, part.features.shape[1]), dtype=np.float32)
        self.features[rows] = part.features
        if part.noted is not None:
            self.survey.watched.learn(part.noted)
        self.left.remove(number)

    def finish(self) -> EmbeddedSlide:
        features, self.features = self.features, None
        image = self.survey.slide.open_image()
        try:
            self.survey.watched.reopen(image)
            return self.survey.finish(np.empty((0, 0), dtype=np.float32) if features is None else features)
        finally:
            image.close()


# --- on a worker ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class _SentSlide:
    """What a worker is told of a slide."""

    picture: StoredPicture
    shows: Picture
    keeping: Keeping | None
    watch: tuple[NDArray[np.float64], float] | None


@dataclass(frozen=True, eq=False)
class _Encoded:
    """Features of a part, and which spots were seen to lie on padding."""

    features: NDArray[np.float32]
    noted: Noted | None


@dataclass(eq=False)
class _Sent:
    """What all tasks of a call share, and which pictures a process has seen to be those that were meant."""

    job: Job
    slides: tuple[_SentSlide, ...]
    seen: set[int] = field(default_factory=set)

    def __getstate__(self) -> dict[str, Any]:
        """Sent without the open encoder: a worker opens its own, on its own device."""
        return {"job": replace(self.job, encoder=None), "slides": self.slides, "seen": set()}  # type: ignore[arg-type]

    @cached_property
    def opened(self) -> Job:
        return replace(self.job, encoder=self.job.order.open(), progress=False)


@dataclass
class _Heeding:
    """Stands for a bar, and gives up once nobody waits any more."""

    done: int = field(default=0)

    def update(self, n: int) -> None:
        self.done += n
        check_wanted()


def _encode(sent: _Sent, number: int, work: TileWork | PatchWork) -> _Encoded:
    slide, job = sent.slides[number], sent.opened
    image = slide.picture.open()
    try:
        if number not in sent.seen:
            _check_picture(image, slide)
            sent.seen.add(number)
        if slide.watch is None:
            return _Encoded(work.encode(image, job, slide.keeping, _Heeding()), None)
        watched = WatchedImage(image, *slide.watch)
        return _Encoded(work.encode(watched, job, slide.keeping, _Heeding()), watched.noted())
    finally:
        image.close()


def _check_picture(image: SlideImage, slide: _SentSlide) -> None:
    """Chunks of a store that a machine does not see are read as if they had never been written."""
    if not Picture.of(image, slide.shows.name).is_same(slide.shows):
        msg = (
            f"A worker finds another picture of slide {slide.picture.slide!r} at {slide.shows.name!r} than this process, or a part of it: "
            "put it where all machines see it by the same path, and call again."
        )
        raise ValueError(msg)
