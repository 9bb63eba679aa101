"""Pictures of one colour chart in every common kind of file and array, with what has to come out of each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import imagecodecs
import numpy as np
import tifffile
import xarray as xr
import zarr
from PIL import Image, ImageCms
from skimage.color import rgb2lab

SIDE, ROWS, COLUMNS = 32, 3, 4
COLORS = np.array(
    [
        [(255, 255, 255), (242, 236, 240), (226, 160, 196), (148, 82, 142)],
        [(94, 58, 128), (52, 30, 86), (200, 40, 60), (40, 150, 70)],
        [(60, 80, 190), (230, 200, 60), (128, 128, 128), (24, 20, 22)],
    ],
    dtype=np.uint8,
)
"""Glass, eosin, haematoxylin, pen marks, grey, and a dark fold."""
LOSSY = 7.0


def chart() -> np.ndarray:
    """(96, 128, 3) uint8, patches of 32 pixels."""
    return np.repeat(np.repeat(COLORS, SIDE, axis=0), SIDE, axis=1)


def grey(rgb: np.ndarray) -> np.ndarray:
    """(h, w) uint8 luma, as PIL has it."""
    return np.asarray(Image.fromarray(rgb).convert("L"))


def as_grey(rgb: np.ndarray) -> np.ndarray:
    """Luma in three channels."""
    return np.repeat(grey(rgb)[..., None], 3, axis=2)


def patches(rgb: np.ndarray) -> np.ndarray:
    """(3, 4, 3) mean colour in the middle of each patch."""
    blocks = rgb.astype(float).reshape(ROWS, SIDE, COLUMNS, SIDE, 3)
    return blocks[:, 8:-8, :, 8:-8].mean(axis=(1, 3))


@dataclass(frozen=True)
class Case:
    """One picture.

    Attributes
    ----------
    name
        What is special about it.
    make
        Writes it into a folder and returns what ``image=`` is given.
    expected
        (96, 128, 3) picture that must be read, or ``None`` where it has to be refused.
    tolerance
        Largest difference of a patch, in 255 steps.
    may_refuse
        Whether a clear refusal is as good.
    """

    name: str
    make: Callable[[Path], Any]
    expected: np.ndarray | None
    tolerance: float = 1.0
    may_refuse: bool = False


def all_cases() -> list[Case]:
    """Every case, in a fixed order."""
    makers = (_tiffs, _tiff_bits, _tiff_colors, _tiff_alpha, _jpegs, _pngs, _other_pictures, _arrays, _zarrs, _holes)
    return [case for maker in makers for case in maker()]


def _tiff(name: str, pixels: np.ndarray, expected: np.ndarray | None = None, **options: Any) -> Case:
    tolerance, may_refuse = options.pop("tolerance", 1.0), options.pop("may_refuse", False)
    refused = options.pop("refused", False)
    options.setdefault("photometric", "rgb")

    def make(folder: Path) -> Path:
        path = folder / options.get("file", "a.tif")
        tifffile.imwrite(path, pixels, **{key: value for key, value in options.items() if key != "file"})
        return path

    wanted = None if refused else chart() if expected is None else expected
    return Case(f"tiff {name}", make, wanted, tolerance, may_refuse)


def _tiffs() -> Iterator[Case]:
    """Compressions, layouts, byte orders, predictors, planes."""
    rgb = chart()
    layouts = {"strips": {"rowsperstrip": 16}, "tiles": {"tile": (32, 48)}, "one strip": {}}
    lossless = (
        None,
        "lzw",
        "deflate",
        "adobe_deflate",
        "packbits",
        "zstd",
        "lzma",
        "png",
        "jpegxl",
        "jpeg2000",
        "webp",
    )
    for compression, (layout, options) in itertools.product(lossless, layouts.items()):
        tolerance = 1.0 if compression not in ("webp", "jpeg2000") else LOSSY
        yield _tiff(f"{compression}, {layout}", rgb, compression=compression, tolerance=tolerance, **options)
    for layout, options in layouts.items():
        yield _tiff(
            f"jpeg, {layout}", rgb, compression="jpeg", compressionargs={"level": 95}, tolerance=LOSSY, **options
        )
        rgb_jpeg = {"compressionargs": {"outcolorspace": "rgb", "level": 95}}
        yield _tiff(f"jpeg of RGB, {layout}", rgb, compression="jpeg", tolerance=LOSSY, **rgb_jpeg, **options)
        yield _tiff(f"jpegxr, {layout}", rgb, compression="jpegxr", tolerance=LOSSY, may_refuse=True, **options)
        yield _tiff(f"lerc, {layout}", rgb, compression="lerc", may_refuse=True, **options)
    for order, dtype, compression in itertools.product("<>", ("u1", "u2", "f4", "f2"), (None, "lzw", "deflate")):
        predictor = None if compression is None else (3 if dtype[0] == "f" else 2)
        if dtype == "f2" and predictor:
            predictor = None
        yield _tiff(f"{order}{dtype}, {compression}, predictor {predictor}", _of_type(rgb, dtype), byteorder=order,
                    compression=compression, predictor=predictor, tile=(32, 32))  # fmt: skip
    planes = np.moveaxis(rgb, -1, 0)
    for compression in (None, "deflate", "lzw", "jpeg"):
        yield _tiff(f"planes apart, {compression}", planes, planarconfig="separate", compression=compression,
                    tile=(32, 32), tolerance=LOSSY if compression == "jpeg" else 1.0)  # fmt: skip
    yield _tiff("planes apart, strips", planes, planarconfig="separate", rowsperstrip=20)
    yield _tiff("planes as pages", planes, photometric="minisblack", metadata={"axes": "CYX"})
    yield _tiff("planes as pages, OME", planes, file="a.ome.tif", photometric="minisblack", metadata={"axes": "CYX"})
    bgr = {"axes": "CYX", "Channel": {"Name": ["Blue", "Green", "Red"]}}
    yield _tiff(
        "planes as pages, OME, blue first", planes[::-1], file="a.ome.tif", photometric="minisblack", metadata=bgr
    )
    dyes = {"axes": "CYX", "Channel": {"Name": ["DAPI", "FITC", "Cy5"]}}
    yield _tiff("dyes", planes, file="a.ome.tif", photometric="minisblack", metadata=dyes, refused=True)
    yield _tiff("BigTIFF", rgb, bigtiff=True)
    yield _tiff("OME, a plane of one", rgb[None], file="a.ome.tif", metadata={"axes": "ZYXS"})
    yield _tiff("stack of five", np.stack([rgb] * 5), metadata={"axes": "ZYXS"}, refused=True)
    yield _tiff("stack of three, grey", np.stack([grey(rgb)] * 3), photometric="minisblack", metadata={"axes": "ZYX"},
                file="a.ome.tif", refused=True)  # fmt: skip
    yield _tiff(
        "five channels", np.dstack([rgb, rgb[..., :2]]), photometric="minisblack", planarconfig="contig", refused=True
    )


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of values of a few bits each, each row filled up to a byte."""
    rows = values.reshape(len(values), -1)
    every = (rows[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(every.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


def _packed_tiff(name: str, values: np.ndarray, bits: int, expected: np.ndarray, **options: Any) -> Case:
    def make(folder: Path) -> Path:
        path = folder / "a.tif"
        options.setdefault("photometric", "rgb" if values.ndim == 3 else "minisblack")
        tifffile.imwrite(path, iter([packed(values, bits)]), shape=values.shape, dtype=values.dtype, bitspersample=bits,
                         rowsperstrip=len(values), **options)  # fmt: skip
        return path

    return Case(f"tiff {name}", make, expected)


def _of_type(rgb: np.ndarray, dtype: str) -> np.ndarray:
    return {
        "u1": lambda: rgb,
        "u2": lambda: rgb.astype(np.uint16) * 257,
        "f4": lambda: (rgb / 255).astype(np.float32),
        "f2": lambda: (rgb / 255).astype(np.float16),
    }[dtype]()


def _tiff_bits() -> Iterator[Case]:
    """Depths other than those of the type."""
    rgb = chart()
    for bits in (10, 12, 14):
        deep = np.rint(rgb * ((2**bits - 1) / 255)).astype(np.uint16)
        yield _packed_tiff(f"{bits} bits packed", deep, bits, rgb)
        yield _tiff(f"{bits} bits in 16", deep)
        yield _tiff(f"{bits} bits in 16, tiles", deep, tile=(32, 32), compression="deflate")
        largest = [(281, "H", 3, (2**bits - 1,) * 3, False)]
        yield _tiff(f"{bits} bits in 16, said by a tag", deep // 4 * 4, extratags=largest, tolerance=2.0)
        said = {"axes": "YXS", "SignificantBits": bits}
        yield _tiff(f"{bits} bits in 16, said by OME", deep, file="a.ome.tif", metadata=said)
    yield _tiff("8 bits in 16", rgb.astype(np.uint16))
    yield _tiff(
        "grey of 12 bits in 16", grey(rgb).astype(np.uint16) * 16, as_grey(rgb), photometric="minisblack", tolerance=2.0
    )
    for bits in (1, 2, 4):
        levels = np.rint(grey(rgb) * ((2**bits - 1) / 255)).astype(np.uint8)
        seen = np.repeat(np.rint(levels * (255 / (2**bits - 1))).astype(np.uint8)[..., None], 3, axis=2)
        turned = (2**bits - 1 - levels).astype(np.uint8)
        if bits == 1:
            levels, turned = levels.astype(bool), turned.astype(bool)
        yield _packed_tiff(f"grey of {bits} bits", levels, bits, seen)
        yield _packed_tiff(f"grey of {bits} bits, white is zero", turned, bits, seen, photometric="miniswhite")
    for dtype in ("i1", "i2", "i4", "u4", "f8", "c8", "i8", "u8"):
        refused = dtype != "f8"
        pixels = rgb / 255 if dtype == "f8" else (rgb // 2).astype(dtype)
        yield _tiff(f"values of type {dtype}", pixels, refused=refused, may_refuse=not refused)
    yield _tiff("floats of 0-255", rgb.astype(np.float32), refused=True)
    yield _tiff("floats with NaN", np.where(rgb == 255, np.nan, rgb / 255).astype(np.float32), refused=True)


def _saved(name: str, picture: Image.Image, file: str, expected: np.ndarray, **options: Any) -> Case:
    tolerance, may_refuse = options.pop("tolerance", 1.0), options.pop("may_refuse", False)

    def make(folder: Path) -> Path:
        picture.save(folder / file, **options)
        return folder / file

    return Case(name, make, expected, tolerance, may_refuse)


def _tiff_colors() -> Iterator[Case]:
    """Photometric interpretations."""
    rgb, picture = chart(), Image.fromarray(chart())
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits"):
        save = {"file": "a.tif", "compression": compression}
        naive = np.asarray(picture.convert("CMYK").convert("RGB"))
        yield _saved(f"tiff CMYK, {compression}", picture.convert("CMYK"), expected=naive, **save)
        yield _saved(
            f"tiff YCbCr, {compression}", picture.convert("YCbCr"), expected=rgb, tolerance=3.0, may_refuse=True, **save
        )
        yield _saved(f"tiff palette, {compression}", picture.quantize(16), expected=rgb, tolerance=LOSSY, **save)
        yield _saved(f"tiff Lab, {compression}", lab(picture), expected=rgb, tolerance=LOSSY, **save)
        yield _saved(f"tiff grey, {compression}", picture.convert("L"), expected=as_grey(rgb), **save)
        yield _saved(f"tiff RGB by PIL, {compression}", picture, expected=rgb, **save)
    yield _saved("tiff JPEG by PIL", picture, "a.tif", rgb, compression="jpeg", quality=95, tolerance=LOSSY)
    yield _saved(
        "tiff CMYK, jpeg", picture.convert("CMYK"), "a.tif", rgb, compression="jpeg", quality=95, tolerance=LOSSY
    )
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield _saved(f"tiff fax, {compression}", picture.convert("1", dither=0), "a.tif",
                     np.asarray(picture.convert("1", dither=0).convert("RGB")), compression=compression, may_refuse=True)  # fmt: skip
    inks = dense_cmyk(rgb)
    for bits, layout in itertools.product((8, 16), ({}, {"tile": (32, 32), "compression": "deflate"})):
        deep = inks if bits == 8 else inks.astype(np.uint16) * 257
        yield _tiff(
            f"CMYK with black, {bits} bits, {layout}", deep, rgb, photometric="separated", tolerance=2.0, **layout
        )
    yield _tiff(
        "CMYK, planes apart",
        np.moveaxis(inks, -1, 0),
        rgb,
        photometric="separated",
        planarconfig="separate",
        tolerance=2.0,
    )
    inkset = [(332, "H", 1, 2, False)]
    yield _tiff("four inks that are not CMYK", inks, photometric="separated", extratags=inkset, refused=True)
    ycc = np.asarray(picture.convert("YCbCr"))
    for compression in (None, "lzw", "deflate", "jpegxl", "zstd"):
        yield _tiff(f"YCbCr at full resolution, {compression}", ycc, rgb, photometric="ycbcr", compression=compression,
                    subsampling=(1, 1), tolerance=3.0)  # fmt: skip
    for transform, photometric in itertools.product((False, True), ("rgb", "ycbcr")):
        yield Case(f"tiff JPEG 2000 of Aperio, transform {transform}, said to be {photometric}",
                   lambda t, m=transform, p=photometric: _aperio_jpeg2000(t / "a.svs", mct=m, photometric=p), rgb, 3.0)  # fmt: skip
    labs = np.asarray(lab(picture))
    yield _tiff("Lab, tiles", labs, rgb, photometric="cielab", tile=(32, 32), compression="deflate", tolerance=LOSSY)
    daylight = rgb2lab(rgb)  # under D65
    stored = np.stack([daylight[..., 0] * 2.55, daylight[..., 1], daylight[..., 2]], axis=-1)
    point = [(318, "2I", 2, (3127, 10000, 3290, 10000), False)]
    yield _tiff("Lab under D65", np.rint(stored).astype(np.int16).astype(np.uint8), rgb, photometric="cielab",
                extratags=point, tolerance=LOSSY)  # fmt: skip
    yield _tiff("Lab in JPEG", labs, photometric="cielab", compression="jpeg", refused=True)
    shifted = labs.copy()
    shifted[..., 1:] += 128
    yield _tiff("Lab of ICC", shifted, rgb, photometric="icclab", tolerance=LOSSY)
    deep = np.stack(
        [labs[..., 0] * np.uint16(257), *(labs[..., i].view("i1").astype("i2") * 256 for i in (1, 2))], axis=-1
    )
    yield _tiff("Lab, 16 bits", deep.astype(np.uint16), rgb, photometric="cielab", tolerance=LOSSY)
    quantized = picture.quantize(16)
    colors = np.array(quantized.getpalette(), dtype=np.uint16).reshape(-1, 3)
    for scale in (257, 1):
        table = np.zeros((3, 256), dtype=np.uint16)
        table[:, : len(colors)] = colors.T * scale
        yield _tiff(f"palette of {16 if scale > 1 else 8} bits", np.asarray(quantized), rgb, photometric="palette",
                    colormap=table, tolerance=LOSSY)  # fmt: skip
    yield _tiff("white is zero, 8 bits", 255 - grey(rgb), as_grey(rgb), photometric="miniswhite")
    yield _tiff(
        "white is zero, 16 bits", 65535 - grey(rgb).astype(np.uint16) * 257, as_grey(rgb), photometric="miniswhite"
    )
    yield _tiff("logarithmic luminance", rgb, photometric="logluv", refused=True)
    yield _tiff("raw of a camera", grey(rgb), photometric="cfa", refused=True)
    for number in range(2, 9):
        tag = [(274, "H", 1, number, False)]
        yield _tiff(f"orientation {number}", rgb, extratags=tag)


def _aperio_jpeg2000(path: Path, *, mct: bool, photometric: str) -> Path:
    """Compression 33003: YCbCr whatever the tag says, unless the stream has a transform of its own."""
    stored = chart() if mct else np.asarray(Image.fromarray(chart()).convert("YCbCr"))
    data = imagecodecs.jpeg2k_encode(stored, mct=mct, codecformat="j2k", level=0)
    tifffile.imwrite(
        path, iter([data]), shape=stored.shape, dtype="u1", tile=(96, 128), photometric=photometric, compression=33003
    )
    return path


def dense_cmyk(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 4) inks with as much black as there can be."""
    light = rgb.astype(float)
    black = 255 - light.max(axis=2, keepdims=True)
    ink = 255 - 255 * light / np.maximum(255 - black, 1)
    return np.rint(np.concatenate([ink, black], axis=2)).astype(np.uint8)


def lab(picture: Image.Image) -> Image.Image:
    """Convert to Lab as a colour management does."""
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB", 5000)
    found = ImageCms.profileToProfile(picture, *profiles, outputMode="LAB")
    assert found is not None
    return found


def see_through(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 4) RGBA whose left column of patches is half and whose lower row is all transparent black, and how it looks."""
    alpha = np.full(rgb.shape[:2], 255, dtype=np.uint8)
    alpha[:, :SIDE], alpha[-SIDE:] = 128, 0
    colors = rgb.copy()
    colors[-SIDE:] = 0
    share = alpha[..., None] / 255
    return np.dstack([colors, alpha]), np.rint(colors * share + 255 * (1 - share)).astype(np.uint8)


def _tiff_alpha() -> Iterator[Case]:
    """Opacity, and channels that are none."""
    rgba, seen = see_through(chart())
    times = np.rint(rgba[..., :3] * (rgba[..., 3:] / 255)).astype(np.uint8)
    layouts = ({}, {"tile": (32, 32), "compression": "deflate"}, {"compression": "lzw", "predictor": 2})
    for layout, deep in itertools.product(layouts, (False, True)):
        scale = (lambda a: a.astype(np.uint16) * 257) if deep else (lambda a: a)
        said = f"{16 if deep else 8} bits, {layout}"
        yield _tiff(f"opacity, {said}", scale(rgba), seen, extrasamples=["unassalpha"], **layout)
        yield _tiff(f"opacity multiplied in, {said}", scale(np.dstack([times, rgba[..., 3]])), seen,
                    extrasamples=["assocalpha"], tolerance=2.0, **layout)  # fmt: skip
        yield _tiff(f"a fourth channel, {said}", scale(rgba), rgba[..., :3], extrasamples=["unspecified"], **layout)
    pale = np.dstack([grey(chart()), rgba[..., 3]])
    share = rgba[..., 3:] / 255
    look = np.rint(as_grey(chart()) * share + 255 * (1 - share)).astype(np.uint8)
    yield _tiff(
        "grey with opacity", pale, look, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    )
    planes = np.moveaxis(rgba, -1, 0)
    yield _tiff("opacity, planes apart", planes, seen, planarconfig="separate", extrasamples=["unassalpha"])
    yield _saved("tiff RGBA by PIL", Image.fromarray(rgba), "a.tif", seen)
    yield _tiff("opacity, JPEG XL", rgba, seen, compression="jpegxl", extrasamples=["unassalpha"], may_refuse=True)
    yield _tiff(
        "opacity, WebP", rgba, seen, compression="webp", extrasamples=["unassalpha"], tolerance=LOSSY, may_refuse=True
    )


def _jpegs() -> Iterator[Case]:
    rgb, picture = chart(), Image.fromarray(chart())
    for subsampling, progressive in itertools.product((0, 1, 2), (False, True)):
        yield _saved(f"jpeg, subsampling {subsampling}, progressive {progressive}", picture, "a.jpg", rgb, quality=95,
                     subsampling=subsampling, progressive=progressive, tolerance=LOSSY)  # fmt: skip
    yield _saved("jpeg, grey", picture.convert("L"), "a.jpg", as_grey(rgb), quality=95, tolerance=LOSSY)
    inks = Image.fromarray(dense_cmyk(rgb), "CMYK")
    yield _saved("jpeg, CMYK", inks, "a.jpg", rgb, quality=98, subsampling=0, tolerance=LOSSY)
    yield _saved("jpeg, RGB kept", picture, "a.jpg", rgb, quality=95, keep_rgb=True, tolerance=LOSSY)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield _saved("jpeg, sRGB profile", picture, "a.jpg", rgb, quality=95, icc_profile=profile, tolerance=LOSSY)
    for number in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        yield _saved(f"jpeg, orientation {number}", picture, "a.jpg", rgb, quality=95, exif=exif, tolerance=LOSSY)


def _written(
    name: str, file: str, content: Callable[[], bytes], expected: np.ndarray | None, tolerance: float = 1.0
) -> Case:
    def make(folder: Path) -> Path:
        (folder / file).write_bytes(content())
        return folder / file

    return Case(name, make, expected, tolerance)


def _pngs() -> Iterator[Case]:
    rgb, picture = chart(), Image.fromarray(chart())
    rgba, seen = see_through(rgb)
    coarse = np.asarray(picture.convert("1", dither=0).convert("RGB"))
    for optimize in (False, True):
        yield _saved(f"png RGB, optimized {optimize}", picture, "a.png", rgb, optimize=optimize)
        yield _saved(f"png grey, optimized {optimize}", picture.convert("L"), "a.png", as_grey(rgb), optimize=optimize)
        yield _saved(
            f"png palette, optimized {optimize}", picture.quantize(16), "a.png", rgb, optimize=optimize, tolerance=LOSSY
        )
    yield _saved("png 1 bit", picture.convert("1", dither=0), "a.png", coarse)
    yield _saved("png RGBA", Image.fromarray(rgba), "a.png", seen)
    yield _saved("png grey with opacity", Image.fromarray(rgba).convert("LA"), "a.png",
                 np.asarray(_over_white(Image.fromarray(rgba).convert("LA").convert("RGBA"))))  # fmt: skip
    clear = Image.fromarray(np.where(rgb[..., :1] == 24, 0, rgb).astype(np.uint8))
    no_black = np.where((np.asarray(clear) == 0).all(axis=2, keepdims=True), 255, np.asarray(clear)).astype(np.uint8)
    yield _saved("png with a transparent colour", clear, "a.png", no_black, transparency=(0, 0, 0))
    quantized = clear.quantize(16)
    hole = quantized.getpixel((120, 90))
    yield _saved(
        "png palette with a transparent entry", quantized, "a.png", no_black, transparency=hole, tolerance=LOSSY
    )
    for bits in (16, 12):
        top = 2**bits - 1
        deep = np.rint(rgb * (top / 255)).astype(np.uint16)
        deep_alpha = np.rint(rgba * (top / 255)).astype(np.uint16)
        yield _written(f"png RGB, {bits} bits in 16", "a.png", lambda d=deep: imagecodecs.png_encode(d), rgb)
        yield _written(f"png grey, {bits} bits in 16", "a.png",
                       lambda d=deep: imagecodecs.png_encode(np.ascontiguousarray(d[..., 1])), np.repeat(rgb[..., 1:2], 3, axis=2))  # fmt: skip
        yield _written(f"png RGBA, {bits} bits in 16", "a.png", lambda d=deep_alpha: imagecodecs.png_encode(d), seen)


def _over_white(picture: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _other_pictures() -> Iterator[Case]:
    rgb, picture = chart(), Image.fromarray(chart())
    rgba, seen = see_through(rgb)
    opaque = Image.fromarray(rgba)
    coarse = np.asarray(picture.convert("1", dither=0).convert("RGB"))
    for suffix in ("bmp", "ppm", "tga", "pcx", "sgi", "im", "dib"):
        yield _saved(f"{suffix} RGB", picture, f"a.{suffix}", rgb)
        if suffix not in ("dib",):
            file = "a.pgm" if suffix == "ppm" else f"a.{suffix}"
            yield _saved(f"{suffix} grey", picture.convert("L"), file, as_grey(rgb))
    yield _saved("bmp palette", picture.quantize(16), "a.bmp", rgb, tolerance=LOSSY)
    yield _saved("bmp 1 bit", picture.convert("1", dither=0), "a.bmp", coarse)
    yield _saved("tga RGBA", opaque, "a.tga", seen)
    yield _saved("gif", picture.quantize(16), "a.gif", rgb, tolerance=LOSSY)
    yield _saved("gif, two frames", picture.quantize(16), "a.gif", rgb, tolerance=LOSSY, save_all=True,
                 append_images=[Image.new("P", picture.size, 3)])  # fmt: skip
    for name, options in {"lossless": {"lossless": True}, "lossy": {"quality": 95}}.items():
        yield _saved(f"webp, {name}", picture, "a.webp", rgb, tolerance=LOSSY, **options)
        yield _saved(f"webp with opacity, {name}", opaque, "a.webp", seen, tolerance=LOSSY, **options)
    yield _saved("avif", picture, "a.avif", rgb, tolerance=LOSSY, quality=95)
    for suffix in ("jp2", "j2k"):
        yield _saved(f"{suffix} RGB", picture, f"a.{suffix}", rgb)
        yield _saved(f"{suffix} grey", picture.convert("L"), f"a.{suffix}", as_grey(rgb))
        yield _saved(f"{suffix}, lossy", picture, f"a.{suffix}", rgb, irreversible=True, tolerance=LOSSY)
    yield _saved("jp2 RGBA", opaque, "a.jp2", seen)
    for bits in (12, 16):
        deep = np.rint(rgb * ((2**bits - 1) / 255)).astype(np.uint16)
        yield _written(f"jp2 RGB, {bits} bits", "a.jp2",
                       lambda d=deep, b=bits: imagecodecs.jpeg2k_encode(d, bitspersample=b, codecformat="jp2"), rgb, 2.0)  # fmt: skip
        only = np.ascontiguousarray(deep[..., 1])
        yield _written(f"jp2 grey, {bits} bits", "a.jp2",
                       lambda d=only, b=bits: imagecodecs.jpeg2k_encode(d, bitspersample=b, codecformat="jp2"),
                       np.repeat(rgb[..., 1:2], 3, axis=2), 2.0)  # fmt: skip
    raised = [b"P6\n128 96\n4095\n", np.rint(rgb * (4095 / 255)).astype(">u2").tobytes()]
    yield _written("ppm, 12 bits", "a.ppm", lambda: b"".join(raised), rgb)


def _arrays() -> Iterator[Case]:
    """Arrays in memory, of every type and axis order."""
    rgb = chart()
    rgba, seen = see_through(rgb)
    first = np.moveaxis(rgb, -1, 0)
    forms = {"uint8": rgb, "uint16": rgb.astype(np.uint16) * 257, "big-endian uint16": (rgb.astype(np.uint16) * 257).astype(">u2"),
             "float64": rgb / 255, "float32": (rgb / 255).astype("f4"), "float16": (rgb / 255).astype("f2"),
             "12 bits in uint16": np.rint(rgb * (4095 / 255)).astype(np.uint16), "8 bits in uint16": rgb.astype(np.uint16),
             "read-only": np.broadcast_to(rgb, rgb.shape), "Fortran order": np.asfortranarray(rgb)}  # fmt: skip
    for (name, array), (axes, turn) in itertools.product(
        forms.items(), {"(y, x, c)": False, "(c, y, x)": True}.items()
    ):
        stored = np.moveaxis(array, -1, 0) if turn else array
        yield Case(f"array {axes}, {name}", lambda _, a=stored: a, rgb)
        chunks = (1, 40, 40) if turn else (40, 40, 3)
        yield Case(f"dask {axes}, {name}", lambda _, a=stored, c=chunks: da.from_array(a, chunks=c), rgb)
        dims = ("c", "y", "x") if turn else ("y", "x", "c")
        yield Case(f"DataArray {axes}, {name}", lambda _, a=stored, d=dims: xr.DataArray(a, dims=d), rgb)
    for dtype in ("int8", "int16", "int32", "int64", "uint32", "uint64", "complex64", "datetime64[s]", "U3", "object"):
        yield Case(f"array of type {dtype}", lambda _, d=dtype: (rgb // 2).astype(d), None)
    yield Case("array, floats of 0-255", lambda _: rgb.astype(float), None)
    yield Case("array with NaN", lambda _: np.where(rgb == 255, np.nan, rgb / 255), None)
    yield Case("array, grey", lambda _: grey(rgb), as_grey(rgb))
    yield Case("array, bool", lambda _: grey(rgb) > 127, np.repeat((grey(rgb) > 127)[..., None], 3, 2) * np.uint8(255))
    yield Case("array, RGBA", lambda _: rgba, seen)
    yield Case("array (c, y, x), RGBA", lambda _: np.moveaxis(rgba, -1, 0), seen)
    names = ["b", "g", "r"]
    yield Case(
        "DataArray, blue first", lambda _: xr.DataArray(first[::-1], dims=("c", "y", "x"), coords={"c": names}), rgb
    )
    dyes = ["DAPI", "AF488", "Cy3"]
    yield Case("DataArray, dyes", lambda _: xr.DataArray(first, dims=("c", "y", "x"), coords={"c": dyes}), None)
    for shape in ((3, 40, 3), (3, 3, 3), (4, 40, 4), (30, 40, 2), (7, 30, 40), (2, 3, 30, 40), (30,), ()):
        yield Case(f"array of shape {shape}", lambda _, s=shape: np.zeros(s, dtype=np.uint8), None)


def _zarr_array(path: Path, array: np.ndarray, **options: Any) -> Path:
    stored = zarr.create_array(str(path), shape=array.shape, dtype=array.dtype, **options)
    stored[...] = array
    return path


def _ome_zarr(
    path: Path, array: np.ndarray, axes: str, *, version: int, omero: list[dict[str, Any]] | None = None
) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == 4 else 3)
    chunks = tuple(32 if letter in "yx" else size for letter, size in zip(axes, array.shape, strict=True))
    for name, step in (("0", 1), ("1", 2)):
        index = tuple(slice(None, None, step if letter in "yx" else None) for letter in axes)
        level = array[index]
        group.create_array(name, shape=level.shape, dtype=level.dtype, chunks=chunks)[...] = level
    attrs: dict[str, Any] = {
        "multiscales": [{"axes": [{"name": letter} for letter in axes], "datasets": [{"path": "0"}, {"path": "1"}]}]
    }
    if omero is not None:
        attrs["omero"] = {"channels": omero}
    group.attrs.update(attrs if version == 4 else {"ome": attrs})
    return path


def _zarrs() -> Iterator[Case]:
    rgb = chart()
    first = np.moveaxis(rgb, -1, 0)
    deep = first.astype(np.uint16) * 257
    for version, (name, array) in itertools.product((2, 3), {"uint8": rgb, "uint16": rgb.astype(np.uint16) * 257,
                                                             "float32": (rgb / 255).astype("f4")}.items()):  # fmt: skip
        yield Case(f"zarr {version}, {name}",
                   lambda t, a=array, v=version: _zarr_array(t / "a.zarr", a, chunks=(40, 40, 3), zarr_format=v), rgb)  # fmt: skip
    yield Case("zarr 3, shards", lambda t: _zarr_array(t / "a.zarr", rgb, chunks=(16, 16, 3), shards=(64, 64, 3)), rgb)
    for version, axes in itertools.product((4, 5), ("cyx", "tczyx", "czyx")):
        stored = first[tuple(slice(None) if letter in "cyx" else None for letter in axes)]
        yield Case(
            f"OME-zarr 0.{version}, {axes}",
            lambda t, s=stored, a=axes, v=version: _ome_zarr(t / "a", s, a, version=v),
            rgb,
        )
    for version in (4, 5):
        blue = [{"label": f"{i}", "color": color} for i, color in enumerate(("0000FF", "00FF00", "FF0000"))]
        yield Case(f"OME-zarr 0.{version}, blue first",
                   lambda t, o=blue, v=version: _ome_zarr(t / "a", first[::-1], "cyx", version=v, omero=o), rgb)  # fmt: skip
        dyes = [{"label": label} for label in ("DAPI", "GFP", "Texas Red")]
        yield Case(f"OME-zarr 0.{version}, dyes",
                   lambda t, o=dyes, v=version: _ome_zarr(t / "a", first, "cyx", version=v, omero=o), None)  # fmt: skip
        window = [{"label": label, "window": {"min": 0, "max": 4095}} for label in "RGB"]
        twelve = np.rint(first * (4095 / 255)).astype(np.uint16)
        yield Case(f"OME-zarr 0.{version}, 12 bits by the window",
                   lambda t, o=window, a=twelve, v=version: _ome_zarr(t / "a", a, "cyx", version=v, omero=o), rgb)  # fmt: skip
        yield Case(
            f"OME-zarr 0.{version}, uint16", lambda t, v=version: _ome_zarr(t / "a", deep, "cyx", version=v), rgb
        )
    stack = np.stack([first] * 3)
    yield Case("OME-zarr, three planes", lambda t: _ome_zarr(t / "a", stack, "zcyx", version=5), None)


def _holes() -> Iterator[Case]:
    """Pieces of a picture that are not there: white, and told of."""
    rgb = chart()
    seen = rgb.copy()
    seen[32:64, 32:64] = 255

    def tiles(folder: Path) -> Path:
        tifffile.imwrite(folder / "a.tif", rgb, photometric="rgb", tile=(32, 32), compression="deflate")
        with tifffile.TiffFile(folder / "a.tif", mode="r+b") as file:
            counts = list(file.pages.first.databytecounts)
            counts[5] = 0
            file.pages.first.tags[325].overwrite(counts)
        return folder / "a.tif"

    def lost(folder: Path, version: int) -> Path:
        path = _zarr_array(folder / "a.zarr", rgb, chunks=(32, 32, 3), zarr_format=version)
        (path / ("1.1.0" if version == 2 else "c/1/1/0")).unlink()
        return path

    def lost_level(folder: Path) -> Path:
        path = _ome_zarr(folder / "a", np.moveaxis(rgb, -1, 0), "cyx", version=5)
        (path / "0" / "c/0/1/1").unlink()
        return path

    yield Case("tiff, a tile without data", tiles, seen)
    for version in (2, 3):
        yield Case(f"zarr {version}, a chunk lost", lambda t, v=version: lost(t, v), seen)
    yield Case("OME-zarr, a chunk lost", lost_level, seen)
