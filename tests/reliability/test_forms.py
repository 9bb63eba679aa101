"""Values in whatever form an object keeps them, a small part with a fixed seed; and that the campaign would see a fault."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

CAMPAIGN = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability" / "forms.py"
if not CAMPAIGN.is_file():
    pytest.skip("the campaign is in a clone, not in the package", allow_module_level=True)
sys.path.insert(0, str(CAMPAIGN.parent))
pytest.importorskip("dask.array")
pytest.importorskip("xarray")
# by its path: the tests of the contract have helpers of that name
spec = importlib.util.spec_from_file_location("campaign_of_forms", CAMPAIGN)
forms = sys.modules["campaign_of_forms"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(forms)


def test_forms_at_random():
    failures, came = forms.run(8, 2026, progress=False)
    assert failures == []
    assert sum(count for what, count in came.items() if what.startswith("refused")) == 8


def test_the_campaign_sees_values_of_other_spots(monkeypatch):
    shifted = {"turned": lambda values, _: values[::-1]}
    monkeypatch.setattr(forms, "ROWS", shifted)
    with pytest.raises(AssertionError, match="predictions differ"):
        for case in range(5):
            forms.check_same(np.random.default_rng(case))
