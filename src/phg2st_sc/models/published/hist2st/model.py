"""Hist2ST."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...._docs import documented
from ..._registry import register
from .._method import NetworkMethod, Preset
from .._recipe import BaseTenLog

if TYPE_CHECKING:
    from .network import Hist2STNetwork


@register
@documented
class Hist2ST(NetworkMethod):
    """Hist2ST: ConvMixer, transformer and graph convolutions over a slide, with a count likelihood and self-distillation.

    A ConvMixer makes a token of the picture of a spot; the embeddings of its column and row are added; transformer blocks
    let all spots look at each other, and GraphSAGE layers each spot at the 4 nearest within 2 lattice pitches. An LSTM
    reads the outputs of the graph layers. Target: log10(1 + 10,000 x share in the panel). Loss: squared error + 0.25 x
    zero-inflated negative binomial likelihood of the counts + 0.5 x squared distance between the prediction and a learned
    mean of those of 5 changed views of the slide.

    ``preset="paper"`` has the published sizes: pictures of 112 px, width 1024, 8 blocks of 16 heads, 4 graph layers (75.8 M
    parameters at 785 genes, 1.05 M of them for the views), Adam at 1e-5, times 0.9 every 50 epochs, over 350 epochs, a
    slide per step, without early end. ``preset="default"`` has width 128, 2 blocks, 2 graph layers
    and 2 views.

    What differs from the publication:

    - A spot without a neighbour is its own neighbour. As published the mean over none is not a number, and spreads.
    - Neighbours are the nearest in space, equal ones chosen by place and not by the order of the table, on hexagonal
      lattices too; published are the nearest by array coordinates.
    - Pictures are divided by 255; published are 0 to 255. They are 112 µm wide on every slide; published are 112 px of the
      scan, whatever its scale.
    - Views are flipped and turned by quarter turns, picture by picture; published are turns by any angle up to 90 degrees
      and flips of a fifth. A tenth of the pictures loses its colours, as published.
    - ``inputs="features"`` maps frozen embeddings instead of pictures to tokens. There is no picture to change then, and a
      view lacks a tenth of the features, at random. ``network={"n_views": 0}`` turns distillation off.
    - It is published for coordinates below 64 and fails beyond. Here a larger slide is stretched onto the 64 entries.
    - Attention weights take part in the dropout; all dropout is off in prediction.
    - The output starts at the mean expression of the training spots.
    - The likelihood of the counts starts at the mean counts of the training spots.
    - The shares that it predicts at a spot are made to add up to 1.
    - The default preset starts from smaller embeddings of places, for a section has about as many places as spots.

    Source: Zeng, Wei, Yu, Yin, Yuan, Li and Yang, "Spatial transcriptomics prediction from histology jointly through
    Transformer and graph neural networks", Briefings in Bioinformatics 23(5), bbac297, 2022.

    Parameters
    ----------
    {published_settings}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.Hist2ST(preset="paper").spot_config().max_epochs
    350
    """

    name = "hist2st"
    target = BaseTenLog()
    paper = "Briefings in Bioinformatics 23(5), bbac297, 2022"
    presets: ClassVar = {
        "default": Preset(
            network={
                "width": 128,
                "depth": 2,
                "heads": 4,
                "graph_depth": 2,
                "lstm_depth": 1,
                "n_views": 2,
                "patch_px": 56,
                "position_std": 0.1,
            },
            training={"lr": 2e-3, "max_epochs": 150, "patience": 30, "schedule": "none"},
        ),
        "paper": Preset(
            inputs="patches",
            training={"lr": 1e-5, "max_epochs": 350, "patience": 0, "validation_fraction": 0.0, "schedule": "step"},
        ),
    }

    def _network_type(self) -> type[Hist2STNetwork]:
        from .network import Hist2STNetwork

        return Hist2STNetwork
