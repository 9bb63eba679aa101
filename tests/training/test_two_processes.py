"""Two processes learn what one learns that takes as many slides to a step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from two_processes import learned

from phg2st_sc.training import shared
from phg2st_sc.training._run import machines_of_job
from phg2st_sc.training._share import Share

SCRIPT = Path(__file__).resolve().parents[1] / "helpers" / "two_processes.py"
HAS_GLOO = torch.distributed.is_available() and torch.distributed.is_gloo_available()


@pytest.mark.skipif(not HAS_GLOO, reason="this build of torch has no gloo, by which processes talk on a CPU")
def test_two_processes_equal_one_that_takes_two_slides_to_a_step(tmp_path):
    file = tmp_path / "learned.npz"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "2", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    two, one, other = np.load(file), learned(1, slides_a_step=2), learned(1)
    assert set(two.files) == set(one)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert np.abs(two["losses"] - other["losses"]).max() > 1e-3  # half as many steps of one slide each


@pytest.mark.parametrize(
    ("strategy", "environment", "expected"),
    [
        ("ddp", {}, 1),
        ("ddp", {"SLURM_PROCID": "0", "SLURM_NNODES": "4", "SLURM_NTASKS": "8"}, 4),
        ("ddp", {"SLURM_PROCID": "0", "SLURM_NNODES": "4", "SLURM_NTASKS": "1"}, 1),
        ("ddp", {"SLURM_NNODES": "4", "SLURM_NTASKS": "4"}, 1),
        ("auto", {"SLURM_PROCID": "0", "SLURM_NNODES": "4", "SLURM_NTASKS": "4"}, 1),
        ("ddp", {"GROUP_WORLD_SIZE": "2"}, 2),
    ],
)
def test_machines_of_a_job_are_counted_where_it_runs_on_all(strategy, environment, expected):
    assert machines_of_job(strategy, environment) == expected


class Order:
    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return 5

    def __iter__(self):
        yield from range(self.epoch, self.epoch + 5)


def test_a_share_is_every_second_and_all_are_equally_long():
    shares = [Share(Order(), number, 2) for number in (0, 1)]
    assert [list(one) for one in shares] == [[0, 2, 4], [1, 3, 0]]
    assert [len(one) for one in shares] == [3, 3]
    shares[1].set_epoch(10)
    assert list(shares[1]) == [11, 13, 10]


def test_one_process_draws_from_the_sampler_itself():
    order = Order()
    assert shared(order, None) is order
