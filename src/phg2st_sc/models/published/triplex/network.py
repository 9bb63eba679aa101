"""TRIPLEX: the spot itself, the tiles around it and the whole slide, fused by cross-attention."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ....nn import CrossAttention, ViTBlock, mean_of_known, offset_bias, offset_index, three_part_loss
from .._network import SpotInputs, SpotNetwork, SpotTargets, shown_picture, shown_rows
from .._pictures import Backbone, random_turns
from .positional_conv import PositionalConv, lattice_cells

_SMALL_START = 0.1
"""Of the heads' weights: the first steps then need not undo what chance predicts."""
_CELLS, _WINDOWS = "cells", "windows"


@dataclass(frozen=True)
class TriplexConfig:
    """Sizes of :class:`TriplexNetwork`; the defaults are those published for HER2+.

    Attributes
    ----------
    n_genes
        Size of the gene panel.
    n_features
        Width of the embedding that stands for the picture of a spot; ``None``: the network reads pictures.
    n_context
        Width of the embeddings of all spots and of the tiles around them; ``None``: ``n_features``.
    patch_px
        Side of the pictures.
    backbone
        Image encoder of the pictures, by its name in timm.
    neighbors
        Whether there is a branch for the tiles around a spot.
    context_side
        Tiles along a side of the block around a spot.
    width
        Width of the tokens.
    fusion_blocks, global_blocks, neighbor_blocks, fusion_heads, global_heads, neighbor_heads
        Number of transformer blocks and of their heads.
    mlp_ratio, neighbor_mlp_ratio
        Hidden width of the blocks over ``width``; the second that of the tiles around a spot.
    fusion_dropout, global_dropout, neighbor_dropout
        In training only.
    distillation
        Weight of the distance between branches and joint prediction, against that between branches and truth.
    """

    n_genes: int
    n_features: int | None = None
    n_context: int | None = None
    patch_px: int = 224
    backbone: str = "resnet18"
    neighbors: bool = True
    context_side: int = 5
    width: int = 512
    fusion_blocks: int = 1
    fusion_heads: int = 4
    fusion_dropout: float = 0.2
    global_blocks: int = 3
    global_heads: int = 16
    global_dropout: float = 0.1
    neighbor_blocks: int = 3
    neighbor_heads: int = 16
    neighbor_dropout: float = 0.3
    mlp_ratio: float = 4.0
    neighbor_mlp_ratio: float = 1.0
    distillation: float = 0.3

    def __post_init__(self) -> None:
        if self.n_context is None and self.n_features is None:
            msg = "n_context=None: beside pictures, TRIPLEX looks at embeddings of all spots; give their width."
            raise ValueError(msg)
        if self.global_blocks < 1:
            msg = f"global_blocks={self.global_blocks!r} must be at least 1: the positional convolution follows the first."
            raise ValueError(msg)
        heads = {"fusion_heads": self.fusion_heads, "global_heads": self.global_heads}
        for name, value in (heads | {"neighbor_heads": self.neighbor_heads}).items():
            if value < 1 or self.width % value:
                msg = f"width={self.width!r} must be a multiple of {name}={value!r}."
                raise ValueError(msg)

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings of spots and tiles."""
        return int(self.n_context or self.n_features or 0)

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which the same sizes can be made."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class TriplexOutput:
    """Predicted expression (r, G) of the whole and of the branches: target, neighbours where there are any, slide."""

    joint: Tensor
    branches: list[Tensor]


class TriplexNetwork(SpotNetwork):
    """Three views of a spot: its own picture, the tiles around it, all spots of its slide.

    Parameters
    ----------
    config
        Sizes.
    """

    config_type = TriplexConfig

    def __init__(self, config: TriplexConfig) -> None:
        super().__init__()
        self.config = config
        self.target = TargetBranch(config)
        self.slide = GlobalBranch(config)
        self.neighbors = NeighborBranch(config) if config.neighbors else None
        self.fusion = TriplexFusion(config)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.width, config.n_genes) for name in ("joint", "target", "slide")}
        )
        if config.neighbors:
            self.heads["neighbors"] = nn.Linear(config.width, config.n_genes)

    @classmethod
    def slide_graphs(cls, positions: Tensor, grid: Tensor) -> dict[str, Tensor]:
        """Cells of the lattice, and the windows around them."""
        cells, windows = lattice_cells(grid)
        return {_CELLS: cells, _WINDOWS: windows}

    def initialize(self, expression: Tensor) -> None:
        """Let the heads start near the (G,) mean expression of the training spots."""
        with torch.no_grad():
            for head in self.heads.values():
                head.bias.copy_(expression)  # type: ignore[union-attr,operator]
                head.weight.mul_(_SMALL_START)  # type: ignore[union-attr,operator]

    def forward(self, inputs: SpotInputs) -> Tensor:
        """(r, G) expression on the scale of the training targets."""
        return self.heads["joint"](self._tokens(inputs)[0])

    def outputs(self, inputs: SpotInputs) -> TriplexOutput:
        """Predictions of the whole and of its branches."""
        joint, views = self._tokens(inputs)
        return TriplexOutput(self.heads["joint"](joint), [self.heads[name](view) for name, view in views.items()])

    def training_loss(self, inputs: SpotInputs, targets: SpotTargets) -> Tensor:
        """MSE of the joint prediction, and of every branch towards truth and joint prediction."""
        if inputs.patches is not None:
            inputs = replace(inputs, patches=random_turns(inputs.patches))
        return three_part_loss(self.outputs(inputs), targets.expression, distillation=self.config.distillation)

    def _tokens(self, inputs: SpotInputs) -> tuple[Tensor, dict[str, Tensor]]:
        """(r, d) fused tokens, and those that each branch predicts from."""
        target, slide = self.target(inputs), self.slide(inputs)
        views = {"target": target.mean(dim=1), "slide": slide}
        if self.neighbors is None:
            return self.fusion(slide, target), views
        neighbors, known = self.neighbors(inputs)
        views["neighbors"] = mean_of_known(neighbors, known)
        return self.fusion(slide, target, neighbors, known), views


class TargetBranch(nn.Module):
    """The picture of a spot to (r, 49, d) tokens of a ResNet-18, or its embedding to one token.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: TriplexConfig) -> None:
        super().__init__()
        self.n_features = config.n_features
        self.backbone = Backbone(config.backbone, pooled=False) if config.n_features is None else None
        width = self.backbone.width if self.backbone is not None else config.n_features
        self.project = nn.Linear(int(width or 0), config.width)

    def forward(self, inputs: SpotInputs) -> Tensor:
        """Tokens of the rows."""
        shown = shown_rows(inputs, self.n_features)
        if self.backbone is None:
            return self.project(shown)[:, None]
        return self.project(self.backbone(shown).flatten(2).transpose(1, 2))


class GlobalBranch(nn.Module):
    """Embeddings of all spots of a slide to tokens (r, d) of the rows; a positional convolution follows the first block.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: TriplexConfig) -> None:
        super().__init__()
        self.n_features = config.embedding_width
        self.project = _projection(config)
        self.blocks = nn.ModuleList(
            ViTBlock(config.width, config.global_heads, mlp_ratio=config.mlp_ratio, dropout=config.global_dropout)
            for _ in range(config.global_blocks)
        )
        self.positional = PositionalConv(config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, inputs: SpotInputs) -> Tensor:
        """Tokens of the rows, each of which has seen all spots."""
        graphs = inputs.graphs or TriplexNetwork.slide_graphs(inputs.positions, inputs.grid)
        x = self.project(shown_picture(inputs, self.n_features))
        for number, block in enumerate(self.blocks):
            x = block(x[None])[0]
            if number == 0:
                x = self.positional(x, graphs[_CELLS], graphs[_WINDOWS])
        return self.norm(x[inputs.rows])


class NeighborBranch(nn.Module):
    """Tiles around each spot to tokens (r, c², d); attention leans on how far tiles lie apart.

    Parameters
    ----------
    config
        Sizes.
    """

    offsets: Tensor

    def __init__(self, config: TriplexConfig) -> None:
        super().__init__()
        self.side = config.context_side
        self.project = _projection(config)
        self.blocks = nn.ModuleList(
            ViTBlock(
                config.width,
                config.neighbor_heads,
                mlp_ratio=config.neighbor_mlp_ratio,
                dropout=config.neighbor_dropout,
            )
            for _ in range(config.neighbor_blocks)
        )
        self.position_bias = nn.Parameter(torch.zeros(config.neighbor_heads, self.side**2))
        self.register_buffer("offsets", offset_index(self.side), persistent=False)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, inputs: SpotInputs) -> tuple[Tensor, Tensor]:
        """Tokens, and (r, c²) bool which of them stand for a tile that is there."""
        context, known = self._checked(inputs)
        x = self.project(torch.where(known[..., None], context, 0.0))
        bias = offset_bias(self.position_bias, self.offsets, known)
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x), known

    def _checked(self, inputs: SpotInputs) -> tuple[Tensor, Tensor]:
        side, calls = self.side, f"`phg2st_sc.pp.extract_embeddings(data, context={self.side})`"
        if inputs.context is None or inputs.context_mask is None:
            msg = (
                f"TRIPLEX looks at the tiles around each spot, and a slide has none: call {calls}, or train without that "
                'branch, network={"neighbors": False}.'
            )
            raise ValueError(msg)
        if inputs.context.shape[1] != side**2:
            msg = (
                f"A slide has {inputs.context.shape[1]} tiles around a spot, and TRIPLEX takes {side**2}: call {calls}."
            )
            raise ValueError(msg)
        return inputs.context, inputs.context_mask


class TriplexFusion(nn.Module):
    """F = LN(CA(slide, target) + CA(slide, neighbours)), by the same cross-attention.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: TriplexConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossAttention(config.width, config.fusion_heads, mlp_ratio=config.mlp_ratio, dropout=config.fusion_dropout)
            for _ in range(config.fusion_blocks)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(
        self, slide: Tensor, target: Tensor, neighbors: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Fuse (r, d) tokens of the slide with (r, t, d) of the spot and (r, k, d) of the tiles that are ``known``."""
        fused = self._ask(slide, target)
        return self.norm(fused if neighbors is None else fused + self._ask(slide, neighbors, known))

    def _ask(self, query: Tensor, keys: Tensor, known: Tensor | None = None) -> Tensor:
        query = query[:, None]
        for block in self.blocks:
            query = block(query, keys, known)
        return query[:, 0]


def _projection(config: TriplexConfig) -> nn.Module:
    """Embeddings to tokens; equal widths need none, as published."""
    given = config.embedding_width
    return nn.Identity() if given == config.width else nn.Linear(given, config.width)
