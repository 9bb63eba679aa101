"""All scores of one section's held-out spots: the scoring rules, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .._docs import documented
from .._progress import part
from ._ceiling import N_SPLITS, ceiling_of, half_correlations
from ._correlation import ccc, mae, partial_pcc, pcc
from ._extras import ScoredSection, add_extras, wanted
from ._heldout import HeldOut
from ._summary import describe
from ._targets import (
    RADIUS,
    SHARE_SCALE,
    THETA,
    Counts,
    dense_counts,
    gene_blocks,
    lognorm_target,
    pearson_residuals,
    predicted_rate,
    predicted_share,
)

SCORES: tuple[str, ...] = (
    "pcc",
    "pcc_share",
    "pcc_unsmoothed",
    "pcc_depth_only",
    "pcc_lognorm",
    "pcc_lognorm_depth_only",
    "pcc_lognorm_depth_adjusted",
    "ccc",
    "ccc_unsmoothed",
    "mae",
    "mae_unsmoothed",
    "half_r",
    "half_r_unsmoothed",
    "ceiling",
    "ceiling_unsmoothed",
)
"""Score columns of :func:`score_section`, in order."""

Predictions = ArrayLike | Mapping[str, ArrayLike]


@documented
def score_section(
    counts: Counts,
    totals: ArrayLike,
    positions: ArrayLike,
    prediction: Predictions,
    target_sum: float,
    *,
    genes: Sequence[str] | None = None,
    top_genes: Sequence[str] | None = None,
    extra: str | Sequence[str] = (),
    markers: Sequence[str] | None = None,
    radius: float = RADIUS,
    theta: float = THETA,
    n_splits: int = N_SPLITS,
    seed: int = 0,
) -> pd.DataFrame:
    """Score predictions of one section at its held-out spots.

    Every array is over the **held-out spots only**: nothing that was measured may be scored, and no prompt may enter
    a target. Held-out spots without a single count over the panel say nothing; they are left out and counted.

    Parameters
    ----------
    {counts}
        Over the whole panel: depth is the total over it, so pick rows of the result rather than columns of the input.
    {totals} {positions} {prediction:log}
        Or a dict by method name: scoring several at once computes targets and ceiling once.
    {target_sum}
    genes
        G gene names; default 0, 1, ...
    top_genes
        Genes whose mean is reported beside that of the panel: the 50 most variable in *training* patients.
    {extra} {markers} {radius} {theta:dispersion} {n_splits}
        0 leaves the ceiling out (NaN).
    {seed}

    Returns
    -------
    One row per method and gene: ``method`` (only if a dict was given), ``gene``, ``top`` (only with ``top_genes``),
    and

    ``pcc``
        The primary score: correlation with the depth-free target (Pearson residuals averaged over held-out
        neighbours). Constant prediction 0, constant truth NaN; so for every correlation here.
    ``pcc_share``
        The same with the prediction brought to the target's own terms: its rate as a share of the predicted panel
        instead of the logarithm of a share of all genes. Higher than ``pcc`` as a rule.
    ``pcc_unsmoothed``
        As ``pcc``, with each spot's own residuals.
    ``pcc_depth_only``
        What a spot's own total over the panel, which no method can know, reaches on the depth-free target. Near 0.
    ``pcc_lognorm``, ``pcc_lognorm_depth_only``, ``pcc_lognorm_depth_adjusted``
        Correlation with log1p(s * count / total), what the spot's own log total alone reaches there, and the partial
        correlation given it.
    ``ccc``, ``mae``, ``ccc_unsmoothed``, ``mae_unsmoothed``
        In log1p(1e4 * share), against counts pooled over held-out neighbours, or each spot's own.
    ``half_r``, ``half_r_unsmoothed``, ``ceiling``, ``ceiling_unsmoothed``
        Correlation of two halves of the counts, and the noise ceilings of ``pcc`` and ``pcc_unsmoothed`` that follow.

    With ``extra``, all of it at the same held-out spots. ``..._halves`` is what one half of the counts scores as a
    prediction of the other (one split, NaN with ``n_splits=0``): a scale to read the score by, not a bound.

    ``ssim``, ``ssim_halves``
        Of the depth-free target, see :func:`~phg2st_sc.metrics.ssim`. Depth only: about 0.
    ``morans_i``, ``morans_i_measured``, ``morans_i_ratio``
        Moran's I of the prediction and of the unsmoothed residuals, and their ratio, see
        :func:`~phg2st_sc.metrics.morans_i_ratio`. **Rewards smoothing, and depth only has a ratio like any other.**
    ``hotspot_coverage``, ``hotspot_kappa``, ``hotspot_kappa_halves`` (``extra="markers"``)
        Share of the strongest tenth of the spots of the depth-free target that is in the prediction's strongest tenth,
        and the same beyond chance, see :func:`~phg2st_sc.metrics.hotspot_kappa`. Depth only: kappa about 0.

    ``.attrs`` holds ``protocol`` ("honest"), ``n_spots``, ``n_spots_empty``, ``n_genes``, ``n_genes_dropped``
    (constant truth) and ``means``: the means over genes, by method if a dict was given, and ``means_top`` over
    ``top_genes``. The mean ``ceiling`` is the ceiling of the mean ``half_r``, a bound on the mean ``pcc``.
    With ``extra`` it also holds ``summary``, numbers for the section, by method if a dict was given:

    ``morans_i_ratio_noise_free``
        Predicted Moran's I over that of noise-free expression (from ``half_r_unsmoothed``), pooled over genes: 1 for a
        perfect prediction, above 1 for a smoother one. Sequencing depth moves it little; it says nothing of places.
    ``n_genes_morans_i``
        Genes that show enough structure for a ratio.
    ``gene_correlation_error``, ``_rmse``, ``_agreement``, ``n_genes_correlated``
        Gene-gene correlations of the prediction against those of the depth-free target, see
        :func:`~phg2st_sc.metrics.gene_correlation`. One map for all genes, such as depth: ``agreement`` 0.
    ``gene_correlation_error_attenuated``
        The error after the prediction was lowered by both genes' ceilings, as noise lowers what was measured. Where noise
        rules, a perfect prediction comes to 0.7 to 0.8 of ``gene_correlation_error_halves``; one above
        ``gene_correlation_error_none`` is further off than no correlation at all.
    ``gene_correlation_error_halves``, ``gene_correlation_agreement_halves``, ``gene_correlation_error_none``
        Between two halves of the counts, and the error of predicting no correlation at all.
    ``markers_covered``, ``markers_pcc``, ``markers_hotspot_coverage``, ``markers_hotspot_kappa``
        Share of the markers whose ``pcc`` is 0.3 or more, and means over markers.
    ``hotspot_chance``, ``n_markers``, ``n_markers_missing``
        Coverage expected by chance, markers with a varying truth, and markers outside the panel.

    Raises
    ------
    TypeError
        If ``markers`` is a single name.
    ValueError
        If shapes do not fit, a prediction is not finite, fewer than 3 spots can be scored, no ``top_genes`` or
        ``markers`` are in the panel, or ``extra`` names an unknown score.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import score_section
    >>> rng = np.random.default_rng(0)
    >>> grid = np.argwhere(np.ones((12, 12)))
    >>> rate = np.stack([grid[:, 0] + 1, 13 - grid[:, 0]], axis=1) / 14
    >>> counts = rng.poisson(500 * rate)
    >>> scores = score_section(counts, counts.sum(1), grid, np.log1p(1e4 * rate), 1e4, genes=["A", "B"])
    >>> bool((scores["pcc"] > 0.9).all())
    True
    """
    extras = wanted(extra)
    spots = HeldOut.prepare(counts, totals, positions, radius=radius)
    names = _gene_names(genes, spots.n_genes)
    given = prediction if isinstance(prediction, Mapping) else {"prediction": prediction}
    predictions = {name: spots.align(values, name) for name, values in given.items()}
    ceilings = _ceilings(spots, n_splits, seed, theta)
    scores = _score(spots, predictions, target_sum, theta)
    tables = {name: pd.DataFrame({"gene": names, **columns, **ceilings}) for name, columns in scores.items()}
    summaries: dict[str, dict[str, float]] = {}
    if extras:
        section = ScoredSection.of(spots, ceilings, names, markers, n_splits=n_splits, seed=seed, theta=theta)
        tables, summaries = add_extras(extras, section, tables, predictions)
    table = pd.concat(tables.values(), ignore_index=True)
    if top_genes is not None:
        table.insert(1, "top", table["gene"].isin(_known(top_genes, names)))
    if isinstance(prediction, Mapping):
        table.insert(0, "method", np.repeat(list(predictions), len(names)))
    table.attrs["protocol"] = "honest"
    table.attrs.update(n_spots=spots.n_spots, n_spots_empty=spots.n_empty, n_genes=spots.n_genes)
    table.attrs.update(describe(table, [name for name in table.columns if name not in ("method", "gene", "top")]))
    if extras:
        table.attrs["summary"] = summaries if isinstance(prediction, Mapping) else summaries["prediction"]
    return table


@dataclass(frozen=True, eq=False)
class _Truth:
    """Targets over one block of genes."""

    smoothed: NDArray[np.float64]
    residuals: NDArray[np.float64]
    lognorm: NDArray[np.float64]
    pooled_share: NDArray[np.float64]
    share: NDArray[np.float64]
    log_depth: NDArray[np.float64]
    log_total: NDArray[np.float64]
    target_sum: float

    @classmethod
    def of(cls, spots: HeldOut, block: slice, target_sum: float, theta: float) -> _Truth:
        counts = dense_counts(spots.counts[:, block])
        residuals = pearson_residuals(counts, depths=spots.depths, theta=theta)
        pooled, pooled_totals = np.asfortranarray(spots.operator @ counts), spots.operator @ spots.totals
        return cls(
            smoothed=spots.mean(residuals),
            residuals=residuals,
            lognorm=lognorm_target(counts, spots.totals, target_sum=target_sum),
            pooled_share=lognorm_target(pooled, pooled_totals, target_sum=SHARE_SCALE),
            share=lognorm_target(counts, spots.totals, target_sum=SHARE_SCALE),
            log_depth=np.log(spots.depths),
            log_total=np.log(spots.totals),
            target_sum=target_sum,
        )

    def depth_only(self) -> dict[str, NDArray[np.float64]]:
        return {
            "pcc_depth_only": pcc(self.smoothed, self.log_depth),
            "pcc_lognorm_depth_only": pcc(self.lognorm, self.log_total),
        }

    def score(
        self, prediction: NDArray[np.floating], panel_rate: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        share = predicted_share(prediction, self.target_sum)
        rate = predicted_rate(prediction, self.target_sum)
        panel_share = (rate / panel_rate).astype(rate.dtype)
        return {
            "pcc": pcc(self.smoothed, prediction),
            "pcc_share": pcc(self.smoothed, panel_share),
            "pcc_unsmoothed": pcc(self.residuals, prediction),
            "pcc_lognorm": pcc(self.lognorm, prediction),
            "pcc_lognorm_depth_adjusted": partial_pcc(self.lognorm, prediction, self.log_total),
            "ccc": ccc(self.pooled_share, share),
            "ccc_unsmoothed": ccc(self.share, share),
            "mae": mae(self.pooled_share, share),
            "mae_unsmoothed": mae(self.share, share),
        }


def _score(
    spots: HeldOut, predictions: Mapping[str, NDArray[np.floating]], target_sum: float, theta: float
) -> dict[str, dict[str, NDArray[np.float64]]]:
    blocks: dict[str, list[dict[str, NDArray[np.float64]]]] = {name: [] for name in predictions}
    panel_rates = {name: _panel_rate(values, target_sum) for name, values in predictions.items()}
    for genes in part(list(gene_blocks(spots.n_spots, spots.n_genes)), desc="score", unit="block"):
        truth = _Truth.of(spots, genes, float(target_sum), theta)
        depth_only = truth.depth_only()
        for name, values in predictions.items():
            blocks[name].append(truth.score(np.asfortranarray(values[:, genes]), panel_rates[name]) | depth_only)
    return {
        name: {score: np.concatenate([part[score] for part in parts]) for score in SCORES if score in parts[0]}
        for name, parts in blocks.items()
    }


def _panel_rate(prediction: NDArray[np.floating], target_sum: float) -> NDArray[np.float64]:
    """(n, 1) predicted rates summed over the panel; infinite where nothing is predicted, so that shares are 0."""
    total = np.zeros(prediction.shape[0])
    for genes in gene_blocks(*prediction.shape):
        total += predicted_rate(np.asfortranarray(prediction[:, genes]), target_sum).sum(axis=1, dtype=np.float64)
    return np.where(total > 0, total, np.inf)[:, None]


def _ceilings(spots: HeldOut, n_splits: int, seed: int, theta: float) -> dict[str, NDArray[np.float64]]:
    if n_splits == 0:
        smoothed = own = np.full(spots.n_genes, np.nan)
    else:
        operators = (spots.operator, None)
        smoothed, own = half_correlations(spots.counts, operators, seed=seed, n_splits=n_splits, theta=theta)
    return {
        "half_r": smoothed,
        "half_r_unsmoothed": own,
        "ceiling": ceiling_of(smoothed),
        "ceiling_unsmoothed": ceiling_of(own),
    }


def _gene_names(genes: Sequence[str] | None, n_genes: int) -> list[str] | list[int]:
    if genes is None:
        return list(range(n_genes))
    if len(genes) != n_genes:
        msg = f"`genes` has {len(genes)} names for {n_genes} genes."
        raise ValueError(msg)
    return list(genes)


def _known(top_genes: Sequence[str], names: Sequence[str | int]) -> set[str | int]:
    known = set(names).intersection(top_genes)
    if not known:
        msg = f"None of the {len(top_genes)} `top_genes` is among the {len(names)} scored genes."
        raise ValueError(msg)
    return known
