"""Randomness of this package's own, that leaves the caller's generators as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_randomness(seed: int | None = None) -> Iterator[None]:
    """Draw from generators that are put back at the end, those of all GPUs too.

    Parameters
    ----------
    seed
        To seed them with; ``None`` where that is done within.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        if seed is not None:
            torch.manual_seed(seed)
        yield
