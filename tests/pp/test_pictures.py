"""Embeddings know their picture, and later steps look at it."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest
from PIL import Image

from phg2st_sc import _keys, pp, tl
from phg2st_sc._image import Picture, open_image, recorded_pictures


def color(tiles):
    return tiles.mean(axis=(1, 2))


def embed(adata, image, **options):
    pp.extract_embeddings(adata, image=image, encoder=color, platform="ST", context=None, progress=False, **options)
    return adata


@pytest.fixture
def other_image(he_image):
    return np.ascontiguousarray(he_image[:, ::-1])


def test_the_record_names_the_picture(spot_adata, he_image, tmp_path):
    Image.fromarray(he_image).save(tmp_path / "he.png")
    embed(spot_adata, tmp_path / "he.png").write_h5ad(tmp_path / "a.h5ad")
    record = ad.read_h5ad(tmp_path / "a.h5ad").uns[_keys.EMBEDDINGS]["X_color"]
    kept = recorded_pictures(record)["slide"]
    assert (kept.name, kept.width, kept.height) == (str(tmp_path / "he.png"), 560, 480)
    assert kept.is_same(Picture.of(open_image(he_image), "the array"))
    assert not kept.is_another(Picture.of(open_image(he_image[::2, ::2]), "a thumbnail"))
    assert kept.is_another(Picture.of(open_image(he_image[:, ::-1]), "a mirrored one"))
    assert kept.is_another(Picture.of(open_image(he_image[:, :400]), "a part"))


def test_a_second_call_with_another_picture_is_told_of(spot_adata, he_image, other_image):
    embed(spot_adata, he_image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(spot_adata, he_image)
    with pytest.warns(
        UserWarning, match=r"'slide': the picture .*560 x 480\) is not the one that it was embedded from before"
    ):
        embed(spot_adata, other_image)


def test_targets_remember_the_picture_of_the_embeddings_that_go(spot_adata, he_image, other_image, tmp_path):
    embed(spot_adata, he_image)
    new = pp.add_targets(spot_adata, region="capture", pitch_um=100.0, platform="ST")
    new.write_h5ad(tmp_path / "new.h5ad")
    new = ad.read_h5ad(tmp_path / "new.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(new.copy(), he_image)
    with pytest.warns(UserWarning, match="is not the one that it was embedded from before"):
        embed(new, other_image)
    with pytest.warns(UserWarning, match="is not the one that it was embedded from before"):
        pp.add_targets(spot_adata, region="tissue", image=other_image, pitch_um=100.0, platform="ST")


def test_two_files_with_one_picture(spot_adata, he_image):
    both = ad.concat({"a": spot_adata, "b": spot_adata}, label="sample", index_unique="-")
    with pytest.warns(UserWarning, match=r"'a' and 'b' were both embedded from the picture .*100% of the spots of 'b'"):
        embed(both, {"a": he_image, "b": he_image.copy()}, slide_key="sample")


def test_a_cohort_of_two_slides_embedded_from_one_picture(spot_adata, he_image, other_image):
    first = embed(spot_adata.copy(), he_image)
    second = spot_adata.copy()
    second.obsm["spatial"] = second.obsm["spatial"] + 3.0
    settings = {"method": "image_ridge", "progress": False}
    embed(second, he_image)
    with pytest.warns(UserWarning, match=r"'first' and 'second' were both embedded from the picture"):
        tl.train({"first": first, "second": second}, **settings)
    with pytest.warns(UserWarning, match="not the one"):
        embed(second, other_image)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*both embedded")
        tl.train({"first": first, "second": second}, **settings)


def test_a_record_of_one_of_the_objects_that_were_joined(spot_adata, he_image, other_image):
    first, second = embed(spot_adata.copy(), he_image), embed(spot_adata.copy(), other_image)
    first.obs["prompt"] = second.obs["prompt"] = np.arange(120) % 3 == 0
    joined = {
        merge: ad.concat({"a": first, "b": second}, label="sample", index_unique="-", uns_merge=merge)
        for merge in ("first", "unique")
    }
    settings = {"method": "image_ridge", "slide_key": "sample", "progress": False}
    with pytest.warns(UserWarning, match=r"record of obsm\['X_color'\] .* is of 120 spots, and the object has 240"):
        tl.impute(joined["first"], **settings)
    with pytest.warns(UserWarning, match="is of 120 spots, and the object has 240"):
        tl.train(joined["first"], **settings)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*spots, and the object has")
        tl.impute(joined["unique"], **settings)


@pytest.mark.parametrize("names", ["different", "the same"])
def test_slides_of_a_loop_embedded_from_one_picture_and_joined(spot_adata, he_image, names):
    slides = {}
    for name in "abc":
        slide = spot_adata.copy()
        slide.obs_names = [f"{name}{spot}" for spot in slide.obs_names]
        slide.obs["section"] = name if names == "different" else "one"
        slide.obs["prompt"] = np.arange(120) % 3 == 0
        slide.obsm["spatial"] = slide.obsm["spatial"] + 1.0
        slides[name] = embed(slide, he_image, slide_key="section")
    settings = {"method": "image_ridge", "slide_key": "sample", "progress": False}
    for merge in ("same", "unique"):
        joined = ad.concat(slides, label="sample", uns_merge=merge)
        for call in (tl.predict, tl.train, tl.impute):
            with pytest.warns(UserWarning, match="'a' and 'b' were both embedded from the picture") as told:
                call(joined, **settings)
            assert not [one for one in told if "uns_merge='first'" in str(one.message)]
            assert len([one for one in told if "both embedded" in str(one.message)]) == 1


def test_pieces_beside_each_other_on_one_picture_that_were_joined_are_right(spot_adata, he_image):
    left = spot_adata.obsm["spatial"][:, 0] < np.median(spot_adata.obsm["spatial"][:, 0])
    pieces = {name: embed(spot_adata[rows].copy(), he_image) for name, rows in (("a", left), ("b", ~left))}
    joined = ad.concat(pieces, label="sample", uns_merge="unique")
    joined.obs["prompt"] = np.arange(joined.n_obs) % 3 == 0
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*both embedded")
        tl.predict(joined, method="image_ridge", slide_key="sample", progress=False)
