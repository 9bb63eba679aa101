"""Steps over the spots of slides, for networks that predict from the image alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from ...training import shared
from ._network import SpotInputs, SpotTargets
from ._slides import SlideSource

Rows = NDArray[np.int64]
Plan = tuple[tuple[int, Rows], ...]
"""What a step shows: slides by number, and rows of each."""


@dataclass(frozen=True, eq=False)
class MeasuredSource:
    """A slide with what was measured on it.

    Attributes
    ----------
    source
        Image side.
    rows
        (m,) measured spots to train on, or to validate at.
    targets
        Of these rows, in their order.
    truth
        Validation only: (m, G) depth-free target.
    """

    source: SlideSource
    rows: Rows
    targets: SpotTargets
    truth: NDArray[np.float64] | None = None

    def to(self, device: Any) -> MeasuredSource:
        """The same: a slide is moved by parts, where it is predicted."""
        return self


@dataclass(frozen=True, eq=False)
class SpotStep:
    """Inputs and targets of one step."""

    inputs: SpotInputs
    targets: SpotTargets

    def to(self, device: Any) -> SpotStep:
        """The same on another device."""
        return SpotStep(self.inputs.to(device), self.targets.to(device))


def plan_epoch(sizes: Sequence[int], batch_size: int | None, *, mixed: bool, rng: np.random.Generator) -> list[Plan]:
    """Steps that show every spot once, in random order.

    Parameters
    ----------
    sizes
        MeasuredSpots spots of each slide; a plan counts within these.
    batch_size
        Spots of a step, about; ``None`` for a slide a step.
    mixed
        Whether a step takes spots of all slides; else those of one.
    rng
        Source of the order.
    """
    if not mixed or batch_size is None:
        steps: list[Plan] = [
            ((number, part),) for number, size in enumerate(sizes) for part in _parts(rng.permutation(size), batch_size)
        ]
        return [steps[i] for i in rng.permutation(len(steps))]
    slide = np.repeat(np.arange(len(sizes)), sizes)
    row = np.concatenate([np.arange(size) for size in sizes])
    parts = _parts(rng.permutation(slide.size), batch_size)
    return [tuple((int(s), row[part[slide[part] == s]]) for s in np.unique(slide[part])) for part in parts]


def _parts(order: Rows, batch_size: int | None) -> list[Rows]:
    """Parts of about equal size: a last one of a single spot would break batch normalisation."""
    n = 1 if batch_size is None else max(1, min(round(order.size / batch_size), order.size // 2))
    return [np.sort(part) for part in np.array_split(order, n)]


def make_step(slides: Sequence[MeasuredSource], plan: Plan) -> SpotStep:
    """Read what a plan shows."""
    inputs = [slides[number].source.inputs(slides[number].rows[places]) for number, places in plan]
    targets = [_rows_of(slides[number].targets, places) for number, places in plan]
    return SpotStep(_join_inputs(inputs), _join_targets(targets))


def _rows_of(targets: SpotTargets, places: Rows) -> SpotTargets:
    index = torch.from_numpy(places)
    return SpotTargets(targets.expression[index], targets.counts[index], targets.size_factors[index])


def _join_targets(parts: Sequence[SpotTargets]) -> SpotTargets:
    if len(parts) == 1:
        return parts[0]
    return SpotTargets(
        torch.cat([p.expression for p in parts]),
        torch.cat([p.counts for p in parts]),
        torch.cat([p.size_factors for p in parts]),
    )


def _join_inputs(parts: Sequence[SpotInputs]) -> SpotInputs:
    """Inputs of several slides, each of which holds its rows and no other spot."""
    if len(parts) == 1:
        return parts[0]

    def joined(name: str) -> torch.Tensor | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)

    positions = torch.cat([part.positions for part in parts])
    return SpotInputs(
        rows=torch.arange(len(positions)),
        positions=positions,
        grid=torch.cat([part.grid for part in parts]),
        patches=joined("patches"),
        features=joined("features"),
        context=joined("context"),
        context_mask=joined("context_mask"),
    )


class EpochPlan(Sampler[Plan]):
    """Steps of an epoch, drawn anew each epoch; resumed training meets those it would have met."""

    def __init__(self, sizes: Sequence[int], batch_size: int | None, *, mixed: bool, seed: int) -> None:
        self.sizes, self.batch_size, self.mixed, self.seed, self.epoch = list(sizes), batch_size, mixed, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._plans())

    def __iter__(self) -> Iterator[Plan]:
        yield from self._plans()

    def _plans(self) -> list[Plan]:
        rng = np.random.default_rng((self.seed, self.epoch))
        return plan_epoch(self.sizes, self.batch_size, mixed=self.mixed, rng=rng)


class _Steps(Dataset[SpotStep]):
    def __init__(self, slides: Sequence[MeasuredSource]) -> None:
        self.slides = list(slides)

    def __getitem__(self, plan: Plan) -> SpotStep:
        return make_step(self.slides, plan)


class _Slides(Dataset[MeasuredSource]):
    def __init__(self, slides: Sequence[MeasuredSource]) -> None:
        self.slides = list(slides)

    def __len__(self) -> int:
        return len(self.slides)

    def __getitem__(self, index: int) -> MeasuredSource:
        return self.slides[index]


class SpotData(L.LightningDataModule):
    """Steps to train on, slides to validate on.

    Parameters
    ----------
    training, validation
        Slides with what was measured; an empty validation set turns validation off.
    batch_size, mixed
        See :func:`plan_epoch`.
    seed
        Seed of the order.
    """

    def __init__(
        self,
        training: Sequence[MeasuredSource],
        validation: Sequence[MeasuredSource],
        *,
        batch_size: int | None,
        mixed: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.training, self.validation = _Steps(training), _Slides(validation)
        self._plan = EpochPlan([len(one.rows) for one in training], batch_size, mixed=mixed, seed=seed)

    def train_dataloader(self) -> DataLoader[SpotStep]:
        """Steps in random order."""
        steps = shared(self._plan, self.trainer)
        return DataLoader(self.training, batch_size=None, sampler=steps, num_workers=0)

    def val_dataloader(self) -> DataLoader[MeasuredSource] | list[DataLoader[MeasuredSource]]:
        """Validation slides in their order."""
        return DataLoader(self.validation, batch_size=None, num_workers=0) if len(self.validation) else []
