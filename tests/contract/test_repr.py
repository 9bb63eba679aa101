"""How a method shows itself."""

from __future__ import annotations

import phg2st_sc as phg2st
from phg2st_sc import models


def test_settings_that_were_changed_are_shown():
    assert repr(models.Kriging()) == "Kriging()"
    assert repr(models.Kriging(length_scale=3.0, seed=0)) == "Kriging(length_scale=3.0)"
    assert all(repr(models.get_method(name)()).endswith("()") for name in models.methods())


def test_what_it_was_fitted_to_is_shown(tmp_path):
    slides = phg2st.datasets.simulate(
        n_slides=3, n_patients=2, n_spots=60, n_genes=20, image=False, progress=False, seed=0
    )
    model = phg2st.tl.train(slides, method="kriging", progress=False)
    patients = len({one.obs["patient"].iloc[0] for one in slides.values()})
    expected = f"Kriging() [method 'kriging', fitted: 20 genes, {len(slides)} slides, {patients} patients]"
    assert repr(model) == expected
    assert repr(models.load(model.save(tmp_path / "model"))) == expected
    model.card = {**model.card, "features": {"encoder": "uni"}}
    assert repr(model).endswith("features of 'uni']")
