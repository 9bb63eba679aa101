"""Simulated counts: gene programmes of the picture or of space alone, seen through depth and overdispersion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import softmax

from .. import _keys
from ._tissue import COMPARTMENTS, spot_compartments, spot_nuclei, surrounding_compartments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._tissue import Tissue, TissueLattice

IMAGE_PROGRAMS = (*COMPARTMENTS, "cellularity")
NONLINEAR_PROGRAMS = ("interface", "crosstalk", "crowded_nest", "border")
SPACE_PROGRAMS = ("gradient", "domain", "patch")
NOISE = "none"
_KINDS = ("image", "space", "mixed", "noise")


@dataclass(frozen=True)
class GeneDesign:
    """What all slides share: loadings, abundance and overdispersion of every gene."""

    kind: NDArray[np.int64]  # (G,) index into _KINDS
    loadings: NDArray[np.float64]  # (G, programmes)
    programs: tuple[str, ...]  # their names: of the picture first, then of space
    abundance: NDArray[np.float64]  # (G,) log
    overdispersion: NDArray[np.float64]  # (G,)

    def var(self) -> pd.DataFrame:
        """Truth about the genes, for ``var``."""
        power = self.loadings**2
        total = np.maximum(power.sum(1), np.finfo(float).tiny)
        n_image = len(self.programs) - len(SPACE_PROGRAMS)
        noise = self.kind == _KINDS.index("noise")
        names = np.where(noise, NOISE, np.array(self.programs)[np.abs(self.loadings).argmax(1)])
        return pd.DataFrame(
            {
                _keys.GENE_PROGRAM: pd.Categorical(names, categories=[*self.programs, NOISE]),
                _keys.IS_NOISE: noise,
                _keys.IMAGE_DRIVEN: power[:, :n_image].sum(1) / total,
                _keys.NONLINEAR_DRIVEN: power[:, len(IMAGE_PROGRAMS) : n_image].sum(1) / total,
                _keys.SPACE_DRIVEN: power[:, n_image:].sum(1) / total,
                _keys.OVERDISPERSION: self.overdispersion,
            },
            index=[f"GENE{number:04d}" for number in range(len(self.kind))],
        )


def design_genes(
    rng: np.random.Generator,
    n_genes: int,
    fractions: tuple[float, float, float],
    overdispersion: float,
    nonlinear_fraction: float = 0.0,
) -> GeneDesign:
    """Draw the genes; `fractions` are the shares of space, mixed and noise genes, the rest follows the picture."""
    n_space, n_mixed, n_noise = (round(share * n_genes) for share in fractions)
    sizes = [n_genes - n_space - n_mixed - n_noise, n_space, n_mixed, n_noise]
    kind = np.repeat(np.arange(len(_KINDS)), sizes)
    n_image = len(IMAGE_PROGRAMS)
    programs: tuple[str, ...] = IMAGE_PROGRAMS + SPACE_PROGRAMS
    minor = rng.normal(0.0, 0.12, (n_genes, len(programs)))
    strength = rng.normal(0.75, 0.15, (n_genes, 2)) * rng.choice([1.0, 1.0, 1.0, -1.0], (n_genes, 2))
    number = np.arange(n_genes)
    image_part, space_part = (np.zeros_like(minor) for _ in range(2))
    image_part[:, :n_image] = minor[:, :n_image]
    image_part[number, number % n_image] = strength[:, 0]
    space_part[:, n_image:] = minor[:, n_image:]
    space_part[number, n_image + number % len(SPACE_PROGRAMS)] = strength[:, 1]
    loadings = np.where(np.isin(kind, [0, 2])[:, None], image_part, 0.0)
    loadings += np.where(np.isin(kind, [1, 2])[:, None], space_part, 0.0)
    abundance = rng.normal(0.0, 0.9, n_genes)
    dispersion = overdispersion * rng.lognormal(0.0, 0.3, n_genes)
    if nonlinear_fraction > 0:
        chosen = (rng.random(n_genes) < nonlinear_fraction) & np.isin(kind, [0, 2])
        extra = np.where(np.isin(kind, [0, 2])[:, None], rng.normal(0.0, 0.12, (n_genes, len(NONLINEAR_PROGRAMS))), 0.0)
        extra[chosen, number[chosen] % len(NONLINEAR_PROGRAMS)] = strength[chosen, 0]
        loadings[chosen, number[chosen] % n_image] = minor[chosen, number[chosen] % n_image]
        loadings = np.hstack([loadings[:, :n_image], extra, loadings[:, n_image:]])
        programs = IMAGE_PROGRAMS + NONLINEAR_PROGRAMS + SPACE_PROGRAMS
    return GeneDesign(kind, loadings, programs, abundance, dispersion)


def program_activity(
    rng: np.random.Generator, tissue: Tissue, lattice: TissueLattice, *, nonlinear: bool = False
) -> NDArray[np.float64]:
    """(n_spots, programmes) activities; those of space are linearly unrelated to those of the picture on each slide."""
    share = spot_compartments(tissue, lattice)
    typical = 2500 * np.pi * (lattice.spot_um / 2) ** 2 / 1e6
    crowding = np.log((spot_nuclei(tissue, lattice) + 1) / (typical + 1))
    image = np.column_stack([(share - 0.2) / 0.3, crowding / 0.6])
    if nonlinear:
        image = np.hstack([image, _nonlinear_activity(share, surrounding_compartments(tissue), crowding / 0.6)])
    turn = rng.uniform(0, 2 * np.pi)
    extent = np.sqrt(tissue.grid.height_um * tissue.grid.width_um)
    space = np.column_stack(
        [
            tissue.spots @ [np.cos(turn), np.sin(turn)],
            tissue.grid.sample(tissue.grid.random(rng, extent / 7), tissue.spots),
            tissue.grid.sample(tissue.grid.random(rng, extent / 14), tissue.spots),
        ]
    )
    known = np.column_stack([np.ones(len(image)), image])
    space -= known @ np.linalg.lstsq(known, space, rcond=None)[0]
    return np.column_stack([image, space / space.std(0)])


def _nonlinear_activity(
    share: NDArray[np.float64], around: NDArray[np.float64], crowding: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n_spots, 4) activities of :data:`NONLINEAR_PROGRAMS`, of about zero mean and unit variance over many slides."""
    tumor, stroma, immune = share[:, 0], share[:, 1], around[:, 2]
    contrast = tumor - stroma
    return np.column_stack(
        [
            (4 * tumor * stroma - 0.26) / 0.31,  # composition: both under one spot
            contrast * np.tanh((immune - 0.08) / 0.06) / 0.46,  # immune cells near by: up in tumour, down in stroma
            (crowding * contrast - 0.35) / 0.63,  # crowded: up in tumour, down in stroma
            (np.exp(-0.5 * ((around[:, 0] - 0.45) / 0.15) ** 2) - 0.62) / 0.31,  # neighbourhood: neither inside nor out
        ]
    )


def true_rates(rng: np.random.Generator, genes: GeneDesign, activity: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_spots, G) expected shares of a spot's counts, for a patient drawn from `rng`.

    Every kind of gene keeps its share of the total: noise genes stay flat, and the programmes of the picture do not
    show through the normalisation in genes of space.
    """
    shift = rng.normal(0.0, 0.3, len(genes.kind))
    loadings = genes.loadings * (1 + rng.normal(0.0, 0.15, genes.loadings.shape))
    log_rate = genes.abundance + shift + activity @ loadings.T
    weight = softmax(genes.abundance)
    rates = np.zeros_like(log_rate)
    for kind in np.unique(genes.kind):
        members = genes.kind == kind
        rates[:, members] = weight[members].sum() * softmax(log_rate[:, members], axis=1)
    return rates


def draw_depth(rng: np.random.Generator, tissue: Tissue, depth: float, depth_sd: float) -> NDArray[np.float64]:
    """(n_spots,) expected totals: log-normal, half of the variance smooth over the section."""
    smooth = tissue.grid.sample(tissue.grid.random(rng, 350.0), tissue.spots)
    rough = rng.standard_normal(len(tissue.spots))
    return depth * np.exp(depth_sd * (smooth + rough) / np.sqrt(2))


def draw_counts(
    rng: np.random.Generator, mean: NDArray[np.float64], overdispersion: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Negative binomial counts with variance mean + a mean², as a gamma mixture of Poissons; a = 0 is Poisson."""
    dispersed = overdispersion > 0
    shape = 1 / overdispersion[dispersed]
    mean = mean.copy()
    mean[:, dispersed] *= rng.gamma(shape, 1 / shape, (len(mean), len(shape)))
    return rng.poisson(mean).astype(np.float32)
