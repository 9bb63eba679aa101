"""Spots and image of a SpatialData: which image, and the map from spot units into its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._text import quoted

if TYPE_CHECKING:
    from spatialdata import SpatialData

_DEFAULT_SYSTEM = "global"
_COLORS = (3, 4)
_SAME_EXTENT = 0.05
_HALF_PIXEL = 0.5


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
    """

    image: str | None
    source: Any
    affine: NDArray[np.float64] = field(default_factory=_identity)
    problem: str = ""
    ambiguous: bool = False

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


def align(
    sdata: SpatialData, spots: Any, region: str, centers: NDArray[np.float64], image: Any, system: str | None
) -> Alignment:
    """Choose the image of a region and work out the map into its pixels.

    Raises
    ------
    ValueError
        If the coordinate system does not exist, or spots and the image asked for share none.
    """
    systems = sorted(_systems(spots))
    if system is not None and system not in systems:
        msg = f"Region {region!r} is not in coordinate system {system!r}, only in {quoted(systems)}."
        raise ValueError(msg)
    if isinstance(image, str) and image in sdata.images:
        element = sdata.images[image]
        return Alignment(image, element, _affine(sdata, spots, element, f"{region!r} and {image!r}", system))
    if image is not None:
        return Alignment(None, image, _to_system(sdata, spots, systems, system))
    return _choose(sdata, spots, region, centers, systems, system)


def _choose(
    sdata: SpatialData, spots: Any, region: str, centers: NDArray[np.float64], systems: list[str], system: str | None
) -> Alignment:
    wanted = set(systems) if system is None else {system}
    names = [name for name, item in sdata.images.items() if _is_color(item) and _systems(item) & wanted]
    found = {
        name: Alignment(
            name, sdata.images[name], _affine(sdata, spots, sdata.images[name], f"{region!r} and {name!r}", system)
        )
        for name in names
    }
    # an image of another slide may share the coordinate system
    covering = {name: a for name, a in found.items() if _covers(sdata.images[name], a.transform(centers))}
    left = covering or found
    finest = max(left, key=lambda name: left[name].scale, default=None)
    if finest is not None and all(_same_extent(sdata, left[finest], left[name]) for name in left):
        return left[finest]
    affine = _to_system(sdata, spots, systems, system)
    if finest is None:
        problem = (
            f"Region {region!r} has no image: no colour image shares a coordinate system with it "
            f"(images: {quoted(sdata.images) or 'none'}). Pass `image=` with a path, or the name of an image element."
        )
        return Alignment(None, None, affine, problem)
    problem = f"Region {region!r} has {len(left)} images ({quoted(left)}): choose one with `image=`."
    return Alignment(None, None, affine, problem, ambiguous=True)


def _systems(element: Any) -> set[str]:
    from spatialdata.transformations import get_transformation

    return set(get_transformation(element, get_all=True))


def _affine(sdata: SpatialData, spots: Any, target: Any, what: str, system: str | None) -> NDArray[np.float64]:
    """Map from the spots to an image, through the system asked for, ``global``, or any where all agree."""
    shared = sorted(_systems(spots) & _systems(target))
    if system is not None:
        shared = [name for name in shared if name == system]
    if not shared:
        msg = f"{what} share no coordinate system: set one with `spatialdata.transformations.set_transformation`."
        raise ValueError(msg)
    if _DEFAULT_SYSTEM in shared:
        return _matrix(sdata, spots, target, _DEFAULT_SYSTEM)
    matrices = [_matrix(sdata, spots, target, name) for name in shared]
    if not all(_agree(matrix, matrices[0]) for matrix in matrices[1:]):
        msg = (
            f"{what} are aligned differently in coordinate systems {quoted(shared)}: choose with `coordinate_system=`."
        )
        raise ValueError(msg)
    return matrices[0]


def _agree(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two maps differ by less than a thousandth in scale and half a pixel in place."""
    turned = np.abs(one[:2, :2] - other[:2, :2]).max() <= 1e-3 * np.abs(other[:2, :2]).max()
    return bool(turned and np.abs(one[:2, 2] - other[:2, 2]).max() <= _HALF_PIXEL)


def _to_system(sdata: SpatialData, spots: Any, systems: list[str], system: str | None) -> NDArray[np.float64]:
    """Map from the spots into a coordinate system, whose units then are the pixels."""
    name = system or (_DEFAULT_SYSTEM if _DEFAULT_SYSTEM in systems else None)
    if name is None:
        name = systems[0]
    return _matrix(sdata, spots, name, None)


def _matrix(sdata: SpatialData, source: Any, target: Any, through: str | None) -> NDArray[np.float64]:
    from spatialdata.transformations import get_transformation_between_coordinate_systems

    transform = get_transformation_between_coordinate_systems(
        sdata, source, target, intermediate_coordinate_systems=through
    )
    return np.asarray(transform.to_affine_matrix(input_axes=("x", "y"), output_axes=("x", "y")), dtype=np.float64)


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


def _covers(image: Any, positions: NDArray[np.float64]) -> bool:
    return bool(((positions >= 0) & (positions <= _size(image))).all())


def _same_extent(sdata: SpatialData, finest: Alignment, other: Alignment) -> bool:
    """Whether two images show the same area, so that one is a smaller copy of the other."""
    corners = []
    for one in (finest, other):
        size = np.array([[0.0, 0.0], _size(sdata.images[str(one.image)])])
        back = np.linalg.inv(one.affine)
        corners.append(size @ back[:2, :2].T + back[:2, 2])
    side = np.abs(corners[0][1] - corners[0][0]).max()
    return bool(np.abs(corners[0] - corners[1]).max() <= _SAME_EXTENT * side)
