"""Time and memory of a prediction, said beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc.models import METHODS, Costs, Prediction, Sizes, _costs, costs_of
from phg2st_sc.tl import _memory


def simulated(**settings):
    adata = phg2st.datasets.simulate(**{"n_spots": 120, "n_genes": 60, "image": False, "progress": False} | settings)
    phg2st.pp.sample_prompts(adata, fraction=0.2)
    return adata


def test_one_row_a_slide_with_its_sizes():
    two = phg2st.datasets.simulate(n_slides=2, n_spots=80, n_genes=50, image=False, progress=False)
    import anndata

    both = anndata.concat(two, label="slide", index_unique="-")
    both.obs["prompt"] = np.arange(160) % 4 == 0
    found = phg2st.tl.estimate(both, method="kriging", slide_key="slide")
    assert list(found.index) == list(two)
    assert found["n_spots"].tolist() == [80, 80]
    assert found["n_prompts"].tolist() == [20, 20]
    assert found["n_genes"].tolist() == [50, 50]
    assert (found["peak_gb"] > 0).all()
    assert found["peak_gb"].iloc[1] > found["peak_gb"].iloc[0]  # the result of the first is kept
    assert found["fits"].all()


def test_the_panel_of_the_slide_or_of_the_model_counts():
    adata = simulated()
    adata.var["phg2st_panel"] = np.arange(60) < 20
    assert phg2st.tl.estimate(adata, method="idw")["n_genes"].item() == 20
    model = phg2st.tl.train(
        {"A": simulated(seed=1), "B": simulated(seed=2)}, method="kriging", genes=list(adata.var_names[:30])
    )
    assert phg2st.tl.estimate(adata, model=model)["n_genes"].item() == 30


def test_no_expression_is_read():
    adata = simulated()
    expected = phg2st.tl.estimate(adata, method="kriging")
    adata.X = np.full(adata.shape, np.nan, dtype=np.float32)
    found = phg2st.tl.estimate(adata, method="kriging")
    assert found["peak_gb"].item() == expected["peak_gb"].item()


def test_more_of_anything_takes_more():
    def of(**sizes):
        base = {"n_spots": 5000, "n_prompts": 500, "n_genes": 700, "n_shown": 700, "n_features": 64}
        return Sizes(**base | sizes)

    for name in ("kriging", "gene_kriging", "image_ridge", "space_image_kriging", "phg2st"):
        costs = costs_of(METHODS[name]())
        for more in ({"n_spots": 50_000}, {"n_genes": 7000, "n_shown": 7000}, {"n_prompts": 5000}):
            assert costs.seconds_of(of(**more)) > costs.seconds_of(of())
            assert costs.bytes_of(of(**more)) >= costs.bytes_of(of())
        # no less than the result itself, and no denser matrix of spots
        assert 0.8 * 4 * 600_000 * 700 < costs.bytes_of(of(n_spots=600_000, n_prompts=60_000)) < 20 * 2**30
        assert costs.seconds_of(of(n_spots=1_000_000, n_prompts=10_000)) < 15 * costs.seconds_of(
            of(n_spots=100_000, n_prompts=10_000)
        )


def test_sums_of_terms_by_hand():
    sizes = Sizes(n_spots=10, n_prompts=4, n_genes=3, n_shown=2, n_features=5)
    assert (
        Costs({}, {"call": 7.0, "spots x genes returned": 2.0, "prompts x genes": 1.0}).bytes_of(sizes) == 7 + 40 + 12
    )
    assert Sizes(10, 2000, 3, 3).terms()["blocks"] == 2000
    assert Sizes(10, 1500, 3, 3).terms()["blocks"] == 0


def test_networks_that_are_averaged_in_take_longer_where_they_have_a_say():
    pytest.importorskip("torch")
    from phg2st_sc.models.phg2st.network import model

    assert _costs._PROMPTS_OF_NETWORKS == model._MOST_PROMPTS
    alone, helped = METHODS["phg2st"](), METHODS["phg2st"]()
    for one in (alone, helped):
        one.genes = ("a",)
    helped._member = object()
    sizes = Sizes(n_spots=10_000, n_prompts=500, n_genes=100, n_shown=100, n_features=64)
    added = {
        name: costs_of(helped).seconds_of(one) / costs_of(alone).seconds_of(one)
        for name, one in {
            "image": sizes,
            "none": replace(sizes, n_features=0),
            "many": replace(sizes, n_prompts=1001),
        }.items()
    }
    assert added["image"] > 1.2
    assert added["none"] == added["many"] == 1.0
    helped.without = ("network",)
    assert costs_of(helped) == costs_of(alone)


def test_what_was_not_measured():
    unmeasured = {name for name, method in METHODS.items() if costs_of(method()) is None}
    slow, with_tiles_around, trained_alone = {"hggep", "hist2st"}, {"triplex"}, {"phg2st_paper"}
    assert unmeasured <= slow | with_tiles_around | trained_alone


def test_a_method_that_nobody_measured(monkeypatch):
    class Own(METHODS["prompt_mean"]):
        name = "own"

    monkeypatch.setitem(METHODS, "own", Own)
    with pytest.raises(KeyError, match=r"Nothing was measured of 'own'; known are: .*Try it on a part"):
        phg2st.tl.estimate(simulated(), method="own")


def test_networks_of_another_size_or_training_are_not_known():
    told = ({"preset": "paper"}, {"max_epochs": 3}, {"network": {"hidden": 8}})
    assert costs_of(METHODS["bleep"](seed=3)) is not None
    for settings in told:
        assert costs_of(METHODS["bleep"](**settings)) is None
    message = (
        r"Nothing was measured of 'bleep with max_epochs=3'; .*'bleep', .*untrained, with the settings .* by default"
    )
    with pytest.raises(KeyError, match=message):
        phg2st.tl.estimate(simulated(), method="bleep", max_epochs=3)
    for name in ("hggep", "hist2st", "triplex"):
        with pytest.raises(KeyError, match=f"Nothing was measured of '{name}'; .*Try it on a part"):
            phg2st.tl.estimate(simulated(), method=name)


def test_a_word_before_a_prediction_that_will_not_fit(monkeypatch):
    adata = simulated()
    monkeypatch.setattr(_memory, "free_memory", lambda: 1000.0)
    with pytest.warns(
        UserWarning, match=r"\(120 spots, 24 prompts, \d+ genes\) will take about .* GB are free.*select_genes"
    ):
        phg2st.tl.predict(adata, method="kriging", progress=False)
    assert not phg2st.tl.estimate(adata, method="kriging")["fits"].any()


def test_nothing_is_said_where_it_fits_or_nothing_is_known(monkeypatch, recwarn):
    class Own(METHODS["prompt_mean"]):
        name = "own"

        def predict(self, slide, prompts):
            return Prediction(np.zeros((slide.n_spots, prompts.n_genes), dtype=np.float32))

    monkeypatch.setitem(METHODS, "own", Own)
    adata = simulated()
    phg2st.tl.predict(adata, method="kriging", progress=False)
    monkeypatch.setattr(_memory, "free_memory", lambda: 1000.0)
    phg2st.tl.predict(adata, method="own", progress=False)
    assert not [one for one in recwarn if "will take about" in str(one.message)]


def test_arguments():
    with pytest.raises(ValueError, match="pass one of the two"):
        phg2st.tl.estimate(simulated(), method="kriging", model="folder")
    with pytest.raises(KeyError, match="nothing_like_it"):
        phg2st.tl.estimate(simulated(), method="kriging", prompt_mask="nothing_like_it")
