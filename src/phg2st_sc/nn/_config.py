"""Sizes of the network, and the named sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .._deprecated import dropped_parameters
from .._docs import documented

BRANCHES = ("both", "spot", "context")
DROPPED = ("propagation", "histology", "residual_head")
"""Settings of an earlier release that have no effect."""
CONTEXT_SIDE = 5
"""Tiles along a side of the block around a spot."""

_PUBLISHED: dict[str, Any] = {
    "width": 1024,
    "hypergraph_width": 512,
    "spot_blocks": 5,
    "spot_heads": 8,
    "context_blocks": 4,
    "context_heads": 4,
    "fusion_blocks": 1,
    "fusion_heads": 4,
    "mlp_ratio": 4.0,
    "graph_dropout": 0.5,
    "dropout": 0.3,
    "context_dropout": 0.3,
    "prompt_dropout": 0.4,
}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": _PUBLISHED,
    "released": {**_PUBLISHED, "positional_conv": True, "prompt_head": True},
}
"""Network sizes by name. ``"paper"``: the published sizes; ``"released"``: also the depthwise positional convolution and
the fourth head, on the prompt embedding, that only the released code has."""
MEMBER: Mapping[str, Any] = {
    "branches": "spot",
    "width": 64,
    "hypergraph_width": 64,
    "graph_dropout": 0.1,
    "dropout": 0.1,
    "prompt_dropout": 0.1,
}
"""Sizes of the networks that are averaged into the default model."""


@documented
@dataclass(frozen=True)
class NetworkConfig:
    """Sizes and options of :class:`PHG2STNetwork`.

    Attributes
    ----------
    n_features
        Width of the image features.
    n_genes
        Size of the gene panel.
    fusion
        How prompts meet image tokens, a name in ``FUSIONS``.
    {branches}
    width
        Width of all tokens. Features of another width are projected.
    hypergraph_width
        Width between the two hypergraph convolutions.
    spot_blocks, spot_heads
        Transformer over the spots of a slide.
    context_blocks, context_heads
        Transformer over the tiles around each spot.
    fusion_blocks, fusion_heads
        Cross-attention from prompt embedding to tokens.
    mlp_ratio
        Hidden width of the MLPs over ``width``.
    graph_dropout, dropout, context_dropout, prompt_dropout
        Dropout after the hypergraph convolution, in the spot transformer, in the context transformer, and in prompt
        embedding and fusion. In training only.
    positional_conv
        Depthwise 3 x 3 convolution on the capture lattice after the first spot block.
    prompt_head
        A fourth loss: expression predicted from the prompt embedding alone.
    distillation
        Share of the branch losses that pulls towards the joint prediction.
    hypergraph
        Whether tokens are propagated along hypergraphs; without, their convolutions see each token alone.
    propagation_blocks, kernel_width
        Of the networks in the default model: transformer blocks in which spots look at prompts, and width of the
        likeness of tokens in the kernel that spreads what is left at the prompts.

    Examples
    --------
    >>> from phg2st_sc.nn import NetworkConfig
    >>> NetworkConfig.preset("paper", n_features=1024, n_genes=785).spot_blocks
    5
    """

    n_features: int
    n_genes: int
    fusion: str = "paper"
    branches: str = "both"
    width: int = 128
    hypergraph_width: int = 128
    spot_blocks: int = 2
    spot_heads: int = 4
    context_blocks: int = 1
    context_heads: int = 4
    fusion_blocks: int = 1
    fusion_heads: int = 4
    mlp_ratio: float = 2.0
    graph_dropout: float = 0.2
    dropout: float = 0.1
    context_dropout: float = 0.1
    prompt_dropout: float = 0.1
    positional_conv: bool = False
    prompt_head: bool = False
    distillation: float = 0.3
    hypergraph: bool = True
    propagation_blocks: int = 2
    kernel_width: int = 8

    def __post_init__(self) -> None:
        if self.branches not in BRANCHES:
            msg = f"branches={self.branches!r} is unknown: choose one of {', '.join(map(repr, BRANCHES))}."
            raise ValueError(msg)
        for heads in (self.spot_heads, self.context_heads, self.fusion_heads):
            if self.width % heads:
                msg = f"width={self.width} is not divisible by {heads} attention heads."
                raise ValueError(msg)
        if not 0.0 <= self.distillation <= 1.0:
            msg = f"distillation={self.distillation!r} must lie between 0 and 1."
            raise ValueError(msg)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> NetworkConfig:
        """Sizes by name, with changes."""
        if name not in PRESETS:
            msg = f"Unknown preset {name!r}; available: {', '.join(sorted(PRESETS))}."
            raise ValueError(msg)
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(changes) - known - set(DROPPED))
        if unknown:
            msg = f"The network has no setting {unknown[0]!r}; it has: {', '.join(sorted(known))}."
            raise ValueError(msg)
        return cls(**{**PRESETS[name], **changes})

    @property
    def uses_spots(self) -> bool:
        """Whether the spot branch is there."""
        return self.branches != "context"

    @property
    def uses_context(self) -> bool:
        """Whether the context branch is there."""
        return self.branches != "spot"

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which :meth:`of_record` makes the same."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> NetworkConfig:
        """Sizes that :meth:`as_dict` wrote down, in this release or an earlier one."""
        return cls(**{name: value for name, value in record.items() if name not in DROPPED})


NetworkConfig.__init__ = dropped_parameters(*DROPPED)(NetworkConfig.__init__)  # type: ignore[method-assign]
