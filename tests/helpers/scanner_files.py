"""TIFF files with several pictures in them, as scanners and their programs write them; the chart is the scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from picture_cases import Case, chart

TILE = {"tile": (32, 32), "photometric": "rgb", "metadata": None}
PLAIN = {"photometric": "rgb", "metadata": None}


def smaller(picture: np.ndarray, step: int = 2) -> np.ndarray:
    """Every other pixel."""
    return np.ascontiguousarray(picture[::step, ::step])


def other(height: int = 40, width: int = 30, value: int = 90) -> np.ndarray:
    """Label, macro or thumbnail: another picture."""
    return np.full((height, width, 3), value, dtype=np.uint8)


def svs(path: Path, *, label_first: bool = False) -> None:
    """Aperio: scan, thumbnail, levels, label, macro, in an order that some anonymizers turn."""
    said = "Aperio Image Library v12.0.15\r\n"
    with tifffile.TiffWriter(path) as file:
        if label_first:
            file.write(other(60, 50), description=f"{said}label 50x60", subfiletype=1, **PLAIN)
            file.write(other(200, 300), description=f"{said}macro 300x200", subfiletype=9, **PLAIN)
        file.write(chart(), description=f"{said}128x96 [0,0 128x96]|AppMag = 20|MPP = 0.5", **TILE)
        file.write(other(24, 32), description=f"{said}128x96 -> 32x24", **PLAIN)
        file.write(smaller(chart()), description=f"{said}128x96 -> 64x48", **TILE)
        if not label_first:
            file.write(other(60, 50), description=f"{said}label 50x60", subfiletype=1, **PLAIN)
            file.write(other(200, 300), description=f"{said}macro 300x200", subfiletype=9, **PLAIN)


def ndpi(path: Path) -> None:
    """Hamamatsu: levels, macro (magnification -1), map (-2)."""

    def tags(lens: float) -> list[tuple[int, str, int, float | str, bool]]:
        return [(65420, "I", 1, 1, False), (65421, "f", 1, lens, False), (271, "s", 0, "Hamamatsu", False)]

    with tifffile.TiffWriter(path) as file:
        file.write(chart(), extratags=tags(20.0), **PLAIN)
        file.write(smaller(chart()), extratags=tags(10.0), **PLAIN)
        file.write(other(150, 400), extratags=tags(-1.0), **PLAIN)
        file.write(other(50, 70)[..., 0], extratags=tags(-2.0), photometric="minisblack", metadata=None)


def qptiff(path: Path) -> None:
    """Akoya: scan, thumbnail, levels, macro, label."""
    software = "PerkinElmer-QPI"
    with tifffile.TiffWriter(path) as file:
        file.write(chart(), software=software, **TILE)
        file.write(other(24, 32), software=software, **PLAIN)
        file.write(smaller(chart()), software=software, subfiletype=1, **TILE)
        file.write(other(150, 400), software=software, **PLAIN)
        file.write(other(60, 50), software=software, **PLAIN)


def scn(path: Path) -> None:
    """Leica: the macro is the first picture, the scan the second."""

    def image(name: str, ifds: list[tuple[int, int, int]]) -> str:
        sizes = "".join(f'<dimension sizeX="{w}" sizeY="{h}" r="{r}" ifd="{i}"/>' for r, (i, h, w) in enumerate(ifds))
        return f'<image name="{name}"><pixels sizeX="1" sizeY="1">{sizes}</pixels></image>'

    images = image("image_0000000001 macro", [(0, 70, 60)]) + image("image_0000000002", [(1, 96, 128), (2, 48, 64)])
    space = "http://www.leica-microsystems.com/scn/2010/10/01"
    xml = f'<?xml version="1.0"?><scn xmlns="{space}"><collection name="slide">{images}</collection></scn>'
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(other(70, 60), description=xml, **TILE)
        file.write(chart(), **TILE)
        file.write(smaller(chart()), **TILE)


def ome(path: Path, *, names: tuple[str, str] = ("label image", "H&E")) -> None:
    """OME: one picture first, then the scan with its levels in SubIFDs."""
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(other(70, 60), photometric="rgb", metadata={"axes": "YXS", "Name": names[0], "PhysicalSizeX": 9.0})
        named = {"axes": "YXS", "Name": names[1], "PhysicalSizeX": 0.25}
        file.write(chart(), photometric="rgb", subifds=1, tile=(32, 32), metadata=named)
        file.write(smaller(chart()), photometric="rgb", subfiletype=1, tile=(32, 32))


def pages(path: Path, *, reduced: bool = True) -> None:
    """A pyramid in pages, as libvips writes it, behind a thumbnail of other proportions."""
    with tifffile.TiffWriter(path) as file:
        file.write(other(20, 20), subfiletype=int(reduced), **PLAIN)
        file.write(chart(), **TILE)
        file.write(smaller(chart()), subfiletype=1, **TILE)
        file.write(smaller(chart(), 4), subfiletype=1, **TILE)


def grey_and_color(path: Path) -> None:
    """A grey picture first, of the same size, and a mask."""
    with tifffile.TiffWriter(path) as file:
        file.write(other(96, 128)[..., 0], photometric="minisblack", metadata=None)
        file.write(np.zeros((300, 300), dtype=bool), subfiletype=4, metadata=None)
        file.write(chart(), **TILE)


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "Aperio": ("a.svs", svs),
    "Aperio, label first": ("a.svs", lambda path: svs(path, label_first=True)),
    "Hamamatsu": ("a.tif", ndpi),
    "Akoya": ("a.qptiff", qptiff),
    "Leica": ("a.scn", scn),
    "OME, label first": ("a.ome.tif", ome),
    "OME, a smaller picture first": ("a.ome.tif", lambda path: ome(path, names=("region 1", "region 2"))),
    "pages, thumbnail first": ("a.tif", pages),
    "pages, a picture first": ("a.tif", lambda path: pages(path, reduced=False)),
    "grey first": ("a.tif", grey_and_color),
}


def series_cases() -> Iterator[Case]:
    """One case each: the chart has to be what is read."""
    for name, (file, write) in FILES.items():

        def make(folder: Path, file: str = file, write: Callable[[Path], None] = write) -> Path:
            write(folder / file)
            return folder / file

        yield Case(f"several pictures: {name}", make, chart())
