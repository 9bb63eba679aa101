"""Pictures whose axes have names of their own are read as what they are."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from phg2st_sc import pp
from phg2st_sc._image import open_image
from phg2st_sc._slide import open_slides


@pytest.fixture
def container(he_image):
    im = pytest.importorskip("squidpy", reason="ImageContainer is squidpy's").im
    return im.ImageContainer(he_image, layer="image")


def whole(source):
    image = open_image(source)
    return image.read(0, 0, image.height, image.width)


@pytest.mark.parametrize(
    ("dims", "order"),
    [
        (("y", "x", "channels"), (0, 1, 2)),
        (("channel", "Y", "X"), (2, 0, 1)),
        (("row", "col", "band"), (0, 1, 2)),
        (("width", "height", "rgb"), (1, 0, 2)),
        (("dim_0", "dim_1", "dim_2"), (2, 0, 1)),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_axes_by_name(he_image, dims, order, lazy):
    pixels = np.ascontiguousarray(he_image.transpose(order))
    array = xr.DataArray(da.from_array(pixels, chunks=100) if lazy else pixels, dims=dims)
    np.testing.assert_array_equal(whole(array), he_image)


def test_axes_that_say_nothing_are_answered_with_the_call_that_names_them(he_image):
    with pytest.raises(ValueError, match=r"dimensions \['a', 'b', 'c'\].*`image.rename\("):
        open_image(xr.DataArray(he_image, dims=("a", "b", "c")))


def test_an_image_container(container, spot_adata, he_image):
    np.testing.assert_array_equal(whole(container), he_image)
    other = spot_adata.copy()
    options = {
        "encoder": lambda tiles: tiles.mean(axis=(1, 2)),
        "key_added": "X_m",
        "platform": "ST",
        "progress": False,
    }
    pp.extract_embeddings(spot_adata, image=container, **options)
    pp.extract_embeddings(other, image=he_image, **options)
    np.testing.assert_array_equal(spot_adata.obsm["X_m"], other.obsm["X_m"])


def test_layers_of_a_container(container, he_image):
    container.add_img(255 - he_image, layer="negative")
    np.testing.assert_array_equal(whole(container), he_image)
    np.testing.assert_array_equal(whole(container["negative"]), 255 - he_image)
    with pytest.raises(ValueError, match=r"2 images \('one', 'negative'\).*`image=img\['hne'\]`"):
        open_image(container.rename("image", "one"))


def test_crops_and_scaled_containers_are_refused(container):
    with pytest.raises(ValueError, match=r"crop that begins at x = 50, y = 40"):
        open_image(container.crop_corner(40, 50, size=200))
    with pytest.raises(ValueError, match="scaled by 0.5"):
        open_image(container.crop_corner(0, 0, scale=0.5))


def test_libraries_of_a_container_belong_to_slides(spot_adata, he_image):
    im = pytest.importorskip("squidpy").im
    pictures = {"a": he_image, "b": 255 - he_image}
    container = im.ImageContainer.concat(
        [im.ImageContainer(pixels, layer="image") for pixels in pictures.values()], library_ids=list(pictures)
    )
    spot_adata.obs["sample"] = np.where(np.arange(120) % 2, "a", "b")
    for slide in open_slides(spot_adata, slide_key="sample", image=container):
        np.testing.assert_array_equal(slide.open_image().read(0, 0, 480, 560), pictures[slide.name])
    spot_adata.obs["sample"] = np.where(np.arange(120) % 2, "a", "c")
    with pytest.raises(KeyError, match="no library for slide 'c', only for 'a', 'b'"):
        open_slides(spot_adata, slide_key="sample", image=container)
