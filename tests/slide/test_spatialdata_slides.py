"""Slides of a SpatialData: regions, instances, transforms and images."""

from __future__ import annotations

import warnings

import dask.dataframe as dd
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import spatial_elements as make
from shapely import box
from spatialdata import SpatialData, bounding_box_query
from spatialdata.models import PointsModel, ShapesModel
from spatialdata.transformations import Affine, Identity, Scale, Sequence, Translation, set_transformation

from phg2st_sc._reading._patches import SlidePatches
from phg2st_sc._slide import check_positions_in_image, open_slides

IDS = np.arange(100, 125)
POINTS = make.square(5, 10.0, 20.0)


def one_region(points=POINTS, *, spots=None, images=None, ids=IDS, systems=None):
    element = make.circles(points, ids, transformations=systems) if spots is None else spots
    return SpatialData(images=images or {}, shapes={"spots": element}, tables={"t": make.annotating({"spots": ids})})


def expected(slide, points=POINTS, ids=IDS):
    """Centres by instance id, in the order of the slide's rows."""
    by_id = dict(zip(ids, points, strict=True))
    return np.array([by_id[i] for i in slide.table.obs["instance_id"].iloc[slide.rows]])


def test_regions_match_as_whole_names_and_rows_by_instance(sdata):
    slides = {slide.name: slide for slide in open_slides(sdata)}
    assert set(slides) == {"spots", "spots_1"}
    for name, points in (("spots", POINTS), ("spots_1", make.square(5, 20.0, 15.0))):
        slide = slides[name]
        assert slide.n_spots == 25
        assert (slide.table.obs["region"].iloc[slide.rows] == name).all()
        np.testing.assert_array_equal(slide.positions, expected(slide, points))
        assert not np.array_equal(slide.positions, points), "the table is shuffled: order must not match by accident"
    assert slides["spots"].table is sdata.tables["table"]
    assert (slides["spots"].pitch_px, slides["spots_1"].pitch_px) == (10.0, 20.0)
    assert slides["spots"].spot_diameter_px == 6.0


def test_each_region_opens_its_own_image_multiscale_too(sdata):
    slides = {slide.name: slide for slide in open_slides(sdata)}
    assert (slides["spots"].image_key, slides["spots_1"].image_key) == ("he", "he_1")
    image = slides["spots_1"].open_image()
    assert (image.height, image.width, len(image.levels)) == (120, 130, 2)
    with pytest.raises(ValueError, match=r"in pixels of 'he', not of 'he_1'"):
        slides["spots"].open_image("he_1")


def test_scale_and_translation_between_spots_and_image():
    sdata = one_region(
        systems={"global": Scale([2.0, 2.0], axes=("x", "y"))},
        images={
            "he": make.picture(
                60,
                60,
                {"global": Sequence([Scale([4.0, 4.0], axes=("x", "y")), Translation([8.0, 16.0], axes=("x", "y"))])},
            )
        },
    )
    (slide,) = open_slides(sdata)
    np.testing.assert_allclose(slide.positions, (expected(slide) * 2.0 - (8.0, 16.0)) / 4.0)
    assert (slide.pitch_px, slide.spot_diameter_px) == (pytest.approx(5.0), pytest.approx(3.0))
    check_positions_in_image(slide, 60, 60)


def test_affine_that_turns_the_image():
    quarter = Affine([[0, -1, 100], [1, 0, 0], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
    sdata = one_region(systems={"global": quarter}, images={"he": make.picture(100, 100)})
    (slide,) = open_slides(sdata)
    x, y = expected(slide).T
    np.testing.assert_allclose(slide.positions, np.column_stack([100 - y, x]))
    assert slide.spot_diameter_px == pytest.approx(6.0)


def test_record_speaks_of_the_spots_own_pixels():
    sdata = one_region(images={"he": make.picture(50, 50, {"global": Scale([2.0, 2.0], axes=("x", "y"))})})
    sdata["t"].uns["spatial"] = {"lib": {"metadata": {"mpp": 0.5}}}
    assert open_slides(sdata)[0].mpp == pytest.approx(1.0)
    (slide,) = open_slides(sdata, mpp=2.0)
    with pytest.warns(UserWarning, match="2"):
        assert slide.require_mpp() == 2.0, "the argument speaks of the image's pixels"
    assert open_slides(sdata, pitch_um=5.0)[0].mpp_source == "pitch_um"


def test_two_systems_that_agree_and_two_that_do_not():
    systems = {"px": Identity(), "um": Scale([0.5, 0.5], axes=("x", "y"))}
    sdata = one_region(systems=dict(systems), images={"he": make.picture(100, 100, dict(systems))})
    np.testing.assert_allclose(open_slides(sdata)[0].positions, expected(open_slides(sdata)[0]))
    set_transformation(sdata["he"], Identity(), "um")
    with pytest.raises(ValueError, match=r"'px', 'um'.*coordinate_system="):
        open_slides(sdata)
    (slide,) = open_slides(sdata, coordinate_system="um")
    np.testing.assert_allclose(slide.positions, expected(slide) / 2)
    with pytest.raises(ValueError, match="not in coordinate system 'nope'"):
        open_slides(sdata, coordinate_system="nope")


def test_of_copies_of_an_image_the_finest_is_taken():
    sdata = one_region(
        images={
            "full": make.picture(100, 100),
            "hires": make.picture(50, 50, {"global": Scale([2.0, 2.0], axes=("x", "y"))}),
            "lowres": make.picture(25, 25, {"global": Scale([4.0, 4.0], axes=("x", "y"))}),
        }
    )
    assert open_slides(sdata)[0].image_key == "full"
    (slide,) = open_slides(sdata, image="lowres")
    np.testing.assert_allclose(slide.positions, expected(slide) / 4)
    assert slide.open_image().width == slide.open_image("lowres").width == 25


def test_images_of_different_areas_must_be_chosen():
    sdata = one_region(images={"a": make.picture(100, 100), "b": make.picture(100, 150)})
    (slide,) = open_slides(sdata)
    with pytest.raises(ValueError, match="2 images.*takes an object with that image alone"):
        SlidePatches.of(slide)
    with pytest.raises(KeyError, match=r"2 images \('a', 'b'\).*`image=`"):
        slide.open_image()
    assert open_slides(sdata, image="b")[0].open_image().width == 150


def test_no_image_at_all_and_an_image_from_outside(he_image):
    sdata = one_region(systems={"global": Scale([3.0, 3.0], axes=("x", "y"))})
    (slide,) = open_slides(sdata)
    with pytest.raises(KeyError, match=r"'spots' has no image"):
        slide.open_image()
    (slide,) = open_slides(sdata, image=he_image)
    np.testing.assert_allclose(slide.positions, expected(slide) * 3)
    assert slide.open_image().width == 560


def test_image_that_shares_no_system_is_refused():
    sdata = one_region(images={"he": make.picture(100, 100, {"other": Identity()})})
    with pytest.raises(ValueError, match=r"'spots' and 'he' share no coordinate system"):
        open_slides(sdata, image="he")
    assert open_slides(sdata)[0].image_source is None


def test_centers_outside_the_image(sdata):
    slide = open_slides(sdata)[0]
    with pytest.raises(ValueError, match="outside the image of 30 x 30"):
        check_positions_in_image(slide, 30, 30)


def test_square_bins_are_spots_at_their_centers():
    bins = gpd.GeoDataFrame(geometry=[box(x, y, x + 8, y + 8) for x, y in POINTS], index=IDS)
    (slide,) = open_slides(one_region(spots=ShapesModel.parse(bins)))
    np.testing.assert_allclose(slide.positions, expected(slide) + 4.0)
    assert slide.spot_diameter_px == pytest.approx(2 * 8 / np.sqrt(np.pi))


def test_points_are_spots_too():
    frame = pd.DataFrame(POINTS, columns=["x", "y"], index=IDS)
    points = PointsModel.parse(dd.from_pandas(frame, npartitions=2))
    sdata = SpatialData(points={"spots": points}, tables={"t": make.annotating({"spots": IDS})})
    (slide,) = open_slides(sdata)
    np.testing.assert_allclose(slide.positions, expected(slide))
    assert slide.spot_diameter_px is None


def test_rows_that_name_no_spot():
    sdata = SpatialData(
        shapes={"spots": make.circles(POINTS, IDS)}, tables={"t": make.annotating({"spots": [*IDS[:-1], 999]})}
    )
    with pytest.raises(ValueError, match=r"1 of 25 rows .* region 'spots' lacks: 999"):
        open_slides(sdata)


def test_spots_beyond_the_table_are_no_matter():
    sdata = SpatialData(shapes={"spots": make.circles(POINTS, IDS)}, tables={"t": make.annotating({"spots": IDS[3:9]})})
    (slide,) = open_slides(sdata)
    np.testing.assert_array_equal(slide.positions, expected(slide))


def test_several_tables_must_be_chosen(sdata):
    sdata["second"] = sdata["table"].copy()
    with pytest.raises(ValueError, match=r"2 tables .*'table'.*`table_key=`"):
        open_slides(sdata)
    assert open_slides(sdata, table_key="second")[0].table is sdata["second"]
    with pytest.raises(KeyError, match="No table 'third'"):
        open_slides(sdata, table_key="third")


def test_no_table_means_no_coordinates(sdata):
    del sdata.tables["table"]
    with pytest.raises(KeyError, match="No spot coordinates"):
        open_slides(sdata)


def test_a_region_can_hold_several_slides():
    sdata = one_region()
    sdata["t"].obs["section"] = np.where(sdata["t"].obs["instance_id"] < 110, "a", "b")
    slides = {slide.name: slide for slide in open_slides(sdata, slide_key="section")}
    assert {name: slide.n_spots for name, slide in slides.items()} == {"a": 10, "b": 15}
    for slide in slides.values():
        np.testing.assert_array_equal(slide.positions, expected(slide))


def test_same_positions_after_a_round_trip(sdata, tmp_path):
    before = open_slides(sdata)
    sdata.write(tmp_path / "s.zarr")
    for old, new in zip(before, open_slides(SpatialData.read(tmp_path / "s.zarr")), strict=True):
        assert old.name == new.name
        np.testing.assert_array_equal(old.positions, new.positions)
        np.testing.assert_array_equal(old.open_image().read(0, 0, 20, 30), new.open_image().read(0, 0, 20, 30))


def test_duplicate_spot_ids_are_refused(sdata):
    names = list(sdata["table"].obs_names)
    sdata["table"].obs_names = [names[1], *names[1:]]
    with pytest.raises(ValueError, match="obs_names"):
        open_slides(sdata)


def test_unknown_pixel_size_names_the_arguments_first():
    sdata = one_region(images={"he": make.picture(50, 50)})
    with pytest.raises(ValueError, match=r"Pass `mpp=` \(µm per pixel of image 'he'\), or `pitch_um=`") as error:
        open_slides(sdata)[0].require_mpp()
    assert "uns[" not in str(error.value)


HALF = Scale([2.0, 2.0], axes=("x", "y"))


def test_the_full_image_in_a_system_of_its_own_is_reached_by_way_of_its_thumbnail():
    sdata = one_region(
        images={
            "hires": make.picture(50, 50, {"global": HALF, "scan": Scale([2.0, 2.0], axes=("x", "y"))}),
            "full": make.picture(100, 100, {"scan": Identity()}),
        }
    )
    (slide,) = open_slides(sdata)
    assert slide.image_key == "full"
    np.testing.assert_allclose(slide.positions, expected(slide))
    assert open_slides(sdata, image="full")[0].open_image().width == 100


def test_a_full_image_that_nothing_connects_with_the_spots_is_told_of():
    sdata = one_region(
        images={"hires": make.picture(50, 50, {"global": HALF}), "full": make.picture(100, 100, {"scan": Identity()})}
    )
    (slide,) = open_slides(sdata)
    with pytest.warns(
        UserWarning, match=r"'hires' \(50 x 50\) is used, though 'full' is larger \(100 x 100\).*`image='hires'`"
    ):
        assert slide.open_image().width == 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_slides(sdata, image="hires")[0].open_image().width == 50


def two_regions(images, names=("a", "b")):
    elements = {name: make.circles(POINTS, IDS) for name in names}
    return SpatialData(images=images, shapes=elements, tables={"t": make.annotating(dict.fromkeys(names, IDS))})


def test_two_images_of_one_size_in_one_system_are_taken_by_name():
    sdata = two_regions({"a_full_image": make.picture(100, 100), "b_full_image": make.picture(100, 100)})
    assert {slide.name: slide.image_key for slide in open_slides(sdata)} == {"a": "a_full_image", "b": "b_full_image"}
    bins = two_regions(
        {"a_full_image": make.picture(100, 100), "b_full_image": make.picture(100, 100)},
        names=("a_square_008um", "b_square_008um"),
    )
    assert {slide.name[0]: slide.image_key for slide in open_slides(bins)} == {"a": "a_full_image", "b": "b_full_image"}


def test_two_images_of_one_size_in_one_system_without_names_must_be_chosen():
    sdata = two_regions({"one": make.picture(100, 100), "two": make.picture(100, 100)})
    for slide in open_slides(sdata):
        with pytest.raises(KeyError, match=r"2 images \('one', 'two'\).*`image=`"):
            slide.open_image()
    slides = open_slides(sdata, image={"a": "one", "b": "two"})
    assert {slide.name: slide.image_key for slide in slides} == {"a": "one", "b": "two"}


def test_the_image_is_still_found_where_a_spot_lies_just_outside():
    points = POINTS.copy()
    points[0] = -1.0
    sdata = SpatialData(
        images={"he": make.picture(100, 100), "other": make.picture(30, 400)},
        shapes={"spots": make.circles(points, IDS)},
        tables={"t": make.annotating({"spots": IDS})},
    )
    assert open_slides(sdata)[0].image_key == "he"


def test_a_level_that_was_moved_on_its_own_is_not_read():
    sdata = one_region(images={"he": make.picture(160, 160, scale_factors=[2, 2])})
    (slide,) = open_slides(sdata)
    assert len(slide.open_image().levels) == 3
    for crop in ([0.0, 0.0], [33.0, 21.0]):
        part = bounding_box_query(
            sdata, ("x", "y"), min_coordinate=crop, max_coordinate=[150.3, 140.9], target_coordinate_system="global"
        )
        assert len(open_slides(part, image="he")[0].open_image().levels) == 3
    level = sdata["he"]["scale1"]["image"]
    moved = Sequence([Scale([2.0, 2.0], axes=("x", "y")), Translation([40.0, 0.0], axes=("x", "y"))])
    set_transformation(level, moved, "global")
    assert [one.height for one in open_slides(sdata)[0].open_image().levels] == [160, 40]
