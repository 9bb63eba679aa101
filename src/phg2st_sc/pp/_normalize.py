"""Counts to log-normalised expression, in a layer of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._reading import (
    Reading,
    check_counts,
    check_target_sum,
    clear_columns,
    gene_columns,
    genes_by_slide,
    is_gene,
    never_measured,
    open_source,
    row_totals,
)
from .._slide import Owner, SlotUpdate, is_target, write_slots
from .._text import quoted
from .._warn import warn_user

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from .._reading import Matrix, Source

_BLOCK_ROWS = 4096
_OWNER = Owner((_keys.LOGNORM,), ("formula",), mend="rename or")


@renamed_parameters(table="table_key")
@documented
def normalize(
    data: AnnData | SpatialData,
    *,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    target_sum: float | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    write: bool = False,
) -> None:
    """Write log1p(s * count / total) to ``layers["phg2st_lognorm"]``; the counts stay as they are.

    ``total`` is a spot's total over all genes of the object. This layer is for looking at and comparing with: predictions
    start from the raw counts of the prompts, and never from it, because the median total knows spots that were held out.

    Parameters
    ----------
    {data}
        Rows that are NaN in every gene, such as spots that were not measured, stay NaN, and so do genes that are NaN at every
        spot of a slide. Targets of :func:`phg2st_sc.pp.add_targets`, and features that are no genes, become NaN, or have no
        entry where the counts are sparse.
    {counts_layer} {gex_only} {target_sum}
        ``None``: the median total of the measured spots that have counts: one value for the whole object, so that its slides
        compare, or one for each slide where ``slide_key`` is given.
    {slide_key} {table_key} {coordinate_system} {write}

    Returns
    -------
    Nothing. Writes ``layers["phg2st_lognorm"]`` (n_obs, n_vars) float32, sparse where the counts are, and
    ``uns["phg2st_lognorm"]``, the recipe. Spots without counts become zeros, with a warning.

    Raises
    ------
    KeyError
        The layer does not exist.
    ValueError
        A measured spot holds a value that is negative, NaN, infinite or not an integer; ``target_sum`` is not above 0;
        no spot has counts; a layer of that name is there and was not written by this function.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import phg2st_sc as phg2st
    >>> a = anndata.AnnData(np.array([[1, 3], [2, 2], [5, 3]], dtype="float32"))
    >>> a.obsm["spatial"] = np.array([[0.0, 0], [1, 0], [0, 1]])
    >>> phg2st.pp.normalize(a, target_sum=4)
    >>> np.expm1(a.layers["phg2st_lognorm"]).round(2)[2].tolist()
    [2.5, 1.5]
    """
    if target_sum is not None:
        check_target_sum(target_sum)
    reading = Reading.among(locals())
    slides = reading.open(data)
    target = slides[0].table
    gene_columns(target, None)
    reading.say_no_genes(slides)
    source = open_source(target, reading.layer)
    genes = is_gene(source.var, reading.gex_only)
    rows = np.arange(target.n_obs)
    matrix = source.rows(rows)
    missing = _all_nan(matrix, genes) | is_target(target)
    groups = [slide.rows for slide in slides] if slide_key is not None else [rows]
    totals = _totals(matrix, source, target, [group[~missing[group]] for group in groups], genes)
    sums = _target_sums(totals, groups, target_sum)
    _warn_of_empty(target, totals)
    recipe: dict[str, Any] = {
        "formula": "log1p(target_sum * count / total)",
        _keys.TARGET_SUM: np.array([float(sums[group[0]]) for group in groups]),
        "target_sum_from": "argument" if target_sum is not None else "median total of the spots with counts",
        "counts_layer": reading.layer or _keys.X,
        "n_genes": int(genes.sum()),
        "n_rows_without_measurement": int(missing.sum()),
    }
    lacking = np.zeros((len(groups), len(genes)), dtype=bool)
    if slide_key is not None:
        recipe["slides"] = np.array([slide.name for slide in slides], dtype=object)
        lacking = _lacking(matrix, totals, groups, genes)
        _warn_of_lacking([slide.name for slide in slides], lacking, source, sparse_counts=sparse.issparse(matrix))
    columns = source.columns(target)
    if columns is not None:
        matrix, genes, lacking = matrix[:, columns], genes[columns], lacking[:, columns]
    layer = _lognorm(matrix, totals, sums, genes)
    if not sparse.issparse(layer):
        for group, never in zip(groups, lacking, strict=True):
            layer[np.ix_(group, never)] = np.nan
    update = SlotUpdate(layers={_keys.LOGNORM: layer}, uns={_keys.LOGNORM: recipe}, owner=_OWNER)
    write_slots(data, target, update, write=write)


def _all_nan(matrix: Matrix, genes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows are NaN in every gene."""
    if matrix.dtype.kind != "f" or not genes.any():
        return np.zeros(matrix.shape[0], dtype=bool)
    if sparse.issparse(matrix):
        gaps = np.isnan(matrix.data) & genes[matrix.indices]
        per_row = np.add.reduceat(np.append(gaps, False), matrix.indptr[:-1], dtype=np.int64)
        per_row[np.diff(matrix.indptr) == 0] = 0
        return per_row == genes.sum()
    step = _BLOCK_ROWS
    parts = [np.isnan(matrix[i : i + step][:, genes]).all(axis=1) for i in range(0, matrix.shape[0], step)]
    return np.concatenate(parts)


def _totals(
    matrix: Matrix, source: Source, table: AnnData, parts: list[NDArray[np.int64]], genes: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Total of each measured row over the genes that its slide measured; NaN elsewhere."""
    totals = np.full(matrix.shape[0], np.nan)
    for part in parts:
        # what is checked may be changed, and a gap is to stay one
        seen = matrix if len(part) == len(totals) and genes.all() and not _has_gaps(matrix) else matrix[part]
        clear_columns(seen, ~genes)
        check_counts(seen, source, table, part)
        totals[part] = row_totals(seen)
    return totals


def _has_gaps(matrix: Matrix) -> bool:
    values = matrix.data if sparse.issparse(matrix) else matrix
    return values.dtype.kind == "f" and bool(np.isnan(values).any())


def _target_sums(
    totals: NDArray[np.float64], groups: list[NDArray[np.int64]], target_sum: float | None
) -> NDArray[np.float64]:
    if not (totals > 0).any():
        raise ValueError("No spot has a single count: check `counts_layer=`.")
    sums = np.full(totals.shape, np.nan)
    for group in groups:
        counted = totals[group][totals[group] > 0]
        sums[group] = target_sum if target_sum is not None else (np.median(counted) if counted.size else 1.0)
    return sums


def _warn_of_empty(table: AnnData, totals: NDArray[np.float64]) -> None:
    empty = totals == 0
    if empty.any():
        warn_user(f"{int(empty.sum())} spots have no counts at all and become zeros: {quoted(table.obs_names[empty])}.")


def _lacking(
    matrix: Matrix, totals: NDArray[np.float64], groups: list[NDArray[np.int64]], genes: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(slides, features) genes that the slide never measured, told by the others."""
    measured = [group[np.isfinite(totals[group])] for group in groups]
    sums = np.stack(
        [np.nan_to_num(np.asarray(matrix[rows].sum(axis=0), dtype=np.float64).ravel()) for rows in measured]
    )
    sums[:, ~genes] = 0.0
    return never_measured(sums, [float(totals[rows].sum()) for rows in measured])


def _warn_of_lacking(names: list[str], lacking: NDArray[np.bool_], source: Source, *, sparse_counts: bool) -> None:
    if lacking.any():
        become = "have no entry in the layer, which reads as 0," if sparse_counts else "become NaN"
        warn_user(
            f"Genes without a single count on a slide, of which the other slides lead to expect many, were never measured "
            f"there, and {become} there: {genes_by_slide(names, lacking, source.var.index)}. Joining objects with "
            '`join="inner"` keeps the genes that all slides have.'
        )


def _lognorm(matrix: Matrix, totals: NDArray[np.float64], sums: NDArray[np.float64], genes: NDArray[np.bool_]) -> Any:
    factor = np.where(totals == 0, 0.0, sums / np.where(totals == 0, 1.0, totals))
    if sparse.issparse(matrix):
        clear_columns(matrix, ~genes)
        values = np.log1p(matrix.data * np.repeat(factor, np.diff(matrix.indptr))).astype(np.float32)
        layer = type(matrix)((values, matrix.indices, matrix.indptr), shape=matrix.shape)
        if not genes.all():
            layer.eliminate_zeros()
        return layer
    out = np.empty(matrix.shape, dtype=np.float32)
    for start in range(0, len(out), _BLOCK_ROWS):
        part = slice(start, start + _BLOCK_ROWS)
        scaled = matrix[part] * factor[part, None]
        scaled[:, ~genes] = np.nan
        out[part] = np.log1p(scaled)
    return out
