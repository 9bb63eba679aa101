"""What priors are worth to a user with one slide: of its tissue made from other patients, of other tissues, of the wrong one.

    python benchmarks/priors.py --data ../shared/data --masks 3 --out benchmarks/results

Every section is predicted by itself, and with priors that never saw its patient, over genes that were chosen without it: ``own`` (its tissue), ``others`` (every other
tissue of the species), ``all`` (both, in one stack); on demand also ``cells``, where the spots of the tissue's other patients stand in for
single cells: no places, gene by gene and spot by spot. Rows are kept section by section; ``--resume`` skips what is there,
``--report-only`` only makes the table again.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _sets_als
import _sets_bulb
import _sets_colon
import _sets_her2st
import _sets_ra
import anndata as ad
import numpy as np
import pandas as pd
from _sections import Section, open_sections, score_mask
from tqdm.auto import tqdm

from phg2st_sc.models import PHG2ST, Estimator, create

ALONE, OWN, OTHERS, ALL, CELLS = "alone", "own", "others", "all", "cells"
TARGETS = {OWN: 1.3, OTHERS: 1.05}
CASE = ["set", "section", "regime", "mask"]


@dataclass(frozen=True)
class Tissue:
    """A data set: what is read, scored, and learned from."""

    key: str
    read: Any
    species: str
    fraction: float = 0.1
    image: bool = True
    sections: tuple[str, ...] = ()
    n_genes: int = 500
    learned_genes: int = 1500

    def tables(self, data: Path, cache: Path) -> dict[str, ad.AnnData]:
        """Sections, without their pictures where these are not to be used."""
        return self.read(data, cache)


TISSUES = {
    one.key: one
    for one in (
        Tissue("her2", _sets_her2st.read, "human", image=False, sections=("A2", "B4", "C2", "D3", "E2", "F1")),
        Tissue("ra", _sets_ra.read, "human", image=False, sections=("RA1_2", "RA2_3", "RA3_2", "RA4_1")),
        Tissue("als", _sets_als.read, "mouse", fraction=0.2),
        Tissue("bulb", _sets_bulb.read, "mouse"),
        Tissue("colon", _sets_colon.read, "mouse", fraction=0.05),
    )
}


@dataclass(eq=False)
class Shelf:
    """Sections of a tissue, and priors made from them.

    What is predicted and learned about a patient is chosen without the counts of the patient: of a section only the names of its
    genes are known before its prompts.
    """

    tissue: Tissue
    data: Path
    cache: Path
    elsewhere: list[Shelf] = field(default_factory=list)
    """Other tissues of the species: they choose the genes where there is one patient only."""

    @cached_property
    def tables(self) -> dict[str, ad.AnnData]:
        return self.tissue.tables(self.data, self.cache)

    @cached_property
    def patients(self) -> dict[str, str]:
        return {
            name: str(one.obs["patient"].iloc[0]) if "patient" in one.obs else name for name, one in self.tables.items()
        }

    @cached_property
    def shares(self) -> pd.DataFrame:
        """Of every gene that all sections have, in the counts of each."""
        shared = sorted(set.intersection(*(set(one.var_names) for one in self.tables.values())))
        parts = {n: np.asarray(one[:, shared].X.sum(axis=0)).ravel() / one.X.sum() for n, one in self.tables.items()}
        return pd.DataFrame(parts, index=shared)

    def most_counted(self, n_genes: int, without: str | None) -> list[str]:
        """Genes with the most counts in the sections of all patients but one."""
        kept = [name for name, patient in self.patients.items() if patient != without]
        total = self.shares[kept].sum(axis=1)
        if not kept:
            total = sum(one.shares.mean(axis=1).reindex(total.index) for one in self.elsewhere).dropna()
        return sorted(total.sort_values(ascending=False, kind="stable").index[:n_genes])

    def panel(self, without: str | None) -> list[str]:
        """Genes that are predicted."""
        if self.tissue.key == "her2":
            return _sets_her2st.panel(self.tables, self.data)
        return self.most_counted(self.tissue.n_genes, without)

    def sections(self, without: str) -> dict[str, Section]:
        """Of one patient, over the genes that are predicted."""
        mine = {name: one for name, one in self.tables.items() if self.patients[name] == without}
        return self._opened(mine, self.panel(without))

    def lessons(self, without: str | None) -> list[Section]:
        """Of all other patients, over the genes that priors know."""
        kept = {name: one for name, one in self.tables.items() if self.patients[name] != without}
        genes = {*self.most_counted(self.tissue.learned_genes, without), *self.panel(without)}
        return list(self._opened(kept, sorted(genes)).values())

    def _opened(self, tables: Mapping[str, ad.AnnData], genes: list[str]) -> dict[str, Section]:
        opened = open_sections(tables, genes)
        return opened if self.tissue.image else {name: one.without_image() for name, one in opened.items()}

    def prior(self, kept: Sequence[Section]) -> PHG2ST | None:
        """From sections; ``None`` where there are none."""
        if not kept:
            return None
        slides = [one.data if self.tissue.image else _nobody(one) for one in kept]
        return create("phg2st", use_network=False).fit(slides)

    @cached_property
    def whole(self) -> PHG2ST | None:
        """From all patients."""
        return self.prior(self.lessons(None))


def of_cells(kept: Sequence[Section]) -> PHG2ST:
    """From the spots of sections, as if they were cells."""
    counts = np.concatenate([one.data.counts for one in kept])
    return PHG2ST.of_cells(counts, kept[0].data.genes, n_components=30)


def _nobody(section: Section) -> Any:
    """Without a patient nothing is laid on anything, which a prior has no use for."""
    return replace(section.data, arrays=replace(section.data.arrays, patient=None))


def methods_of(
    section: Section, own: PHG2ST | None, others: Mapping[str, PHG2ST], cells: PHG2ST | None
) -> dict[str, Estimator]:
    """The section alone, and with each of the selections of priors."""
    lent = {"own": own} if own is not None else {}
    selections: dict[str, Mapping[str, PHG2ST]] = {OWN: lent, OTHERS: others, ALL: {**lent, **others}}
    selections |= {CELLS: {CELLS: cells}} if cells is not None else {}
    made: dict[str, Estimator] = {ALONE: create("phg2st")}
    for name, priors in selections.items():
        if priors and not (name == ALL and (not lent or not others)):
            few = [one.lend(key, one.genes, image=section.imaged, asked=key == "own") for key, one in priors.items()]
            made[name] = create("phg2st").borrow(few)
    return made


def rows_of(shelf: Shelf, section: Section, methods: dict[str, Estimator], n_masks: int) -> Iterator[dict[str, Any]]:
    for regime in ("scattered", "block"):
        for number in range(n_masks):
            mask = section.mask(regime, number, shelf.tissue.fraction)
            kept: dict[str, Any] = {}
            keys = {(name, "-"): Kept(method, kept, name) for name, method in methods.items()}
            for row in score_mask(section, mask, keys, n_splits=0):
                details = kept[row["method"]]
                yield {
                    "set": shelf.tissue.key,
                    "section": section.name,
                    "patient": section.patient,
                    "regime": regime,
                    "mask": number,
                    "prompts": int(mask.sum()),
                    "priors": row["method"],
                    "pcc": row["pcc"],
                    "pcc_unsmoothed": row["pcc_unsmoothed"],
                    "form": details.get("form", ""),
                    "agreement": " ".join(
                        f"{name} {one.get('level_agreement', np.nan):.2f}"
                        for name, one in details.get("priors", {}).items()
                    ),
                    "shares": " ".join(
                        f"{name} {np.mean(share):.2f}" for name, share in details.get("shares", {}).items()
                    ),
                }


@dataclass
class Kept:
    """A method whose details are kept."""

    method: Estimator
    kept: dict[str, Any]
    name: str

    def predict(self, slide: Any, prompts: Any) -> Any:
        made = self.method.predict(slide, prompts)
        self.kept[self.name] = made.details
        return made


def report(rows: pd.DataFrame) -> str:
    """Ratio to the section alone by set and regime: of the means, over sections the median, and the worst."""
    wide = rows.pivot_table(index=CASE, columns="priors", values="pcc").reset_index()
    lines = [
        "# A slide with priors, beside the slide alone",
        "",
        "Depth-free PCC, mean over sections and masks; patients of the section are in no prior, and chose none of the genes. `ratio`:",
        "of the means; then the median, least and largest over sections of the mean difference.",
        "",
        "<!-- table -->",
        "",
        "| set | regime | priors | sections | alone | with | ratio | median | least | largest |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (name, regime), part in wide.groupby(["set", "regime"], sort=False):
        for priors in (OWN, OTHERS, ALL, CELLS):
            if priors not in part or part[priors].isna().all():
                continue
            few = part.dropna(subset=[priors])
            by_section = few.groupby("section")[[ALONE, priors]].mean()
            alone, helped = by_section.mean()
            change = by_section[priors] - by_section[ALONE]
            lines.append(
                f"| {name} | {regime} | {priors} | {len(by_section)} | {alone:.3f} | {helped:.3f} | {helped / alone:.2f} | "
                f"{change.median():+.3f} | {change.min():+.3f} | {change.max():+.3f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    options = _options()
    path = options.out / f"{options.name}.csv"
    done = pd.read_csv(path) if (options.resume or options.report_only) and path.exists() else pd.DataFrame()
    if not options.report_only:
        done = _run(options, path, done)
    path.with_suffix(".md").write_text(report(done), encoding="utf-8")
    print(report(done))
    print(f"{time.process_time() / 60:.1f} minutes of processor time")


def _run(options: argparse.Namespace, path: Path, done: pd.DataFrame) -> pd.DataFrame:
    shelves = _shelves(options)
    there = set(zip(done["set"], done["section"], strict=True)) if len(done) else set()
    for key in options.sets:
        shelf = shelves[key]
        names = options.sections or shelf.tissue.sections or tuple(shelf.tables)
        left = [name for name in names if name in shelf.tables and (key, name) not in there]
        for patient in tqdm(dict.fromkeys(shelf.patients[name] for name in left), desc=key, unit="patient"):
            for section, methods in _cases(shelf, patient, left, cells=options.cells):
                rows = list(rows_of(shelf, section, methods, options.masks))
                done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
                done.to_csv(path, index=False, float_format="%.5f")
    return done


def _shelves(options: argparse.Namespace) -> dict[str, Shelf]:
    cache = options.cache or options.out / "cache"
    shelves = {key: Shelf(one, options.data.resolve(), cache) for key, one in TISSUES.items()}
    for one in shelves.values():
        one.elsewhere = [s for s in shelves.values() if s is not one and s.tissue.species == one.tissue.species]
    return shelves


def _cases(
    shelf: Shelf, patient: str, names: Sequence[str], *, cells: bool
) -> Iterator[tuple[Section, dict[str, Estimator]]]:
    """Sections of a patient, and what predicts them."""
    kept = shelf.lessons(patient)
    own, spots = shelf.prior(kept), of_cells(kept) if cells and kept else None
    others = {one.tissue.key: one.whole for one in shelf.elsewhere if one.whole is not None}
    for name, section in shelf.sections(patient).items():
        if name in names:
            yield section, methods_of(section, own, others, spots)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", choices=list(TISSUES), default=list(TISSUES))
    parser.add_argument("--sections", nargs="+")
    parser.add_argument("--masks", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="where image features are kept; default <out>/cache")
    parser.add_argument("--cells", action="store_true", help="also spots of other patients as if they were cells")
    parser.add_argument("--name", default="priors", help="of the CSV and the table")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--report-only", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
