"""Oracles for simulated sections: predictions from parts of the generator's truth that no method has.

The generator's logarithms of rates are sums of a part that follows the picture and a part that follows space alone, which on
every slide are linearly unrelated (plus a term per spot that makes rates shares). So a least-squares fit of the logarithms on
the picture's true programmes recovers the first part, and what is left is the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _sections import Mask, Section
from numpy.typing import NDArray

from phg2st_sc.metrics import depth_free_target

Array = NDArray[np.float64]

CONDITIONAL_MEAN, EQUAL_DEPTHS, PLAIN_RATE = "conditional_mean", "true_rate_averaged", "true_rate"
IMAGE_ONLY, PROMPTS_ONLY, COMBINED = "oracle_image", "oracle_prompts", "oracle_combined"
LINEAR_IMAGE, LINEAR_COMBINED = "oracle_linear_image", "oracle_linear_combined"
KNOWS = {
    CONDITIONAL_MEAN: "true rates and depths of the held-out spots: the expectation of the target itself",
    EQUAL_DEPTHS: "true rates of the held-out spots; depths taken to be equal",
    PLAIN_RATE: "the same, each spot's own rate instead of the average over its neighbours that the target is",
    COMBINED: "the picture's part of the true rates everywhere, all of them at the prompts; depths taken to be equal",
    IMAGE_ONLY: "the picture's part of the true rates everywhere; depths taken to be equal",
    PROMPTS_ONLY: "true rates at the prompts; depths taken to be equal",
    LINEAR_IMAGE: "what of the true rates is linear in the tissue under a spot, everywhere; depths taken to be equal",
    LINEAR_COMBINED: "the same, and all of the true rates at the prompts; depths taken to be equal",
}
OF_NONLINEAR_COHORTS = (LINEAR_IMAGE, LINEAR_COMBINED)
"""What they know is what others know where pictures act linearly."""
ORACLES = tuple(KNOWS)
NONLINEAR_PROGRAMS = ("interface", "crosstalk", "crowded_nest", "border")
SPACE_PROGRAMS = ("gradient", "domain", "patch")
LENGTH_SCALES = (1.5, 3.0, 6.0, 12.0, 24.0)
_NUGGET = 1e-3
_ROUNDING = 1e-5
"""Of rates kept in single precision."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What the generator knows of a section.

    Attributes
    ----------
    rates
        (n, G) expected shares of a spot's counts.
    image_programs
        (n, k) activities of the programmes that can be seen in the picture.
    kinds
        (G,) ``"image"``, ``"space"``, ``"mixed"`` or ``"noise"``.
    linear
        (k,) bool, which of the programmes are linear in the tissue under a spot.
    """

    rates: Array
    image_programs: Array
    kinds: NDArray[np.str_]
    linear: NDArray[np.bool_]

    @classmethod
    def of(cls, section: Section) -> Truth:
        """Truth of a simulated section, its spots and genes in the section's order."""
        table = section.table[:, list(section.data.genes)]
        names = list(table.uns["simulation"]["programmes"])
        seen = [place for place, name in enumerate(names) if name not in SPACE_PROGRAMS]
        image, space = table.var["image_driven"].to_numpy(), table.var["space_driven"].to_numpy()
        kinds = np.select([table.var["is_noise"], space == 0, image == 0], ["noise", "image", "space"], "mixed")
        rates = np.asarray(table.layers["true_rate"], dtype=np.float64)[section.rows]
        activities = np.asarray(table.obsm["true_programmes"], dtype=np.float64)[section.rows][:, seen]
        return cls(rates, activities, kinds, np.array([names[place] not in NONLINEAR_PROGRAMS for place in seen]))

    def image_part(self, *, linear: bool = False) -> Array:
        """(n, G) logarithms of rates as far as they follow the picture, or what lies under a spot linearly."""
        programs = self.image_programs[:, self.linear] if linear else self.image_programs
        design = np.column_stack([np.ones(len(self.rates)), programs])
        logs = np.log(self.rates)
        return np.asarray(design @ np.linalg.lstsq(design, logs, rcond=None)[0])


def expected_target(section: Section, rates: Array, held_out: Mask, *, depths: bool) -> Array:
    """(held-out, G) expectation of the depth-free target under given rates: of expected instead of drawn counts.

    With the true rates, and the depths that were drawn, it is the generator's conditional mean: no method can expect to
    correlate better with the target. Without ``depths`` all spots count as equally deep, as they must to a method.
    """
    counts = section.data.counts[held_out].sum(axis=1, dtype=np.float64)
    depth = counts if depths else np.full_like(counts, np.median(counts))
    shares = rates[held_out] / rates[held_out].sum(axis=1, keepdims=True)
    target = depth_free_target(depth[:, None] * shares, section.data.arrays.positions[held_out])
    return np.where(np.abs(target) < _ROUNDING, 0.0, target)


class Oracle:
    """Rates from the truth; trained and asked like a method, and none.

    Parameters
    ----------
    name
        Of :data:`ORACLES`; :data:`KNOWS` says what each knows.
    """

    is_fitted, min_prompts = True, 1

    def __init__(self, name: str) -> None:
        self.name = name

    def rates(self, truth: Truth, positions: Array, prompts: NDArray[np.int64]) -> Array:
        """(n, G) rates that it believes in."""
        logs = np.log(truth.rates)
        linear = self.name in OF_NONLINEAR_COHORTS
        if self.name in (IMAGE_ONLY, LINEAR_IMAGE):
            logs = truth.image_part(linear=linear)
        elif self.name == PROMPTS_ONLY:
            logs = krige_truth(logs, positions, prompts)
        elif self.name in (COMBINED, LINEAR_COMBINED):
            image = truth.image_part(linear=linear)
            logs = image + krige_truth(logs - image, positions, prompts)
        return np.exp(logs)


def krige_truth(values: Array, positions: Array, index: NDArray[np.int64]) -> Array:
    """Interpolate true values (n, G) from the prompts; each gene under the covariance that serves it best in hindsight.

    Exponential and Gaussian covariances of five ranges. The choice looks at the spots that are predicted, which makes it an
    oracle's and its result, if anything, too good.
    """
    distance = np.linalg.norm(positions[:, None] - positions[index], axis=-1)
    unseen = np.setdiff1d(np.arange(len(values)), index)
    best, error = np.empty_like(values), np.full(values.shape[1], np.inf)
    for scale in LENGTH_SCALES:
        for covariance in (np.exp(-distance / scale), np.exp(-0.5 * (distance / scale) ** 2)):
            made = _ordinary_kriging(covariance, values[index], index)
            missed = ((made - values)[unseen] ** 2).sum(axis=0)
            better = missed < error
            best[:, better], error[better] = made[:, better], missed[better]
    return best


def _ordinary_kriging(covariance: Array, known: Array, index: NDArray[np.int64]) -> Array:
    among = covariance[index] + _NUGGET * np.eye(index.size)
    ones = np.linalg.solve(among, np.ones(index.size))
    level = ones @ known / ones.sum()
    return np.asarray(level + covariance @ np.linalg.solve(among, known - level))
