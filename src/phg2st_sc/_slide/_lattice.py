"""Distance of neighbouring spots, and the size of a pixel that follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _keys

PLATFORM_PITCH_UM: Mapping[str, float] = {
    "ST": 200.0,
    "ST2K": 150.0,
    "Visium": 100.0,
    "Visium HD 2": 2.0,
    "Visium HD 8": 8.0,
    "Visium HD 16": 16.0,
}
"""Centre-to-centre distance of neighbouring spots or bins in µm."""

_TOLERANCE = 0.1
_MOST_QUERIES = 20_000
_FIRST_GUESS_PERCENTILE = 15
_WINDOW = (0.75, 1.25)
_MOST_ROUNDS = 20
_NEIGHBORS = 8


def lattice_pitch(positions: NDArray[np.float64]) -> float:
    """Typical distance between neighbouring spots, on square and hexagonal lattices alike.

    The median over all pairs of neighbours, where neighbours are those within a quarter of the pitch. Unlike the plain
    median distance to the nearest spot, it is not pulled down by jitter, nor up by missing spots.

    Parameters
    ----------
    positions
        (n, 2) spot centres in pixels; rows that are not finite are left out.

    Returns
    -------
    float
        Pitch in the unit of ``positions``; NaN with fewer than two distinct centres.

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(5) * 40.0, np.arange(4) * 40.0)
    >>> lattice_pitch(np.column_stack([x.ravel(), y.ravel()]))
    40.0
    """
    from scipy.spatial import cKDTree

    points = np.asarray(positions, dtype=np.float64)
    # np.unique also sorts: the answer must not depend on the order of the spots
    points = np.unique(points[np.isfinite(points).all(axis=1)], axis=0)
    if len(points) < 2:
        return float("nan")
    take = np.unique(np.linspace(0, len(points) - 1, min(len(points), _MOST_QUERIES)).astype(np.int64))
    found, _ = cKDTree(points).query(points[take], k=min(_NEIGHBORS + 1, len(points)))
    distances = found[:, 1:]
    pitch = float(np.percentile(distances[:, 0], _FIRST_GUESS_PERCENTILE))
    for _ in range(_MOST_ROUNDS):
        near = distances[(distances >= _WINDOW[0] * pitch) & (distances <= _WINDOW[1] * pitch)]
        refined = float(np.median(near)) if near.size else pitch
        if abs(refined - pitch) <= 1e-9 * pitch:
            break
        pitch = refined
    return pitch


def platform_pitch(platform: str) -> float | None:
    """Pitch of a platform in µm, or ``None`` if it is not known; case, blanks and punctuation do not matter."""
    wanted = _plain(platform)
    for name, pitch in PLATFORM_PITCH_UM.items():
        if wanted in (_plain(name), _plain(name) + "um"):
            return pitch
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("µ", "u").replace("μ", "u"))


@dataclass(frozen=True)
class Scale:
    """What the caller says about the physical scale of the pixels."""

    mpp: float | None = None
    pitch_um: float | None = None
    platform: str | None = None

    def __post_init__(self) -> None:
        for name in ("mpp", "pitch_um"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, (str, bool)) or not _positive(value)):
                msg = f"`{name}` must be a number of µm above 0, got {value!r}."
                raise ValueError(msg)
        if self.platform is not None and platform_pitch(str(self.platform)) is None:
            known = ", ".join(repr(name) for name in PLATFORM_PITCH_UM)
            msg = f"Unknown platform {self.platform!r}; known are {known}. For others pass `pitch_um=`."
            raise ValueError(msg)


def _positive(value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return bool(np.isfinite(number) and number > 0)


class PixelSize(NamedTuple):
    """µm per pixel, where it comes from, and what contradicts it; ``None`` and empty where unknown."""

    mpp: float | None
    source: str | None
    doubt: str


def resolve_mpp(said: Scale, record: Mapping[str, Any], pitch_px: float, *, pixel_scale: float, name: str) -> PixelSize:
    """µm per pixel of ``positions`` and where it comes from; the caller outranks the record, a size outranks a pitch.

    ``spot_diameter_fullres`` is not used: its physical size differs between versions of Space Ranger. A contradiction is
    returned and not warned of, since many calls need no µm at all.

    Parameters
    ----------
    said
        The caller's statements; its ``mpp`` is per pixel of ``positions``.
    record
        ``uns["spatial"][library]``.
    pitch_px
        Lattice pitch in pixels of ``positions``.
    pixel_scale
        Pixels of ``positions`` per full-resolution pixel, which is what the record speaks of.
    name
        Slide name, for the message.
    """
    candidates = [*_from_caller(said, pitch_px), *_from_record(record, pitch_px, pixel_scale)]
    if not candidates:
        return PixelSize(None, None, "")
    mpp, source, where = candidates[0]
    for other, _, elsewhere in candidates[1:]:
        if abs(other / mpp - 1.0) > _TOLERANCE:
            advice = "." if said.mpp is not None else "; pass `mpp=` to decide."
            doubt = (
                f"Slide {name!r}: {where} means {mpp:.4g} µm per pixel, but {elsewhere} means {other:.4g}. "
                f"{where} is used{advice}"
            )
            return PixelSize(mpp, source, doubt)
    return PixelSize(mpp, source, "")


_Candidate = tuple[float, str, str]


def _from_caller(said: Scale, pitch_px: float) -> list[_Candidate]:
    found: list[_Candidate] = []
    if said.mpp is not None:
        found.append((float(said.mpp), "argument", "`mpp=`"))
    if said.pitch_um is not None and np.isfinite(pitch_px):
        found.append((float(said.pitch_um) / pitch_px, "pitch_um", f"`pitch_um={said.pitch_um:g}`"))
    if said.platform is not None and np.isfinite(pitch_px):
        found.append(
            ((platform_pitch(said.platform) or np.nan) / pitch_px, "platform", f"`platform={said.platform!r}`")
        )
    return found


def _from_record(record: Mapping[str, Any], pitch_px: float, pixel_scale: float) -> list[_Candidate]:
    metadata = record.get(_keys.METADATA) or {}
    factors = record.get(_keys.SCALEFACTORS) or {}
    found: list[_Candidate] = []
    for place, key in ((metadata, _keys.MPP), (factors, _keys.MICRONS_PER_PIXEL)):
        if _positive(place.get(key)):
            found.append((float(place[key]) / pixel_scale, "metadata", f"the record's {key!r}"))
    if not np.isfinite(pitch_px):
        return found
    for place, key in ((metadata, _keys.PITCH_UM), (factors, _keys.BIN_SIZE_UM)):
        if _positive(place.get(key)):
            found.append((float(place[key]) / pitch_px, "pitch_um", f"the record's {key!r}"))
    pitch = platform_pitch(str(metadata.get(_keys.PLATFORM, "")))
    if pitch is not None:
        found.append((pitch / pitch_px, "platform", f"the platform {metadata[_keys.PLATFORM]!r}"))
    return found
