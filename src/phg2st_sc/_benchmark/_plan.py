"""What a benchmark runs: sections, folds, methods."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from .. import _keys
from .._reading import (
    Reading,
    SlidePatches,
    check_patient_key,
    choose_reps,
    common_genes,
    context_of,
    feature_kinds,
    features_of,
    one_kind,
    rank_genes,
)
from .._slide import Slide, is_target, is_true
from .._text import quoted
from .._warn import warn_user
from ..models import by_name, check_parameters

if TYPE_CHECKING:
    from ..models import Estimator

COHORT, SECTION = "cohort", "section"
"""What a method learns from: the training sections of the fold, or the prompts of the section alone."""
PATIENT = "patient"
_ALONE = ":section"
_PICTURES, _PICTURE_UM, _PICTURE_PX = 40, 112.0, 32
_WORDS = "a name, or a dict of settings with `method`"


@dataclass(frozen=True, eq=False)
class Section:
    """One section of a benchmark."""

    slide: Slide
    rep: str | None
    reading: Reading

    @property
    def name(self) -> str:
        """Name of the slide."""
        return self.slide.name

    @property
    def patient(self) -> str:
        """Patient; a section of no known patient stands for itself."""
        return self.slide.name if self.slide.patient is None else self.slide.patient


@dataclass(frozen=True)
class Fold:
    """Sections to learn from and to predict, by name, and the panel."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    genes: tuple[str, ...]


@dataclass(frozen=True)
class MethodSpec:
    """A method as it is compared.

    Attributes
    ----------
    label
        What its rows are called.
    method
        Registry name.
    learned
        ``"cohort"`` or ``"section"``.
    settings
        Of the method.
    """

    label: str
    method: str
    learned: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def create(self, seed: int) -> Estimator:
        """A new, unfitted method."""
        from ..models import create, get_method

        seeded = {"seed": seed} if "seed" in get_method(self.method).parameter_names() else {}
        return create(self.method, **{**seeded, **self.settings})


def open_sections(adatas: Any, reading: Reading) -> list[Section]:
    """Sections of all objects, without targets; an error where their features are of different kinds."""
    opened = reading.cohort(adatas)
    reading.say_no_genes(opened)
    check_patient_key(opened, reading.patients)
    slides = [_without_targets(one) for one in opened]
    reps = choose_reps(slides, reading.use_rep, trust_rep=reading.trust_rep)
    one_kind(feature_kinds(slides, reps))
    return [Section(slide, rep, reading) for slide, rep in zip(slides, reps, strict=True)]


def _without_targets(slide: Slide) -> Slide:
    there = ~is_target(slide.table, slide.rows)
    return replace(slide, rows=slide.rows[there], positions=slide.positions[there])


def section_mark(section: Section) -> str:
    """Hash of all that a benchmark reads of a section but its pixels: counts, places, features, patient."""
    slide = section.slide
    counts, _ = section.reading.counts(slide.table, slide.rows)
    rows = sparse.csr_array(counts)
    rows.sum_duplicates()
    features, record = features_of(slide, section.rep)
    index, tiles = (None, None) if features is None else context_of(slide, str(section.rep))
    digest = sha256(json.dumps([section.patient, record, list(map(str, slide.table.obs_names[slide.rows]))]).encode())
    genes = section.reading.genes(slide.table)
    digest.update("\x00".join(map(str, slide.table.var_names[genes])).encode())
    if slide.pitch_source != "lattice":
        digest.update(f"pitch {slide.pitch!r}".encode())
    for array in (rows.indptr, rows.indices, rows.data, slide.positions, features, index, tiles):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def picture_mark(section: Section) -> str:
    """Hash of the pictures of a few spots: enough to tell another image, or another place in it."""
    pictures = SlidePatches.of(section.slide)
    if pictures is None:
        return ""
    rows = np.unique(np.linspace(0, section.slide.n_spots - 1, _PICTURES).astype(np.int64))
    return sha256(pictures.read(rows, edge_um=_PICTURE_UM, size=_PICTURE_PX).tobytes()).hexdigest()[:32]


def method_specs(methods: Any, *, has_folds: bool) -> list[MethodSpec]:
    """Methods by what a user names: names, or a dict of names or settings by label."""
    items = methods.items() if isinstance(methods, Mapping) else [(None, one) for one in _listed(methods)]
    specs = [_spec(label, one, has_folds=has_folds) for label, one in items]
    if not specs:
        raise ValueError("`methods` is empty: name at least one, e.g. methods=['phg2st', 'kriging'].")
    seen: set[tuple[str, str]] = set()
    for spec in specs:
        if (spec.label, spec.learned) in seen:
            msg = f"Method {spec.label!r} ({spec.learned}) occurs more than once: pass a dict with a label for each."
            raise ValueError(msg)
        seen.add((spec.label, spec.learned))
    return specs


def _listed(methods: Any) -> list[Any]:
    return [methods] if isinstance(methods, (str, type)) or not isinstance(methods, Iterable) else list(methods)


def _spec(label: str | None, one: Any, *, has_folds: bool) -> MethodSpec:
    from ..models import Estimator, create, get_method

    settings = dict(one) if isinstance(one, Mapping) else {"method": one}
    name = settings.pop("method", None)
    if not isinstance(name, str):
        msg = f"A method is {_WORDS}, e.g. 'kriging' or {{'method': 'kriging', 'length_scale': 4.0}}, not {one!r}.{by_name(name)}"
        raise TypeError(msg)
    _check_ending(name)
    alone = name.endswith(_ALONE)
    name, settings = get_method(name.removesuffix(_ALONE)).called_today(settings)
    check_parameters(name, settings, _spec)
    made = get_method(name)
    needs_fit = create(name, **settings).needs_fit
    learned = SECTION if alone or not has_folds or made.fit is Estimator.fit else COHORT
    if learned == SECTION and needs_fit:
        msg = f"Method {name!r} must be trained on other sections: leave out {_ALONE!r}, and give `folds`."
        raise ValueError(msg)
    return MethodSpec(label or name, name, learned, settings)


def _check_ending(name: str) -> None:
    """Refuse what stands behind the colon of a method's name and is not ``section``."""
    method, colon, ending = name.partition(":")
    if colon and f":{ending}" != _ALONE:
        msg = f"{name!r} ends in {ending!r}: write '{method}{_ALONE}' for the form that learns from the prompts of the section alone."
        raise ValueError(msg)


def make_folds(sections: Sequence[Section], folds: Any) -> list[tuple[str, list[str], list[str]]]:
    """(name, training sections, test sections) of every fold.

    Raises
    ------
    ValueError
        If there are fewer patients than folds, or a fold has nothing to train on.
    KeyError
        If a section does not exist.
    """
    names = [one.name for one in sections]
    patients = {one.name: one.patient for one in sections}
    if folds is None:
        return [("all", [], names)]
    if isinstance(folds, Mapping):
        return [_explicit(str(key), test, names) for key, test in folds.items()]
    if unknown := [one.name for one in sections if one.slide.patient is None]:
        msg = (
            f"The patient of {quoted(unknown)} is not known, and each is taken for a patient of its own: sections of one patient "
            "may come to train and to be predicted. Write an obs column and name it, `patient_key=`."
        )
        warn_user(msg)
    if folds == PATIENT:
        groups = {p: p for p in patients.values()}
    elif isinstance(folds, (int, np.integer)) and not isinstance(folds, bool):
        groups = _grouped(list(patients.values()), int(folds))
    else:
        msg = (
            f"`folds` is {PATIENT!r} (leave one patient out), a number of patient-grouped folds, a dict of test sections by "
            f"fold, or None (nothing is trained), not {folds!r}."
        )
        raise ValueError(msg)
    if len(set(groups.values())) < 2:
        msg = (
            f"All {len(names)} section(s) are of one patient, and folds leave patients out: pass folds=None to compare methods "
            "on each section alone, or name test sections in a dict."
        )
        raise ValueError(msg)
    found = []
    for fold in dict.fromkeys(groups.values()):
        test = [name for name in names if groups[patients[name]] == fold]
        found.append((fold, [name for name in names if name not in test], test))
    return found


def _grouped(patients: Sequence[str], n: int) -> dict[str, str]:
    from sklearn.model_selection import GroupKFold

    if not 2 <= n <= len(set(patients)):
        msg = f"folds={n} needs from 2 to as many patients as there are, which is {len(set(patients))}."
        raise ValueError(msg)
    splits = GroupKFold(n).split(np.zeros(len(patients)), groups=np.asarray(patients, dtype=object))
    return {patients[i]: str(number) for number, (_, test) in enumerate(splits) for i in test}


def _explicit(name: str, test: Any, names: Sequence[str]) -> tuple[str, list[str], list[str]]:
    wanted = [
        str(one) for one in ([test] if isinstance(test, (str, int, np.integer)) else test)
    ]  # names of slides may be given as numbers
    unknown = [one for one in wanted if one not in names]
    if unknown:
        msg = f"Fold {name!r} names sections that are not there ({quoted(unknown)}); there are: {quoted(names)}."
        raise KeyError(msg)
    train = [one for one in names if one not in wanted]
    if not wanted or not train:
        msg = f"Fold {name!r} has {len(wanted)} test and {len(train)} training sections: it needs one of each."
        raise ValueError(msg)
    return name, train, wanted


def choose_genes(sections: Mapping[str, Section], train: Sequence[str], genes: Any) -> tuple[str, ...]:
    """Panel of a fold: what was named, else the most variable genes of the training sections, which alone are read."""
    everyone = [one.slide for one in sections.values()]
    tables = list({id(slide.table): slide.table for slide in everyone}.values())
    shared = common_genes(tables, next(iter(sections.values())).reading)
    if genes is not None and not isinstance(genes, (int, np.integer)):
        missing = [gene for gene in genes if gene not in shared]
        if missing:
            msg = f"{len(missing)} of `genes` are not in every object ({quoted(missing)}): name genes that all have."
            raise KeyError(msg)
        return tuple(genes)
    if genes is None or not train:
        marked = [s.table.var_names[is_true(s.table.var[_keys.PANEL])] for s in everyone if _keys.PANEL in s.table.var]
        if genes is None and len(marked) == len(everyone):
            shared = shared[np.logical_and.reduce([shared.isin(one) for one in marked])]
        return tuple(shared)
    return tuple(most_variable(sections, train, list(shared), int(genes)))


def most_variable(sections: Mapping[str, Section], train: Sequence[str], genes: Sequence[str], n: int) -> list[str]:
    """The n genes that vary most on the training sections, the most variable first."""
    used = [sections[name] for name in train]
    slides = [one.slide for one in used]
    return rank_genes(used[0].reading, slides, pd.Index(genes), n_top_genes=min(n, len(genes))).genes


def describe_settings(spec: MethodSpec) -> dict[str, Any]:
    """Plain record of a method's settings, defaults included, so that a changed default is noticed."""
    from ..models import get_method

    made = get_method(spec.method)
    signature = inspect.signature(made.__init__).parameters
    defaults = {name: signature[name].default for name in made.parameter_names()}
    defaults = {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}
    settings = {**defaults, **spec.settings}
    presets = getattr(made, "presets", {})
    contents = {"preset contents": repr(presets[settings["preset"]])} if settings.get("preset") in presets else {}
    return {"method": spec.method, **{name: repr(value) for name, value in settings.items()}, **contents}
