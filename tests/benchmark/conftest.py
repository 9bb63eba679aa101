"""Sections of three patients, and methods that write down what they were given."""

from __future__ import annotations

import pytest
from spies import QUICK, Broken, Holder, Looks, Spy

import phg2st_sc as phg2st
from phg2st_sc.models import _registry


@pytest.fixture(scope="session")
def slides():
    return phg2st.datasets.simulate(
        n_slides=4, n_patients=3, n_spots=90, n_genes=40, depth=800.0, image=False, progress=False, seed=2
    )


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for made in (Spy, Broken, Looks, Holder):
        monkeypatch.setitem(_registry.METHODS, made.name, made)
    Spy.trained, Spy.asked, Looks.asked = [], [], []
    Holder.seen, Holder.alive = [], []


@pytest.fixture(scope="session")
def both_forms():
    slides = phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=80, n_genes=30, image=False, progress=False)
    table = phg2st.tl.benchmark(slides, methods=["kriging", "gene_kriging", "gene_kriging:section"], **QUICK)
    return slides, table
