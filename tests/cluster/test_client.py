"""What is no client is refused, before anything is done; sending has its limits."""

from __future__ import annotations

import os

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc import _cluster
from phg2st_sc._cluster import _client, run_tasks

LOOKS = {"what": "A test", "progress": False, "unit": "task"}


def test_what_is_no_client_is_named():
    with pytest.raises(TypeError, match=r"not a str: `distributed\.Client\(\)`"):
        phg2st.tl.benchmark([], client="tcp://here:8786")


def test_a_closed_client_is_refused():
    import distributed

    with distributed.Client(processes=False, dashboard_address=":0", n_workers=1) as opened:
        pass
    with pytest.raises(ValueError, match="closed: open one"):
        phg2st.tl.benchmark([], client=opened)


def test_what_is_too_large_is_refused_before_anything_is_sent(client, monkeypatch):
    monkeypatch.setattr(_client, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"A test 'one' would have to be sent.*`sdata\.write\(path\)`"):
        run_tasks(client, np.sum, {"one": (np.zeros(1000),)}, print, **LOOKS)


def test_errors_of_the_input_are_raised_as_they_are(client):
    with pytest.raises(KeyError, match="no such thing"):
        run_tasks(client, _missing, {"one": ("no such thing",), "two": ("no such thing",)}, print, **LOOKS)


def _missing(name: str) -> None:
    raise KeyError(name)


def test_other_errors_are_tried_again(client, tmp_path):
    came = {}
    run_tasks(client, _second_time, {"one": (tmp_path / "tried",)}, came.__setitem__, **LOOKS)
    assert came == {"one": "done"}


def _second_time(path) -> str:
    if not path.exists():
        path.touch()
        raise OSError("The file system is busy.")
    return "done"


def test_work_that_kills_every_worker_is_named(client):
    with pytest.raises(RuntimeError, match="Worker after worker died over 'the large one'.*Give workers more memory"):
        run_tasks(client, os._exit, {"the large one": (1,)}, print, **LOOKS)


def test_workers_may_be_threads_of_this_process():
    import distributed

    came = {}
    with distributed.Client(processes=False, dashboard_address=":0", n_workers=1, threads_per_worker=2) as opened:
        run_tasks(opened, _shared_once, {str(i): (i,) for i in range(4)}, came.__setitem__, shared=10, **LOOKS)
    assert came == {str(i): 10 + i for i in range(4)}


def _shared_once(shared: int, number: int) -> int:
    return shared + number


def test_a_few_tasks_are_sent_at_a_time(client, monkeypatch):
    came, ahead, order = {}, [], _cluster._tasks.Order

    def counted(*given):
        ahead.append(len(ahead) + 1 - len(came))
        return order(*given)

    monkeypatch.setattr(_cluster._tasks, "Order", counted)
    run_tasks(client, _shared_once, {str(i): (i,) for i in range(30)}, came.__setitem__, shared=10, **LOOKS)
    assert came == {str(i): 10 + i for i in range(30)}
    assert max(ahead) <= 2 * _cluster._tasks._AHEAD + 1  # two workers of one thread, and the result that is being taken
    assert len(ahead) == 30


def test_no_task_is_no_work(client):
    run_tasks(client, np.sum, {}, print, **LOOKS)


def test_software_must_be_the_same(client, monkeypatch):
    monkeypatch.setattr(_cluster._tasks, "Order", _another_version)
    with pytest.raises(RuntimeError, match="A worker has other software"):
        run_tasks(client, np.sum, {"one": (np.zeros(2),)}, print, **LOOKS)


def _another_version(payload: bytes, stop: str):
    from phg2st_sc._cluster._worker import Order

    return Order(payload, stop, {"phg2st-sc": "0.0.1"})
