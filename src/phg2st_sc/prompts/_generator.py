"""The random generator that draws the prompts of a slide."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def generator_of(seed: int, name: str) -> np.random.Generator:
    """Return a generator that depends on the seed and on the name of the slide, so that no slide moves another's prompts."""
    return np.random.default_rng([int(seed), crc32(name.encode())])
