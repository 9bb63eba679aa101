"""What ``same_predictions.py`` computes: every method in every form, and the settings that change what a method does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from _same_sections import BENT, MISLED, MIXED, NEW, NO_IMAGE, ODD, OWN_HYPERGRAPH, PICTURES, REAL, SEEN, SIMULATED

ALONE, TRAINED, SAVED = "alone", "trained", "saved"
"""Forms: prompts alone, trained, and a saved model that was changed in its folder."""
TRUSTED = "trusted_everywhere"
STRATEGIES = ("random", "block")
PROMPTS_ONLY = ("idw", "best_simple")
"""Methods without a cohort form."""
SIMPLE = ("prompt_mean", "kriging", "gene_kriging")
SIMPLE_IMAGE = ("image_ridge", "space_image_kriging", "regression_kriging")
OURS, PAPER = "phg2st", "phg2st_paper"
PARTS = ("image", "hypergraph", "propagation", "gene_covariance", "cohort_image", "serial", "depth", "guard")
_HEADS = {"width": 32, "depth": 1, "heads": 2}
NETWORKS: dict[str, dict[str, Any]] = {
    "stnet": {},
    "histogene": _HEADS,
    "hist2st": {**_HEADS, "graph_depth": 2, "lstm_depth": 1, "n_views": 2},
    "hggep": {**_HEADS, "hypergraph_width": 16, "n_views": 2},
    "bleep": {"width": 32},
    "triplex": {"width": 32, "fusion_heads": 2, "global_heads": 2, "neighbor_heads": 2},
}
"""Small sizes of the published networks."""
SMALL_PAPER = {"max_epochs": 3, "network": {"width": 32, "hypergraph_width": 32}}
SMALL_MEMBER = {"max_epochs": 2, "network": {"width": 32}, "training": {"steps_per_epoch": 3}}


@dataclass(frozen=True)
class Way:
    """A method by name, with settings."""

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One method with one set of settings, on the sections of one world.

    Attributes
    ----------
    world, form, name
        Make up its key; ``form`` is ``ALONE``, ``TRAINED`` or ``SAVED``.
    ways
        Ways to ask for the same predictions; those whose method does not exist are left out.
    targets
        Sections to predict.
    masks
        How many draws of prompts by strategy.
    no_prompts
        Whether to predict without any prompt too.
    options
        Further arguments of ``tl.train``.
    of
        Key of the case whose saved model is changed.
    """

    world: str
    form: str
    name: str
    ways: tuple[Way, ...]
    targets: tuple[str, ...]
    masks: int = 2
    no_prompts: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    of: str = ""

    @property
    def key(self) -> str:
        """Its name among all cases."""
        return f"{self.world}/{self.form}/{self.name}"

    def draws(self) -> list[tuple[str, str | None, int]]:
        """Label, strategy and seed of every mask."""
        drawn: list[tuple[str, str | None, int]] = [
            (f"{strategy}{seed}", strategy, seed) for strategy in STRATEGIES for seed in range(self.masks)
        ]
        return [*drawn, ("none", None, 0)] if self.no_prompts else drawn


_TARGETS = {
    SIMULATED: (SEEN, NEW),
    ODD: ("few_genes", "finer", "spatialdata", "joined", "other_genes", "other_places", "few_prompts"),
    NO_IMAGE: (SEEN, NEW),
    MIXED: (SEEN, NEW),
    PICTURES: (NEW,),
    BENT: ("P6", "no_image"),
    MISLED: ("P6",),
    REAL: ("C4",),
}


def alone(world: str, method: str, name: str | None = None, *, masks: int = 2, **settings: Any) -> Case:
    """A method that knows the section alone; of two simulated sections one will do."""
    targets = _TARGETS[world] if world == ODD else _TARGETS[world][-1:]
    return Case(world, ALONE, name or method, (Way(method, settings),), targets, masks)


def trained(world: str, method: str, name: str | None = None, *, masks: int = 2, **settings: Any) -> Case:
    """A method that learns from the training sections."""
    return Case(world, TRAINED, name or method, (Way(method, settings),), _TARGETS[world], masks, no_prompts=True)


def paper(world: str, name: str = PAPER, *, masks: int = 2, **settings: Any) -> Case:
    """The published network, by the name it has as a fusion of our method, and by its own where it has one."""
    settings = {**SMALL_PAPER, **settings}
    ways = (Way(OURS, {"fusion": "paper", **settings}), Way(PAPER, settings))
    return Case(world, TRAINED, name, ways, _TARGETS[world], masks, no_prompts=True)


def cases() -> list[Case]:
    """Everything, quick things first within a world."""
    return [*_simulated(), *_odd(), *_no_image(), *_mixed(), *_pictures(), *_bent(), *_misled(), *_real()]


def planned() -> set[str]:
    """Names of all methods that some case is about."""
    return {way.method for case in cases() for way in case.ways}


def _simulated() -> list[Case]:
    own = {"hypergraph_key": OWN_HYPERGRAPH}
    return [
        *(alone(SIMULATED, name) for name in (*PROMPTS_ONLY, *SIMPLE, *SIMPLE_IMAGE, OURS)),
        *(trained(SIMULATED, name) for name in (*SIMPLE, *SIMPLE_IMAGE)),
        trained(SIMULATED, OURS, use_network=False),
        trained(SIMULATED, OURS, "network", use_network=True, **SMALL_MEMBER),
        trained(SIMULATED, OURS, "network_by_itself", masks=1, **SMALL_MEMBER),
        paper(SIMULATED),
        *_networks(SIMULATED),
        *_settings_of_simple_methods(),
        *(alone(SIMULATED, OURS, f"without_{part}", masks=1, without=[part]) for part in PARTS),
        *(trained(SIMULATED, OURS, f"without_{part}", masks=1, without=[part], use_network=False) for part in PARTS),
        replace(trained(SIMULATED, OURS, "own_hypergraph", masks=1, use_network=False), options=own),
        replace(
            trained(SIMULATED, OURS, "own_hypergraph_network", masks=1, use_network=True, **SMALL_MEMBER),
            options=own,
        ),
        replace(paper(SIMULATED, "phg2st_paper_own_hypergraph", masks=1), options=own),
        paper(SIMULATED, "phg2st_paper_spot", masks=1, branches="spot"),
        paper(SIMULATED, "phg2st_paper_context", masks=1, branches="context"),
        _released(),
        *_settings_of_networks(),
    ]


def _released() -> Case:
    sizes = {"width": 32, "hypergraph_width": 32, "spot_blocks": 1, "context_blocks": 1, "fusion_blocks": 1}
    return paper(SIMULATED, "phg2st_paper_released", masks=1, preset="released", max_epochs=2, network=sizes)


def _settings_of_simple_methods() -> list[Case]:
    return [
        alone(SIMULATED, "kriging", "kriging_scales", masks=1, length_scale=3.0, ratio=0.5),
        alone(SIMULATED, "gene_kriging", "gene_kriging_components", masks=1, n_prompt_components=3, seed=4),
        alone(SIMULATED, "idw", "idw_settings", masks=1, n_neighbors=3, power=2.0),
        alone(SIMULATED, "best_simple", "best_simple_of_two", masks=1, candidates=["idw", "kriging"]),
        trained(SIMULATED, "gene_kriging", "gene_kriging_components", masks=1, n_components=6),
        trained(SIMULATED, "image_ridge", "image_ridge_components", masks=1, n_components=10),
        trained(SIMULATED, "regression_kriging", "regression_kriging_scales", masks=1, length_scale=3.0, ratio=0.5),
        trained(SIMULATED, OURS, "phg2st_components", masks=1, use_network=False, n_components=6),
    ]


def _networks(world: str) -> list[Case]:
    few: dict[str, Any] = {"max_epochs": 3}
    return [
        *(alone(world, name, network=sizes, **few) for name, sizes in NETWORKS.items()),
        *(trained(world, name, network=sizes, fine_tune=3, **few) for name, sizes in NETWORKS.items()),
    ]


def _settings_of_networks() -> list[Case]:
    few: dict[str, Any] = {"masks": 1, "max_epochs": 2}
    return [
        *(
            replace(trained(SIMULATED, name, f"{name}_tuned", network=NETWORKS[name], **few), targets=(NEW,))
            for name in ("stnet", "histogene", "bleep", "triplex")  # the others take a minute
        ),
        trained(SIMULATED, "stnet", "stnet_cohort_scale", standardise="cohort", fine_tune=0, **few),
        trained(SIMULATED, "bleep", "bleep_batches", network=NETWORKS["bleep"], batch_size=40, lr=3e-3, seed=5, **few),
        trained(
            SIMULATED, "triplex", "triplex_no_tiles", network={**NETWORKS["triplex"], "neighbors": False}, fine_tune=1, **few
        ),
        trained(SIMULATED, "histogene", "histogene_all_spots", network=_HEADS, validation_fraction=0.0, **few),
    ]  # fmt: skip


def _odd() -> list[Case]:
    """Objects of other shapes; of two slides in one the tiles around spots are not kept."""
    whole = ("few_genes", "finer", "spatialdata")
    small = {"network": NETWORKS["triplex"], "max_epochs": 2, "fine_tune": 2}
    return [
        *(alone(ODD, name, masks=1) for name in (OURS, "regression_kriging", "best_simple")),
        trained(ODD, "regression_kriging", masks=1),
        trained(ODD, OURS, masks=1, use_network=False),
        replace(paper(ODD, masks=1), targets=whole),
        paper(ODD, "phg2st_paper_spot", masks=1, branches="spot"),
        trained(ODD, "stnet", masks=1, max_epochs=2, fine_tune=2),
        replace(trained(ODD, "triplex", masks=1, **small), targets=whole),
    ]


def _bent() -> list[Case]:
    """The network of our method where it earns trust: elsewhere its weight is 0, and no bit of it shows."""
    network = {"width": 32, "hypergraph_width": 16, "propagation_blocks": 1, "dropout": 0.0}
    training = {"max_epochs": 12, "patience": 0, "lr": 2e-3, "training": {"steps_per_epoch": 10}}
    learned = trained(BENT, OURS, "network", use_network=True, network=network, **training)
    everywhere = Case(BENT, SAVED, TRUSTED, (), _TARGETS[BENT], masks=1, of=learned.key)
    return [learned, everywhere]


def _no_image() -> list[Case]:
    return [
        *(alone(NO_IMAGE, name) for name in (*PROMPTS_ONLY, *SIMPLE, OURS)),
        *(trained(NO_IMAGE, name) for name in SIMPLE),
        trained(NO_IMAGE, OURS),
        trained(NO_IMAGE, OURS, "network", use_network=True, **SMALL_MEMBER),
        paper(NO_IMAGE, branches="spot"),
    ]


def _mixed() -> list[Case]:
    return [
        trained(MIXED, OURS, masks=1),
        trained(MIXED, OURS, "network", masks=1, use_network=True, **SMALL_MEMBER),
        paper(MIXED, masks=1),
        *(replace(trained(MIXED, name, masks=1), targets=(NEW,)) for name in SIMPLE_IMAGE),
        replace(trained(MIXED, "stnet", masks=1, max_epochs=2, fine_tune=2), targets=(NEW,)),
    ]


def _misled() -> list[Case]:
    """A cohort that misleads, which our method is to leave."""
    simple = (trained(MISLED, name) for name in (*SIMPLE, *SIMPLE_IMAGE))
    return [
        trained(MISLED, OURS),
        trained(MISLED, OURS, "without_guard", masks=1, without=["guard"], use_network=False),
        *simple,
    ]


def _pictures() -> list[Case]:
    """Networks that read the image itself, through encoders that start at random."""
    small: dict[str, dict[str, Any]] = {
        "histogene": {**NETWORKS["histogene"], "patch_px": 28},
        "hist2st": {**NETWORKS["hist2st"], "patch_px": 28, "channels": 8},
        "hggep": {**NETWORKS["hggep"], "patch_px": 36, "edge_channels": 2},
    }
    common: dict[str, Any] = {"inputs": "patches", "weights": "random", "masks": 1}
    return [
        *(alone(PICTURES, name, network=sizes, max_epochs=2, **common) for name, sizes in small.items()),
        *(trained(PICTURES, name, network=sizes, max_epochs=1, fine_tune=1, **common) for name, sizes in small.items()),
    ]


def _real() -> list[Case]:
    return [
        *(alone(REAL, name) for name in (*PROMPTS_ONLY, *SIMPLE, *SIMPLE_IMAGE, OURS)),
        *(trained(REAL, name) for name in (*SIMPLE, *SIMPLE_IMAGE, OURS)),
        trained(REAL, OURS, "network", masks=1, use_network=True, **SMALL_MEMBER),
        paper(REAL),
        *_networks(REAL),
    ]


def chosen(only: str | None, among: Sequence[Case]) -> list[Case]:
    """Cases whose key holds some text."""
    return [case for case in among if only is None or only in case.key]
