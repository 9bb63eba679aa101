"""Spots and image of a SpatialData: which image, and the map from spot units into its pixels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._text import quoted
from ._transforms import affine_between, affine_by_way_of, systems_of, to_system

if TYPE_CHECKING:
    from spatialdata import SpatialData

_COLORS = (3, 4)
_SAME = 0.05
_MOST = 0.95
_PARTS = re.compile(r"_(square_\d+um|cell_segmentations|nucleus_segmentations)$")
"""What readers of Space Ranger's output append to the name of a data set, for its bins and cells."""


def _identity() -> NDArray[np.float64]:
    return np.eye(3)


@dataclass(frozen=True)
class Alignment:
    """The image of one region.

    Attributes
    ----------
    image
        Name of the image element, ``None`` where there is none or another source was given.
    source
        What to open.
    affine
        (3, 3) from the spots' own units to pixels.
    problem
        Why there is no source.
    ambiguous
        Whether there is none because several would do.
    doubt
        Why another image may be meant, though this one is taken.
    """

    image: str | None
    source: Any
    affine: NDArray[np.float64] = field(default_factory=_identity)
    problem: str = ""
    ambiguous: bool = False
    doubt: str = ""

    @property
    def scale(self) -> float:
        """Pixels per unit of the spots: the side of a square of one unit's area."""
        return float(np.sqrt(abs(np.linalg.det(self.affine[:2, :2]))))

    @property
    def is_identity(self) -> bool:
        """Whether the spots' own units are the pixels."""
        return bool(np.allclose(self.affine, np.eye(3)))

    def transform(self, centers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (n, 2) centres into pixels."""
        return centers @ self.affine[:2, :2].T + self.affine[:2, 2]


@dataclass(frozen=True)
class Asked:
    """Which image of which region is asked for.

    Attributes
    ----------
    region
        Name of the region.
    regions
        Names of all regions of the table.
    image
        As the caller gave it.
    system
        Coordinate system, where the caller named one.
    """

    region: str
    regions: Collection[str]
    image: Any
    system: str | None


def align(sdata: SpatialData, spots: Any, centers: NDArray[np.float64], asked: Asked) -> Alignment:
    """Choose the image of a region and work out the map into its pixels.

    Raises
    ------
    ValueError
        If the coordinate system does not exist, or spots and the image asked for share none.
    """
    image, region, system = asked.image, asked.region, asked.system
    systems = sorted(systems_of(spots))
    if system is not None and system not in systems:
        msg = f"Region {region!r} is not in coordinate system {system!r}, only in {quoted(systems)}."
        raise ValueError(msg)
    if isinstance(image, str) and image in sdata.images:
        return _onto(sdata, spots, image, asked)
    if image is not None:
        return Alignment(None, image, to_system(sdata, spots, system))
    return _choose(sdata, spots, centers, asked)


def _onto(sdata: SpatialData, spots: Any, name: str, asked: Asked) -> Alignment:
    """Align with an image element, by way of other elements where no coordinate system is shared."""
    element = sdata.images[name]
    if asked.system is None and not systems_of(spots) & systems_of(element):
        affine = affine_by_way_of(sdata, spots, element)
        if affine is not None:
            return Alignment(name, element, affine)
    return Alignment(
        name, element, affine_between(sdata, spots, element, f"{asked.region!r} and {name!r}", asked.system)
    )


def _choose(sdata: SpatialData, spots: Any, centers: NDArray[np.float64], asked: Asked) -> Alignment:
    found, apart = _alignments(sdata, spots, asked)
    left = _named_for(_covering(sdata, found, centers), asked)
    finest = max(left, key=lambda name: left[name].scale, default=None)
    if finest is not None and all(_is_copy(sdata, left[finest], other) for other in left.values()):
        return Alignment(
            finest, left[finest].source, left[finest].affine, doubt=_doubt(sdata, left[finest], apart, asked)
        )
    affine = to_system(sdata, spots, asked.system)
    if finest is None:
        problem = (
            f"Region {asked.region!r} has no image: no colour image shares a coordinate system with it "
            f"(images: {quoted(sdata.images) or 'none'}). Pass `image=` with a path, or the name of an image element."
        )
        return Alignment(None, None, affine, problem)
    problem = f"Region {asked.region!r} has {len(left)} images ({quoted(left)}): choose one with `image=`."
    return Alignment(None, None, affine, problem, ambiguous=True)


def _alignments(sdata: SpatialData, spots: Any, asked: Asked) -> tuple[dict[str, Alignment], list[str]]:
    """Colour images that can be brought onto the spots, and the names of those that cannot."""
    wanted = systems_of(spots) if asked.system is None else {asked.system}
    found, apart = {}, []
    for name, element in sdata.images.items():
        if not _is_color(element):
            continue
        if systems_of(element) & wanted or (
            asked.system is None and affine_by_way_of(sdata, spots, element) is not None
        ):
            found[name] = _onto(sdata, spots, name, asked)
        else:
            apart.append(name)
    return found, apart


def _covering(
    sdata: SpatialData, found: Mapping[str, Alignment], centers: NDArray[np.float64]
) -> Mapping[str, Alignment]:
    """Images that all spots lie on, else nearly all: one of another slide may share the coordinate system."""
    shares = {name: _share_inside(sdata.images[name], one.transform(centers)) for name, one in found.items()}
    for least in (1.0, _MOST):
        covering = {name: one for name, one in found.items() if shares[name] >= least}
        if covering:
            return covering
    return found


def _named_for(found: Mapping[str, Alignment], asked: Asked) -> Mapping[str, Alignment]:
    """Images that bear the region's name, else those that bear none of another region."""
    stem = _PARTS.sub("", asked.region)
    stems = {_PARTS.sub("", region) for region in asked.regions}
    named = {name: _longest(stem for stem in stems if re.match(rf"{re.escape(stem)}($|[_.-])", name)) for name in found}
    own = {name: one for name, one in found.items() if named[name] == stem}
    return own or {name: one for name, one in found.items() if not named[name]} or found


def _longest(names: Iterable[str]) -> str:
    return max(names, key=len, default="")


def _doubt(sdata: SpatialData, chosen: Alignment, apart: Iterable[str], asked: Asked) -> str:
    """Sentence on a finer copy of the image that cannot be brought onto the spots; empty where there is none."""
    spots = [place[region] for place in (sdata.shapes, sdata.points) for region in asked.regions if region in place]
    taken = set().union(*map(systems_of, spots))
    width, height = _size(chosen.source)
    for name in apart if asked.system is None else ():
        element = sdata.images[name]
        wide, high = _size(element)
        if wide > width and abs(wide * height / (width * high) - 1.0) <= _SAME and not systems_of(element) & taken:
            return (
                f"Region {asked.region!r}: image {chosen.image!r} ({width} x {height}) is used, though {name!r} is larger ({wide} x "
                f"{high}): it is in coordinate system {quoted(sorted(systems_of(element)))}, which nothing connects with the "
                "spots. Set its place with `spatialdata.transformations.set_transformation`, or pass "
                f"`image={chosen.image!r}` if the smaller one is meant."
            )
    return ""


def _base(image: Any) -> Any:
    """Finest level of an image element."""
    if type(image).__name__ != "DataTree":
        return image
    levels = [next(iter(child.data_vars.values())) for child in image.children.values()]
    return max(levels, key=lambda level: level.sizes["y"])


def _size(image: Any) -> tuple[int, int]:
    sizes = _base(image).sizes
    return int(sizes["x"]), int(sizes["y"])


def _is_color(image: Any) -> bool:
    base = _base(image)
    return base.ndim == 3 and int(base.sizes.get("c", 0)) in _COLORS


def _share_inside(image: Any, positions: NDArray[np.float64]) -> float:
    return float(((positions >= 0) & (positions <= _size(image))).all(axis=1).mean())


def _is_copy(sdata: SpatialData, finest: Alignment, other: Alignment) -> bool:
    """Whether an image shows the same area at a lower resolution; at the same one it is another picture."""
    if other.image == finest.image:
        return True
    corners = []
    for one in (finest, other):
        size = np.array([[0.0, 0.0], _size(sdata.images[str(one.image)])])
        back = np.linalg.inv(one.affine)
        corners.append(size @ back[:2, :2].T + back[:2, 2])
    side = np.abs(corners[0][1] - corners[0][0]).max()
    smaller = other.scale <= (1.0 - _SAME) * finest.scale
    return bool(smaller and np.abs(corners[0] - corners[1]).max() <= _SAME * side)
