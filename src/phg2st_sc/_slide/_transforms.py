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
    return np.asarray(transform.to_affine_matrix(input_axes=("x", "y"), output_axes=("x", "y")), dtype=np.float64)
