"""Image features as objects hold them: the same predictions from every form, and clear errors for the rest."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc._reading import Reading, choose_rep, features_of

REP = "X_texture"
METHOD = "image_ridge"


@pytest.fixture
def own_training(training):
    """The training sections, to change."""
    return {name: one.copy() for name, one in training.items()}


FORMS = {
    "frame": lambda values, names: pd.DataFrame(values, index=names),
    "frame with integer columns out of order": lambda values, names: pd.DataFrame(
        values, index=names, columns=np.arange(values.shape[1])[::-1]
    ),
    "nullable frame": lambda values, names: pd.DataFrame(values, index=names).astype("Float32"),
    "csr": lambda values, _: sparse.csr_matrix(values),
    "csc": lambda values, _: sparse.csc_matrix(values),
    "csr array": lambda values, _: sparse.csr_array(values),
    "dask": lambda values, _: pytest.importorskip("dask.array").from_array(values, chunks=(50, 3)),
    "xarray": lambda values, _: pytest.importorskip("xarray").DataArray(values, dims=("obs", "feature")),
    "objects": lambda values, _: values.astype(object),
    "double": lambda values, _: values.astype(np.float64),
    "structured": lambda values, _: np.rec.fromarrays(values.T, names=[f"f{i}" for i in range(values.shape[1])]),
}


def test_predictions_are_the_same_from_every_form(adata):
    values, names = adata.obsm[REP], adata.obs_names
    expected = phg2st.tl.predict(adata, method=METHOD).X
    for form, make in FORMS.items():
        adata.obsm[REP] = make(values, names)
        np.testing.assert_array_equal(phg2st.tl.predict(adata, method=METHOD).X, expected, err_msg=form)


def test_a_model_learns_and_predicts_the_same_from_a_frame(adata, own_training):
    arrays = phg2st.tl.train(own_training, method=METHOD, progress=False)
    expected = phg2st.tl.predict(adata, model=arrays).X
    for one in (adata, *own_training.values()):
        one.obsm[REP] = pd.DataFrame(one.obsm[REP], index=one.obs_names)
    frames = phg2st.tl.train(own_training, method=METHOD, progress=False)
    assert frames.card["features"] == arrays.card["features"]
    np.testing.assert_array_equal(phg2st.tl.predict(adata, model=frames).X, expected)


def test_hypergraphs_are_the_same_from_a_frame(adata):
    phg2st.pp.build_hypergraph(adata, builder="feature")
    expected = adata.obsp["hypergraph_incidence"].toarray()
    adata.obsm[REP] = pd.DataFrame(adata.obsm[REP], index=adata.obs_names)
    phg2st.pp.build_hypergraph(adata, builder="feature")
    np.testing.assert_array_equal(adata.obsp["hypergraph_incidence"].toarray(), expected)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda v, n: v + 1j, TypeError, "complex"),
        (lambda v, n: v[:, :, None], ValueError, r"shape \(120, 16, 1\), where one row of numbers"),
        (lambda v, n: v[:, :0], ValueError, r"shape \(120, 0\)"),
        (
            lambda v, n: pd.DataFrame({"a": ["x"] * len(n)}, index=n),
            TypeError,
            r"columns that hold no real numbers \('a'\)",
        ),
    ],
    ids=["complex", "blocks", "no column", "words"],
)
def test_what_are_no_features_is_refused(adata, make, error, message):
    adata.obsm[REP] = make(adata.obsm[REP], adata.obs_names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (phg2st.tl.predict, phg2st.pp.build_hypergraph):
            with pytest.raises(error, match=message) as caught:
                call(adata)
            assert "obsm['X_texture']" in str(caught.value)


# --- gaps -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_spots_without_features_are_named_by_their_names(adata, value):
    adata.obsm[REP] = adata.obsm[REP].astype(np.float64)
    adata.obsm[REP][[7, 90], 3] = value
    part = adata[5:].copy()
    for one, row in ((adata, 7), (part, 2)):
        with pytest.raises(ValueError, match=r"not finite at 2 spots.*leave these spots out") as caught:
            phg2st.tl.predict(one)
        assert f"({one.obs_names[row]!r}, {adata.obs_names[90]!r})" in str(caught.value)
        assert "key_added='X_new'" in str(caught.value)


GAPPED = {
    **FORMS,
    "frame of objects": lambda values, names: pd.DataFrame(values, index=names).astype(object),
    "nullable frame": lambda values, names: pd.DataFrame(values, index=names).astype("Float32").mask(np.isnan(values)),
    "dask csr": lambda values, _: (
        pytest.importorskip("dask.array").from_array(values, chunks=(50, -1)).map_blocks(sparse.csr_matrix)
    ),
    "masked": lambda values, _: np.ma.masked_invalid(values),
    "too large": lambda values, _: np.where(np.isnan(values), 1e300, values),
}


@pytest.mark.parametrize("form", GAPPED)
@pytest.mark.parametrize("rows", [[7, 90], list(range(0, 120, 10))], ids=["few", "many"])
@pytest.mark.filterwarnings("ignore:overflow")
def test_the_way_out_of_gaps_works_as_it_is_printed(adata, form, rows):
    values = adata.obsm[REP].copy()
    values[rows, 3] = np.nan
    adata.obsm[REP] = GAPPED[form](values, adata.obs_names)
    with pytest.raises(ValueError, match="leave these spots out") as caught:
        phg2st.tl.predict(adata)
    code = str(caught.value).split("e.g. `")[1].split("`")[0]
    left = eval(code, {"data": adata, "numpy": np})
    assert left.n_obs == adata.n_obs - len(rows)
    assert np.isfinite(phg2st.tl.predict(left).X).all()


def test_features_are_to_be_computed_anew_as_their_record_says(adata):
    adata.uns["phg2st_embeddings"][REP].update(encoder="texture", context=5)
    adata.obsm[REP][7] = np.nan
    with pytest.raises(
        ValueError,
        match=r"data, encoder='texture', tile_um=112, context=5, key_added='X_new'\)`, and pass `use_rep='X_",
    ):
        phg2st.tl.predict(adata)
    adata.obsm[REP][:] = np.nan
    with pytest.raises(ValueError, match=r"nothing but NaN: .*\(data, encoder='texture', tile_um=112, context=5\)`"):
        phg2st.tl.predict(adata, use_rep=REP)
    with pytest.warns(
        UserWarning, match=r"No image features.*obsm\['X_texture'\] holds nothing but NaN.*encoder='texture'"
    ):
        phg2st.tl.predict(adata)


def test_of_several_embeddings_a_whole_one_is_named(adata):
    adata.obsm["X_new"] = adata.obsm[REP].copy()
    adata.uns["phg2st_embeddings"]["X_new"] = adata.uns["phg2st_embeddings"][REP]
    adata.obsm[REP][7] = np.nan
    with pytest.raises(ValueError, match="Several embeddings.*e.g. `use_rep='X_new'`"):
        phg2st.tl.predict(adata)


def test_spots_without_features_are_predicted_without_the_image_as_the_documentation_says(adata):
    adata.obsm["X_a"] = adata.obsm.pop(REP)
    adata.obsm["X_a"][[7, 90], 3] = np.nan
    page = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
    (code,) = re.findall(
        r"```python\n(import numpy as np\n\nthere = .*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )
    done = {"adata": adata, "phg2st": phg2st}
    exec(code, done)
    assert (done["with_image"].n_obs, done["without_image"].n_obs) == (118, 2)
    assert done["with_image"].uns["use_rep"] == "X_a"
    assert done["without_image"].uns["use_rep"] == ""


def test_a_feature_that_is_nowhere_is_said_to_be_one(adata):
    adata.obsm[REP][:, [2, 5]] = np.nan
    with pytest.raises(
        ValueError, match=r"not finite at 120 spots.*in 2 of 16 features \(columns 2, 5\): leave these features out"
    ):
        phg2st.tl.predict(adata)


@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_named_features_that_hold_nothing_are_an_error(adata, own_training, fill):
    message = "holds nothing but NaN" if np.isnan(fill) else "not finite at 120 spots"
    for one in (adata, *own_training.values()):
        one.obsm["X_mine"] = np.full((one.n_obs, 4), fill, dtype=np.float32)
    named = {"use_rep": "X_mine", "trust_rep": True}
    for call in (phg2st.tl.predict, phg2st.tl.impute, phg2st.pp.build_hypergraph):
        with pytest.raises(ValueError, match=rf"obsm\['X_mine'\] .*{message}"):
            call(adata, **named)
    with pytest.raises(ValueError, match=rf"obsm\['X_mine'\] .*{message}"):
        phg2st.tl.train(own_training, method=METHOD, progress=False, **named)


def test_recorded_features_that_hold_nothing_are_as_none(adata):
    adata.obsm[REP][:] = np.nan
    assert choose_rep(adata, None) is None
    with pytest.raises(ValueError, match="image features"):
        phg2st.tl.predict(adata, method=METHOD)


@pytest.fixture
def joined(make_section):
    """A slide with features and one without, in one object."""
    slides = {"with": make_section(0), "without": make_section(1, image=False)}
    return anndata.concat(slides, label="slide", index_unique="-", uns_merge="first", join="outer")


def test_a_slide_without_features_beside_one_with_some_is_said(joined):
    with pytest.warns(
        UserWarning, match=r"NaN throughout on 1 of 2 slides \('without'\): predicted from places"
    ) as said:
        phg2st.tl.predict(joined, slide_key="slide", use_rep=REP)
    assert len([one for one in said if "NaN throughout" in str(one.message)]) == 1
    features = [features_of(slide, REP)[0] for slide in Reading(slide_key="slide").slides(joined)]
    assert features[0].shape == (120, 16)
    assert features[1] is None


def test_training_on_both_learns_from_the_pictures_there_are(joined):
    model = phg2st.tl.train(joined, slide_key="slide", method="phg2st", progress=False)
    assert model.card["features"]["dim"] == 16


# --- records ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("own", ["mine", np.arange(3), ["X_texture"], pd.DataFrame({"a": [1]})])
def test_a_slot_of_records_that_is_no_dict_is_said(adata, own):
    adata.uns["phg2st_embeddings"] = own
    for call in (phg2st.tl.predict, phg2st.pp.build_hypergraph):
        with pytest.raises(TypeError, match=r"uns\['phg2st_embeddings'\] is a .* where a dict is expected"):
            call(adata)


def test_an_entry_that_is_no_record_proves_nothing(adata):
    adata.uns["phg2st_embeddings"] = {REP: "source: image"}
    with pytest.raises(ValueError, match=r"obsm\['X_texture'\] carries no record"):
        phg2st.tl.predict(adata, use_rep=REP)
    trusted = phg2st.tl.predict(adata, use_rep=REP, trust_rep=True)
    assert np.isfinite(trusted.X).all()


def test_a_real_section_is_predicted_the_same_from_every_form(real_data):
    section = phg2st.datasets.her2st(real_data / "her2st", sections="C4", progress=False)["C4"]
    phg2st.pp.extract_embeddings(section, encoder="texture", platform="ST", progress=False)
    phg2st.pp.sample_prompts(section, fraction=0.2, seed=0)
    values, names = section.obsm[REP], section.obs_names
    expected = phg2st.tl.predict(section).X
    for form in ("frame with integer columns out of order", "csr", "dask"):
        section.obsm[REP] = FORMS[form](values, names)
        np.testing.assert_array_equal(phg2st.tl.predict(section).X, expected, err_msg=form)
    shuffled = pd.DataFrame(values, index=names).sample(frac=1, random_state=0)
    section.obsm[REP] = shuffled.loc[names]
    np.testing.assert_array_equal(phg2st.tl.predict(section).X, expected)


def test_features_with_fewer_columns_than_their_record_says_are_told_of():
    adata = phg2st.datasets.simulate(n_spots=60, n_genes=15, progress=False)
    phg2st.pp.extract_embeddings(adata, encoder="texture", context=None, progress=False)
    phg2st.pp.sample_prompts(adata, fraction=0.3, seed=0)
    n_columns = adata.obsm["X_texture"].shape[1]
    adata.obsm["X_texture"] = adata.obsm["X_texture"][:, :50]
    with pytest.warns(UserWarning, match=f"has 50 columns, and its record .* says {n_columns}") as caught:
        phg2st.tl.predict(adata, method="image_ridge", progress=False)
    assert sum("columns" in str(one.message) for one in caught) == 1
