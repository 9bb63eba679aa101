"""Two workers on this machine."""

from __future__ import annotations

import dask
import pytest

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="session")
def client():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp://", memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as opened,
    ):
        yield opened
