"""What every builder of hypergraphs offers, and how one is found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._registry import Registry
from ._hypergraph import Hypergraph

Array = NDArray[np.floating[Any]]


class HypergraphBuilder(ABC):
    """Turns the spots of one slide into a :class:`Hypergraph`.

    Builders are small frozen dataclasses: their fields are their settings, and with ``name`` they describe themselves in
    ``uns``. A new one takes a file of its own with :func:`register_builder` above the class.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from phg2st_sc.graph import Given, HypergraphBuilder
    >>> @dataclass(frozen=True)
    ... class Chain(HypergraphBuilder):
    ...     name = "chain"
    ...     metric = "order"
    ...
    ...     def build(self, positions, features=None):
    ...         return Given(adjacency=np.eye(len(positions), k=1)).build(positions)
    >>> Chain().build(np.array([[0.0, 0], [1, 0]])).incidence.toarray().tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    uses_features: ClassVar[bool] = False
    """Whether features are looked up for it."""
    needs_features: ClassVar[bool] = False
    """Whether it is of no use without."""

    @abstractmethod
    def build(self, positions: Array, features: Array | None = None) -> Hypergraph:
        """Build the hypergraph of one slide.

        Parameters
        ----------
        positions
            (n, 2) spot centres in lattice pitches.
        features
            (n, d) features of the spots, or ``None``.
        """

    def describe(self) -> dict[str, Any]:
        """Name and settings, as ``uns`` can hold them."""
        return {"builder": self.name, "method": self.name, "metric": self.metric, **asdict(self)}  # type: ignore[call-overload]


Kind = TypeVar("Kind", bound=type[HypergraphBuilder])
BUILDERS: Registry[type[HypergraphBuilder]] = Registry("builder", otherwise=", or an object such as `Given(...)`")
"""Every builder that can be made from settings alone, by name."""


def register_builder(name: str) -> Callable[[Kind], Kind]:
    """Make a builder available as ``builder=name``.

    Parameters
    ----------
    name
        The name; a builder of that name is replaced.

    Returns
    -------
    A decorator for a :class:`HypergraphBuilder`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from phg2st_sc.graph import BUILDERS, Radius, get_builder, register_builder
    >>> @register_builder("wide")
    ... @dataclass(frozen=True)
    ... class Wide(Radius):
    ...     radius: float = 3.0
    >>> get_builder("wide").radius
    3.0
    >>> del BUILDERS["wide"]
    """

    def register(kind: Kind) -> Kind:
        kind.name = name
        return BUILDERS.register(name)(kind)

    return register


def get_builder(builder: str | HypergraphBuilder, **settings: Any) -> HypergraphBuilder:
    """Return the builder of that name with these settings; a builder object passes through.

    Settings that are ``None`` keep their default.

    Parameters
    ----------
    builder
        A name, see :data:`BUILDERS`, or a builder.
    **settings
        Settings of the builder of that name.

    Raises
    ------
    ValueError
        If the name or a setting is unknown, or settings come with a builder that has its own.
    TypeError
        If it is neither a name nor a builder.

    Examples
    --------
    >>> get_builder("radius", radius=2.0).describe()["radius"]
    2.0
    """
    given = {key: value for key, value in settings.items() if value is not None}
    if isinstance(builder, HypergraphBuilder):
        if given:
            msg = f"{type(builder).__name__} has its own settings: leave out {sorted(given)}."
            raise ValueError(msg)
        return builder
    if not isinstance(builder, str):
        msg = f"`builder` must be a name or a builder, got {type(builder).__name__}."
        raise TypeError(msg)
    kind = BUILDERS[builder]
    unknown = sorted(set(given) - set(kind.__dataclass_fields__))  # type: ignore[attr-defined]
    if unknown:
        msg = f"Builder {builder!r} does not take {unknown}; it takes {sorted(kind.__dataclass_fields__)}."  # type: ignore[attr-defined]
        raise ValueError(msg)
    return kind(**given)


def check_positions(positions: Array) -> NDArray[np.float64]:
    """Return positions as a finite (n, 2) float64 array with at least one row, or raise."""
    out = np.asarray(positions, dtype=np.float64)
    if out.ndim != 2 or out.shape[1] != 2 or not len(out) or not np.isfinite(out).all():
        msg = f"Positions must be a finite (n, 2) array of at least one spot; these have shape {out.shape}."
        raise ValueError(msg)
    return out


def check_features(features: Array | None, n_spots: int) -> NDArray[np.float32] | None:
    """Return features as a finite (n, d) float32 array, or raise; ``None`` stays."""
    if features is None:
        return None
    out = np.asarray(features, dtype=np.float32)
    if out.ndim != 2 or len(out) != n_spots or not np.isfinite(out).all():
        msg = f"Features must be a finite ({n_spots}, d) array, one row per spot; these have shape {out.shape}."
        raise ValueError(msg)
    return out


def check_neighbors(n_neighbors: int) -> None:
    """Raise unless it is a positive whole number."""
    if isinstance(n_neighbors, bool) or not isinstance(n_neighbors, (int, np.integer)) or n_neighbors < 1:
        msg = f"`n_neighbors` must be a whole number of at least 1, got {n_neighbors!r}."
        raise ValueError(msg)
