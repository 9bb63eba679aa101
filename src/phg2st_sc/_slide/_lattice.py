"""The unit of distances on a slide, and the size of a pixel: what is told, what is recorded, what is measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._checks import is_positive
from .._spacing import spacing
from .._text import quoted

PLATFORM_PITCH_UM: Mapping[str, float] = {
    "ST": 200.0,
    "ST2K": 150.0,
    "Visium": 100.0,
    "Visium HD 2": 2.0,
    "Visium HD 8": 8.0,
    "Visium HD 16": 16.0,
}
"""Centre-to-centre distance of neighbouring spots or bins in µm."""

PitchSource = Literal["argument", "lattice", "spacing"]

_TOLERANCE = 0.1


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
    """What the caller says about distances and the physical scale of the pixels.

    Attributes
    ----------
    mpp
        µm per pixel.
    pitch_um
        Distance of neighbouring spots in µm.
    platform
        A platform with a known pitch.
    pitch
        Distance of neighbouring spots in the unit of their centres, for all slides or by slide name.
    kept_pitch
        The same by :func:`phg2st_sc._keys.slide_entry`, as an earlier call counted distances; what this call says comes first.
    """

    mpp: float | None = None
    pitch_um: float | None = None
    platform: str | None = None
    pitch: float | Mapping[str, float] | None = None
    kept_pitch: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("mpp", "pitch_um"):
            value = getattr(self, name)
            if value is not None and not is_positive(value):
                msg = f"`{name}` must be a number of µm above 0, got {value!r}."
                raise ValueError(msg)
        for value in self.pitch.values() if isinstance(self.pitch, Mapping) else [self.pitch]:
            if value is not None and not is_positive(value):
                msg = f"`pitch` must be a number above 0, in the unit of the spot centres, got {value!r}."
                raise ValueError(msg)
        if self.platform is not None and platform_pitch(str(self.platform)) is None:
            known = ", ".join(repr(name) for name in PLATFORM_PITCH_UM)
            msg = f"Unknown platform {self.platform!r}; known are {known}. For others pass `pitch_um=`."
            raise ValueError(msg)

    def pitch_of(self, name: str) -> float | None:
        """Distance of neighbouring spots of one slide as told, in the unit of their centres."""
        if isinstance(self.pitch, Mapping):
            if name not in self.pitch:
                msg = f"`pitch=` has no entry for slide {name!r}, only for {quoted(self.pitch)}."
                raise KeyError(msg)
            return float(self.pitch[name])
        if self.pitch is not None:
            return float(self.pitch)
        kept = self.kept_pitch.get(_keys.slide_entry(name))
        return None if kept is None or self.pitch_um is not None else float(kept)


def _recorded(value: Any) -> float | None:
    """A positive number in a record, of which files may have made a text; ``None`` where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if is_positive(number) else None


class Pitch(NamedTuple):
    """Distance of neighbouring spots in pixels, and whether it was told, or measured on a lattice or off any."""

    px: float
    source: PitchSource


class PixelSize(NamedTuple):
    """µm per pixel, where it comes from, and what contradicts it; ``None`` and empty where unknown."""

    mpp: float | None
    source: str | None
    doubt: str


class Measures(NamedTuple):
    """The unit of distances and the size of a pixel of one slide."""

    pitch: Pitch
    size: PixelSize


def measure(
    said: Scale,
    record: Mapping[str, Any],
    places: NDArray[np.float64],
    *,
    unit_px: float,
    pixel_scale: float,
    name: str,
) -> Measures:
    """Unit of distances and size of a pixel of one slide: what is told, else what is recorded and measured.

    Parameters
    ----------
    said, record, pixel_scale, name
        As in :func:`resolve_mpp`.
    places
        (n, 2) measured spots in pixels.
    unit_px
        Pixels of ``places`` per unit of the spot centres, of which ``pitch`` speaks.
    """
    told = said.pitch_of(name)
    if told is not None:
        pitch = Pitch(told * unit_px, "argument")
    else:
        found = spacing(places)
        pitch = Pitch(found.distance, "lattice" if found.regular else "spacing")
    size = resolve_mpp(said, record, pitch.px, pixel_scale=pixel_scale, name=name, of=pitch.source)
    if told is None and said.pitch_um is not None and size.source in ("argument", "metadata") and size.mpp is not None:
        by_um = said.pitch_um / size.mpp
        # on a lattice what was measured is the more exact of the two
        if pitch.source == "spacing" or abs(by_um / pitch.px - 1.0) > _TOLERANCE:
            pitch = Pitch(by_um, "argument")
    return Measures(pitch, size)


def resolve_mpp(
    said: Scale,
    record: Mapping[str, Any],
    pitch_px: float,
    *,
    pixel_scale: float,
    name: str,
    of: PitchSource = "lattice",
) -> PixelSize:
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
    of
        Where the pitch comes from. The spacing of points off any lattice is that of no platform, and is roughly known: only
        ``pitch_um`` turns it into a size, where nothing else tells.
    """
    if of == "spacing":
        sizes = [*_from_caller(Scale(mpp=said.mpp), np.nan), *_from_record(record, np.nan, pixel_scale)]
        candidates = sizes or _from_caller(Scale(pitch_um=said.pitch_um), pitch_px)
    else:
        candidates = [*_from_caller(said, pitch_px), *_from_record(record, pitch_px, pixel_scale)]
    if not candidates:
        return PixelSize(None, None, "")
    mpp, source, where = candidates[0]
    if of == "spacing" and source == "pitch_um":
        doubt = (
            f"The spots of slide {name!r} lie on no lattice: {where} is taken for their typical spacing, {pitch_px:.4g} pixels, "
            f"which means {mpp:.4g} µm per pixel. Pass `mpp=` where that is known."
        )
        return PixelSize(mpp, source, doubt)
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
        if (number := _recorded(place.get(key))) is not None:
            found.append((number / pixel_scale, "metadata", f"the record's {key!r}"))
    if not np.isfinite(pitch_px):
        return found
    for place, key in ((metadata, _keys.PITCH_UM), (factors, _keys.BIN_SIZE_UM)):
        if (number := _recorded(place.get(key))) is not None:
            found.append((number / pitch_px, "pitch_um", f"the record's {key!r}"))
    pitch = platform_pitch(str(metadata.get(_keys.PLATFORM, "")))
    if pitch is not None:
        found.append((pitch / pitch_px, "platform", f"the platform {metadata[_keys.PLATFORM]!r}"))
    return found
