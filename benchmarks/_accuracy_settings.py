"""Settings of ``accuracy.py sets``: which sections are predicted, what is known beforehand, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from pathlib import Path

import _sets_als
import _sets_bulb
import _sets_colon
import _sets_her2st
import _sets_ra
import anndata as ad
import numpy as np
import pandas as pd
from _report import ALONE, OTHERS
from _sections import Section, open_sections

SERIAL = "other sections"
"""All but one section of every patient: they are left out together, so that one training serves several sections."""
FEW = (0.1,)
OURS = "phg2st"
SIMPLE = ("prompt_mean", "idw", "kriging", "gene_kriging")
SIMPLE_IMAGE = ("image_ridge", "space_image_kriging", "regression_kriging")
TRAINED = ("kriging", "gene_kriging")
STRONG = ("kriging", "gene_kriging", "space_image_kriging", "regression_kriging")
"""Those that were the best anywhere."""

Tables = dict[str, ad.AnnData]


@dataclass(frozen=True)
class Setting:
    """One line of the tables.

    Attributes
    ----------
    key, title
        Short and long name.
    read
        Sections from the folder of data sets, and the folder where image features are kept.
    training
        ``ALONE``, ``OTHERS`` or ``SERIAL``.
    image
        Whether any section has a picture; without, no method ever sees one, in training neither.
    quick
        Sections of a quick look.
    names
        Sections to predict; none for all.
    fractions, quick_fractions
        Shares of the spots that are measured; of a quick look, none for the same.
    panel
        Genes, where they are not the most counted ones of the training sections.
    alone
        Whether methods are scored without training too.
    """

    key: str
    title: str
    read: Callable[[Path, Path], Tables]
    training: str
    image: bool
    quick: tuple[str, ...]
    names: tuple[str, ...] = ()
    fractions: tuple[float, ...] = FEW
    quick_fractions: tuple[float, ...] = ()
    panel: Callable[[Tables, Path], list[str]] | None = None
    alone: bool = True


_her2st = {"read": _sets_her2st.read, "panel": _sets_her2st.panel}
SETTINGS = (
    Setting(
        "als",
        "spinal cord, picture, mouse never seen",
        _sets_als.read,
        OTHERS,
        True,
        ("CN52_C2_1", "CN63_C1"),
        fractions=(0.1, 0.2),
    ),
    Setting("bulb", "olfactory bulb, picture, animal never seen", _sets_bulb.read, OTHERS, True, ("Rep11", "MOB1")),
    Setting(
        "her2_image",
        "HER2+, picture, patient never seen",
        training=OTHERS,
        image=True,
        quick=("B4", "C3"),
        names=_sets_her2st.IMAGED,
        **_her2st,
    ),
    Setting(
        "her2", "HER2+, no picture, patient never seen", training=OTHERS, image=False, quick=("A1", "D3"), **_her2st
    ),
    Setting("ra", "synovium, no picture, patient never seen", _sets_ra.read, OTHERS, False, ("RA1_2", "RA3_1")),
    Setting(
        "her2_serial",
        "HER2+, picture, other sections of the patient known",
        training=SERIAL,
        image=True,
        quick=("B4", "C4"),
        names=_sets_her2st.IMAGED,
        alone=False,
        **_her2st,
    ),
    Setting(
        "her2_serial_free",
        "HER2+, no picture, other sections of the patient known",
        training=SERIAL,
        image=False,
        quick=("A1", "D1"),
        alone=False,
        **_her2st,
    ),
    Setting(
        "ra_serial",
        "synovium, no picture, other sections of the patient known",
        _sets_ra.read,
        SERIAL,
        False,
        ("RA1_1", "RA3_1"),
        alone=False,
    ),
    Setting(
        "colon",
        "colon, picture, this section alone",
        _sets_colon.read,
        ALONE,
        True,
        ("colon",),
        fractions=(0.02, 0.05, 0.1, 0.2, 0.5),
        quick_fractions=(0.05, 0.2),
    ),
)
BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True)
class Fold:
    """Sections that one training serves.

    Attributes
    ----------
    setting
        Of which it is a part.
    predicted
        Sections to predict.
    training
        Sections to train on; none where each is alone.
    """

    setting: Setting
    predicted: tuple[str, ...]
    training: tuple[str, ...]


@cache
def tables_of(read: Callable[[Path, Path], Tables], data: Path, kept: Path) -> Tables:
    """Sections of a data set, read once."""
    return read(data, kept)


@cache
def _gene_shares(read: Callable[[Path, Path], Tables], data: Path, kept: Path) -> pd.DataFrame:
    """Share of every gene in the counts of a section: sections x genes that all of them have."""
    tables = tables_of(read, data, kept)
    sums = {name: pd.Series(np.asarray(t.X.sum(axis=0)).ravel() / t.X.sum(), t.var_names) for name, t in tables.items()}
    return pd.DataFrame(sums).dropna().T


def folds(setting: Setting, patients: dict[str, str], names: Sequence[str]) -> list[Fold]:
    """What is trained, and what is predicted with it: ``names`` of the sections."""
    if setting.training == ALONE:
        return [Fold(setting, (name,), ()) for name in names]
    by_patient = [[n for n in patients if patients[n] == patient] for patient in dict.fromkeys(patients.values())]
    left_out = by_patient if setting.training == OTHERS else [list(filter(None, g)) for g in zip_longest(*by_patient)]
    found = []
    for group in left_out:
        predicted = tuple(name for name in group if name in names)
        if predicted:
            found.append(Fold(setting, predicted, tuple(n for n in patients if n not in group)))
    return found


@dataclass(eq=False)
class Library:
    """Sections of the data sets under a folder, as the folds need them.

    Attributes
    ----------
    data
        Folder of all data sets.
    kept
        Folder where image features are kept.
    n_genes
        Of a panel that is chosen on training sections.
    """

    data: Path
    kept: Path
    n_genes: int
    _opened: dict[tuple[Setting, tuple[str, ...]], dict[str, Section]] = field(default_factory=dict)

    def patients(self, setting: Setting) -> dict[str, str]:
        """Patient of every section of a setting."""
        tables = tables_of(setting.read, self.data, self.kept)
        return {name: str(table.obs["patient"].iloc[0]) for name, table in tables.items()}

    def genes(self, fold: Fold) -> list[str]:
        """Panel of a fold: the published one, or the most counted genes of the training sections.

        A section that is alone has no others to choose on, and gives the names of its own most counted genes.
        """
        tables = tables_of(fold.setting.read, self.data, self.kept)
        if fold.setting.panel is not None:
            return fold.setting.panel(tables, self.data)
        shares = _gene_shares(fold.setting.read, self.data, self.kept)
        total = shares.loc[list(fold.training or fold.predicted)].sum()
        return sorted(total.sort_values(ascending=False, kind="stable").index[: self.n_genes])

    def sections(self, fold: Fold) -> dict[str, Section]:
        """All sections over the panel of a fold."""
        genes = tuple(self.genes(fold))
        key = (fold.setting, genes)
        if key not in self._opened:
            self._opened.clear()  # the panel changes with the fold; two at a time would fill the memory
            names = (*fold.training, *fold.predicted)
            tables = tables_of(fold.setting.read, self.data, self.kept)
            # the published panel is one for all folds
            wanted = tables if fold.setting.panel is not None else {name: tables[name] for name in names}
            opened = open_sections(wanted, genes)
            self._opened[key] = {n: s if fold.setting.image else s.without_image() for n, s in opened.items()}
        return self._opened[key]
