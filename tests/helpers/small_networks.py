"""Settings that make the networks of the registry quick: enough to answer to their inputs, no more."""

from __future__ import annotations

from typing import Any

PAPER = "phg2st_paper"
"""The published network, whose prompts move no prediction but their own."""

_FEW = {"max_epochs": 25, "fine_tune": 10}
SMALL: dict[str, dict[str, Any]] = {
    PAPER: {"branches": "spot", "max_epochs": 1},
    "bleep": {**_FEW, "network": {"width": 16}},
    "hggep": {**_FEW, "network": {"width": 16, "heads": 2, "hypergraph_width": 8, "n_views": 1}},
    "hist2st": {**_FEW, "network": {"width": 16, "depth": 1, "heads": 2}},
    "histogene": {**_FEW, "network": {"width": 16, "depth": 1, "heads": 2}},
    "stnet": _FEW,
    "triplex": {**_FEW, "network": {"neighbors": False, "width": 16, "fusion_heads": 2, "global_heads": 2}},
}
"""Settings by name of the method; ``neighbors`` because most sections made for tests have no tiles around their spots."""
TILED: dict[str, Any] = {"neighbors": True, "neighbor_heads": 2}
"""Of the network of TRIPLEX, for sections that have."""
QUICK_MEMBER: dict[str, Any] = {
    "max_epochs": 3,
    "network": {"width": 32, "hypergraph_width": 16, "propagation_blocks": 1},
    "training": {"steps_per_epoch": 5},
}
"""Of ``"phg2st"`` trained on two patients with images and more: enough for the network to have a say, no more."""
