"""How an object is read: said once, kept with what was learned, and started from in later calls."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._reading import Reading


def moved_to_layer(adata):
    """The counts in a layer; X holds what they are not."""
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X) * 0.0 + 7.0
    return adata


def section(seed=0, **settings):
    settings = {"n_spots": 80, "n_genes": 24, "image": False, "progress": False} | settings
    adata = phg2st.datasets.simulate(seed=seed, **settings)
    phg2st.pp.sample_prompts(adata, fraction=0.3, seed=0)
    return adata


@pytest.fixture
def cohort():
    slides = phg2st.datasets.simulate(
        n_slides=2, n_patients=2, n_spots=80, n_genes=24, image=False, progress=False, seed=3
    )
    return {name: moved_to_layer(adata) for name, adata in slides.items()}


@pytest.fixture
def model(cohort):
    return phg2st.tl.train(cohort, method="kriging", counts_layer="counts", progress=False)


def test_a_model_reads_the_layer_that_it_was_trained_on(model):
    plain = section()
    expected = phg2st.tl.predict(plain, model=model, counts_layer="X").X
    layered = moved_to_layer(plain.copy())
    np.testing.assert_array_equal(phg2st.tl.predict(layered, model=model).X, expected)
    phg2st.tl.impute(layered, model=model)
    np.testing.assert_array_equal(layered.layers["kriging"], expected)


def test_a_model_refuses_an_object_without_its_layer_and_says_what_to_pass(model):
    plain = section()
    with pytest.raises(KeyError, match=r"trained with counts of layers\['counts'\].*counts_layer='X'"):
        phg2st.tl.impute(plain, model=model)
    assert "kriging" not in plain.layers


def test_the_words_of_the_call_win(model):
    adata = section()
    adata.layers["other"] = adata.X.copy()
    adata.layers["counts"] = adata.X.copy() * 0.0
    expected = phg2st.tl.predict(adata, model=model, counts_layer="X").X
    np.testing.assert_array_equal(phg2st.tl.predict(adata, model=model, counts_layer="other").X, expected)


def test_the_reading_survives_saving(model, tmp_path):
    loaded = phg2st.models.load(model.save(tmp_path / "model"))
    assert loaded.card["reading"] == {
        "counts_layer": "counts",
        "patient_key": "patient",
        "gex_only": True,
    }


def test_columns_that_an_object_lacks_are_passed_over(cohort):
    for name, adata in cohort.items():
        adata.obs["piece"] = name
    model = phg2st.tl.train(cohort, method="kriging", counts_layer="counts", slide_key="piece", progress=False)
    adata = section()
    assert phg2st.tl.predict(adata, model=model, counts_layer="X").n_obs == adata.n_obs


def test_a_prediction_is_scored_on_the_counts_that_it_was_made_from():
    adata = moved_to_layer(section())
    phg2st.tl.impute(adata, method="kriging", counts_layer="counts", key_added="out")
    told = phg2st.tl.evaluate(adata, layer="out", counts_layer="counts", n_splits=0)
    np.testing.assert_array_equal(phg2st.tl.evaluate(adata, layer="out", n_splits=0)["pcc"], told["pcc"])


def test_slides_of_a_prediction_are_told_apart_as_they_were():
    import anndata

    parts = {name: section(seed) for seed, name in enumerate("ab")}
    whole = anndata.concat(parts, label="piece", index_unique="-")
    phg2st.tl.impute(whole, method="kriging", slide_key="piece")
    scores = phg2st.tl.evaluate(whole, layer="kriging", n_splits=0)
    assert sorted(scores["section"].unique()) == ["a", "b"]


def test_a_card_without_a_reading_still_names_its_patients():
    from phg2st_sc.tl._predict_slides import reading_of

    assert Reading().after(reading_of({"patient_key": "patient"}), section(), of="The model was trained") == Reading(
        patient_key="patient", gex_only=False
    )


def test_what_was_said_is_kept_and_consent_is_not():
    assert Reading(use_rep="X_mine", trust_rep=True, gene_key="symbol", target_sum=1e4).as_record() == {
        "use_rep": "X_mine",
        "gex_only": True,
    }


@pytest.mark.parametrize(("old", "new"), [("datas", "adatas"), ("n_top", "n_top_genes")])
def test_old_names_of_parameters_work_with_one_warning_at_the_users_line(old, new):
    adata = section()
    values = {"adatas": adata, "n_top_genes": 5}
    values[old] = values.pop(new)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        phg2st.pp.select_genes(**values)
    renamed = [one for one in caught if issubclass(one.category, FutureWarning)]
    assert len(renamed) == 1
    assert f"`{new}=`" in str(renamed[0].message)
    assert renamed[0].filename == __file__


def test_a_prediction_in_a_spatialdata_is_found_and_scored_as_it_was_read():
    import spatial_elements as make
    from spatialdata import SpatialData
    from spatialdata.transformations import Identity, Scale

    ids = np.arange(64)
    twice = {"a": Identity(), "b": Identity()}
    sdata = SpatialData(
        images={"he": make.picture(120, 120, {"a": Identity(), "b": Scale([2.0, 2.0], axes=("x", "y"))})},
        shapes={"spots": make.circles(make.square(8, 10.0, 20.0), ids, transformations=twice)},
        tables={
            name: make.annotating({"spots": ids}, n_genes=8, seed=seed) for seed, name in enumerate(("first", "second"))
        },
    )
    for settings, said in (({}, "`table_key=`"), ({"table_key": "second"}, "`coordinate_system=`")):
        with pytest.raises(ValueError, match=said):
            phg2st.pp.sample_prompts(sdata, fraction=0.3, **settings)
    laid = {"table_key": "second", "coordinate_system": "a"}
    phg2st.pp.sample_prompts(sdata, fraction=0.3, **laid)
    phg2st.tl.impute(sdata, method="kriging", **laid)
    assert "kriging" not in sdata["first"].layers
    scores = phg2st.tl.evaluate(sdata, layer="kriging", n_splits=0)
    np.testing.assert_array_equal(scores["pcc"], phg2st.tl.evaluate(sdata, n_splits=0, **laid)["pcc"])


def test_systems_and_tables_of_a_spatialdata_are_said_to_every_function():
    from inspect import signature

    reading = ("table_key", "coordinate_system")
    for room, names in {phg2st.tl: phg2st.tl.__all__, phg2st.pp: phg2st.pp.__all__}.items():
        for name in names:
            if name in ("summarize_benchmark", "sample_mask", "nested_masks", "register_strategy", "learn_prior"):
                continue  # they take no object of places; a reference of single cells has none
            # to expand what is kept, and to rank genes, takes no places
            needed = {"table_key"} if name in ("expand", "reliable_genes") else set(reading)
            assert needed <= set(signature(getattr(room, name)).parameters), name
