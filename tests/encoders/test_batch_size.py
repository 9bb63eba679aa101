"""The number of tiles handed to an encoder at a time: as asked for, or grown while that pays."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from phg2st_sc._image import TileReads, Tiles, open_image
from phg2st_sc.encoders._batch_size import BatchSize


def _sizes(size, cost, calls=8):
    """Sizes of successive calls on a device where a call of n tiles takes ``cost(n)`` seconds."""
    sizes = []
    for _ in range(calls):
        sizes.append(size())
        size.took(size(), cost(size()))
    return sizes


def _on(device):
    return SimpleNamespace(device=SimpleNamespace(type=device))


def _half_full_at_256(n):
    return max(n, 256) * 1e-3 + n * 1e-4


def test_it_grows_on_a_device_while_that_makes_tiles_cheaper():
    assert _sizes(BatchSize(_on("cuda"), None), _half_full_at_256) == [64, 128, 256, 512, 256, 256, 256, 256]


def test_it_stops_at_the_most_that_a_network_takes():
    assert max(_sizes(BatchSize(_on("cuda"), None), lambda n: 1.0)) == 1024


@pytest.mark.parametrize("encoder", [_on("cpu"), object()])
def test_a_processor_keeps_to_one_size_and_so_to_its_bits(encoder):
    assert set(_sizes(BatchSize(encoder, None), lambda n: 1.0)) == {64}


def test_a_number_is_kept_to():
    assert set(_sizes(BatchSize(_on("cuda"), 10), lambda n: 1.0)) == {10}


def test_batches_that_were_read_before_the_last_change_say_nothing():
    size = BatchSize(_on("cuda"), None)
    size.took(64, 1.0)
    size.took(64, 0.001)
    assert size() == 128


def test_reading_follows_the_size_and_misses_no_tile(rng):
    image = open_image(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8))
    reads = TileReads.of(image, Tiles(rng.uniform(0, 300, (40, 2)), 20.0), 20)
    sizes = iter([4, 8, 16, 32])
    batches = [index for index, _ in reads.batches(lambda: next(sizes))]
    assert [len(index) for index in batches] == [4, 8, 16, 12]
    np.testing.assert_array_equal(np.concatenate(batches), reads.order)
