"""Parts of the default model that can be switched off, to measure what each is worth."""

from __future__ import annotations

from collections.abc import Iterable

IMAGE = "image"
HYPERGRAPH = "hypergraph"
PROPAGATION = "propagation"
GENE_COVARIANCE = "gene_covariance"
COHORT_IMAGE = "cohort_image"
SERIAL_SECTIONS = "serial"
DEPTH = "depth"
GUARD = "guard"
NETWORK = "network"

PARTS = {
    IMAGE: "features of the image",
    HYPERGRAPH: "features propagated over the spot hypergraph",
    PROPAGATION: "what the prompts say about other spots, beyond their mean",
    GENE_COVARIANCE: "kriging in gene components: those of the cohort, and those of the prompts where a slide is alone",
    COHORT_IMAGE: "image regression over the cohort",
    SERIAL_SECTIONS: "training sections of the same patient laid on the slide",
    DEPTH: "weights of the prompts by their depth",
    GUARD: "stacking with the single-slide form by cross-validation over the prompts",
    NETWORK: "networks averaged into the prediction",
}
"""Names and meanings."""


def check_parts(without: Iterable[str]) -> frozenset[str]:
    """Return the names as a set; an error where one is unknown."""
    if isinstance(without, str):
        msg = f"`without` is a list of parts, e.g. without=[{without!r}]."
        raise TypeError(msg)
    names = frozenset(without)
    unknown = sorted(names - set(PARTS))
    if unknown:
        msg = f"There is no part {unknown[0]!r} to leave out; parts are: {', '.join(PARTS)}."
        raise ValueError(msg)
    return names
