"""Maps between the elements of a SpatialData, in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._text import quoted

if TYPE_CHECKING:
    from spatialdata import SpatialData

Matrix3 = NDArray[np.float64]
"""(3, 3) affine map of (x, y, 1)."""

_DEFAULT_SYSTEM = "global"
_HALF_PIXEL = 0.5


def systems_of(element: Any) -> set[str]:
    """Coordinate systems that an element is in."""
    from spatialdata.transformations import get_transformation

    return set(get_transformation(element, get_all=True))


def affine_between(sdata: SpatialData, spots: Any, target: Any, what: str, system: str | None) -> Matrix3:
    """Map from the spots to an image, through the system asked for, ``global``, or any where all agree.

    Raises
    ------
    ValueError
        If they share no coordinate system, or are aligned differently in those that they share.
    """
    shared = sorted(systems_of(spots) & systems_of(target))
    if system is not None:
        shared = [name for name in shared if name == system]
    if not shared:
        msg = f"{what} share no coordinate system: set one with `spatialdata.transformations.set_transformation`."
        raise ValueError(msg)
    if _DEFAULT_SYSTEM in shared:
        return _matrix(sdata, spots, target, _DEFAULT_SYSTEM)
    matrices = [_matrix(sdata, spots, target, name) for name in shared]
    if not _all_agree(matrices):
        msg = (
            f"{what} are aligned differently in coordinate systems {quoted(shared)}: choose with `coordinate_system=`."
        )
        raise ValueError(msg)
    return matrices[0]


def affine_by_way_of(sdata: SpatialData, spots: Any, target: Any) -> Matrix3 | None:
    """Map from the spots to an image in no system of theirs, by way of elements in systems of both; ``None`` without."""
    matrices = []
    for _, _, element in sdata.gen_spatial_elements():
        if not (systems_of(element) & systems_of(spots) and systems_of(element) & systems_of(target)):
            continue
        try:
            onto = affine_between(sdata, spots, element, "", None)
            matrices.append(affine_between(sdata, element, target, "", None) @ onto)
        except ValueError:
            return None  # aligned in two ways
    return matrices[0] if matrices and _all_agree(matrices) else None


def to_system(sdata: SpatialData, spots: Any, system: str | None) -> Matrix3:
    """Map from the spots into a coordinate system, whose units then are the pixels."""
    systems = sorted(systems_of(spots))
    name = system or (_DEFAULT_SYSTEM if _DEFAULT_SYSTEM in systems else systems[0])
    return _matrix(sdata, spots, name, None)


def levels_in_place(image: Any) -> Any:
    """Leave of a multiscale image the levels that lie, by their own transformations, where the finest one lies.

    Levels are read as smaller copies of the finest one. One that was cropped or moved on its own shows another place, to more
    than a pixel of its own; the finer levels show all that it does.
    """
    if type(image).__name__ != "DataTree":
        return image
    levels = {name: next(iter(child.data_vars.values())) for name, child in image.children.items() if child.data_vars}
    finest = max(levels.values(), key=lambda level: level.sizes.get("y", 0), default=None)
    if finest is None or not all("transform" in level.attrs for level in levels.values()):
        return image
    moved = [name for name, level in levels.items() if not _lies_on(level, finest)]
    return image.drop_nodes(moved) if moved else image


def _lies_on(level: Any, finest: Any) -> bool:
    """Whether a level covers what the finest one covers, to within a pixel of the level."""
    from spatialdata.transformations import get_transformation

    own, theirs = (get_transformation(one, get_all=True) for one in (level, finest))
    shared = sorted(set(own) & set(theirs))
    if level is finest or not shared:
        return True
    onto = [_plane(transforms[shared[0]]) for transforms in (own, theirs)]
    size = np.array([level.sizes["x"], level.sizes["y"]], dtype=np.float64)
    full = np.array([finest.sizes["x"], finest.sizes["y"]], dtype=np.float64)
    corners = np.array([[0.0, 0.0, 1.0], [*size, 1.0], [size[0], 0.0, 1.0]])
    seen = (corners @ (np.linalg.inv(onto[1]) @ onto[0]).T)[:, :2]
    return bool((np.abs(seen - corners[:, :2] / size * full) <= full / size).all())


def _all_agree(matrices: list[Matrix3]) -> bool:
    return all(_agree(matrix, matrices[0]) for matrix in matrices[1:])


def _agree(one: Matrix3, other: Matrix3) -> bool:
    """Whether two maps differ by less than a thousandth in scale and half a pixel in place."""
    turned = np.abs(one[:2, :2] - other[:2, :2]).max() <= 1e-3 * np.abs(other[:2, :2]).max()
    return bool(turned and np.abs(one[:2, 2] - other[:2, 2]).max() <= _HALF_PIXEL)


def _matrix(sdata: SpatialData, source: Any, target: Any, through: str | None) -> Matrix3:
    from spatialdata.transformations import get_transformation_between_coordinate_systems

    transform = get_transformation_between_coordinate_systems(
        sdata, source, target, intermediate_coordinate_systems=through
    )
    return _plane(transform)


def _plane(transform: Any) -> Matrix3:
    return np.asarray(transform.to_affine_matrix(input_axes=("x", "y"), output_axes=("x", "y")), dtype=np.float64)
