"""Ways to choose the spots to measure: what ``tl.suggest_spots`` does, and what else one might do, as strong as it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from phg2st_sc.design import Survey, suggest
from phg2st_sc.models import PHG2ST, TrainingSlide
from phg2st_sc.prompts import sample_mask

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Design = Callable[[int], Index]
"""From a number of spots to the spots."""

DRAWN = {"random": 5, "grid": 2, "poisson": 2}
"""Ways that depend on a draw, and how many draws are scored."""
_SPACE = 6.0
"""Pitches that differ as much as the usual distance in the image, where both count."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A section of which some spots may be chosen.

    Attributes
    ----------
    data
        The section.
    candidates
        Spots that may be chosen.
    survey
        What is known of the section without any prompt.
    seed
        Of draws and starts.
    """

    data: TrainingSlide
    candidates: Index
    survey: Survey
    seed: int

    @property
    def spaces(self) -> dict[str, Array]:
        """Coordinates of the spots by what they are to cover."""
        places = self.survey.places
        if places.image is None:
            return {"space": places.positions}
        image = places.image / places.image_scale
        return {"space": places.positions, "image": image, "both": np.hstack([places.positions / _SPACE, image])}


def designs(choice: Choice, numbers: Sequence[int], only: Sequence[str] = ()) -> Iterator[tuple[str, int, Design]]:
    """Name, number of the draw, and the design; ``numbers`` of spots that it will be asked for, ascending."""
    if only:
        yield from (one for one in _random_and_suggested(choice, numbers) if one[0] in only)
        return
    yield from _rivals(choice, numbers)
    yield from _random_and_suggested(choice, numbers)


def _rivals(choice: Choice, numbers: Sequence[int]) -> Iterator[tuple[str, int, Design]]:
    most = numbers[-1]
    for space, points in choice.spaces.items():
        yield f"k-centre, {space}", 0, _prefix(_farthest_first(points, choice, most))
        yield f"k-medoids, {space}", 0, lambda n, points=points: _medoids(points, choice, n)
    yield "determinantal", 0, _prefix(_determinantal(choice, most))
    equal = replace(choice.survey, expected_noise=np.ones(choice.survey.places.n))
    yield (
        "suggested, depth ignored",
        0,
        _prefix(suggest(equal, most, choice.candidates, block=False, seed=choice.seed).spots),
    )
    yield "suggested, in rounds", 0, _Rounds(choice, np.zeros(0, dtype=np.int64))


def _random_and_suggested(choice: Choice, numbers: Sequence[int]) -> Iterator[tuple[str, int, Design]]:
    most, positions = numbers[-1], choice.survey.places.positions[choice.candidates]
    for name, draws in DRAWN.items():
        for draw in range(draws):
            rng_of = [100 * choice.seed + draw, len(name)]
            yield (
                name,
                draw,
                lambda n, name=name, rng_of=rng_of: choice.candidates[
                    sample_mask(positions, n, name, np.random.default_rng(rng_of))
                ],
            )
    yield "suggested", 0, _prefix(suggest(choice.survey, most, choice.candidates, block=False, seed=choice.seed).spots)


def _prefix(order: Index) -> Design:
    return lambda n: order[:n]


@dataclass(eq=False)
class _Rounds:
    """Each number of spots is reached from the one before, whose spots were measured."""

    choice: Choice
    measured: Index

    def __call__(self, n: int) -> Index:
        prompts = self.choice.data.prompts(np.sort(self.measured), target_sum=1.0) if self.measured.size else None
        survey = PHG2ST().survey(self.choice.data.arrays, prompts)
        free = np.setdiff1d(self.choice.candidates, self.measured)
        more = n - self.measured.size
        if more:
            made = suggest(survey, more, free, block=False, seed=self.choice.seed).spots
            self.measured = np.concatenate([self.measured, made])
        return self.measured


def _farthest_first(points: Array, choice: Choice, n: int) -> Index:
    """Greedy k-centres (Gonzalez 1985), from the spot nearest to the middle."""
    there = points[choice.candidates]
    order = [int(np.argmin(np.linalg.norm(there - there.mean(axis=0), axis=1)))]
    nearest = np.linalg.norm(there - there[order[0]], axis=1)
    while len(order) < n:
        order.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(there - there[order[-1]], axis=1))
    return choice.candidates[order]


def _medoids(points: Array, choice: Choice, n: int) -> Index:
    """Facility location: a candidate for each of n clusters of all spots, all together as near to the centres as can be."""
    centers = KMeans(n, n_init=3, random_state=choice.seed).fit(points).cluster_centers_
    rows, columns = linear_sum_assignment(cdist(centers, points[choice.candidates], "sqeuclidean"))
    return choice.candidates[columns[np.argsort(rows)]]


def _determinantal(choice: Choice, n: int) -> Index:
    """Greedy mode of a determinantal point process: always the spot of which the chosen ones leave most open."""
    places = choice.survey.places[choice.candidates]
    among = choice.survey.covariance.signal(places, places)
    variance, noise = np.diag(among).copy(), 1.0 / choice.survey.covariance.ratio
    factor, order = np.zeros((n, len(among))), np.zeros(n, dtype=np.int64)
    free = np.ones(len(among), dtype=bool)
    for k in range(n):
        order[k] = best = int(np.where(free, variance, -np.inf).argmax())
        free[best] = False
        factor[k] = (among[best] - factor[:k, best] @ factor[:k]) / np.sqrt(variance[best] + noise)
        variance -= factor[k] ** 2
    return choice.candidates[order]
