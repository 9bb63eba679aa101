"""HisToGene."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...._docs import documented
from ..._registry import register
from .._method import NetworkMethod, Preset
from .._recipe import BaseTenLog

if TYPE_CHECKING:
    from .network import HisToGeneNetwork


@register
@documented
class HisToGene(NetworkMethod):
    """HisToGene: a transformer over all spots of a slide.

    The flattened picture of a spot is mapped to a token, the embeddings of its column and row are added, and transformer
    blocks let all spots of the slide look at each other. Target: log10(1 + 10,000 x share in the panel); squared error.

    ``preset="paper"`` has the published sizes: pictures of 112 px, width 1024, 8 blocks of 16 heads (106.6 M parameters at
    785 genes), Adam at 1e-5 over 100 epochs, a slide per step, without a schedule or early end. ``preset="default"`` has
    width 128 and 2 blocks.

    What differs from the publication:

    - Pictures are divided by 255. Fed with 0 to 255, as published, tokens are so large that the embeddings of the places
      beside them go unread.
    - It is published for coordinates below 64 and fails beyond. Here a larger slide is stretched onto the 64 entries.
    - Attention weights take part in the dropout; all dropout is off in prediction.
    - The output starts at the mean expression of the training spots.
    - The shares that it predicts at a spot are made to add up to 1.
    - Pictures are 112 µm wide on every slide; published are 112 px of the scan, whatever its scale.
    - ``inputs="features"`` maps frozen embeddings instead of pictures to tokens. All else stays.
    - The default preset starts from smaller embeddings of places, for a section has about as many places as spots.

    Source: Pang, Su and Li, "Leveraging information in spatial transcriptomics to predict super-resolution gene expression
    from histology images in tumors", bioRxiv 2021.11.28.470212.

    Parameters
    ----------
    {published_settings}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.HisToGene(preset="paper").spot_config().lr
    1e-05
    """

    name = "histogene"
    target = BaseTenLog()
    paper = "bioRxiv 2021.11.28.470212"
    presets: ClassVar = {
        "default": Preset(
            network={"width": 128, "depth": 2, "heads": 4, "patch_px": 56, "position_std": 0.1},
            training={"lr": 1e-3, "max_epochs": 150, "patience": 30, "schedule": "none"},
        ),
        "paper": Preset(
            inputs="patches",
            training={"lr": 1e-5, "max_epochs": 100, "patience": 0, "validation_fraction": 0.0, "schedule": "none"},
        ),
    }

    def _network_type(self) -> type[HisToGeneNetwork]:
        from .network import HisToGeneNetwork

        return HisToGeneNetwork
