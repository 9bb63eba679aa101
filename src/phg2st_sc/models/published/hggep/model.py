"""HGGEP."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from ...._docs import documented
from ..._registry import register
from .._method import NetworkMethod, Preset
from .._recipe import BaseTenLog

if TYPE_CHECKING:
    from .._network import SpotNetwork
    from .network import HGGEPNetwork


@register
@documented
class HGGEP(NetworkMethod):
    """HGGEP: edges, three depths of an image encoder, transformers, and a hypergraph of what they say of a slide.

    Two convolutions, one of central differences, bring out the edges of the picture of a spot. ShuffleNetV2 x0.5 makes
    three tokens of it: from its last stage, its last convolution, and the maximum of that, each through attention to
    channels and places. The embeddings of column and row are added, and each of the three goes through transformer blocks
    of its own, in which all spots look at each other. Two hypergraph convolutions follow over the sum of the three, and an
    LSTM reads all four. Target, loss and changed views are those of :class:`Hist2ST`.

    ``preset="paper"`` has the published sizes: pictures of 112 px, width 1024, 3 times 4 blocks of 16 heads, hypergraph
    convolutions of 512, an LSTM of 4 layers (116.4 M parameters at 785 genes, 1.05 M of them for the views), Adam at 1e-5
    over 500 epochs, a slide per step, without a schedule or early end. ``preset="default"`` has width 128, 3 times 1 block
    and 2 views instead of 5.

    What differs from the publication:

    - A hyperedge holds a spot and the 4 nearest under the sum of the distances in space and between tokens, each divided by
      its root mean square, and near members weigh more, in the sums over hyperedges as in their degrees: see
      :class:`phg2st_sc.graph.CombinedKNN`. Published is the choice of the largest of the 4 or 8 nearest in space plus the
      distance of tokens, which takes the spot that is least alike, and weights that belong to other hyperedges.
    - All dropout is off in prediction, and attention weights take part in it; published, that of the hypergraph stays on.
    - Training is one run of 500 epochs. Published are 100 restarts of 5, with the optimiser made anew, and the choice of
      the one that does best on the slide to test.
    - Pictures are divided by 255; published are 0 to 255. They are 112 µm wide on every slide; published are 112 px of the
      scan, whatever its scale.
    - The two branches for edges have 16 channels each.
    - The shares that it predicts at a spot are made to add up to 1.
    - Views are flipped and turned by quarter turns, picture by picture; published are turns by any angle up to 90 degrees
      and flips of a fifth. A tenth of the pictures loses its colours, as published.
    - ``inputs="features"``: three linear maps of frozen embeddings take the place of the three tokens. There is no picture
      to change then, and a view lacks a tenth of the features, at random. ``network={"n_views": 0}`` turns distillation
      off.
    - It is published for coordinates below 64 and fails beyond. Here a larger slide is stretched onto the 64 entries.
    - The output and the counts start at the means of the training spots. Where genes have hundreds of counts, the published
      start makes the tokens of all spots alike.
    - The default preset starts from smaller embeddings of places, for a section has about as many places as spots.

    ShuffleNetV2 starts from the weights that torchvision publishes, trained on ImageNet: ``weights="auto"`` takes them from
    the folder in which torch keeps downloads, or downloads them there (5 MB), and warns where neither works;
    ``weights="<path>"`` is that file, ``shufflenetv2_x0.5-f707e7126e.pth``, or its folder.

    Source: Li, Zhang, Wang, Zhang, Li, Wang and Song, "Gene expression prediction from histology images via hypergraph neural
    networks", Briefings in Bioinformatics 25(6), bbae500, 2024.

    Parameters
    ----------
    {published_settings}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.HGGEP(preset="paper").spot_config().lr
    1e-05
    """

    name = "hggep"
    target = BaseTenLog()
    paper = "Briefings in Bioinformatics 25(6), bbae500, 2024"
    presets: ClassVar = {
        "default": Preset(
            network={
                "width": 128,
                "depth": 1,
                "heads": 4,
                "patch_px": 56,
                "position_std": 0.1,
                "hypergraph_width": 64,
                "n_views": 2,
            },
            training={"lr": 1e-3, "max_epochs": 100, "patience": 20, "schedule": "none"},
        ),
        "paper": Preset(
            inputs="patches",
            training={"lr": 1e-5, "max_epochs": 500, "patience": 0, "validation_fraction": 0.0, "schedule": "none"},
        ),
    }

    def _network_type(self) -> type[HGGEPNetwork]:
        from .network import HGGEPNetwork

        return HGGEPNetwork

    def _pretrain(self, network: SpotNetwork) -> str:
        from .._pictures import load_or_warn
        from .shufflenet import SHUFFLENET, load_torchvision

        load = partial(load_torchvision, network.picture.backbone, SHUFFLENET)  # type: ignore[union-attr,arg-type]
        return load_or_warn(load, self.weights, method=self.name, name=SHUFFLENET.name)
