"""What is to be encoded on a slide, as a whole or cut into parts that others may do: a part gives the same bits as within the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, TileReads, Tiles
from ..encoders import FIRST_BATCH, Keeping, KeptBatches, Proof, TokenEncoder, TokenPlan, encode_places, pooled_tokens
from ._embedding_job import Job

_TILES = 1024
"""Of a part: seconds on a GPU, minutes to an hour on a processor. It must not depend on the cluster, or another one would not go on
with what this one kept."""


@dataclass(frozen=True, eq=False)
class TileWork:
    """Tiles to encode.

    Attributes
    ----------
    tiles
        Of the encoder's first field of view.
    pooled
        Fields for which the image is looked at as a whole.
    """

    tiles: Tiles
    pooled: tuple[float, ...] = ()

    def looks(self, job: Job) -> dict[str, Any]:
        """Of a bar."""
        return {"total": len(self.tiles) * len(job.encoder.card.fields), "unit": "tile"}

    def encode(self, image: SlideImage, job: Job, keeping: Keeping | None, shown: Any) -> NDArray[np.float32]:
        """(t, d) features."""
        return encode_places(
            image,
            self.tiles,
            job.encoder,
            pooled=self.pooled,
            batch_size=job.batch_size,
            skip_glass=job.skip_glass,
            keeping=keeping,
            bar=shown,
        )

    def parts(self, image: SlideImage, job: Job) -> list[Part]:
        """Rows of the features, and the work that makes them; tiles that lie together are in one part.

        Where the image is looked at as a whole there is one part: others would filter the same pixels again.
        """
        if self.pooled:
            return [(np.arange(len(self.tiles)), self)]
        card = job.encoder.card
        order = TileReads.of(image, self.tiles, card.input_px).order
        return [(rows, TileWork(Tiles(self.tiles.centers[rows], self.tiles.size_px))) for rows in _cut(order)]


@dataclass(frozen=True, eq=False)
class PatchWork:
    """Tiles to encode whose patches are pooled at places.

    Attributes
    ----------
    plan
        Which tile serves which places.
    """

    plan: TokenPlan

    def looks(self, job: Job) -> dict[str, Any]:
        """Of a bar."""
        return {"total": len(self.plan.owner), "unit": "spot"}

    def encode(self, image: SlideImage, job: Job, keeping: Keeping | None, shown: Any) -> NDArray[np.float32]:
        """(n, d) features of the places."""
        encoder, plan = job.encoder, self.plan
        if not isinstance(encoder, TokenEncoder):
            msg = f"Encoder {encoder.card.name!r} has no features of patches."
            raise TypeError(msg)
        reads = TileReads.of(image, plan.tiles, encoder.card.input_px)
        of = (reads.boxes, reads.levels, reads.order, plan.offsets, plan.owner, plan.reach, job.skip_glass)
        out: NDArray[np.float32] | None = None
        proof = Proof(partial(_again, plan, reads, encoder, job), plan.order(reads.order))
        with nullcontext() if keeping is None else keeping.work(encoder, "patches", *of, proof=proof) as kept:
            for rows, values in _pooled(plan, reads, encoder, job, kept):
                if out is None:
                    out = np.empty((len(plan.owner), values.shape[1]), dtype=np.float32)
                out[rows] = values
                shown.update(len(rows))
        return np.empty((0, encoder.card.token_dim or 0), dtype=np.float32) if out is None else out

    def parts(self, image: SlideImage, job: Job) -> list[Part]:
        """Rows of the features, and the work that makes them; tiles that lie together are in one part."""
        plan = self.plan
        found: list[Part] = []
        for tiles in _cut(TileReads.of(image, plan.tiles, job.encoder.card.input_px).order):
            number = np.full(len(plan.tiles), -1)
            number[tiles] = np.arange(len(tiles))
            rows = np.flatnonzero(number[plan.owner] >= 0)
            own = Tiles(plan.tiles.centers[tiles], plan.tiles.size_px)
            part = TokenPlan(own, number[plan.owner[rows]], plan.offsets[rows], plan.side, plan.reach)
            found.append((rows, PatchWork(part)))
        return found


Part = tuple[NDArray[np.int64], TileWork | PatchWork]
"""Rows of the features of the whole, and the work that makes them."""


def _cut(order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [order[first : first + _TILES] for first in range(0, max(len(order), 1), _TILES)]


def _pooled(
    plan: TokenPlan, reads: TileReads, encoder: TokenEncoder, job: Job, kept: KeptBatches | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Spots and their features: those that are kept from before, then those that are made."""
    tiles_done = np.zeros(len(plan.tiles), dtype=bool)
    for rows, values in () if kept is None else kept.done():
        tiles_done[plan.owner[rows]] = True
        yield rows, values
    start = int(tiles_done.sum())  # they were read in this order
    read = partial(TileReads.batches, reads, job.batch_size or FIRST_BATCH, start=start)
    for rows, values in pooled_tokens(plan, lambda _: read(), encoder, skip_glass=job.skip_glass):
        if kept is not None:
            kept.add(rows, values)
        yield rows, values


def _again(
    plan: TokenPlan, reads: TileReads, encoder: TokenEncoder, job: Job, numbers: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Features of some of the spots."""
    tiles = np.unique(plan.owner[numbers])
    few = replace(reads, order=tiles)
    batches = pooled_tokens(plan, lambda _: few.batches(len(tiles)), encoder, skip_glass=job.skip_glass)
    rows, values = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    place = np.argsort(rows)
    return values[place[np.searchsorted(rows, numbers, sorter=place)]]
