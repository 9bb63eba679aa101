"""What is no image, or a damaged one, is refused at once, by name."""

from __future__ import annotations

import os
import socket
import struct
import zlib

import numpy as np
import pytest
import tifffile
import zarr
from picture_cases import chart
from PIL import Image

from phg2st_sc._image import open_image


def _read(path):
    image = open_image(path)
    try:
        return image.read(0, 0, image.height, image.width)
    finally:
        image.close()


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_pipe_is_refused_instead_of_waited_for(suffix, tmp_path):
    os.mkfifo(tmp_path / f"a.{suffix}")
    with pytest.raises(ValueError, match=rf"a\.{suffix} is a named pipe, not an image file"):
        open_image(tmp_path / f"a.{suffix}")


def test_a_socket_and_a_device_are_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "a.png"))
        with pytest.raises(ValueError, match="is a socket"):
            open_image(tmp_path / "a.png")
    with pytest.raises(ValueError, match="/dev/zero is a device"):
        open_image("/dev/zero")


CONTENTS = {
    "empty": (b"", "is an empty file"),
    "web page": (b"<!DOCTYPE html><html>404</html>", "is a web page"),
    "web page, small": (b"\n <html>log in</html>", "is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a pointer of Git LFS"),
    "gzip": (b"\x1f\x8b\x08\0", "compressed by gzip"),
    "zip": (b"PK\x03\x04", "is a zip archive"),
    "pdf": (b"%PDF-1.7", "is a PDF"),
    "hdf5": (b"\x89HDF\r\n", "is an HDF5 file"),
    "text": (b"hello", ""),
    "noise": (bytes(range(256)) * 9, ""),
}


@pytest.mark.parametrize("suffix", ["tif", "svs", "png", "jpg", "jp2"])
@pytest.mark.parametrize("content", CONTENTS)
def test_other_content_under_the_name_of_an_image(content, suffix, tmp_path):
    stored, said = CONTENTS[content]
    (tmp_path / f"a.{suffix}").write_bytes(stored)
    with pytest.raises(ValueError, match=rf"a\.{suffix} .*{said}"):
        open_image(tmp_path / f"a.{suffix}")


def test_an_address_is_no_path():
    with pytest.raises(FileNotFoundError, match=r"example\.org.* is an address, not a file\. Download"):
        open_image("https://example.org/scan.tif")


def test_a_folder_that_is_no_zarr(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(ValueError, match=r"a\.tif is a folder but no zarr"):
        open_image(tmp_path / "a.tif")


SAVED = {
    "png": lambda p: Image.fromarray(chart()).save(p),
    "jpg": lambda p: Image.fromarray(chart()).save(p),
    "bmp": lambda p: Image.fromarray(chart()).save(p),
    "webp": lambda p: Image.fromarray(chart()).save(p),
    "jp2": lambda p: Image.fromarray(chart()).save(p),
    "gif": lambda p: Image.fromarray(chart()).quantize(16).save(p),
    "tif": lambda p: tifffile.imwrite(p, chart(), photometric="rgb"),
    "svs": lambda p: tifffile.imwrite(p, chart(), photometric="rgb", tile=(32, 32), compression="deflate"),
    "tiff": lambda p: tifffile.imwrite(p, chart(), photometric="rgb", tile=(32, 32), compression="jpeg"),
}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("suffix", SAVED)
def test_a_file_that_is_cut_short_is_refused_by_name(suffix, share, tmp_path):
    path = tmp_path / f"a.{suffix}"
    SAVED[suffix](path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    read, problem = None, ""
    try:
        read = _read(path)
    except ValueError as error:
        problem = str(error)
    # a few of 100 are cut where no pixel is
    assert str(path) in problem or np.abs(np.asarray(read).astype(int) - chart()).max() < 60


def test_pictures_that_are_lost_from_the_end_are_told_of(tmp_path):
    planes = np.moveaxis(chart(), -1, 0)
    tifffile.imwrite(tmp_path / "a.ome.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    whole = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(whole[:-2000])
    with pytest.warns(
        UserWarning, match=r"a\.ome\.tif is cut short or damaged: pictures beyond the first 1 in it are lost"
    ):
        open_image(tmp_path / "a.ome.tif").close()


@pytest.mark.parametrize(
    ("height", "width", "said"),
    [(0, 128, "(has no pixels|cannot be read as a TIFF)"), (96, 3 * 10**9, "of the .* tiles or strips")],
)
def test_sizes_that_cannot_be(height, width, said, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", chart(), photometric="rgb", tile=(32, 32))
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages.first.tags
        for number, value in ((256, width), (257, height)):
            place = tags[number].offset
            content[place + 2 : place + 4] = (4).to_bytes(2, "little")  # 32 bits
            content[place + 8 : place + 12] = value.to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.tif .*{said}"):
        open_image(tmp_path / "a.tif")


def test_a_palette_that_is_missing(tmp_path):
    Image.fromarray(chart()).quantize(16).save(tmp_path / "a.tif")
    path = tmp_path / "a.tif"
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags[320]
    content = bytearray(path.read_bytes())
    content[tag.offset : tag.offset + 2] = (65000).to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.tif stores colours through a palette that is missing"):
        open_image(path)


def test_a_damaged_tile_and_a_damaged_chunk_are_named(tmp_path):
    SAVED["svs"](tmp_path / "a.svs")
    with tifffile.TiffFile(tmp_path / "a.svs") as file:
        offset = file.pages.first.dataoffsets[5]
    with (tmp_path / "a.svs").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 12)
    with pytest.raises(ValueError, match=r"a\.svs could not be decoded near row 32, column 32 of level 0"):
        open_image(tmp_path / "a.svs").read(32, 32, 64, 64)
    stored = zarr.create_array(str(tmp_path / "a.zarr"), shape=(96, 128, 3), chunks=(32, 32, 3), dtype="u1")
    stored[...] = chart()
    (tmp_path / "a.zarr" / "c/1/1/0").write_bytes(b"no chunk")
    with pytest.raises(ValueError, match=r"a\.zarr could not be decoded near row 32, column 32"):
        open_image(tmp_path / "a.zarr").read(0, 0, 96, 128)


def _claims(path, height, width):
    """PNG of a few bytes that claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def test_a_small_file_that_claims_to_be_huge_is_refused_before_it_fills_the_memory(tmp_path):
    _claims(tmp_path / "a.png", 100_000, 100_000)
    with pytest.raises(
        ValueError, match=r"a\.png would be decoded as one piece of 100000 x 100000.*max_pixels=10000000000"
    ):
        open_image(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png", max_pixels=float("inf"))
    assert (image.height, image.width) == (100_000, 100_000)


def test_the_limit_can_be_lowered_and_raised(tmp_path):
    SAVED["png"](tmp_path / "a.png")
    SAVED["svs"](tmp_path / "a.svs")
    with pytest.raises(ValueError, match=r"a\.png would be decoded as one piece of 96 x 128"):
        open_image(tmp_path / "a.png", max_pixels=1000)
    with pytest.raises(ValueError, match=r"a\.svs would be decoded as one piece of 32 x 32"):
        open_image(tmp_path / "a.svs", max_pixels=1000)
    image = open_image(tmp_path / "a.svs", max_pixels=32 * 32)
    np.testing.assert_array_equal(image.read(0, 0, 96, 128), chart())
    image.close()


def test_a_tile_that_claims_to_be_huge_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", chart(), photometric="rgb", tile=(32, 32), compression="deflate")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for tag in (322, 323):
            file.pages.first.tags[tag].overwrite(60000)
    with pytest.raises(ValueError, match=r"a\.tif would be decoded as one piece"):
        open_image(tmp_path / "a.tif")


def test_an_ome_zarr_that_was_not_copied_as_a_whole(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.attrs["ome"] = {"multiscales": [{"axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}]}
    with pytest.raises(ValueError, match=r"a\.zarr names a level '0' that is not there"):
        open_image(tmp_path / "a.zarr")


def test_ome_zarr_of_several_pictures(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    for number, value in enumerate((50, 200)):
        group = root.create_group(str(number))
        group.create_array("0", shape=(3, 40, 50), dtype="u1", chunks=(3, 40, 50))[...] = value
        axes = [{"name": name} for name in "cyx"]
        group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    assert open_image(tmp_path / "a.zarr", series=1).read(0, 0, 1, 1).max() == 200
    with pytest.raises(ValueError, match="groups inside: 0, 1"):
        open_image(tmp_path / "a.zarr")
