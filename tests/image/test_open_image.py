"""Every kind of source gives the same pixels, lazily, or says clearly why it cannot."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from PIL import Image

from phg2st_sc._image import SlideImage, open_image

BOX = (10, 20, 250, 333)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)


def _channels_first(pixels):
    return np.moveaxis(pixels, -1, 0)


def _write_zarr(path: Path, pixels, chunks=(100, 90, 3)) -> Path:
    array = zarr.create_array(str(path), shape=pixels.shape, chunks=chunks, dtype=pixels.dtype)
    array[:] = pixels
    return path


def _write_ome_zarr(path: Path, pixels) -> Path:
    group = zarr.open_group(str(path), mode="w")
    for name, step in (("0", 1), ("1", 2)):
        level = _channels_first(pixels)[:, ::step, ::step]
        group.create_array(name, shape=level.shape, chunks=(3, 64, 64), dtype=level.dtype)[:] = level
    axes = [{"name": "c"}, {"name": "y"}, {"name": "x"}]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}]}
    return path


def _write_tiff(path: Path, pixels, **options) -> Path:
    tifffile.imwrite(path, pixels, photometric="rgb", **options)
    return path


def _write_pyramid(path: Path, pixels) -> Path:
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, subifds=1, tile=(128, 128), photometric="rgb")
        file.write(pixels[::2, ::2], subfiletype=1, tile=(128, 128), photometric="rgb")
    return path


SOURCES = {
    "numpy (y, x, c)": lambda p, _: p,
    "numpy (c, y, x)": lambda p, _: _channels_first(p),
    "numpy uint16": lambda p, _: p.astype(np.uint16) * 257,
    "numpy float": lambda p, _: p / 255.0,
    "dask (y, x, c)": lambda p, _: da.from_array(p, chunks=(77, 99, 3)),
    "dask (c, y, x), one channel a chunk": lambda p, _: da.from_array(_channels_first(p), chunks=(1, 70, 70)),
    "DataArray (c, y, x)": lambda p, _: xr.DataArray(_channels_first(p), dims=("c", "y", "x")),
    "DataArray (x, y, c), dask": lambda p, _: xr.DataArray(
        da.from_array(p.transpose(1, 0, 2), chunks=64), dims=("x", "y", "c")
    ),
    "png": lambda p, t: Image.fromarray(p).save(t / "a.png") or t / "a.png",
    "tiff": lambda p, t: _write_tiff(t / "a.tif", p),
    "tiff, no suffix": lambda p, t: _write_tiff(t / "a.tif", p).rename(t / "picture"),
    "tiff, tiled, compressed": lambda p, t: _write_tiff(t / "a.tif", p, tile=(64, 64), compression="deflate"),
    "tiff, strips": lambda p, t: _write_tiff(t / "a.tif", p, rowsperstrip=16),
    "ome-tiff, planar": lambda p, t: _write_tiff(
        t / "a.ome.tif", _channels_first(p), planarconfig="separate", metadata={"axes": "CYX"}
    ),
    "ome-tiff, pyramid": lambda p, t: _write_pyramid(t / "a.ome.tif", p),
    "tiff, axis of length one": lambda p, t: _write_tiff(t / "a.tif", p[None], metadata={"axes": "ZYXS"}),
    "zarr array": lambda p, t: _write_zarr(t / "a.zarr", p),
    "zarr array, open": lambda p, t: zarr.open_array(str(_write_zarr(t / "a.zarr", p)), mode="r"),
    "ome-zarr": lambda p, t: _write_ome_zarr(t / "a.zarr", p),
    "ome-zarr, as text": lambda p, t: str(_write_ome_zarr(t / "a.zarr", p)),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_all_sources_give_the_same_pixels(make, pixels, tmp_path):
    image = open_image(make(pixels, tmp_path))
    y0, x0, y1, x1 = BOX
    assert isinstance(image, SlideImage)
    assert (image.height, image.width) == (300, 400)
    read = image.read(*BOX)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels[y0:y1, x0:x1])
    image.close()


def test_single_pixel_and_last_pixel(pixels):
    image = open_image(da.from_array(pixels, chunks=(64, 64, 3)))
    np.testing.assert_array_equal(image.read(63, 64, 64, 65)[0, 0], pixels[63, 64])
    np.testing.assert_array_equal(image.read(299, 399, 300, 400)[0, 0], pixels[299, 399])


@pytest.mark.parametrize("make", [_write_pyramid, _write_ome_zarr])
def test_pyramid_levels(make, pixels, tmp_path):
    image = open_image(make(tmp_path / "a.ome.tif", pixels))
    assert [(level.height, level.width, level.downsample) for level in image.levels] == [(300, 400, 1), (150, 200, 2)]
    np.testing.assert_array_equal(image.read(5, 6, 50, 60, level=1), pixels[::2, ::2][5:50, 6:60])
    image.close()


def test_datatree_of_spatialdata(pixels):
    from spatialdata.models import Image2DModel

    tree = Image2DModel.parse(_channels_first(pixels), dims=("c", "y", "x"), scale_factors=[2])
    image = open_image(tree)
    assert [level.downsample for level in image.levels] == [1, 2]
    np.testing.assert_array_equal(image.read(0, 0, 300, 400), pixels)


def test_cropped_level_has_a_whole_downsample():
    base = np.zeros((301, 403, 3), dtype=np.uint8)
    tree = xr.DataTree.from_dict(
        {
            f"scale{i}": xr.Dataset({"image": (("c", "y", "x"), np.moveaxis(level, -1, 0))})
            for i, level in enumerate((base, base[:300:2, :402:2]))
        }
    )
    assert [level.downsample for level in open_image(tree).levels] == [1.0, 2.0]


def test_alpha_is_composited_on_white():
    rgba = np.zeros((40, 50, 4), dtype=np.uint8)
    rgba[:, 25:] = (100, 0, 0, 255)
    rgba[:20, 25:, 3] = 51
    read = open_image(rgba).read(0, 0, 40, 50)
    assert (read[:, :25] == 255).all()
    assert tuple(read[30, 30]) == (100, 0, 0)
    assert tuple(read[10, 30]) == (224, 204, 204)


def test_palette_png_with_transparency(tmp_path):
    picture = Image.new("RGBA", (50, 40), (0, 0, 0, 0))
    picture.paste((200, 0, 0, 255), (25, 0, 50, 40))
    picture.quantize(4).save(tmp_path / "a.png")
    read = open_image(tmp_path / "a.png").read(0, 0, 40, 50)
    assert tuple(read[5, 5]) == (255, 255, 255)
    assert tuple(read[5, 40]) == (200, 0, 0)


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (1, 30, 40)])
def test_grey_becomes_rgb(shape, rng):
    grey = rng.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(open_image(grey).read(0, 0, 30, 40), np.repeat(grey.reshape(30, 40, 1), 3, axis=-1))


def test_white_is_zero_scan_is_inverted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 40), dtype=np.uint8), photometric="miniswhite")
    assert (open_image(tmp_path / "a.tif").read(0, 0, 30, 40) == 255).all()


def test_picture_is_decoded_at_the_first_read_and_once(pixels, tmp_path, monkeypatch):
    from phg2st_sc._image import _picture

    calls = []
    original = _picture._stored
    monkeypatch.setattr(_picture, "_stored", lambda p, path: calls.append(1) or original(p, path))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    assert (image.height, image.width, len(calls)) == (300, 400, 0)
    image.read(0, 0, 5, 5)
    image.read(9, 9, 20, 20)
    assert len(calls) == 1


def test_bomb_limit_is_lifted_and_put_back(pixels, tmp_path, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(open_image(tmp_path / "a.png").read(0, 0, 300, 400), pixels)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_dask_computes_only_touched_chunks_once(pixels):
    touched = []

    def block(block_info=None):
        (y0, y1), (x0, x1), _ = block_info[None]["array-location"]
        touched.append((y0, x0))
        return pixels[y0:y1, x0:x1]

    lazy = da.map_blocks(block, chunks=((100,) * 3, (100,) * 4, (3,)), dtype=np.uint8, meta=np.empty((0, 0, 0), "u1"))
    image = open_image(lazy)
    assert touched == []
    np.testing.assert_array_equal(image.read(90, 10, 110, 20), pixels[90:110, 10:20])
    image.read(95, 30, 120, 60)
    assert sorted(touched) == [(0, 0), (100, 0)]


def test_one_huge_chunk_warns_once(monkeypatch):
    from phg2st_sc._image import _chunked

    monkeypatch.setattr(_chunked, "_HUGE_PIXELS", 1000)
    image = open_image(da.ones((50, 60, 3), chunks=-1, dtype=np.uint8))
    with pytest.warns(UserWarning, match="one chunk of 50 x 60.*read it back"):
        image.read(0, 0, 5, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image.read(0, 0, 5, 5)


def test_mpp_of_files(pixels, tmp_path):
    ome = {"axes": "YXS", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}
    assert open_image(_write_tiff(tmp_path / "a.ome.tif", pixels, metadata=ome)).mpp == pytest.approx(0.25)
    aperio = "Aperio Image Library v11.2.1\r\n300x400|AppMag = 20|MPP = 0.4990|Left = 1"
    assert open_image(_write_tiff(tmp_path / "b.tif", pixels, description=aperio)).mpp == pytest.approx(0.499)
    assert open_image(_write_tiff(tmp_path / "c.tif", pixels)).mpp is None


@pytest.mark.parametrize("shape", [(3, 100, 3), (1, 3, 4), (4, 30, 1)])
def test_ambiguous_axes_are_refused(shape):
    with pytest.raises(ValueError, match=r"could be \(y, x, c\) or \(c, y, x\).*DataArray"):
        open_image(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("shape", [(30, 40, 2), (5, 30, 40), (2, 3, 30, 40), (30,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="no brightfield image"):
        open_image(np.zeros(shape, dtype=np.uint8))


def test_value_range_is_never_guessed():
    with pytest.raises(TypeError, match=r"int64 have no agreed range.*uint8"):
        open_image(np.zeros((30, 40, 3), dtype=np.int64))
    image = open_image(np.linspace(0, 200, 3600).reshape(30, 40, 3))
    with pytest.raises(ValueError, match="must lie in 0-1, found values from 0 to 200"):
        image.read(0, 0, 30, 40)


def test_multichannel_image_is_refused():
    with pytest.raises(ValueError, match="one plane of c"):
        open_image(xr.DataArray(np.zeros((7, 30, 40), dtype=np.uint8), dims=("c", "y", "x")))


def test_bad_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not found: .*nowhere\.tif.*image="):
        open_image(tmp_path / "nowhere.tif")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match="not an image that can be read"):
        open_image(tmp_path / "notes.txt")
    (tmp_path / "fake.tif").write_text("no picture")
    with pytest.raises(ValueError, match="cannot be read as a TIFF"):
        open_image(tmp_path / "fake.tif")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="no zarr array or OME-zarr"):
        open_image(tmp_path / "folder")
    zarr.open_group(str(tmp_path / "g.zarr"), mode="w").create_group("images")
    with pytest.raises(ValueError, match=r"without `multiscales`.*groups inside: images"):
        open_image(tmp_path / "g.zarr")
    with pytest.raises(TypeError, match=r"Cannot open an image from builtins\.int"):
        open_image(3)


def test_truncated_picture(pixels, tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    image = open_image(path)
    with pytest.raises(ValueError, match=r"Could not decode.*cut short"):
        image.read(0, 0, 5, 5)


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 301, 5), (5, 5, 5, 9), (0, 390, 5, 401)])
def test_box_outside_is_refused(box, pixels):
    with pytest.raises(ValueError, match="does not lie inside the image of 300 x 400"):
        open_image(pixels).read(*box)


def test_jpeg_compressed_tiles_like_those_of_scanners(tmp_path):
    y, x = np.mgrid[:256, :384]
    smooth = np.stack([x // 2 + 30, y // 2 + 60, (x + y) // 4 + 40], axis=-1).astype(np.uint8)
    path = _write_tiff(tmp_path / "a.svs", smooth, tile=(128, 128), compression="jpeg")
    read = open_image(path).read(100, 100, 200, 300)
    assert np.abs(read.astype(int) - smooth[100:200, 100:300]).mean() < 3


@pytest.mark.parametrize("kind", ["picture", "zarr"])
def test_an_opened_image_travels_to_another_process(kind, pixels, tmp_path):
    if kind == "picture":
        Image.fromarray(pixels).save(tmp_path / "he.png")
        image = open_image(tmp_path / "he.png", max_pixels=10**6)
    else:
        zarr.save_array(str(tmp_path / "he.zarr"), pixels)
        image = open_image(tmp_path / "he.zarr")
    expected = image.read(10, 20, 30, 50)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(image)).read(10, 20, 30, 50), expected)
