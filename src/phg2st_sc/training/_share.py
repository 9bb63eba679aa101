"""Steps of an epoch shared by several processes: each step of all together takes what one process would take in a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from torch.utils.data import Sampler

_T = TypeVar("_T")


class Share(Sampler[_T]):
    """Every so-manieth of what a sampler draws; all processes draw equally many, the last ones from the beginning again.

    Parameters
    ----------
    whole
        Draws the same in all processes.
    number, processes
        Which of how many processes this is.
    """

    def __init__(self, whole: Any, number: int, processes: int) -> None:
        self.whole, self.number, self.processes = whole, number, processes

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        if hasattr(self.whole, "set_epoch"):
            self.whole.set_epoch(epoch)

    def __len__(self) -> int:
        return (len(self.whole) + self.processes - 1) // self.processes

    def __iter__(self) -> Iterator[_T]:
        drawn = list(self.whole)
        for place in range(self.number, len(self) * self.processes, self.processes):
            yield drawn[place % len(drawn)]


def shared(whole: Any, trainer: Any) -> Any:
    """A sampler as a process of a trainer draws from it; the sampler itself where there is one process."""
    if trainer is None or trainer.world_size == 1:
        return whole
    return Share(whole, trainer.global_rank, trainer.world_size)
