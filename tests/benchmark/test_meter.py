"""Seconds and memory of a method."""

from __future__ import annotations

import json
import subprocess
import sys

from spies import QUICK, Holder, Spy

import phg2st_sc as phg2st


def test_imports_are_not_charged_to_the_first_method_that_needs_them(slides, tmp_path, monkeypatch):
    (tmp_path / "takes_long.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Spy, "slow_imports", ("takes_long",))
    monkeypatch.setattr(Spy, "fit", lambda self, slides: Spy.trained.append("takes_long" in sys.modules) or self)
    phg2st.tl.benchmark(slides, methods=["spy"], **QUICK)
    assert Spy.trained == [True] * 3


def test_a_fold_lets_go_of_what_it_read(slides):
    phg2st.tl.benchmark(slides, methods=["holder"], **QUICK)
    assert len(Holder.alive) == 3
    assert Holder.alive == [0, 0, 0]


_HOLDS_60_MB = """
import json, time
import numpy as np
from phg2st_sc._benchmark._meter import Meter
with Meter() as meter:
    block = np.ones(60_000_000 // 8)
    block.sum()
    time.sleep(0.1)
    del block
print(json.dumps(meter.record("x")))
"""


def test_meter_sees_memory_that_is_given_back():
    """In a process of its own: what other tests left in this one may be given back meanwhile."""
    done = subprocess.run([sys.executable, "-c", _HOLDS_60_MB], capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    assert record["x_peak_mb"] > 40
    assert record["x_gpu_mb"] == 0.0
    assert record["x_seconds"] >= 0.1
    assert record["x_cpu_seconds"] < record["x_seconds"] + 0.5
