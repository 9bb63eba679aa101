"""What published networks are given and what they give: image in, expression of spots out, no prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class SpotInputs:
    """What a network is shown of one slide, or of spots of several slides.

    A network takes either ``patches`` or ``features`` as the picture of a spot: its configuration says which.

    Attributes
    ----------
    rows
        (r,) int64 into the n spots: where to predict.
    positions
        (n, 2) float32 spot centres (x, y) in lattice pitches.
    grid
        (n, 2) int64 column and row on the capture lattice, from 0.
    patches
        (r, 3, p, p) uint8 of the rows, or (n, 3, p, p) of all spots: see :attr:`SpotNetwork.patches_at`.
    features
        (n, d) float32, standardised.
    context
        (r, c², d) float32 features of the tiles around each of the rows, standardised, 0 where there is none.
    context_mask
        (r, c²) bool, True where there is a tile.
    graphs
        What :meth:`SpotNetwork.slide_graphs` made of the slide.
    """

    rows: Tensor
    positions: Tensor
    grid: Tensor
    patches: Tensor | None = None
    features: Tensor | None = None
    context: Tensor | None = None
    context_mask: Tensor | None = None
    graphs: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: Any) -> SpotInputs:
        """The same on another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved, graphs={name: value.to(device) for name, value in self.graphs.items()})


@dataclass(frozen=True, eq=False)
class SpotTargets:
    """What was measured at the rows of some :class:`SpotInputs`.

    Attributes
    ----------
    expression
        (r, G) float32 on the scale that the method predicts.
    counts
        (r, G) float32 raw counts over the panel.
    size_factors
        (r,) float32 panel total of each spot over the median of its slide.
    """

    expression: Tensor
    counts: Tensor
    size_factors: Tensor

    def to(self, device: Any) -> SpotTargets:
        """The same on another device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


class SpotNetwork(nn.Module):
    """A network that predicts spots from the image; the base of those in this folder.

    All randomness is torch's own generator, which training seeds by the step.
    """

    mixes_slides: ClassVar[bool] = False
    """Whether a training step takes spots of all slides at random: networks that look at each spot by itself."""
    patches_at: ClassVar[Literal["rows", "all"]] = "rows"
    """Whether patches of all spots of a slide are needed, or those of the predicted rows."""

    config_type: ClassVar[type[Any]]
    """Frozen dataclass of the sizes; its ``as_dict()`` is plain, and what is made from that is equal."""
    config: Any
    """Sizes of the network."""

    @classmethod
    def slide_graphs(cls, positions: Tensor, grid: Tensor) -> dict[str, Tensor]:
        """Graphs of a slide that depend on places alone; made once a slide."""
        return {}

    def initialize(self, expression: Tensor) -> None:
        """Start from the (G,) mean expression of the training spots."""

    def initialize_counts(self, counts: Tensor, size_factors: Tensor) -> None:
        """Start from the (m, G) counts of the training spots and their (m,) size factors, where counts are learned too."""

    def forward(self, inputs: SpotInputs) -> Tensor:
        """(r, G) expression on the scale of the training targets."""
        raise NotImplementedError

    def training_loss(self, inputs: SpotInputs, targets: SpotTargets) -> Tensor:
        """Loss of one step; called in training mode only."""
        raise NotImplementedError


def shown_picture(inputs: SpotInputs, n_features: int | None) -> Tensor:
    """The features of all spots where a network was made for embeddings of some width, else their pictures.

    Parameters
    ----------
    inputs
        Of a network that looks at all spots of a slide.
    n_features
        Of the network's configuration.

    Raises
    ------
    ValueError
        If the inputs have no such thing, or features of another width.
    """
    if n_features is None:
        if inputs.patches is None:
            raise ValueError("The network was made for pictures, and there are none: give `patches`.")
        return inputs.patches
    if inputs.features is None or inputs.features.shape[1] != n_features:
        width = "there are none" if inputs.features is None else f"these have width {inputs.features.shape[1]}"
        raise ValueError(f"The network was made for features of width {n_features}, and {width}.")
    return inputs.features


def shown_rows(inputs: SpotInputs, n_features: int | None) -> Tensor:
    """The features, or pictures, of the rows to predict.

    Parameters
    ----------
    inputs
        Of a network whose pictures are those of the rows.
    n_features
        Of the network's configuration.

    Raises
    ------
    ValueError
        If the inputs have no such thing, or features of another width.
    """
    shown = shown_picture(inputs, n_features)
    return shown if n_features is None else shown[inputs.rows]
