"""Image features of one slide: standardised, a few spots at a time, and as a few components."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._arrays import SlideArrays

Array = NDArray[np.float64]

N_COMPONENTS = 20


_BLOCK_VALUES = 1 << 22
"""Of a block of spots: 32 MB in double precision."""
_LEAST_WIDTH = 512
"""Values that a spot counts as: as many may be made of few."""


class Rows(Protocol):
    """Values (n, F) of which some spots at a time are asked for: an array, or what is put together then."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of spots and of values of each."""
        ...

    def __getitem__(self, rows: Any, /) -> NDArray[Any]: ...


def blocks(values: Rows) -> Iterator[slice]:
    """Slices of the spots that fit into memory in double precision, one after the other."""
    n, width = values.shape
    step = max(64, _BLOCK_VALUES // max(width, _LEAST_WIDTH))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


@dataclass(frozen=True, eq=False)
class Standardized:
    """Values of zero mean and unit variance over the slide: differences of stain and scanner between slides go out here.

    Where blocks of columns come from several encoders, each block as a whole has the same variance: a thousand features of a network
    would drown three hundred of another otherwise.

    Attributes
    ----------
    values
        (n, F) as they are.
    mean, spread
        (F,) over the slide; 1 for the spread of constants.
    """

    values: Rows
    mean: Array
    spread: Array

    @classmethod
    def of(cls, values: Rows, widths: Sequence[int] = ()) -> Standardized:
        """Measure values, in two passes over the spots; what is standardised stays so.

        Parameters
        ----------
        values
            (n, F) of the spots.
        widths
            Columns of each block; empty for a single one.
        """
        if isinstance(values, cls):
            return values
        n = max(values.shape[0], 1)
        mean = sum_of(values, lambda block: block.sum(axis=0)) / n
        spread = np.sqrt(sum_of(values, lambda block: ((block - mean) ** 2).sum(axis=0)) / n)
        varies = spread > 1e-8
        return cls(values, mean, np.where(varies, spread, 1.0) / _weights(varies, widths))

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of spots and features."""
        return self.values.shape

    def __getitem__(self, rows: Any) -> Array:
        return (np.asarray(self.values[rows], dtype=np.float64) - self.mean) / self.spread

    def columns(self, few: slice) -> Array:
        """(n, f) some of the features of all spots."""
        return (np.asarray(self.values[:, few], dtype=np.float64) - self.mean[few]) / self.spread[few]


def _weights(varies: NDArray[np.bool_], widths: Sequence[int]) -> Array | float:
    """(F,) by which standardised features are multiplied so that each block has the same variance, and all as much as before."""
    if len(widths) < 2:
        return 1.0
    block = np.repeat(np.arange(len(widths)), widths)
    varying = np.bincount(block[varies], minlength=len(widths))
    share = varies.sum() / max(np.count_nonzero(varying), 1)
    return np.asarray(np.sqrt(share / np.maximum(varying, 1))[block])


def feature_blocks(slide: SlideArrays) -> tuple[int, ...]:
    """Columns of each block of a slide's features, as their record tells; empty where they are one, or were changed since."""
    widths = tuple(slide.feature_record.get(_keys.BLOCKS, ()))
    return widths if slide.features is not None and sum(widths) == slide.features.shape[1] else ()


def sum_of(values: Rows, of: Callable[[Array], Array]) -> Array:
    """Sum of what is made of the blocks of values, in double precision."""
    return np.asarray(sum(of(np.asarray(values[rows], dtype=np.float64)) for rows in blocks(values)))


def map_rows(values: Rows, of: Callable[[Array], Array], width: int) -> Array:
    """(n, width) what is made of the values of every spot, a block at a time."""
    out = np.empty((values.shape[0], width))
    for rows in blocks(values):
        out[rows] = of(np.asarray(values[rows], dtype=np.float64))
    return out


def standardize(features: Rows) -> Array:
    """Standardised values (n, F) of all spots at once; see :class:`Standardized`."""
    return Standardized.of(features)[:]


def image_components(features: Rows, *, n_components: int = N_COMPONENTS) -> Array:
    """Leading principal components (n, k) of the slide's own features, scaled to unit mean square length.

    The image of the whole slide is known before anything is measured, so no prompt enters.
    """
    values = standardize(features)
    left, singular, _ = np.linalg.svd(values, full_matrices=False)
    components = left[:, :n_components] * singular[:n_components]
    return components / max(float(np.sqrt((components**2).sum(axis=1).mean())), 1e-12)


def standardized_features(slide: SlideArrays, method: str) -> Standardized:
    """Standardised features of a slide, every block with the same say, or an error that names the call to make."""
    return Standardized.of(require_features(slide, method), feature_blocks(slide))


def require_features(slide: SlideArrays, method: str) -> NDArray[np.float32]:
    """Features of a slide, or an error that names the call to make."""
    if slide.features is None:
        msg = (
            f"Method {method!r} needs image features, and slide {slide.name!r} has none. "
            "Call `phg2st_sc.pp.extract_embeddings(data)` first, or use a method without an image such as 'kriging'."
        )
        raise ValueError(msg)
    return slide.features
