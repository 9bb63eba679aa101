"""Bad input: its own clear error, and nothing changed."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st


@pytest.fixture
def refused(snapshot, unchanged):
    """Run a call that must fail with this error, and check that the object is as it was."""

    def check(error, match, adata, run=phg2st.tl.impute, **arguments):
        before = snapshot(adata)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(error, match=match) as caught:
                run(adata, **arguments)
        after = snapshot(adata)
        unchanged(before, after)
        assert set(before) == set(after)
        return str(caught.value)

    return check


def _put(adata, value, *, prompted, layer=None):
    """A value into the first prompted, or unprompted, spot."""
    row = np.flatnonzero(adata.obs["prompt"].to_numpy() == prompted)[0]
    dense = adata.X.toarray().astype(np.float64)
    dense[row, 2] = value
    if layer is None:
        adata.X = sparse.csr_matrix(dense)
    else:
        adata.layers[layer] = dense
    return adata.obs_names[row]


# --- counts -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "said"),
    [(-1.0, "negative value -1"), (np.nan, "NaN"), (np.inf, "infinite"), (1.5, "1.5, not an integer")],
)
@pytest.mark.parametrize("layer", [None, "raw"])
def test_values_that_are_no_counts(adata, refused, value, said, layer):
    spot = _put(adata, value, prompted=True, layer=layer)
    message = refused(ValueError, said, adata, counts_layer=layer)
    assert repr(spot) in message
    assert repr(adata.var_names[2]) in message
    with pytest.raises(ValueError, match=said):
        phg2st.tl.predict(adata, counts_layer=layer, method="idw")


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, 1.5])
def test_unprompted_values_are_nobodys_business(adata, value):
    _put(adata, value, prompted=False)
    phg2st.tl.impute(adata, method="idw")
    assert np.isfinite(adata.layers["idw"][:, adata.var["idw_predicted"]]).all()


def test_normalized_values_name_the_layer(adata, refused):
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray())
    message = refused(ValueError, "counts_layer=", adata)
    assert "'counts'" in message
    refused(KeyError, "no layer 'count'.*'counts'", adata, counts_layer="count")


def test_empty_prompts_are_dropped_with_a_warning(adata):
    row = np.flatnonzero(adata.obs["prompt"])[0]
    dense = adata.X.toarray()
    dense[row] = 0
    adata.X = sparse.csr_matrix(dense)
    with pytest.warns(UserWarning, match="1 of 24 prompts have no counts"):
        phg2st.tl.impute(adata, method="kriging")
    assert adata.obs["kriging_prompt"].iloc[row]
    dense[adata.obs["prompt"]] = 0
    adata.X = sparse.csr_matrix(dense)
    with pytest.raises(ValueError, match="None of the 24 prompts has a single count"):
        phg2st.tl.impute(adata, method="kriging")


# --- masks ------------------------------------------------------------------------------------------------------------
def test_masks_that_do_not_fit(adata, refused):
    mask = adata.obs["prompt"].to_numpy()
    refused(ValueError, "119 values, but the table has 120 rows", adata, prompt_mask=mask[:-1])
    refused(TypeError, "int64, not bool.*isin", adata, prompt_mask=np.flatnonzero(mask))
    refused(TypeError, "float64, not bool", adata, prompt_mask=mask.astype(float))
    renamed = pd.Series(mask, index=[f"x{name}" for name in adata.obs_names])
    refused(ValueError, "does not fit obs_names", adata, prompt_mask=renamed)
    refused(KeyError, r"no obs\['measured'\].*prompt", adata, prompt_mask="measured")
    refused(ValueError, "none of the 120 spots", adata, prompt_mask=np.zeros(120, dtype=bool))
    del adata.obs["prompt"]
    refused(KeyError, r"no obs\['prompt'\].*sample_prompts", adata)


def test_too_few_prompts(adata, refused):
    for method, fewest in (("kriging", 3), ("gene_kriging", 6), ("image_ridge", 4), ("space_image_kriging", 3)):
        mask = np.zeros(120, dtype=bool)
        mask[: fewest - 1] = True
        message = refused(
            ValueError, f"{method!r} needs at least {fewest} prompts", adata, prompt_mask=mask, method=method
        )
        assert f"has {fewest - 1}:" in message
        mask[fewest - 1] = True
        phg2st.tl.predict(adata, prompt_mask=mask, method=method)


@pytest.mark.parametrize("n_prompts", [1, 2, 3, 4, 5])
def test_the_default_copes_with_a_handful(adata, n_prompts):
    mask = np.zeros(120, dtype=bool)
    mask[10 : 10 + n_prompts] = True
    phg2st.tl.impute(adata, prompt_mask=mask)
    assert np.isfinite(adata.layers["phg2st"][:, adata.var["phg2st_predicted"]]).all()


def test_all_spots_prompted(adata, trained):
    mask = np.ones(120, dtype=bool)
    phg2st.tl.impute(adata, prompt_mask=mask, method="kriging")
    phg2st.tl.impute(adata, prompt_mask=mask, model=trained["kriging"], key_added="fitted")
    assert adata.obs["fitted_prompt"].all()
    with pytest.raises(ValueError, match="nothing is held out"):
        phg2st.tl.evaluate(adata, layer="kriging")


# --- tables -----------------------------------------------------------------------------------------------------------
def test_duplicate_names(adata, refused):
    adata.obs_names = [adata.obs_names[0], adata.obs_names[0], *adata.obs_names[2:]]
    refused(ValueError, "obs_names.*more than once.*obs_names_make_unique", adata)
    adata.obs_names_make_unique()
    adata.var_names = [adata.var_names[1], *adata.var_names[1:]]
    refused(ValueError, "var_names.*more than once.*var_names_make_unique", adata)


def test_a_view(adata):
    with pytest.raises(ValueError, match=r"view.*copy\(\)"):
        phg2st.tl.impute(adata[:60])


def test_no_places(adata, refused):
    places = adata.obsm.pop("spatial")
    refused(KeyError, r"obsm\['spatial'\] is missing", adata)
    adata.obsm["spatial"] = np.zeros_like(places)
    refused(ValueError, "distinct", adata)
    places[7] = np.nan
    adata.obsm["spatial"] = places
    message = refused(ValueError, "1 spot.*NaN or infinite", adata)
    assert repr(adata.obs_names[7]) in message


def test_something_else(adata):
    with pytest.raises(TypeError, match="AnnData or SpatialData, got pandas"):
        phg2st.tl.impute(adata.obs)


def test_no_counts_at_all(adata, refused):
    adata.X = None
    with pytest.raises(ValueError, match="no X.*counts_layer="):
        phg2st.tl.impute(adata)


def test_key_that_cannot_be_stored(adata, refused):
    refused(ValueError, "must not be empty, hold '/'", adata, key_added="a/b", method="idw")


def test_write_of_an_anndata(adata, refused):
    refused(ValueError, "write_h5ad", adata, write=True, method="idw")


# --- methods and models -----------------------------------------------------------------------------------------------
def test_unknown_method(adata, refused):
    assert "did you mean 'kriging'" in refused(KeyError, "no method 'krigging'", adata, method="krigging")
    assert "Available:" in refused(KeyError, "no method 'xyz'", adata, method="xyz")
    with pytest.raises(KeyError, match="did you mean 'gene_kriging'"):
        phg2st.tl.train([adata], method="gene-kriging", progress=False)


def test_unknown_setting(adata, refused, trained):
    refused(
        TypeError,
        "'idw' has no setting 'lenght_scale'; it has: n_neighbors, power",
        adata,
        method="idw",
        lenght_scale=3,
    )
    refused(TypeError, "cannot be set on a trained model", adata, model=trained["kriging"], length_scale=3)
    with pytest.raises(TypeError, match="'kriging' has no setting 'power'; it has: length_scale, ratio, seed"):
        phg2st.tl.train([adata], method="kriging", power=2, progress=False)


def test_model_and_method(adata, refused, trained):
    refused(ValueError, "Both `model` and `method='idw'`", adata, model=trained["kriging"], method="idw")


def test_model_of_another_kind(adata, refused):
    refused(TypeError, "`model`.*int", adata, model=3)
    refused(FileNotFoundError, "holds no saved model", adata, model="nowhere")


def test_untrained_model(adata, refused):
    """A method object that was never trained predicts in its single-slide form, like its name."""
    one = phg2st.tl.predict(adata, model=phg2st.models.Kriging(length_scale=2.0)).X
    np.testing.assert_array_equal(one, phg2st.tl.predict(adata, method="kriging", length_scale=2.0).X)


def test_a_class_or_an_object_in_place_of_a_name(adata, refused):
    known = phg2st.models.IDW
    refused(TypeError, "the class IDW. Write its name, 'idw'", adata, method=known)
    refused(TypeError, "an object of IDW. Write its name, 'idw'.*`model=`", adata, method=known())
    refused(TypeError, "e.g. 'kriging', not 3", adata, method=3)
    refused(TypeError, "`model=IDW` is the class of a method: pass `method='idw'`", adata, model=known)


def test_genes_the_model_needs_are_missing(adata, trained):
    short = adata[:, 25:].copy()
    with pytest.raises(KeyError, match="trained on 40 genes, and only 15 of them are in var_names"):
        phg2st.tl.impute(short, model=trained["kriging"])


def test_genes_asked_for(adata, refused, trained):
    known = adata.var_names[0]
    for choice in ({"method": "kriging"}, {"model": trained["kriging"]}):
        refused(KeyError, "NOSUCH", adata, genes=[known, "NOSUCH"], **choice)
        refused(ValueError, "more than once", adata, genes=[known, known], **choice)
        refused(TypeError, "list of names", adata, genes=known, **choice)
        refused(ValueError, "empty", adata, genes=[], **choice)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf])
def test_target_sum(adata, refused, value):
    refused(ValueError, "target_sum=.* must be a number above 0", adata, method="idw", target_sum=value)


def test_nothing_to_predict_from(adata, refused):
    few = adata[:, :1].copy()
    refused(ValueError, "predictions need two", few, method="kriging")


# --- features ---------------------------------------------------------------------------------------------------------
def test_method_that_needs_an_image(make_section, refused, trained):
    adata = make_section(image=False)
    for choice in ({"method": "image_ridge"}, {"model": trained["space_image_kriging"]}):
        refused(ValueError, "needs image features.*extract_embeddings", adata, **choice)


def test_several_embeddings(adata, refused, give_features):
    give_features(adata, key="X_uni", encoder="uni")
    refused(ValueError, "Several embeddings.*use_rep=", adata)
    phg2st.tl.impute(adata, use_rep="X_uni")
    assert adata.uns["phg2st"]["use_rep"] == "X_uni"
    refused(KeyError, r"No embeddings in obsm\['X_unii'\]", adata, use_rep="X_unii")


def test_a_model_takes_its_own_features_of_several(adata, trained, give_features):
    expected = phg2st.tl.predict(adata, model=trained["image_ridge"]).X
    give_features(adata, key="X_uni", encoder="uni", seed=8)
    np.testing.assert_array_equal(phg2st.tl.predict(adata, model=trained["image_ridge"]).X, expected)


@pytest.mark.parametrize("name", ["image_ridge", "phg2st", "phg2st_paper"])
@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"encoder": "uni"}, "'uni'.*'texture'"),
        ({"tile_um": 56.0}, "56.0.*112.0"),
        ({"revision": "2"}, "'2'.*'1'"),
    ],
)
def test_features_of_another_kind(adata, refused, trained, give_features, record, said, name):
    """They may be as wide as those of training: without the record nobody would notice."""
    give_features(adata, **record)
    message = refused(ValueError, said, adata, model=trained[name])
    assert "extract_embeddings(data, encoder='texture', tile_um=112)" in message
    refused(ValueError, said, adata, model=trained[name], use_rep="X_texture")


@pytest.mark.parametrize("name", ["image_ridge", "phg2st", "phg2st_paper"])
def test_features_of_another_width(adata, refused, trained, name):
    adata.obsm["X_texture"] = adata.obsm["X_texture"][:, :9]
    refused(ValueError, "has 9 features, and.*trained on 16 features", adata, model=trained[name])


def test_features_with_gaps(adata, refused):
    adata.obsm["X_texture"][5] = np.nan
    message = refused(ValueError, "not finite at 1 spots.*leave these spots out.*extract_embeddings", adata)
    assert adata.obs_names[5] in message


# --- training ---------------------------------------------------------------------------------------------------------
def test_training_on_what_is_no_cohort(training, snapshot, unchanged):
    before = {name: snapshot(a) for name, a in training.items()}
    first = next(iter(training.values()))
    bad = first.copy()
    bad.X = np.log1p(bad.X.toarray())
    strange = first.copy()
    strange.var_names = [f"ENSG{i}" for i in range(strange.n_vars)]
    for error, match, datas, settings in (
        (ValueError, "empty", [], {}),
        (ValueError, "more than once in `adatas`", [first, first], {}),
        (ValueError, "not an integer", [bad], {}),
        (ValueError, "share 0 genes.*symbols or Ensembl", [first, strange], {}),
        (KeyError, "NOSUCH", training, {"genes": ["NOSUCH", first.var_names[0]]}),
        (TypeError, "learns nothing from a cohort", training, {"method": "idw"}),
        (KeyError, "no layer", training, {"counts_layer": "raw"}),
        (KeyError, "batch.*is no column", training, {"slide_key": "batch"}),
        (KeyError, "No embeddings in obsm", training, {"use_rep": "X_uni"}),
    ):
        with pytest.raises(error, match=match):
            phg2st.tl.train(datas, **{"method": "kriging", "progress": False, **settings})
    for name, adata in training.items():
        unchanged(before[name], snapshot(adata))
        assert set(before[name]) == set(snapshot(adata))


def test_training_on_different_features(training, give_features):
    first, second, _ = (a.copy() for a in training.values())
    give_features(second, encoder="uni")
    with pytest.raises(ValueError, match="embeddings of different kinds"):
        phg2st.tl.train([first, second], method="image_ridge", progress=False)


def test_training_without_an_image(make_section):
    with pytest.raises(ValueError, match="'image_ridge' needs image features, and none of the training slides"):
        phg2st.tl.train([make_section(image=False)], method="image_ridge", progress=False)


def test_training_reads_every_spot(training):
    adata = next(iter(training.values())).copy()
    phg2st.pp.sample_prompts(adata, fraction=0.1)
    _put(adata, np.nan, prompted=False)
    with pytest.raises(ValueError, match="NaN"):
        phg2st.tl.train([adata], method="kriging", progress=False)


def test_named_features_are_not_replaced_by_others(training, give_features):
    """A slide without the features that were asked for takes part without an image."""
    slides = [a.copy() for a in training.values()]
    for adata in slides[:2]:
        give_features(adata, key="X_uni", encoder="uni")
    model = phg2st.tl.train(slides, method="image_ridge", use_rep="X_uni", progress=False)
    assert model.card["features"]["encoder"] == "uni"
    assert model.card["n_spots"] == 360


# --- types of arguments -----------------------------------------------------------------------------------------------
def test_types_of_arguments_are_named(adata, refused):
    refused(
        TypeError,
        "`method` is the name of a method.*not an object of Kriging.*`model=`",
        adata,
        method=phg2st.models.Kriging(),
    )
    refused(TypeError, "`seed` is a whole number, not '3'", adata, seed="3")
    refused(ValueError, "seed=-1 must be 0 or more", adata, seed=-1)
    assert "did you mean 'kriging'" in refused(KeyError, "no method 'Kriging'", adata, method="Kriging")
    with pytest.raises(TypeError, match="`seed`"):
        phg2st.tl.train([adata], method="kriging", seed=1.5, progress=False)


@pytest.mark.parametrize(
    ("error", "method", "setting"),
    [
        (TypeError, "kriging", {"length_scale": "5"}),
        (ValueError, "kriging", {"length_scale": 0}),
        (ValueError, "kriging", {"length_scale": float("nan")}),
        (ValueError, "kriging", {"ratio": -1.0}),
        (TypeError, "idw", {"n_neighbors": 2.5}),
        (TypeError, "idw", {"n_neighbors": None}),
        (ValueError, "idw", {"n_neighbors": 0}),
        (ValueError, "image_ridge", {"n_components": -3}),
    ],
)
def test_settings_out_of_range_are_named(adata, refused, error, method, setting):
    refused(error, next(iter(setting)), adata, method=method, **setting)


def test_misspelled_arguments(adata, refused, trained):
    refused(TypeError, "impute has no argument 'prompts'; did you mean `prompt_mask`", adata, prompts="prompt")
    refused(
        TypeError, "impute has no argument 'gene'; did you mean `genes`", adata, model=trained["kriging"], gene=["a"]
    )
    refused(TypeError, "predict has no argument 'slidekey'", adata, run=phg2st.tl.predict, slidekey="slide")
    with pytest.raises(TypeError, match="train has no argument 'use_reps'; did you mean `use_rep`"):
        phg2st.tl.train([adata], method="kriging", use_reps="X_texture", progress=False)


def test_a_form_that_must_be_trained_is_named_with_its_settings(adata, refused):
    refused(
        ValueError,
        r"train\(slides, method='phg2st_paper', branches='spot'\)",
        adata,
        method="phg2st_paper",
        branches="spot",
    )


def test_a_patient_column_that_is_nowhere(make_section):
    slides = [make_section(image=False)]
    with pytest.raises(KeyError, match="No object has a column 'donor' in obs with the patient"):
        phg2st.tl.train(slides, method="gene_kriging", patient_key="donor", progress=False)
