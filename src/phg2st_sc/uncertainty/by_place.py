"""What prompts leave open under methods that have no covariance to say so."""

from __future__ import annotations

from .._arrays import Prompts, SlideArrays
from .._evidence import Posterior
from ..linear import Covariance, Kernel, Places, Working, gene_signal, posterior

_ANY = Covariance(Kernel(5.0), 0.06)


def by_place(slide: SlideArrays, prompts: Prompts) -> Posterior:
    """What is near a prompt is better known than what is far."""
    working = Working.of(prompts)
    found = posterior(Places.of(slide.positions), working, _ANY, _ANY.ratio * gene_signal(working))
    if found is None:
        raise ValueError("No prompt has counts in the panel.")
    return found
