"""Steps over spots: every spot once an epoch, no step of a single one."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.models.published._steps import EpochPlan, plan_epoch


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("batch_size", [None, 2, 5, 100])
def test_every_spot_once_an_epoch(mixed, batch_size):
    sizes = [7, 11, 4]
    steps = plan_epoch(sizes, batch_size, mixed=mixed, rng=np.random.default_rng(0))
    shown = sorted((slide, row) for step in steps for slide, rows in step for row in rows)
    assert shown == [(slide, row) for slide, size in enumerate(sizes) for row in range(size)]


@pytest.mark.parametrize("n", range(2, 30))
def test_no_step_of_a_single_spot(n):
    for batch_size in (2, 3, 7):
        steps = plan_epoch([n], batch_size, mixed=True, rng=np.random.default_rng(n))
        assert min(sum(rows.size for _, rows in step) for step in steps) >= 2


def test_only_mixing_networks_see_several_slides_in_a_step():
    rng = np.random.default_rng(0)
    assert any(len(step) > 1 for step in plan_epoch([20, 20], 8, mixed=True, rng=rng))
    assert all(len(step) == 1 for step in plan_epoch([20, 20], 8, mixed=False, rng=rng))


def test_an_epoch_depends_on_seed_and_number_alone():
    def order(seed, epoch):
        plan = EpochPlan([30], 4, mixed=False, seed=seed)
        plan.set_epoch(epoch)
        return [step[0][1].tolist() for step in plan]

    assert order(0, 2) == order(0, 2)
    assert order(0, 2) != order(0, 3)
    assert order(0, 2) != order(1, 2)
