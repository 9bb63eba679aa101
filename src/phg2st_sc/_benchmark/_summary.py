"""Means of a benchmark, and differences to a reference method, pair by pair."""

from __future__ import annotations

from typing import Any

import pandas as pd

from .._deprecated import renamed_parameters
from .._docs import documented
from .._text import meant, quoted
from .._warn import warn_user

_METHOD = ["method", "learned"]
_CASE = ["section", "regime", "mask"]
_MEASURED = tuple(
    f"{what}_{name}" for what in ("train", "predict") for name in ("seconds", "cpu_seconds", "peak_mb", "gpu_mb")
)
_LESS_IS_BETTER = ("mae", "gene_correlation_error", "gene_correlation_rmse", "train_", "predict_")
_MORE_IS_BETTER = (
    "pcc", "ccc", "ssim", "hotspot_coverage", "hotspot_kappa", "gene_correlation_agreement", "markers_",
)  # fmt: skip


@renamed_parameters(table="scores")
@documented
def summarize_benchmark(
    scores: pd.DataFrame,
    *,
    metric: str = "pcc",
    reference: str | tuple[str, str] | None = None,
    protocol: str = "honest",
) -> pd.DataFrame:
    """One line per method and way to draw prompts.

    Means are over seeds, then masks, then the sections of a patient, then patients, so that a patient with many sections
    weighs no more than another. Differences are paired by section, on the same prompts; their spread is over sections. There is
    no p-value: sections of one patient are not independent.

    Parameters
    ----------
    {scores:benchmark}
    metric
        What to summarise.
    reference
        Method, ``"<method>:section"``, or (method, learned), to compare with. ``None``: none.
    {protocol:rows}

    Returns
    -------
    Indexed by ``regime``, ``method`` and ``learned``, the best first: ``mean``, ``sd_sections``, ``sd_masks``, ``n_sections``,
    ``n_patients``; with ``reference`` also ``difference``, ``sd_difference``, ``ahead`` (sections on which the method is better)
    and ``ratio``; where they were measured, means of time and memory. A metric that is best neither high nor low, such as
    ``morans_i_ratio``, ranks nothing: methods stand as they were named, without ``ahead``.

    Raises
    ------
    ValueError
        If there are no such rows.

    Warns
    -----
    UserWarning
        If a method has no score on some sections, because it failed there: it stands last. If it has none at all.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=80, n_genes=30, image=False, progress=False)
    >>> settings = {"folds": None, "n_masks": 1, "n_splits": 0, "progress": False}
    >>> scores = phg2st.tl.benchmark(slides, methods=["kriging", "idw"], **settings)
    >>> phg2st.tl.summarize_benchmark(scores, reference="idw").loc[("random", "idw", "section"), "difference"].item()
    0.0
    """
    rows = scores[(scores["metric"] == metric) & (scores["protocol"] == protocol)]
    if rows.empty:
        raise ValueError(_nothing(scores, metric, protocol))
    down, ranked = metric.startswith(_LESS_IS_BETTER), metric.startswith(_LESS_IS_BETTER + _MORE_IS_BETTER)
    cases = rows.groupby([*_METHOD, "patient", *_CASE], sort=False)["value"].mean()
    sections = cases.groupby(level=["regime", *_METHOD, "patient", "section"], sort=False).mean()
    by_method = ["regime", *_METHOD]
    patients = sections.groupby(level=[*by_method, "patient"], sort=False).mean()
    grouped = sections.groupby(level=by_method, sort=False)
    summary = pd.DataFrame(
        {
            "mean": patients.groupby(level=by_method, sort=False).mean(),
            "sd_sections": grouped.std(),
            "sd_masks": _spread_of_masks(cases),
            "n_sections": grouped.size(),
            "n_patients": patients.groupby(level=by_method, sort=False).size(),
        }
    )
    _warn_of_incomplete(summary)
    _warn_of_failed(scores, summary)
    if reference is not None:
        paired = _paired(sections, summary, _reference(summary, reference), down=down)
        summary = summary.join(paired if ranked else paired.drop(columns="ahead"))
    summary = summary.join(_measured(scores, protocol), on=_METHOD)
    missing = summary["n_sections"] < summary["n_sections"].groupby(level="regime").transform("max")
    by, ascending = (["mean"], [down]) if ranked else ([], [])
    order = summary.assign(_missing=missing).sort_values(
        ["regime", "_missing", *by], ascending=[False, True, *ascending], kind="stable"
    )
    return order.drop(columns="_missing")


def _nothing(table: pd.DataFrame, metric: str, protocol: str) -> str:
    ran = sorted(map(str, table.loc[table["metric"] != "error", "protocol"].unique()))
    if protocol not in ran:
        return (
            f"The table holds no rows of protocol {protocol!r}, only of {quoted(ran)}: pass `protocol={ran[0]!r}`."
            if ran
            else "The table holds errors only: see its column `error`."
        )
    there = sorted(map(str, table.loc[table["protocol"] == protocol, "metric"].unique()))
    close = meant(str(metric), there, write="`metric={!r}`")
    return (
        f"The table has no metric {metric!r} under protocol {protocol!r}.{close} Metrics there are: {', '.join(there)}."
    )


def _spread_of_masks(cases: pd.Series) -> pd.Series:
    """Standard deviation over draws of prompts, mean over sections."""
    within = cases.groupby(level=["regime", *_METHOD, "section"], sort=False).std()
    return within.groupby(level=["regime", *_METHOD], sort=False).mean()


def _warn_of_incomplete(summary: pd.DataFrame) -> None:
    most = int(summary["n_sections"].max())
    few = summary[summary["n_sections"] < most].reset_index()["method"].unique()
    if len(few):
        msg = (
            f"{quoted(few)} have no score on some of the {most} sections, and stand last: their means are over other sections "
            "than those of the others; differences and ratios are over what they share with the reference."
        )
        warn_user(msg)


def _warn_of_failed(table: pd.DataFrame, summary: pd.DataFrame) -> None:
    if "error" not in table:
        return
    failed = table[(table["metric"] == "error") & ~table["method"].isin(summary.index.get_level_values("method"))]
    for method, errors in failed.groupby("method", sort=False)["error"]:
        warn_user(f"Method {method!r} failed everywhere and is left out: {errors.iloc[0]}.")


def find_methods(there: pd.MultiIndex, wanted: str | tuple[str, str]) -> list[tuple[str, str]]:
    """(method, learned) of ``there`` that a user means by a label, ``"<label>:section"``, or the pair itself."""
    pairs = list(dict.fromkeys((str(method), str(learned)) for method, learned in there))
    if not isinstance(wanted, str):
        return [pair for pair in pairs if pair == tuple(wanted)]
    named = [pair for pair in pairs if pair[0] == wanted]
    return named or [pair for pair in pairs if ":".join(pair) == wanted]


def _reference(summary: pd.DataFrame, reference: str | tuple[str, str]) -> tuple[str, str]:
    every = pd.MultiIndex.from_frame(summary.reset_index()[_METHOD])
    found = find_methods(every, reference)
    if len(found) == 1:
        return found[0]
    if not found:
        names = dict.fromkeys(":".join(pair) for pair in every.unique())
        close = meant(str(reference), [*names, *every.get_level_values(0).unique()], write="`reference={!r}`")
        msg = f"The table has no method {reference!r}.{close} Methods there are: {', '.join(names)}."
        raise ValueError(msg)
    msg = f"{len(found)} methods are called {reference!r}: pass one of {', '.join(map(str, found))}."
    raise ValueError(msg)


def _paired(sections: pd.Series, summary: pd.DataFrame, reference: tuple[str, str], *, down: bool) -> pd.DataFrame:
    wide = sections.unstack(level=_METHOD)
    difference = wide.sub(wide[reference], axis=0)
    by_regime = difference.groupby(level="regime", sort=False)
    found = {
        "difference": by_regime.mean(),
        "sd_difference": by_regime.std(),
        "ahead": (difference.lt(0) if down else difference.gt(0)).groupby(level="regime", sort=False).sum(),
    }
    joined = pd.DataFrame({name: part.stack(_METHOD, future_stack=True) for name, part in found.items()})
    shared = wide.where(wide[reference].notna(), axis=0)
    of_reference = wide.notna().mul(wide[reference], axis=0).where(wide.notna())
    joined["ratio"] = _mean_of_patients(shared) / _mean_of_patients(of_reference)
    return joined.reindex(summary.index)


def _mean_of_patients(wide: pd.DataFrame) -> Any:
    """Mean over sections, then patients, by regime and method, of a table with a row a section."""
    patients = wide.groupby(level=["regime", "patient"], sort=False).mean()
    return patients.groupby(level="regime", sort=False).mean().stack(_METHOD, future_stack=True)


def _measured(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    rows = table[table["metric"].isin(_MEASURED) & (table["protocol"] == protocol)]
    if rows.empty:
        return pd.DataFrame(index=pd.MultiIndex.from_tuples([], names=_METHOD))
    wide = rows.pivot_table(index=_METHOD, columns="metric", values="value", aggfunc="mean")
    return wide[[name for name in _MEASURED if name in wide]]
