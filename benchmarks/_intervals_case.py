"""How often held-out counts of one section fall within the intervals, and how wide these are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from _sections import Mask, Section
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from phg2st_sc import _keys
from phg2st_sc.models import Estimator, Prompts
from phg2st_sc.uncertainty import OVERDISPERSION, Curves, assess, below, count_interval, leave_out

Array = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9, 0.95)
THIRDS = ("near", "middle", "far")
_NEIGHBORS = 1.6
_GRID = np.append(np.linspace(0.2, 0.98, 79), [0.99, 0.995, 1.0])


@dataclass(frozen=True, eq=False)
class Case:
    """Held-out spots of a section (h, G), and what was said of them.

    Attributes
    ----------
    counts, mean, variance
        Their counts; what these were expected to be under their own totals; and how uncertain that was.
    curves
        Corrections of the quantiles.
    distance
        (h,) to the nearest prompt.
    trust, unlike
        (h,) of the spots.
    positions
        (h, 2) in lattice pitches.
    level
        (G,) shares of the genes at the prompts.
    residuals
        (p, G) absolute errors of counts at left-out prompts.
    """

    counts: Array
    mean: Array
    variance: Array
    curves: Curves
    distance: Array
    trust: Array
    unlike: Mask | None
    positions: Array
    level: Array
    residuals: Array

    @classmethod
    def of(cls, section: Section, mask: Mask, method: Estimator) -> Case | None:
        """Predict and look; ``None`` where there is no standard deviation."""
        data = section.data
        prompts = data.prompts(np.flatnonzero(mask), target_sum=float(np.median(data.totals[mask])))
        made = assess(
            method.predict(data.arrays, prompts), method, data.arrays, prompts, np.arange(prompts.n_genes), seed=0
        )
        if made.std is None or made.assessment is None:
            return None
        totals = data.counts.sum(axis=1, dtype=np.float64)
        held_out = np.flatnonzero(~mask & (totals > 0))
        kept = made.assessment.facts[_keys.INTERVALS]
        rate = np.expm1(made.mean.astype(np.float64))
        # of all genes to those of the panel, whose totals are known of held-out spots
        scale = (totals / rate.sum(axis=1))[held_out, None]
        std = (made.std * (1.0 + rate))[held_out] * scale
        unlike = made.assessment.spots.get(_keys.UNLIKE)
        shown = cKDTree(data.arrays.positions[mask])
        return cls(
            data.counts[held_out].astype(np.float64),
            np.maximum(rate[held_out], kept["least"]) * scale,
            std**2,
            Curves(kept["curves"]),
            shown.query(data.arrays.positions[held_out])[0],
            made.assessment.spots[_keys.TRUST][held_out].astype(np.float64),
            None if unlike is None else unlike[held_out],
            data.arrays.positions[held_out],
            np.maximum(prompts.counts.sum(axis=0, dtype=np.float64), 0.5) / prompts.counts.sum(),
            _residuals(made, method, section, prompts),
        )

    def groups(self) -> Iterator[tuple[str, Mask]]:
        """All spots, and thirds by the distance to the nearest prompt."""
        yield "all", np.ones(self.distance.size, dtype=bool)
        third = np.searchsorted(np.quantile(self.distance, [1 / 3, 2 / 3]), self.distance)
        for number, name in enumerate(THIRDS):
            if (third == number).any():
                yield name, third == number

    def where(self) -> Array:
        """(h, G) where counts fall in their distributions, each spread evenly over its step: even over 0 to 1 if all is well."""
        excess = self.variance + OVERDISPERSION * self.mean**2
        low, high = (self.curves.real(below(self.counts - one, self.mean, excess), self.mean) for one in (1.0, 0.0))
        return low + np.random.default_rng(0).random(low.shape) * (high - low)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Coverage by group, with widths over all spots."""
        at = np.abs(self.where() - 0.5)
        for name, group in self.groups():
            covered = {f"coverage_{level:g}": float((at[group] <= level / 2).mean()) for level in LEVELS}
            yield {"group": name, "n": int(group.sum()), **covered, **(self._whole() if name == "all" else {})}

    def _whole(self) -> dict[str, float]:
        out: dict[str, float] = {"trust": float(self.trust.mean()), "explained": self._explained()}
        if self.unlike is not None:
            out |= {"unlike": float(self.unlike.mean()), "unlike_error": self._unlike_error()}
        constant = self._constant()
        for level in LEVELS:
            low, high = count_interval(level, self.mean, self.variance, self.curves)
            inside = float(((self.counts >= low) & (self.counts <= high)).mean())
            out[f"inclusive_{level:g}"] = inside
            out[f"width_{level:g}"] = float((high - low + 1.0).mean())
            covered, width = constant
            out[f"constant_{level:g}"] = float(np.interp(inside, covered, width, right=np.nan))
        return out

    def _constant(self) -> tuple[Array, Array]:
        """Coverage and width of intervals of a width for every gene, by quantiles of the errors at left-out prompts."""
        error, found = np.abs(self.counts - self.mean), []
        for share in _GRID:
            half = np.quantile(self.residuals, share, axis=0, method="higher")
            low, high = np.ceil(np.maximum(self.mean - half, 0.0)), np.floor(self.mean + half)
            found.append(((error <= half).mean(), np.maximum(high - low + 1.0, 0.0).mean()))
        covered, width = np.array(found).T
        return covered, width

    def _explained(self) -> float:
        """Share of what neighboring held-out spots share in their rates that is predicted."""
        first, second = cKDTree(self.positions).query_pairs(_NEIGHBORS, output_type="ndarray").T
        totals = self.counts.sum(axis=1, keepdims=True)
        wrong, all_of_it = (
            (self.counts - expected) / totals / np.sqrt(self.level) for expected in (self.mean, totals * self.level)
        )
        products = [float((one[first] * one[second]).sum()) for one in (wrong, all_of_it)]
        return 1.0 - products[0] / products[1]

    def _unlike_error(self) -> float:
        """Squared errors at spots unlike any prompt, in units of those elsewhere."""
        if self.unlike is None or not self.unlike.any() or self.unlike.all():
            return float("nan")
        square = ((self.counts - self.mean) ** 2 / (self.mean + 0.5 * self.mean**2)).mean(axis=1)
        return float(square[self.unlike].mean() / square[~self.unlike].mean())


def _residuals(made: Any, method: Estimator, section: Section, prompts: Prompts) -> Array:
    left_out = made.left_out or leave_out(method, section.data.arrays, prompts, seed=0)
    if left_out is None:
        return np.zeros((1, prompts.n_genes))
    return np.abs(left_out.counts - left_out.totals[:, None] * left_out.rate)
