"""One picture for several slides: pieces beside each other can share it, slides that lie on each other cannot."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest
import spatial_elements as make
from PIL import Image
from spatialdata import SpatialData

from phg2st_sc import pp
from phg2st_sc._slide import open_slides


def color(tiles):
    return tiles.mean(axis=(1, 2))


def joined(spot_adata, he_image, shift=(3.0, -4.0), **options):
    """Two slides with records of one name, of which `concat` keeps the first."""
    first, second = spot_adata.copy(), spot_adata.copy()
    second.obsm["spatial"] = second.obsm["spatial"] + shift
    for one, pixels, patient in ((first, he_image, "p1"), (second, 255 - he_image, "p2")):
        record = {"images": {"hires": pixels}, "scalefactors": {"tissue_hires_scalef": 1.0}}
        one.uns["spatial"] = {"library": {**record, "metadata": {"mpp": 0.5, "patient": patient}}}
        one.obs["library_id"] = "library"
    options = {"uns_merge": "first", "label": "sample", "keys": ["a", "b"], "index_unique": "-", **options}
    return ad.concat([first, second], **options)


def test_slides_on_each_other_have_no_common_picture(spot_adata, he_image):
    both = joined(spot_adata, he_image)
    before = sorted(both.obsm)
    with pytest.raises(
        KeyError, match=r"'a' and 'b' cannot both lie on one picture.*100%.*`image=\{'a': path, 'b': path\}`"
    ):
        pp.extract_embeddings(both, slide_key="sample", encoder=color, platform="ST", progress=False)
    assert sorted(both.obsm) == before
    for slide in open_slides(both, slide_key="sample"):
        assert (slide.mpp, slide.patient, slide.image_source) == (None, None, None)


def test_the_call_that_the_message_names_gives_each_its_own(spot_adata, he_image):
    both = joined(spot_adata, he_image)
    images = {"a": he_image, "b": 255 - he_image}
    pp.extract_embeddings(both, slide_key="sample", image=images, encoder=color, platform="ST", progress=False)
    for name, pixels in images.items():
        alone = both[both.obs["sample"] == name].copy()
        del alone.uns["spatial"]
        pp.extract_embeddings(alone, image=pixels, encoder=color, platform="ST", progress=False)
        np.testing.assert_array_equal(both.obsm["X_color"][both.obs["sample"] == name], alone.obsm["X_color"])


def test_a_record_of_the_slides_name_stays_its_own(spot_adata, he_image):
    both = joined(spot_adata, he_image)
    both.uns["spatial"]["a"] = both.uns["spatial"].pop("library")
    both.obs["library_id"] = "a"
    first, second = open_slides(both, slide_key="sample")
    assert (first.mpp, first.patient, first.open_image().width) == (0.5, "p1", 560)
    assert (second.mpp, second.patient, second.image_ambiguous) == (None, None, True)


def test_pieces_beside_each_other_share_a_picture(spot_adata, he_image):
    spot_adata.obs["piece"] = np.where(spot_adata.obsm["spatial"][:, 0] < 300, 1, 2)
    spot_adata.obs["library_id"] = "library"
    spot_adata.uns["spatial"] = {"library": {"metadata": {"mpp": 0.5}}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slides = open_slides(spot_adata, slide_key="piece", image=he_image)
    assert [(slide.mpp, slide.open_image().width) for slide in slides] == [(0.5, 560)] * 2


def test_one_file_for_slides_on_each_other(spot_adata, he_image, tmp_path):
    Image.fromarray(he_image).save(tmp_path / "he.png")
    both = joined(spot_adata, he_image, uns_merge=None)
    for slide in open_slides(both, slide_key="sample", image=tmp_path / "he.png"):
        with pytest.raises(KeyError, match=r"one picture \(.*he.png\)"):
            slide.open_image()
    given = {"a": str(tmp_path / "he.png"), "b": tmp_path / "he.png"}
    with pytest.warns(UserWarning, match=r"cannot both lie on one picture.*since `image=` says so"):
        slides = open_slides(both, slide_key="sample", image=given)
    assert all(slide.open_image().width == 560 for slide in slides)


def test_images_may_be_named_by_number(spot_adata, he_image):
    spot_adata.obs["piece"] = np.where(spot_adata.obsm["spatial"][:, 0] < 300, 1, 2)
    slides = open_slides(spot_adata, slide_key="piece", image={1: he_image, np.int64(2): he_image[:, :540]})
    assert [slide.open_image().width for slide in slides] == [560, 540]


def test_regions_on_each_other_in_one_coordinate_system():
    ids = np.arange(25)
    points = make.square(5, 10.0, 20.0)
    sdata = SpatialData(
        images={"he": make.picture(80, 90)},
        shapes={"one": make.circles(points, ids), "two": make.circles(points + 2.0, ids)},
        tables={"table": make.annotating({"one": ids, "two": ids})},
    )
    for slide in open_slides(sdata):
        with pytest.raises(KeyError, match=r"'one' and 'two' cannot|'two' and 'one' cannot"):
            slide.open_image()


def test_real_sections_that_were_scanned_together(real_data):
    import json

    import pandas as pd
    from anndata import AnnData

    folder = real_data / "als_spinal_cord"
    spots = [pd.read_csv(folder / f"CN51_C2_{i}" / "spots.csv").assign(section=i) for i in (1, 2)]
    frame = pd.concat(spots, ignore_index=True)
    adata = AnnData(np.ones((len(frame), 2), dtype=np.float32), obs=frame[["section"]].astype(str))
    adata.obsm["spatial"] = frame[["px", "py"]].to_numpy()
    meta = json.loads((folder / "CN51_C2_1" / "meta.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slides = open_slides(
            adata, slide_key="section", image=folder / "images" / "CN51_C2_HE.jpg", mpp=meta["um_per_px"]
        )
    assert {(slide.open_image().width, slide.mpp) for slide in slides} == {(9340, 0.6852)}


def test_faults_of_a_picture_name_it(spot_adata, he_image, tmp_path):
    settings = {"encoder": color, "platform": "ST", "progress": False}
    for wrong in (he_image.astype(np.float32), he_image.astype(np.int64), he_image[..., :2]):
        with pytest.raises((ValueError, TypeError), match=r"^Slide 'slide', image 'ndarray': "):
            pp.extract_embeddings(spot_adata, image=wrong, **settings)
    Image.fromarray(he_image).save(tmp_path / "he.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes((tmp_path / "he.png").read_bytes()[:50_000])
    with pytest.raises(ValueError, match=r"cut.png"):
        pp.extract_embeddings(spot_adata, image=cut, **settings)
    element = make.picture(480, 560)
    lost = element.copy(data=element.data.map_blocks(broken, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)))
    with pytest.raises(ValueError, match=r"^Slide 'slide', image 'DataArray' .*the chunk is gone"):
        pp.extract_embeddings(spot_adata, image=lost, **settings)


def broken(_):
    raise RuntimeError("the chunk is gone")


def test_an_image_that_the_user_opened_stays_open(spot_adata, he_image):
    closed = []

    class Mine:
        levels, height, width, mpp = open_slides(spot_adata, image=he_image)[0].open_image().levels, 480, 560, None

        def read(self, y0, x0, y1, x1, *, level=0):
            return he_image[y0:y1, x0:x1]

        def close(self):
            closed.append(self)

    pp.extract_embeddings(spot_adata, image=Mine(), encoder=color, platform="ST", progress=False)
    assert not closed


def test_a_library_without_a_record_has_no_part_in_that_of_another(spot_adata, he_image):
    both = joined(spot_adata, he_image)
    both.uns["spatial"]["a"] = both.uns["spatial"].pop("library")
    both.obs["library_id"] = both.obs["sample"]
    first, second = open_slides(both)
    assert (first.name, first.n_spots, first.mpp, first.open_image().width) == ("a", 120, 0.5, 560)
    assert (second.name, second.n_spots, second.mpp, second.patient) == ("b", 120, None, None)
    with pytest.raises(KeyError, match="'b' has no image"):
        second.open_image()
