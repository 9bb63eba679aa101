"""Names that are numbers on one side and text on the other: matched where it is clear what is meant."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st
from phg2st_sc._slide import open_slides

sd = pytest.importorskip("spatialdata")
make = pytest.importorskip("spatial_elements")

POINTS = make.square(6, 10.0, 5.0)
NUMBERS, WORDS = list(range(36)), [str(i) for i in range(36)]


def annotated(ids, named):
    """A SpatialData whose spots have some ids, and whose table names them in another way."""
    return sd.SpatialData(shapes={"spots": make.circles(POINTS, ids)}, tables={"t": make.annotating({"spots": named})})


PAIRS = {
    "text in the table": (NUMBERS, WORDS),
    "numbers in the table": (WORDS, NUMBERS),
}


@pytest.mark.parametrize("pair", list(PAIRS))
def test_instances_are_matched_as_text(pair):
    sdata = annotated(*PAIRS[pair])
    (slide,) = open_slides(sdata)
    which = sdata["t"].obs["instance_id"].astype(int).to_numpy()
    np.testing.assert_array_equal(slide.positions, POINTS[which])
    mask = np.arange(36) % 3 == 0
    same = annotated(NUMBERS, NUMBERS)
    np.testing.assert_array_equal(
        phg2st.tl.predict(sdata, prompt_mask=mask, method="idw").X,
        phg2st.tl.predict(same, prompt_mask=mask, method="idw").X,
    )


@pytest.mark.parametrize("pair", list(PAIRS))
def test_targets_are_named_as_either_side_names_its_spots(pair):
    sdata = annotated(*PAIRS[pair])
    longer = phg2st.pp.add_targets(sdata, pitch_um=50, platform="Visium", region="capture")
    known, named = longer["spots"].index, longer["t"].obs["instance_id"]
    assert len(known) == longer["t"].n_obs > 36
    assert known.is_unique
    assert len(set(map(type, known))) == len(set(map(type, named))) == 1
    (slide,) = open_slides(longer)
    assert slide.n_spots == len(known)
    assert len(np.unique(slide.positions, axis=0)) == len(known)


@pytest.mark.parametrize(
    ("ids", "named"),
    [
        (NUMBERS, [f"s{i}" for i in NUMBERS]),
        (NUMBERS, [f"{i:02d}" for i in NUMBERS]),
        ([*WORDS[:-1], "x"], NUMBERS),
    ],
    ids=["other names", "other digits", "one that is missing"],
)
def test_instances_that_do_not_match_beyond_doubt_are_refused(ids, named):
    with pytest.raises(ValueError, match="rows of the table name instances that region 'spots' lacks"):
        open_slides(annotated(ids, named))


# --- slides -----------------------------------------------------------------------------------------------------------
@pytest.fixture(params=[np.int64, np.float64, str, "category", "categories of numbers", "Int64"])
def numbered(request, he_image, lattice_positions):
    """Two slides with numbers for names, and records under these."""
    obs = pd.DataFrame(index=[f"{slide}_{i}" for slide in "ab" for i in range(120)])
    library = pd.Series(np.repeat([0, 1], 120), index=obs.index)
    kind = request.param
    if kind == "category":
        obs["library_id"] = library.astype(str).astype("category")
    else:
        obs["library_id"] = library.astype("category" if kind == "categories of numbers" else kind)
    counts = np.random.default_rng(0).poisson(3.0, (240, 12)).astype(np.float32)
    adata = anndata.AnnData(counts, obs=obs)
    adata.obsm["spatial"] = np.tile(lattice_positions, (2, 1))
    record = {"images": {"hires": he_image}, "scalefactors": {"tissue_hires_scalef": 1.0}, "metadata": {"mpp": 5.0}}
    adata.uns["spatial"] = {
        0: record,
        1: {**record, "images": {"hires": he_image[::-1].copy()}, "metadata": {"mpp": 4.0}},
    }
    return adata


def test_records_that_are_numbered_are_found(numbered):
    for slides in (open_slides(numbered), open_slides(numbered, slide_key="library_id")):
        assert [slide.name for slide in slides] == ["0", "1"]
        assert [slide.mpp for slide in slides] == [5.0, 4.0]
        assert [slide.n_spots for slide in slides] == [120, 120]
        assert not np.array_equal(slides[0].image_source, slides[1].image_source)


def test_images_and_regions_may_be_given_by_number(numbered, he_image):
    slides = open_slides(numbered, slide_key="library_id", image={0: he_image, 1: he_image[:, ::-1]})
    np.testing.assert_array_equal(slides[1].image_source, he_image[:, ::-1])
    with pytest.raises(KeyError, match=r"no entry for slide '1', only for 0, 2"):
        open_slides(numbered, image={0: he_image, 2: he_image})
    box = [(0, 0), (560, 0), (560, 480), (0, 480)]
    targets = phg2st.pp.add_targets(numbered, pitch_um=100, region={0: box, 1: box}, slide_key="library_id")
    assert (targets.uns["phg2st_target"]["n_targets"] > 0).all()
    with pytest.raises(KeyError, match=r"`region=` has no entry for slide '1', only for 0, 2"):
        phg2st.pp.add_targets(numbered, pitch_um=100, region={0: box, 2: box}, slide_key="library_id")


def test_a_key_that_is_the_name_goes_before_one_that_spells_it(numbered, he_image):
    slides = open_slides(numbered, image={"0": he_image, 0: he_image[::2], "1": he_image})
    assert slides[0].image_source is he_image


def test_patients_that_gaps_have_made_decimal_are_the_same(numbered):
    numbered.obs["patient"] = np.repeat([7.0, np.nan], 120)
    other = numbered.copy()
    other.obs["patient"] = np.repeat([7, 8], 120)
    assert [slide.patient for slide in open_slides(numbered)] == ["7", None]
    assert [slide.patient for slide in open_slides(other)] == ["7", "8"]


def test_folds_and_figures_take_numbers_too(numbered):
    found = phg2st.tl.benchmark(
        numbered,
        methods=["idw", "gene_kriging"],
        folds={"one": 0, "other": [1]},
        slide_key="library_id",
        n_masks=1,
        genes=12,
        progress=False,
    )
    assert set(found["section"]) - {""} == {"0", "1"}
    assert phg2st.pl.tiles(numbered, slide=1, show=False) is not None
