"""Further scores of a section, on request: each looks at the same held-out spots and the same depth-free target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._registry import Registry
from .._text import quoted
from ._autocorrelation import least_structure, morans_i_of, neighbor_weights, noise_free_ratio, ratio_of
from ._ceiling import split_counts, whole_counts
from ._correlation import is_constant
from ._gene_correlation import GeneCorrelation, gene_correlation
from ._heldout import HeldOut
from ._hotspots import COVERED, TOP_SHARE, chance_coverage, hotspot_coverage, kappa_of
from ._ssim import MIN_SHARE, WINDOW, ssim_of, window_operator
from ._targets import dense_counts, gene_blocks, pearson_residuals

Columns = dict[str, NDArray[np.float64]]
Summary = dict[str, float]
Arrays = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class Maps:
    """Measured maps of a block of genes: residuals, smoothed ones, and smoothed ones of two halves of the counts."""

    residuals: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    halves: tuple[NDArray[np.float64], NDArray[np.float64]] | None


@dataclass(frozen=True, eq=False)
class ScoredSection:
    """What further scores are computed from.

    Attributes
    ----------
    spots
        The held-out spots.
    halves
        Two halves of their counts; ``None`` where no halves are wanted.
    theta
        Of the residuals.
    half_r, half_r_unsmoothed, ceiling
        (G,) as in :func:`~phg2st_sc.metrics.score_section`.
    weights
        (n, n) weights of Moran's I.
    is_marker
        (G,) bool.
    n_missing
        Markers outside the panel.
    """

    spots: HeldOut
    halves: tuple[sparse.csc_array, sparse.csc_array] | None
    theta: float
    half_r: NDArray[np.float64]
    half_r_unsmoothed: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    weights: sparse.csr_array
    is_marker: NDArray[np.bool_]
    n_missing: int

    @classmethod
    def of(
        cls,
        spots: HeldOut,
        ceilings: Columns,
        names: Sequence[str | int],
        markers: Sequence[str] | None,
        *,
        n_splits: int,
        seed: int,
        theta: float,
    ) -> ScoredSection:
        """Split the counts and find the markers once, for all scores and predictions."""
        is_marker, n_missing = _marked(names, markers)
        halves = split_counts(whole_counts(spots.counts), np.random.default_rng(seed)) if n_splits else None
        return cls(
            spots=spots,
            halves=halves,
            theta=theta,
            half_r=ceilings["half_r"],
            half_r_unsmoothed=ceilings["half_r_unsmoothed"],
            ceiling=ceilings["ceiling"],
            weights=neighbor_weights(spots.operator),
            is_marker=is_marker,
            n_missing=n_missing,
        )

    @cached_property
    def windows(self) -> sparse.csr_array:
        """Windows of :func:`~phg2st_sc.metrics.ssim`."""
        return window_operator(self.spots.positions, window=WINDOW, min_share=MIN_SHARE)

    @cached_property
    def least_structure(self) -> float:
        """Moran's I above which a map has spatial structure."""
        return least_structure(self.weights)

    @cached_property
    def depths_of_halves(self) -> list[NDArray[np.float64]]:
        """(n,) totals of each half over the panel."""
        return [np.asarray(half.sum(axis=1)).reshape(-1) for half in self.halves or ()]

    def maps(self, genes: slice) -> Maps:
        """Measured maps of some genes."""
        spots = self.spots
        residuals = pearson_residuals(dense_counts(spots.counts[:, genes]), depths=spots.depths, theta=self.theta)
        halves = None
        if self.halves is not None:
            one, other = (
                spots.mean(pearson_residuals(half[:, genes], depths=depths, theta=self.theta))
                for half, depths in zip(self.halves, self.depths_of_halves, strict=True)
            )
            halves = (one, other)
        return Maps(residuals, spots.mean(residuals), halves)

    def blocks(self) -> list[slice]:
        """Ranges of genes that are dealt with at a time."""
        return list(gene_blocks(self.spots.n_spots, self.spots.n_genes))


class Extra:
    """One further score: columns by gene, and numbers for the section."""

    def measured(self, section: ScoredSection, maps: Maps) -> Columns:
        """Columns that are the same for every prediction."""
        return {}

    def score(self, section: ScoredSection, maps: Maps, prediction: NDArray[np.floating]) -> Columns:
        """Columns of one prediction."""
        return {}

    def summaries(
        self, section: ScoredSection, tables: Mapping[str, pd.DataFrame], predictions: Arrays
    ) -> dict[str, Summary]:
        """Numbers for the section, by prediction, given all columns."""
        return {name: {} for name in tables}


EXTRAS: Registry[type[Extra]] = Registry("further score", otherwise=", or 'all'")
"""The further scores that ``extra=`` of :func:`score_section` takes, by name."""


@EXTRAS.register("ssim")
class _Ssim(Extra):
    """Structural similarity over windows of held-out spots."""

    def measured(self, section: ScoredSection, maps: Maps) -> Columns:
        if maps.halves is None:
            return {"ssim_halves": np.full(maps.smoothed.shape[1], np.nan)}
        return {"ssim_halves": _zero_where_halves_are_flat(ssim_of(*maps.halves, section.windows), maps)}

    def score(self, section: ScoredSection, maps: Maps, prediction: NDArray[np.floating]) -> Columns:
        return {"ssim": ssim_of(maps.smoothed, prediction, section.windows)}


@EXTRAS.register("morans_i")
class _MoransI(Extra):
    """Moran's I of measured and predicted maps, and its ratio."""

    def measured(self, section: ScoredSection, maps: Maps) -> Columns:
        constant = is_constant(maps.residuals, maps.residuals)
        return {"morans_i_measured": morans_i_of(maps.residuals, section.weights, constant)}

    def score(self, section: ScoredSection, maps: Maps, prediction: NDArray[np.floating]) -> Columns:
        measured = self.measured(section, maps)["morans_i_measured"]
        values = np.asarray(prediction, dtype=np.float64)
        predicted = morans_i_of(values, section.weights, is_constant(values, prediction))
        return {"morans_i": predicted, "morans_i_ratio": ratio_of(measured, predicted, section.least_structure)}

    def summaries(
        self, section: ScoredSection, tables: Mapping[str, pd.DataFrame], predictions: Arrays
    ) -> dict[str, Summary]:
        return {name: self._summary(section, table) for name, table in tables.items()}

    @staticmethod
    def _summary(section: ScoredSection, table: pd.DataFrame) -> Summary:
        measured, predicted = table["morans_i_measured"].to_numpy(), table["morans_i"].to_numpy()
        return {
            "morans_i_ratio_noise_free": noise_free_ratio(
                measured, predicted, section.half_r_unsmoothed, section.spots.n_spots
            ),
            "n_genes_morans_i": int(table["morans_i_ratio"].notna().sum()),
        }


@EXTRAS.register("gene_correlation")
class _GeneCorrelation(Extra):
    """How well correlations between genes are kept."""

    def summaries(
        self, section: ScoredSection, tables: Mapping[str, pd.DataFrame], predictions: Arrays
    ) -> dict[str, Summary]:
        truth, halves = _whole(section)
        shared = {
            "gene_correlation_error_none": gene_correlation(truth, np.zeros(truth.shape[0])).error,
            "gene_correlation_error_halves": halves.error,
            "gene_correlation_agreement_halves": halves.agreement,
        }
        factors = None if section.halves is None else section.ceiling
        return {name: self._summary(truth, values, factors) | shared for name, values in predictions.items()}

    @staticmethod
    def _summary(
        truth: NDArray[np.float32], prediction: NDArray[np.floating], factors: NDArray[np.float64] | None
    ) -> Summary:
        plain = gene_correlation(truth, prediction)
        attenuated = gene_correlation(truth, prediction, attenuation=factors).error if factors is not None else np.nan
        return {
            "gene_correlation_error": plain.error,
            "gene_correlation_rmse": plain.rmse,
            "gene_correlation_agreement": plain.agreement,
            "gene_correlation_error_attenuated": float(attenuated),
            "n_genes_correlated": plain.n_genes,
        }


@EXTRAS.register("markers")
class _Markers(Extra):
    """Marker genes: how many are predicted, and whether their strongest spots are found."""

    def measured(self, section: ScoredSection, maps: Maps) -> Columns:
        if maps.halves is None:
            return {"hotspot_kappa_halves": np.full(maps.smoothed.shape[1], np.nan)}
        coverage = hotspot_coverage(*maps.halves, share=TOP_SHARE)
        kappa = kappa_of(coverage, chance_coverage(section.spots.n_spots, TOP_SHARE))
        return {"hotspot_kappa_halves": _zero_where_halves_are_flat(kappa, maps)}

    def score(self, section: ScoredSection, maps: Maps, prediction: NDArray[np.floating]) -> Columns:
        coverage = hotspot_coverage(maps.smoothed, prediction, share=TOP_SHARE)
        chance = chance_coverage(section.spots.n_spots, TOP_SHARE)
        return {"hotspot_coverage": coverage, "hotspot_kappa": kappa_of(coverage, chance)}

    def summaries(
        self, section: ScoredSection, tables: Mapping[str, pd.DataFrame], predictions: Arrays
    ) -> dict[str, Summary]:
        return {name: self._summary(section, table[section.is_marker]) for name, table in tables.items()}

    @staticmethod
    def _summary(section: ScoredSection, markers: pd.DataFrame) -> Summary:
        known = markers["pcc"].notna()
        return {
            "markers_covered": float((markers["pcc"][known] >= COVERED).mean()),
            "markers_pcc": float(markers["pcc"].mean()),
            "markers_hotspot_coverage": float(markers["hotspot_coverage"].mean()),
            "markers_hotspot_kappa": float(markers["hotspot_kappa"].mean()),
            "hotspot_chance": chance_coverage(section.spots.n_spots, TOP_SHARE),
            "n_markers": int(known.sum()),
            "n_markers_missing": section.n_missing,
        }


def wanted(extra: str | Sequence[str]) -> dict[str, Extra]:
    """Find the further scores that are asked for; ``"all"`` for all of them."""
    names = list(EXTRAS) if extra == "all" else [extra] if isinstance(extra, str) else list(dict.fromkeys(extra))
    return {name: EXTRAS[name]() for name in names}


def add_extras(
    extras: Mapping[str, Extra], section: ScoredSection, tables: Mapping[str, pd.DataFrame], predictions: Arrays
) -> tuple[dict[str, pd.DataFrame], dict[str, Summary]]:
    """Tables by prediction with the columns of further scores, and numbers for the section by prediction."""
    parts: dict[str, list[Columns]] = {name: [] for name in predictions}
    # gene-gene correlations have no columns: nothing is computed by gene for them alone
    for genes in section.blocks() if any(_has_columns(extra) for extra in extras.values()) else []:
        maps = section.maps(genes)
        shared: Columns = {}
        for extra in extras.values():
            shared |= extra.measured(section, maps)
        for name, values in predictions.items():
            columns: Columns = {}
            for extra in extras.values():
                columns |= extra.score(section, maps, np.asfortranarray(values[:, genes]))
            parts[name].append(columns | shared)
    wide = {name: _with_columns(table, _joined(parts[name])) for name, table in tables.items()}
    summaries: dict[str, Summary] = {name: {} for name in predictions}
    for extra in extras.values():
        for name, summary in extra.summaries(section, wide, predictions).items():
            summaries[name] |= summary
    return wide, summaries


def _has_columns(extra: Extra) -> bool:
    return type(extra).score is not Extra.score or type(extra).measured is not Extra.measured


def _with_columns(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The table with columns of its length, none of which it had."""
    for name, values in columns.items():
        if name in table or len(values) != len(table):
            msg = (
                f"A further score gives column {name!r} of {len(values)} values: it takes one value for each of the "
                f"{len(table)} genes, under a name that is not taken ({quoted(table.columns)})."
            )
            raise ValueError(msg)
    return table.assign(**columns)


def _joined(parts: Sequence[Columns]) -> Columns:
    return {column: np.concatenate([part[column] for part in parts]) for column in (parts[0] if parts else ())}


def _marked(names: Sequence[str | int], markers: Sequence[str] | None) -> tuple[NDArray[np.bool_], int]:
    if markers is None:
        return np.ones(len(names), dtype=bool), 0
    if isinstance(markers, str):
        msg = f"`markers` is a list of gene names, not the name {markers!r}."
        raise TypeError(msg)
    asked = set(markers)
    found = asked.intersection(names)
    if not found:
        msg = f"None of the {len(asked)} `markers` is among the {len(names)} scored genes."
        raise ValueError(msg)
    return np.array([name in found for name in names]), len(asked) - len(found)


def _whole(section: ScoredSection) -> tuple[NDArray[np.float32], GeneCorrelation]:
    """Depth-free target of all genes at once, and how its correlations agree between two halves of the counts."""
    shape, n_maps = (section.spots.n_spots, section.spots.n_genes), 1 if section.halves is None else 3
    truth, *halves = (np.empty(shape, np.float32, order="F") for _ in range(n_maps))
    for genes in section.blocks():
        maps = section.maps(genes)
        for whole, part in zip((truth, *halves), (maps.smoothed, *(maps.halves or ())), strict=True):
            whole[:, genes] = part
    return truth, gene_correlation(*halves) if halves else GeneCorrelation(np.nan, np.nan, np.nan, 0)


def _zero_where_halves_are_flat(score: NDArray[np.float64], maps: Maps) -> NDArray[np.float64]:
    """A half without any count of a gene that was counted agrees on nothing."""
    counted = ~is_constant(maps.smoothed, maps.smoothed)
    return np.where(counted, np.nan_to_num(score, nan=0.0), np.nan)
