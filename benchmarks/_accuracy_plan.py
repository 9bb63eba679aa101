"""What ``accuracy.py`` compares: sections, scenarios, methods, and what each method may learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from _networks import IMAGED, imaged_sections
from _sections import Section, most_counted, most_variable, open_sections, read_folders, read_her2st, shared_genes
from simple_methods import (
    ALONE,
    COHORT,
    COHORT_IMAGE,
    IMAGE_FREE_CHOICE,
    OTHERS,
    SEEN,
    SINGLE,
    SINGLE_IMAGE,
)

from phg2st_sc.models import BestSimple, Estimator, create

MOST = "most other sections"
"""All but one section of every patient: they are left out together, so that one training serves several sections."""
OURS, PAPER = "phg2st", "phg2st_paper"
N_TOP_GENES = 50
N_BULB_GENES = 1000
LINEAR = "phg2st_without_network"
WITH_NETWORK = "+ network"
"""In the place of a part left out: the network, trained though patients with pictures are too few."""
OF_C = ("C2", "C3", "C4")


@dataclass(frozen=True)
class Scenario:
    """Which sections are predicted, and what is known beforehand.

    Attributes
    ----------
    key, title
        Short and long name.
    training
        ``ALONE``, ``OTHERS``, ``SEEN`` or ``MOST``.
    image
        Whether any section has a picture; without, no method ever sees one, in training neither.
    names
        Sections to predict; none for all of the cohort.
    target
        Ratio to the best simple method that is aimed at, scattered and block.
    seeds
        How many trainings.
    """

    key: str
    title: str
    training: str
    image: bool
    names: tuple[str, ...] = ()
    target: tuple[float, float] = (1.0, 1.0)
    seeds: int = 1


SCENARIOS = (
    Scenario("seen", "picture, patient seen in training", SEEN, True, OF_C, (1.25, 1.25), seeds=3),
    Scenario("unseen", "picture, patient never seen", OTHERS, True, IMAGED, (1.1, 1.1), seeds=3),
    Scenario("free", "no picture, patient never seen", OTHERS, False, target=(1.05, 1.0)),
    Scenario("free_seen", "no picture, patient seen in training", MOST, False),
    Scenario("single", "picture, this section alone", ALONE, True, IMAGED),
    Scenario("single_free", "no picture, this section alone", ALONE, False),
    Scenario("bulb", "olfactory bulb, this section alone", ALONE, True, ("Rep11", "MOB1", "MOB2")),
)
BY_KEY = {scenario.key: scenario for scenario in SCENARIOS}


@dataclass(frozen=True)
class Variant:
    """One method in one form.

    Attributes
    ----------
    method
        Name in the tables: ours, the published network, a simple method, or an oracle.
    learned
        ``ALONE``, ``OTHERS``, ``SEEN`` or ``MOST``.
    seed
        Of our method.
    without
        Part of our method that is left out.
    """

    method: str
    learned: str
    seed: int = 0
    without: str = ""

    def make(self, max_epochs: int | None) -> Estimator:
        """The method, not fitted."""
        if self.without == WITH_NETWORK:
            return create("phg2st", seed=self.seed, use_network=True)
        if self.method == LINEAR:
            return create("phg2st", seed=self.seed, use_network=False)
        if self.method == OURS:
            return create("phg2st", seed=self.seed, without=(self.without,) if self.without else ())
        if self.method == PAPER:
            return create(PAPER, seed=self.seed, max_epochs=max_epochs)
        if self.method == "best_simple_no_image":
            return BestSimple(candidates=IMAGE_FREE_CHOICE)
        return create(self.method)


@dataclass(frozen=True)
class Unit:
    """What one process does at a time: one method, trained once, on the sections that it can be used on."""

    scenario: Scenario
    sections: tuple[str, ...]
    variant: Variant


@dataclass(eq=False)
class Cohort:
    """Sections as the scenarios need them.

    Attributes
    ----------
    sections
        With image features where there is a picture.
    context
        Those with a picture again, with the tiles around their spots: what the published network looks at.
    bulb
        Sections that are only predicted by themselves.
    max_epochs
        Of the published network; none for its preset.
    """

    sections: dict[str, Section]
    context: dict[str, Section] = field(default_factory=dict)
    bulb: dict[str, Section] = field(default_factory=dict)
    max_epochs: int | None = None

    @cached_property
    def bare(self) -> dict[str, Section]:
        """All sections as if there were no pictures."""
        return {name: section.without_image() for name, section in self.sections.items()}

    def section(self, unit: Unit, name: str) -> Section:
        """The section to predict."""
        if name in self.bulb:
            return self.bulb[name]
        return self._source(unit)[name]

    def _source(self, unit: Unit) -> dict[str, Section]:
        if unit.variant.method == PAPER:
            return self.context
        return self.sections if unit.scenario.image else self.bare

    def names(self, scenario: Scenario) -> tuple[str, ...]:
        """Sections that a scenario predicts, of those that are there."""
        there = (*self.sections, *self.bulb)
        return tuple(n for n in scenario.names if n in there) if scenario.names else tuple(self.sections)

    def groups(self, scenario: Scenario) -> list[tuple[str, ...]]:
        """Sections that one training serves."""
        names = self.names(scenario)
        if scenario.training not in (OTHERS, MOST):
            return [(name,) for name in names]
        patients = dict.fromkeys(self.sections[name].patient for name in names)
        by_patient = [tuple(n for n in names if self.sections[n].patient == patient) for patient in patients]
        if scenario.training == OTHERS:
            return by_patient
        return [tuple(filter(None, together)) for together in zip_longest(*by_patient)]

    def fitted(self, unit: Unit) -> Estimator:
        """The method of a unit, trained on what the scenario allows."""
        method = unit.variant.make(self.max_epochs)
        if unit.variant.learned == ALONE:
            return method
        source, first = self._source(unit), unit.sections[0]
        patient = self.sections[first].patient
        if unit.variant.learned == OTHERS:
            training = [s.data for s in source.values() if s.patient != patient]
        else:
            (left_out,) = (group for group in self.groups(unit.scenario) if first in group)
            training = [s.data for name, s in source.items() if name not in left_out]
        return method.fit(training)

    def top_genes(self, name: str) -> Sequence[str] | None:
        """The 50 genes that vary most in the other patients."""
        if name in self.bulb:
            return None
        patient = self.sections[name].patient
        return most_variable([s for s in self.sections.values() if s.patient != patient], N_TOP_GENES)


def open_cohort(
    data: Path, panel: Path, bulb: Sequence[Path], cache: Path, *, context: bool = True, max_epochs: int | None = None
) -> Cohort:
    """Read tumour sections, once more with tiles, and sections of the olfactory bulb."""
    tables = read_her2st(data, None, cache)
    sections = open_sections(tables, shared_genes(tables, panel))
    tiles = imaged_sections(data, panel, cache) if context else {}
    single: dict[str, Section] = {}
    if bulb:
        tables = read_folders(bulb, cache)
        single = open_sections(tables, most_counted(tables, N_BULB_GENES))
    return Cohort(sections, tiles, single, max_epochs)


def simple_variants(scenario: Scenario) -> list[Variant]:
    """Simple methods that know what the scenario allows to know."""
    alone = [*SINGLE, "best_simple_no_image", *(SINGLE_IMAGE if scenario.image else ())]
    found = [Variant(method, ALONE) for method in alone]
    if scenario.training != ALONE:
        trained = (*COHORT, *(COHORT_IMAGE if scenario.image else ()))
        found += [Variant(method, scenario.training) for method in trained]
    return found


def our_variants(scenario: Scenario) -> list[Variant]:
    """Our method with every seed; the published network where there are pictures to train on."""
    found = [Variant(OURS, scenario.training, seed) for seed in range(scenario.seeds)]
    if scenario.image and scenario.training != ALONE:
        found.append(Variant(PAPER, scenario.training))
    return found


ABLATED = {
    "seen": (
        "image",
        "hypergraph",
        "propagation",
        "gene_covariance",
        "cohort_image",
        "serial",
        "depth",
        "guard",
        "network",
        WITH_NETWORK,
    ),
    "unseen": (
        "image",
        "hypergraph",
        "propagation",
        "gene_covariance",
        "cohort_image",
        "depth",
        "guard",
        "network",
        WITH_NETWORK,
    ),
    "free": ("propagation", "gene_covariance", "depth", "guard"),
    "single": ("image", "hypergraph", "propagation", "depth"),
    "bulb": ("image", "hypergraph", "propagation", "depth"),
}
"""Parts that can matter in a scenario: the others have nothing to do there."""


RETRAINED = ("image", "hypergraph", WITH_NETWORK)
"""Parts that the rest is learned on: without them the model is trained anew, without others it is asked anew."""


def ablated_variants(scenario: Scenario) -> list[Variant]:
    """Our method whole, and trained anew without the parts that the rest is learned on."""
    retrained = [part for part in ABLATED[scenario.key] if part in RETRAINED]
    return [Variant(OURS, scenario.training, without=part) for part in ("", *retrained)]


def switched_off(method: Estimator, part: str) -> Estimator:
    """A trained method without one of its parts."""
    other = create("phg2st", without=(part,))
    other.set_state(*method.state())
    return other


def units(cohort: Cohort, scenario: Scenario, variants: Sequence[Variant], names: Sequence[str]) -> Iterator[Unit]:
    """Units of a scenario over some of its sections."""
    for group in cohort.groups(scenario):
        wanted = tuple(name for name in group if name in names)
        if wanted:
            yield from (Unit(scenario, wanted, variant) for variant in variants)
