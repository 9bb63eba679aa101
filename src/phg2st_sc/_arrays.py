"""What crosses the seam between containers and methods: arrays only.

A method that predicts is handed a :class:`SlideArrays`, which has no expression at all, and :class:`Prompts`, which has
the expression of the measured spots and of no other. Leaking is thereby impossible to write by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ._evidence import Assessment, LeftOut, Posterior
from ._row_blocks import RowBlocks

_MAX_SHRINK = 50.0
"""Bound on how far below its level a predicted rate may fall, in e-folds; only guards the exponential."""


class Patches(Protocol):
    """Pictures of the spots of one slide, read from its image on demand."""

    def read(self, rows: NDArray[np.int64], *, edge_um: float, size: int) -> NDArray[np.uint8]:
        """(r, size, size, 3) squares of ``edge_um`` centred on some spots; white beyond the image."""
        ...

    def take(self, keep: NDArray[np.int64]) -> Patches:
        """Return those of some of the spots."""
        ...


@dataclass(frozen=True, eq=False)
class SlideArrays:
    """Image side of one slide: everything that is known without measuring expression.

    Attributes
    ----------
    name
        Slide name, unique within a run.
    positions
        (n, 2) float64, spot centres (x, y) in lattice pitches, so that neighbours on the capture lattice are ~1 apart
        on every platform.
    features
        (n, d) float32 image embeddings, or ``None`` for a slide without an image.
    feature_record
        Provenance of ``features`` (encoder, revision, transform, tile size in µm, mpp).
    patient
        Patient the slide comes from, where known.
    context_index
        (n, c²) int32 into ``tiles``: the block of c x c tiles around each spot, row by row, -1 where there is no tile;
        ``None`` without context.
    tiles
        (t, d) float16 or float32 embeddings of the tiles of the slide, or ``None``.
    incidence
        (n, n) CSR incidence of the user's own hypergraph, or ``None``: a method builds its own.
    patches
        Pictures of the spots, for methods that read them (:attr:`Estimator.reads_patches`), or ``None``.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.models import SlideArrays
    >>> SlideArrays("A", positions=np.array([[0.0, 0], [1, 0], [2, 0]])).take(np.array([True, True, False])).n_spots
    2
    """

    name: str
    positions: NDArray[np.float64]
    features: NDArray[np.float32] | None = None
    feature_record: Mapping[str, Any] = field(default_factory=dict)
    patient: str | None = None
    context_index: NDArray[np.int32] | None = None
    tiles: NDArray[np.floating[Any]] | None = None
    incidence: sparse.csr_matrix | None = None
    patches: Patches | None = None

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return int(self.positions.shape[0])

    def take(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> SlideArrays:
        """Return the slide with some of its spots; its tiles stay as they are."""
        return replace(
            self,
            positions=self.positions[keep],
            features=None if self.features is None else self.features[keep],
            context_index=None if self.context_index is None else self.context_index[keep],
            incidence=None if self.incidence is None else sparse.csr_matrix(self.incidence[keep][:, keep]),
            patches=None if self.patches is None else self.patches.take(np.arange(self.n_spots)[keep]),
        )


@dataclass(frozen=True, eq=False)
class Prompts:
    """The measured spots of one slide, over the gene panel.

    Attributes
    ----------
    index
        (p,) int64, ascending: which spots of the slide were measured.
    counts
        (p, G) float32 raw counts over the panel, in the panel's order.
    totals
        (p,) float64 total counts of each prompt over *all* genes of its object.
    target_sum
        Scale *s* of the predicted expression log1p(s * rate).
    genes
        The G names of the panel.
    lacking
        (m,) int64, which genes of the panel the object lacks: their counts are 0, and were not measured.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.models import Prompts
    >>> counts = np.array([[1, 3], [2, 2]], dtype=np.float32)
    >>> Prompts(np.array([0, 5]), counts, counts.sum(axis=1), target_sum=4.0, genes=("a", "b")).n_prompts
    2
    """

    index: NDArray[np.int64]
    counts: NDArray[np.float32]
    totals: NDArray[np.float64]
    target_sum: float
    genes: tuple[str, ...]
    lacking: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return int(self.index.shape[0])

    @property
    def n_genes(self) -> int:
        """Size of the panel."""
        return int(self.counts.shape[1])

    @property
    def panel_share(self) -> float:
        """Share of the panel in all counts of the prompts."""
        everything = float(self.totals.sum())
        return float(self.counts.sum(dtype=np.float64)) / everything if everything > 0 else 1.0

    def subset(self, keep: NDArray[np.int64]) -> Prompts:
        """Return the prompts at positions ``keep`` of this object (used by cross-validation)."""
        return replace(self, index=self.index[keep], counts=self.counts[keep], totals=self.totals[keep])


@dataclass(frozen=True, eq=False)
class TrainingSlide:
    """A slide whose expression was measured at every spot, for :meth:`Estimator.fit`.

    Attributes
    ----------
    arrays
        Image side of the slide.
    counts
        (n, G) float32 raw counts over the panel.
    totals
        (n,) float64 totals over all genes of the object.
    genes
        The G names of the panel.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.models import SlideArrays, TrainingSlide
    >>> counts = np.array([[1, 3], [2, 2]], dtype=np.float32)
    >>> slide = TrainingSlide(SlideArrays("A", np.eye(2)), counts, counts.sum(axis=1), ("a", "b"))
    >>> slide.prompts(np.array([1]), target_sum=4.0).counts.tolist()
    [[2.0, 2.0]]
    """

    arrays: SlideArrays
    counts: NDArray[np.float32]
    totals: NDArray[np.float64]
    genes: tuple[str, ...]

    def prompts(self, index: NDArray[np.int64], *, target_sum: float) -> Prompts:
        """Return the given spots of the slide as prompts."""
        index = np.sort(np.asarray(index, dtype=np.int64))
        return Prompts(index, self.counts[index], self.totals[index], target_sum, self.genes)


@dataclass(frozen=True, eq=False)
class Latent:
    """A prediction on the scale that a method works on, before rates are positive and add up.

    There a few numbers a spot say most of it, which is what ``tl.impute(low_rank=)`` keeps.

    Attributes
    ----------
    n
        Number of spots.
    make
        Of a slice of the spots: whitened rates (rows, G), and the factor (rows,) by which their rates add up.
    level
        (G,) rates where whitened rates are zero.
    spread
        (G,) noise in units of the Poisson one; ``None`` where all are 1.
    step
        Rows of a block.
    """

    n: int
    make: Callable[[slice], tuple[NDArray[np.float64], NDArray[np.float64]]]
    level: NDArray[np.float64]
    spread: NDArray[np.float64] | None
    step: int

    def take(self, genes: NDArray[np.int64]) -> Latent:
        """The same of some genes."""

        def few(rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            values, factor = self.make(rows)
            return values[:, genes], factor

        return replace(
            self, make=few, level=self.level[genes], spread=None if self.spread is None else self.spread[genes]
        )


class Prediction:
    """Predicted depth-free expression of one slide.

    Parameters
    ----------
    mean
        (n, G) float32, log1p(s * rate) at every spot, prompts included; an array, or :class:`RowBlocks`, which are made
        when they are asked for.
    std
        (n, G) float32 standard deviation of the rate on the same scale, as ``mean``; or ``None``.
    details
        JSON-like facts on how the prediction was made (chosen method, fitted range, ...), kept as provenance.
    latent
        The same on the scale that the method works on, or ``None``.
    left_out
        Prompts that were predicted without having been seen, where the method did that anyway; or what makes it of that.
    posterior
        What the prompts leave open, where the method has a covariance; worked out when it is asked for.
    assessment
        How far the prediction can be trusted, where that was asked.
    samples
        Maps (n, G) drawn from what is not known of the prediction.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.models import Prediction
    >>> Prediction(np.zeros((3, 2), dtype=np.float32)).std is None
    True
    """

    def __init__(
        self,
        mean: NDArray[np.float32] | RowBlocks,
        std: NDArray[np.float32] | RowBlocks | None = None,
        details: Mapping[str, Any] | None = None,
        latent: Latent | None = None,
        left_out: LeftOut | Callable[[], LeftOut | None] | None = None,
        posterior: Posterior | None = None,
        assessment: Assessment | None = None,
        samples: Sequence[RowBlocks] = (),
    ) -> None:
        self._mean = mean if isinstance(mean, RowBlocks) else np.asarray(mean)
        self._std, self.latent = std, latent
        self._left_out, self.posterior, self.assessment = left_out, posterior, assessment
        self.samples = tuple(samples)
        self.details: Mapping[str, Any] = {} if details is None else details

    def __repr__(self) -> str:
        """Its size, and what is known of how it was made."""
        return f"Prediction(shape={self.shape}, details={dict(self.details)})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Spots and genes."""
        return self._mean.shape

    @property
    def mean(self) -> NDArray[np.float32]:
        """(n, G) the whole prediction; made at the first call where it was not there yet."""
        if isinstance(self._mean, RowBlocks):
            self._mean = self._mean.whole()
        return self._mean

    @property
    def blocks(self) -> RowBlocks:
        """The prediction some rows at a time."""
        return self._mean if isinstance(self._mean, RowBlocks) else RowBlocks.of(self._mean)

    @property
    def std(self) -> NDArray[np.float32] | None:
        """(n, G) the whole standard deviation; ``None`` where it is not known."""
        if isinstance(self._std, RowBlocks):
            self._std = self._std.whole()
        return self._std

    @property
    def std_blocks(self) -> RowBlocks | None:
        """The standard deviation some rows at a time."""
        return self._std if self._std is None or isinstance(self._std, RowBlocks) else RowBlocks.of(self._std)

    @property
    def left_out(self) -> LeftOut | None:
        """Prompts that were predicted without having been seen; ``None`` where the method did not do that."""
        if callable(self._left_out):
            self._left_out = self._left_out()
        return self._left_out

    def take(self, genes: NDArray[np.int64]) -> Prediction:
        """The prediction of some genes of the panel, by position."""
        return self.but(
            mean=_columns(self._mean, genes),
            std=None if self._std is None else _columns(self._std, genes),
            latent=None if self.latent is None else self.latent.take(genes),
            left_out=lambda: None if self.left_out is None else self.left_out.take(genes),
            posterior=None if self.posterior is None else self.posterior.take(genes),
            assessment=None if self.assessment is None else self.assessment.of_genes(lambda values: values[genes]),
            samples=tuple(_columns(one, genes) for one in self.samples),
        )

    def but(self, **changes: Any) -> Prediction:
        """The same prediction with some of its parts changed."""
        open_ = ("details", "latent", "posterior", "assessment", "samples")
        parts = {name: getattr(self, name) for name in open_}
        hidden = {"mean": self._mean, "std": self._std, "left_out": self._left_out}
        return Prediction(**{**hidden, **parts, **changes})


def _columns(values: NDArray[np.float32] | RowBlocks, genes: NDArray[np.int64]) -> NDArray[np.float32] | RowBlocks:
    if isinstance(values, RowBlocks):
        return values.change(lambda some: some[:, genes], width=len(genes))
    return values[:, genes]


def log_expression(rate: NDArray[np.floating], target_sum: float) -> NDArray[np.float32]:
    """Depth-free expression log1p(s * rate), negative rates taken as zero."""
    scaled = np.maximum(rate, 0.0)
    scaled *= target_sum
    return np.log1p(scaled, out=scaled).astype(np.float32)


def positive_rates(
    whitened: NDArray[np.float64], level: NDArray[np.float64], spread: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Positive rates of whitened rates: linear above the level, exponential below it (smooth at the level)."""
    relative = (whitened if spread is None else whitened * spread) / np.sqrt(level)
    below = np.exp(np.clip(relative, -_MAX_SHRINK, 0.0))
    np.add(relative, 1.0, out=below, where=relative >= 0)
    below *= level
    return below
