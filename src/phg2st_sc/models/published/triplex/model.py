"""TRIPLEX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ...._arrays import SlideArrays, TrainingSlide
from ...._docs import documented
from ..._registry import register
from .._method import NetworkMethod, Preset

if TYPE_CHECKING:
    from .._network import SpotNetwork
    from .network import TriplexNetwork


@register
@documented
class TRIPLEX(NetworkMethod):
    """TRIPLEX: the spot, the tiles around it and its whole slide, each in its own branch, fused by cross-attention.

    The target branch makes 49 tokens of the picture of a spot with a ResNet-18 that is trained along. The neighbour branch
    lets the embeddings of the 5 x 5 tiles around a spot look at each other, leaning on how far they lie apart. The global
    branch lets the embeddings of all spots of the slide look at each other, with a convolution over the lattice after its
    first block. The global token of a spot asks the target tokens and the neighbour tokens, by the same cross-attention; the
    answers are added. Four heads: one on the sum, one on each branch. Target: log(1 + 10,000 x share in the panel). Loss:
    squared error of the sum; of each branch 0.7 times that against truth and 0.3 times that against the prediction from the
    sum.

    Embeddings of spots and tiles come from :func:`phg2st_sc.pp.extract_embeddings` with ``context=5``, whatever ``inputs``
    says. ``network={"neighbors": False}`` leaves the neighbour branch out and needs no tiles.

    ``preset="paper"`` has the sizes published for the HER2+ sections: pictures of 224 px, width 512, 1, 3 and 3 blocks of 4,
    16 and 16 heads for fusion, slide and neighbours (30.4 M parameters at 785 genes and embeddings of 512), AdamW at 1e-4, a
    tenth of it after 10 epochs without a better score, 128 spots a step. For the cSCC sections they are 2, 2 and 4 blocks of
    8, 16 and 16 heads. ``preset="default"`` has width 128, and 1, 2 and 1 blocks of 4 heads.

    The ResNet-18 starts from timm's weights, trained on ImageNet: ``weights="auto"`` takes them from the hub or its cache.
    ``weights="<path>"`` takes others of the same form, trained on histology for instance.

    What differs from the publication:

    - A step shows spots of one slide, of which the global branch runs once. Published steps mix spots of all slides, and run
      the global branch of every slide in the step for a handful of spots each.
    - The convolution over the lattice is laid out anew for each slide, keeps the order of the spots, and averages spots that
      share a cell. The released code keeps the extent of the first slide that it saw; an earlier one returned spots in
      another order. On a hexagonal lattice its window holds all six neighbours; along array rows and columns it would hold
      four.
    - Tiles beyond the image are neither looked at nor part of the mean that the neighbour head sees.
    - Predictions are not clamped at zero before the loss, which would stop all learning where they are negative.
    - Dropout is off in prediction. In the released code parts of it stay on.
    - Labels are not averaged over neighbouring spots: held-out counts would enter through the neighbours.
    - Embeddings and the ResNet-18 are published with weights trained on histology, which are not to be had from a hub: see above.
    - Left-out training slides decide when to stop, never the slides on which the method is compared.
    - Heads start near the mean expression of the training spots.
    - Embeddings of another width than the tokens pass a linear layer.
    - Pictures are mirrored and turned by quarters at random in training, and 112 µm wide whatever the scan's scale.
    - ``inputs="features"`` puts the embedding of the spot, mapped to one token, in the place of the 49 of its picture.

    Source: Chung et al., "Accurate spatial gene expression prediction by integrating multi-resolution features", CVPR 2024,
    arXiv 2403.07592.

    Parameters
    ----------
    {published_settings}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.TRIPLEX(preset="paper").spot_config().batch_size
    128
    """

    name = "triplex"
    paper = "CVPR 2024, arXiv 2403.07592"
    uses_context = True
    presets: ClassVar = {
        "default": Preset(
            network={
                "width": 128,
                "fusion_heads": 4,
                "global_blocks": 2,
                "global_heads": 4,
                "neighbor_blocks": 1,
                "neighbor_heads": 4,
            },
            training={"lr": 1e-3, "optimizer": "adamw", "weight_decay": 0.01, "batch_size": 128, "schedule": "none"},
        ),
        "paper": Preset(
            inputs="patches",
            training={
                "lr": 1e-4,
                "optimizer": "adamw",
                "weight_decay": 0.01,
                "batch_size": 128,
                "schedule": "plateau",
                "max_epochs": 1000,
                "patience": 20,
            },
        ),
    }

    def _network_type(self) -> type[TriplexNetwork]:
        from .network import TriplexNetwork

        return TriplexNetwork

    def _pretrain(self, network: SpotNetwork) -> str:
        from .._pictures import pretrain

        return pretrain(network.target.backbone, self.weights, method=self.name)  # type: ignore[arg-type, union-attr]

    def _with_picture(self, slides: Sequence[TrainingSlide]) -> list[TrainingSlide]:
        shown = super()._with_picture(slides)
        self._check_tiles([slide.arrays for slide in shown])
        return shown

    def _lacks_picture(self, slide: SlideArrays) -> bool:
        return slide.features is None or super()._lacks_picture(slide)

    def _check_picture(self, slides: Sequence[SlideArrays]) -> None:
        for slide in slides:
            if slide.features is None and not super()._lacks_picture(slide):
                msg = (
                    f"Method {self.name!r} looks at embeddings of all spots beside the pictures, and slide {slide.name!r} "
                    "has none: call `phg2st_sc.pp.extract_embeddings(data, context=5)`."
                )
                raise ValueError(msg)
        super()._check_picture(slides)
        self._check_tiles(slides)

    @property
    def needs_context(self) -> bool:  # type: ignore[override]
        """Whether slides must have the tiles around their spots."""
        return bool(self.network.get("neighbors", True))

    def _check_tiles(self, slides: Sequence[SlideArrays]) -> None:
        if not self.needs_context:
            return
        instead = "" if self.is_fitted else ', or leave that branch out, network={"neighbors": False}'
        for slide in slides:
            if slide.tiles is None or slide.context_index is None:
                encoder = slide.feature_record.get("encoder")
                with_it = f"encoder={encoder!r}, " if encoder else ""
                msg = (
                    f"Method {self.name!r} looks at the tiles around each spot, and slide {slide.name!r} has none: call "
                    f"`phg2st_sc.pp.extract_embeddings(data, {with_it}context=5)`{instead}."
                )
                raise ValueError(msg)
