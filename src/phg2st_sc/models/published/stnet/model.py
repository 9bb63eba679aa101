"""ST-Net."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...._docs import documented
from ..._registry import register
from .._method import NetworkMethod, Preset

if TYPE_CHECKING:
    from .._network import SpotNetwork
    from .network import STNetwork


@register
@documented
class STNet(NetworkMethod):
    """ST-Net: an image encoder pretrained on photographs, tuned to predict each spot from its own picture.

    Target: ln(1 + 10,000 x share in the panel). Squared error. The output starts at the mean expression of the training spots,
    with no weight on the image. Predictions are means over the eight flipped and turned forms of the picture.

    ``preset="paper"``: DenseNet-121 on pictures of 224 px (7.76 M parameters at 785 genes), batches of 32 spots of all slides.
    ``preset="default"``: a linear map of frozen embeddings.

    What differs from the publication:

    - Adam at 1e-4 and the mean squared error over spots and genes, in place of gradient descent at 1e-6 with momentum on the
      sum over spots over the number of genes. On the mean the published rate would have to depend on the size of the batch.
    - The epoch is chosen on left-out patients of the training slides, once; published is fourfold cross-validation followed by
      training on all of them.
    - Published is the target ln((1 + count) / (genes + total)). With a count added to every gene, the many genes without one follow
      the depth of the spot and nothing else, and depth-free scores on real sections were about 0.
    - Pictures are brought to the mean and scale of the pretraining, not to those of some training batches, and are 112 µm wide
      on every slide; published are 224 px of the scan, whatever its scale.
    - ``inputs="features"`` takes frozen embeddings in place of the image encoder.

    Source: He, Bergenstråhle, Stenbeck, Abid, Andersson, Borg, Maaskola, Lundeberg and Zou, "Integrating spatial gene
    expression and breast tumour morphology via deep learning", Nature Biomedical Engineering 4, 827-834, 2020.

    Parameters
    ----------
    {published_settings}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.STNet(preset="paper").reads_patches
    True
    """

    name = "stnet"
    paper = "Nature Biomedical Engineering 4, 827-834, 2020"
    presets: ClassVar = {
        "default": Preset(
            network={"dropout": 0.2},
            training={
                "lr": 1e-3,
                "batch_size": 128,
                "max_epochs": 100,
                "patience": 15,
                "schedule": "none",
                "weight_decay": 1e-4,
            },
        ),
        "paper": Preset(
            inputs="patches",
            training={"lr": 1e-4, "batch_size": 32, "max_epochs": 50, "patience": 0, "schedule": "none"},
        ),
    }

    def _network_type(self) -> type[STNetwork]:
        from .network import STNetwork

        return STNetwork

    def _pretrain(self, network: SpotNetwork) -> str:
        from .._pictures import pretrain

        return pretrain(network.backbone, self.weights, method=self.name)  # type: ignore[arg-type]
