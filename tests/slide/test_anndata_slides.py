"""Slides of an AnnData."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from phg2st_sc._slide import check_positions_in_image, open_cohort, open_slides


def two_slides(spot_adata):
    """Two sections in one object, rows interleaved, records with different scales."""
    other = spot_adata.copy()
    other.obsm["spatial"] = other.obsm["spatial"] * 2.0
    both = ad.concat({"B": spot_adata, "A": other}, label="section", index_unique="-")
    both.obs["patient"] = both.obs["section"].map({"A": "p1", "B": "p2"})
    order = np.random.default_rng(1).permutation(both.n_obs)
    return both[order].copy()


def test_one_plain_slide(spot_adata):
    (slide,) = open_slides(spot_adata)
    assert slide.table is spot_adata
    assert (slide.name, slide.pitch_px, slide.mpp, slide.patient) == ("slide", 40.0, None, None)
    np.testing.assert_array_equal(slide.positions, spot_adata.obsm["spatial"])
    np.testing.assert_allclose(slide.pitch_positions(), spot_adata.obsm["spatial"] / 40.0)
    with pytest.raises(ValueError, match=r"unknown.*`mpp=`.*`pitch_um=`.*`platform=`"):
        slide.require_mpp()
    with pytest.raises(KeyError, match=r"has no image.*`image=`"):
        slide.open_image()


def test_record_of_the_only_library(visium_adata):
    visium_adata.uns["spatial"]["section"]["metadata"] = {"platform": "Visium", "patient": "P"}
    (slide,) = open_slides(visium_adata)
    assert (slide.name, slide.spot_diameter_px, slide.mpp, slide.patient) == ("section", 22.0, 2.5, "P")


def test_slide_key_takes_each_slide_its_own_rows(spot_adata):
    both = two_slides(spot_adata)
    slides = {slide.name: slide for slide in open_slides(both, slide_key="section")}
    assert {name: slide.patient for name, slide in slides.items()} == {"A": "p1", "B": "p2"}
    assert (slides["A"].pitch_px, slides["B"].pitch_px) == (80.0, 40.0)
    for name, slide in slides.items():
        assert (both.obs["section"].iloc[slide.rows] == name).all()
        np.testing.assert_array_equal(slide.positions, both.obsm["spatial"][slide.rows])
    assert sum(slide.n_spots for slide in slides.values()) == both.n_obs


def test_libraries_with_records_are_slides_without_a_key(spot_adata):
    both = two_slides(spot_adata)
    both.uns["spatial"] = {"A": {"metadata": {"mpp": 1.0}}, "B": {"metadata": {"mpp": 2.0}}}
    assert {slide.name: slide.mpp for slide in open_slides(both)} == {"A": 1.0, "B": 2.0}
    part = both[both.obs["section"] == "B"].copy()
    assert [(slide.name, slide.mpp) for slide in open_slides(part)] == [("B", 2.0)], (
        "records of lost slides stay behind"
    )


def test_sections_without_records_are_asked_about(spot_adata):
    both = two_slides(spot_adata)
    with pytest.warns(UserWarning, match="slide_key='section'"):
        assert len(open_slides(both)) == 1


def test_slide_key_errors(spot_adata):
    with pytest.raises(KeyError, match="slide_key='nope'"):
        open_slides(spot_adata, slide_key="nope")
    spot_adata.obs["section"] = pd.Categorical(["a"] * 119 + [None])
    with pytest.raises(ValueError, match="missing for 1 spots"):
        open_slides(spot_adata, slide_key="section")


def test_a_patient_must_be_one_per_slide(spot_adata):
    spot_adata.obs["patient"] = ["x"] * 60 + ["y"] * 60
    assert open_slides(spot_adata)[0].patient is None
    spot_adata.obs["donor"] = "d"
    assert open_slides(spot_adata, patient_key="donor")[0].patient == "d"


def test_views_and_duplicates_are_refused(spot_adata):
    with pytest.raises(ValueError, match=r"view.*\.copy\(\)"):
        open_slides(spot_adata[:10])
    names = list(spot_adata.obs_names)
    spot_adata.obs_names = [names[1], *names[1:]]
    with pytest.raises(ValueError, match=r"1 obs_names .*'spot1'.*obs_names_make_unique"):
        open_slides(spot_adata)
    spot_adata.obs_names = names
    spot_adata.var_names = ["g0", "g0", *spot_adata.var_names[2:]]
    with pytest.raises(ValueError, match=r"genes.*'g0'.*var_names_make_unique"):
        open_slides(spot_adata)


def test_coordinates_must_be_there_and_flat(spot_adata):
    spot_adata.obsm["spatial"] = np.zeros((120, 3))
    with pytest.raises(ValueError, match=r"\(120, 3\)"):
        open_slides(spot_adata)
    del spot_adata.obsm["spatial"]
    with pytest.raises(KeyError, match="No spot coordinates"):
        open_slides(spot_adata)
    with pytest.raises(TypeError, match="pandas"):
        open_slides(spot_adata.obs)


def test_options_of_spatialdata_are_refused(spot_adata):
    with pytest.raises(ValueError, match="AnnData"):
        open_slides(spot_adata, table_key="t")


def test_one_spot_has_no_pitch(spot_adata):
    (slide,) = open_slides(spot_adata[:1].copy(), pitch_um=100.0)
    assert slide.mpp is None
    with pytest.raises(ValueError, match=r"1 spot\(s\)"):
        slide.pitch_positions()


def test_image_from_argument_mapping_and_record(visium_adata, he_image, tmp_path, monkeypatch):
    (slide,) = open_slides(visium_adata)
    assert (slide.open_image(he_image).height, slide.open_image({"section": he_image}).width) == (480, 560)
    with pytest.raises(KeyError, match=r"no entry for slide 'section', only for 'other'"):
        slide.open_image({"other": he_image})
    assert open_slides(visium_adata, image={"section": he_image})[0].open_image().width == 560
    Image.fromarray(he_image).save(tmp_path / "he.png")
    visium_adata.uns["spatial"]["section"]["metadata"]["source_image_path"] = "he.png"
    (slide,) = open_slides(visium_adata)
    with pytest.raises(FileNotFoundError, match=r"he.png"):
        slide.open_image()
    monkeypatch.chdir(tmp_path)
    assert slide.open_image().height == 480


def test_thumbnail_only_when_asked_and_with_scaled_positions(visium_adata):
    (full,) = open_slides(visium_adata, mpp=0.5)
    with pytest.raises(ValueError, match=r"not of 'hires'.*where the slide is opened"):
        full.open_image("hires")
    (small,) = open_slides(visium_adata, mpp=0.5, image="hires")
    np.testing.assert_allclose(small.positions, full.positions / 2)
    assert (small.mpp, small.pitch_px, small.spot_diameter_px) == (1.0, 20.0, 11.0)
    assert small.open_image().width == small.open_image("hires").width == 280
    with pytest.raises(KeyError, match="lowres"):
        open_slides(visium_adata, image="lowres")


def test_centers_that_fit_pass(visium_adata):
    check_positions_in_image(open_slides(visium_adata)[0], 480, 560)


def test_swapped_centers(visium_adata):
    visium_adata.obsm["spatial"] = visium_adata.obsm["spatial"][:, ::-1] * (1.0, 1.1)
    with pytest.raises(ValueError, match="x and y swapped"):
        check_positions_in_image(open_slides(visium_adata)[0], 430, 600)


def test_swapped_centers_on_a_nearly_square_image_are_not_to_be_dropped(visium_adata):
    centers = visium_adata.obsm["spatial"].copy()
    centers[0, 0] = centers[:, 0].max() + 100.0
    width, height = centers.max(axis=0) + 1.0
    visium_adata.obsm["spatial"] = centers
    check_positions_in_image(open_slides(visium_adata)[0], height, width)
    visium_adata.obsm["spatial"] = centers[:, ::-1]
    with pytest.raises(ValueError, match=r"They fit with x and y swapped.*`\[:, ::-1\]`") as caught:
        check_positions_in_image(open_slides(visium_adata)[0], width - 60.0, width)
    assert "isin" not in str(caught.value)


def test_full_resolution_centers_on_the_thumbnail(visium_adata):
    (slide,) = open_slides(visium_adata)
    with pytest.raises(ValueError, match=r"'hires' thumbnail.*`image='hires'`"):
        check_positions_in_image(slide, 240, 280)
    slide.record["images"].clear()
    with pytest.raises(ValueError, match="'hires' thumbnail"):
        check_positions_in_image(slide, 250, 290)


def test_centers_outside_for_no_known_reason(visium_adata):
    with pytest.raises(ValueError, match=r"outside the image of 100 x 90.*x = 500.*Pass the full-resolution image"):
        check_positions_in_image(open_slides(visium_adata)[0], 90, 100)


def test_centers_that_are_no_number(visium_adata):
    visium_adata.obsm["spatial"][7] = np.nan
    with pytest.raises(ValueError, match=r"centres of 1 spot\(s\).*NaN.*'spot7'"):
        check_positions_in_image(open_slides(visium_adata)[0], 480, 560)


def test_resolve_one_list_dict(spot_adata, visium_adata):
    other = spot_adata.copy()
    del other.uns["spatial"]
    assert [s.name for s in open_cohort(other)] == ["slide"]
    assert [s.name for s in open_cohort([other, other.copy()])] == ["slide1", "slide2"]
    assert [s.name for s in open_cohort([visium_adata, visium_adata.copy()])] == ["section-1", "section-2"]
    both = two_slides(other)
    assert [s.name for s in open_cohort({"k": other})] == ["k"]
    assert sorted(s.name for s in open_cohort({"l": both}, slide_key="section")) == ["l/A", "l/B"]
    with pytest.raises(ValueError, match="empty"):
        open_cohort([])
    with pytest.raises(ValueError, match="more than once"):
        open_cohort([other, other])


def test_a_stored_image_of_scale_one_is_the_image(visium_adata):
    record = next(iter(visium_adata.uns["spatial"].values()))
    record.get("metadata", {}).pop("source_image_path", None)
    record["scalefactors"]["tissue_hires_scalef"] = 1.0
    (slide,) = open_slides(visium_adata, mpp=0.5)
    assert slide.open_image().width == record["images"]["hires"].shape[1]
    record["scalefactors"]["tissue_hires_scalef"] = 0.5
    (slide,) = open_slides(visium_adata, mpp=0.5)
    with pytest.raises(KeyError, match="no image"):
        slide.open_image()


def test_a_contradiction_of_scales_is_said_only_where_scale_matters(visium_adata):
    visium_adata.uns["spatial"]["section"]["metadata"].update(mpp=2.5, pitch_um=150.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (slide,) = open_slides(visium_adata)
        slide.pitch_positions()
    with pytest.warns(UserWarning, match="'mpp' means 2.5 µm per pixel, but the record's 'pitch_um' means 3.75"):
        assert slide.require_mpp() == 2.5


def test_a_mistyped_thumbnail_is_answered_with_those_there_are(visium_adata, he_image):
    with pytest.raises(KeyError, match=r"`image='hirez'` is no file.*'hires'.*the record holds 'hires'"):
        open_slides(visium_adata, image="hirez")
    visium_adata.uns["spatial"]["section"]["images"]["cropped"] = he_image
    with pytest.raises(KeyError, match=r"the record holds 'hires', 'cropped'"):
        open_slides(visium_adata, image="cropped")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_slides(visium_adata, image="nowhere.tif")[0].open_image()


def test_a_wrong_scale_factor_is_named(visium_adata):
    visium_adata.uns["spatial"]["section"]["scalefactors"]["tissue_hires_scalef"] = 3.0
    (slide,) = open_slides(visium_adata, image="hires")
    with pytest.raises(ValueError, match=r"scale factor 'tissue_hires_scalef' = 3.0 of the record"):
        check_positions_in_image(slide, 240, 280)


def test_two_spots_of_120_past_the_edge_are_told_of_and_kept(visium_adata):
    visium_adata.obsm["spatial"][:2, 1] = -5.0
    (slide,) = open_slides(visium_adata)
    with pytest.warns(
        UserWarning, match=r"2 of 120 spots lie just outside.*'spot0', 'spot1'.*isin\(\['spot0', 'spot1'\]\)"
    ):
        check_positions_in_image(slide, 480, 560)


def test_two_spots_of_120_far_outside_are_named_with_the_call_that_leaves_them_out(visium_adata):
    visium_adata.obsm["spatial"][[3, 7]] = (2000.0, 100.0), (100.0, -400.0)
    with pytest.raises(ValueError, match=r"2 of 120 .*'spot3', 'spot7' may be.*adata\[~adata.obs_names.isin\("):
        check_positions_in_image(open_slides(visium_adata)[0], 480, 560)
    left = visium_adata[~visium_adata.obs_names.isin(["spot3", "spot7"])].copy()
    check_positions_in_image(open_slides(left)[0], 480, 560)


def test_centers_of_a_larger_picture(visium_adata):
    del visium_adata.uns["spatial"]
    with pytest.raises(ValueError, match="pixels of a larger picture.*thumbnail"):
        check_positions_in_image(open_slides(visium_adata)[0], 90, 100)
