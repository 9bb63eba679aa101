"""Between what bounds rates and counts are expected, from the standard deviation that ``tl.impute(uncertainty=True)`` kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._checks import is_positive
from .._docs import documented
from .._reading import Reading, check_gene_names
from .._row_blocks import block_rows
from .._slide import Slide, new_table, numbers, spots_table
from .._text import quoted
from .._warn import one_message_per_fault
from ..uncertainty import Curves, count_interval, rate_interval
from ._assessed import reasons_untold
from ._stored import Stored, find_layer, pitch_kept, reading_kept, stored, table_with_prediction

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

Array = NDArray[np.float64]
_AGAIN = "predict with it, `phg2st_sc.tl.impute(data, key_added={!r}, uncertainty=True)`."


@one_message_per_fault
@documented
def intervals(
    data: AnnData | SpatialData,
    *,
    level: float = 0.9,
    kind: Literal["rate", "count"] = "rate",
    depth: Any = None,
    genes: Sequence[str] | None = None,
    layer: str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
) -> AnnData:
    """Bounds between which the rate of a gene at a spot, or the count that a spot would show, is expected.

    Nothing is predicted again: any number of levels can be asked for.

    Parameters
    ----------
    {data}
        :func:`phg2st_sc.tl.impute` was run on it with ``uncertainty=True``.
    level
        Share of the truths that are to lie between the bounds, above 0 and below 1.
    kind
        ``"rate"``: of the rate of the spot, on the scale of the prediction, log1p(s * rate). ``"count"``: of what it would
        show if it was measured; wider, as counting noise is in it.
    depth
        Total count of the spots, over all genes, with ``kind="count"``: a number, one for every spot, or a column of ``obs``.
        ``None``: that of the median prompt of the slide.
    genes
        Which of the predicted genes. ``None``: all.
    layer
        Name of the prediction, its ``key_added``. ``None``: ``"phg2st"``, or the only one there is.
    {slide_key} {table_key} {coordinate_system}

    Returns
    -------
    An object over the same spots and the genes, with ``layers["lower"]`` and ``layers["upper"]``, both bounds included, and
    in ``X`` the prediction, or the expected count. NaN where no slide is, and where too few prompts told how large errors are.

    Raises
    ------
    KeyError
        If there is no such prediction, gene or column, or it was made without ``uncertainty=True``.
    ValueError
        If ``level`` is not between 0 and 1, ``kind`` is another word, or ``depth`` is not positive.

    Notes
    -----
    Reads ``layers[layer]``, ``layers["<layer>_std"]`` and ``uns[layer]``; writes nothing. Rates follow a gamma distribution with
    the predicted mean and standard deviation. Counts of such rates, a little overdispersed, follow the negative binomial distribution;
    its quantiles are corrected by where the counts of left-out prompts fell (see :doc:`/guide/uncertainty`).

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, seed=0)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    >>> phg2st.tl.impute(adata, uncertainty=True)
    >>> bounds = phg2st.tl.intervals(adata, level=0.8)
    >>> bool((bounds.layers["lower"] <= bounds.layers["upper"]).all())
    True
    """
    _check(level, kind, depth)
    check_gene_names(genes)
    table_key = table_key or table_with_prediction(data, layer)
    said = Reading.among(locals())
    table = spots_table(data, table_key)
    key = find_layer(table, layer)
    result = stored(table, key)
    _check_told(table, key)
    wanted = _wanted(result, genes)
    lower, middle, upper = (np.full((table.n_obs, len(wanted)), np.nan, dtype=np.float32) for _ in range(3))
    bounds = _Bounds(table, result, wanted, level, _depths(table, depth), lower, middle, upper)
    for slide in _slides(said, data, table, key):
        bounds.fill(slide, kind)
    layers = {_keys.LOWER: lower, _keys.UPPER: upper}
    facts = {"level": level, "kind": kind, _keys.TARGET_SUM: result.record[_keys.TARGET_SUM]}
    return new_table(middle, table, wanted, obs={_keys.PROMPT: result.used}, layers=layers, uns=facts)


@dataclass(frozen=True, eq=False)
class _Bounds:
    """Bounds of the spots of one table, filled slide by slide."""

    table: AnnData
    result: Stored
    genes: Sequence[str]
    level: float
    depth: Array | None
    lower: NDArray[np.float32]
    middle: NDArray[np.float32]
    upper: NDArray[np.float32]

    def fill(self, slide: Slide, kind: str) -> None:
        """Those of a slide, some rows at a time."""
        _check_slide(self.result.record, slide.name, self.result.layer)
        kept = _Kept.of(self.result.record, _keys.slide_entry(slide.name), self.genes)
        if kept is None:
            return
        columns = self.table.var_names.get_indexer([self.genes[number] for number in kept.there])
        step = block_rows(max(len(self.genes), 1))
        for start in range(0, slide.rows.size, step):
            rows = slide.rows[start : start + step]
            rate, std = self._read(rows, columns)
            mean = np.maximum(rate, kept.least)
            if kind == "rate":
                found = [np.log1p(one) for one in (*rate_interval(self.level, mean, std**2, kept.curves), mean)]
            else:
                depth = np.full(rows.size, kept.depth) if self.depth is None else self.depth[rows]
                scale = depth[:, None] / self.result.target_sum(slide)
                found = kept.counts(self.level, mean * scale, std * scale)
            here = np.ix_(rows, kept.there)
            self.lower[here], self.upper[here], self.middle[here] = found

    def _read(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[Array, Array]:
        """Expression before its logarithm, and the standard deviation of that."""
        name = _keys.std(self.result.layer)
        rate, std = (
            numbers(self.table.layers[one], f"layers[{one!r}]", rows)[:, columns].astype(np.float64)
            for one in (self.result.layer, name)
        )
        rate = np.expm1(rate)
        return rate, std * (1.0 + rate)


@dataclass(frozen=True, eq=False)
class _Kept:
    """What was kept of a slide, for the genes that are asked for and that it measured: ``there`` among the asked."""

    there: NDArray[np.int64]
    least: Array
    curves: Curves
    depth: float

    @classmethod
    def of(cls, facts: Mapping[str, Any], entry: str, genes: Sequence[str]) -> _Kept | None:
        """Of the record of a prediction; ``None`` where nothing was kept of the slide."""
        record = facts[_keys.TRUST].get(entry, {}).get(_keys.INTERVALS)
        if record is None:
            return None
        lacking = set(facts.get(_keys.NOT_MEASURED, {}).get(entry, ()))
        order = [str(gene) for gene in facts["genes"] if gene not in lacking]
        place = {gene: number for number, gene in enumerate(order)}
        there = np.array([number for number, gene in enumerate(genes) if gene in place], dtype=np.int64)
        at = np.array([place[genes[number]] for number in there], dtype=np.int64)
        return cls(
            there,
            np.asarray(record["least"], dtype=np.float64)[at],
            Curves(np.asarray(record["curves"], dtype=np.float64)),
            float(record["depth"]),
        )

    def counts(self, level: float, mean: Array, std: Array) -> list[Array]:
        """Bounds of counts, and what they are expected to be."""
        return [*count_interval(level, mean, std**2, self.curves), mean]


def _check_slide(facts: Mapping[str, Any], name: str, key: str) -> None:
    if _keys.slide_entry(name) not in facts[_keys.TRUST]:
        msg = (
            f"Slide {name!r} is none of those that layers[{key!r}] was predicted on ({quoted(facts[_keys.TRUST])}): leave `slide_key` out, or "
            f"{_AGAIN.format(key)}"
        )
        raise ValueError(msg)


def _check(level: Any, kind: Any, depth: Any) -> None:
    if not is_positive(level) or level >= 1:
        msg = f"level={level!r} must be a share above 0 and below 1, e.g. 0.9."
        raise ValueError(msg)
    if kind not in ("rate", "count"):
        msg = f"kind={kind!r} must be 'rate' or 'count'."
        raise ValueError(msg)
    if kind == "rate" and depth is not None:
        raise ValueError("`depth` is of counts: pass kind='count' with it, or leave it out.")


def _check_told(table: AnnData, key: str) -> None:
    told: Mapping[str, Any] = table.uns.get(key, {}).get(_keys.TRUST, {})
    if not told:
        msg = f"layers[{key!r}] was predicted without its uncertainty: {_AGAIN.format(key)}"
        raise KeyError(msg)
    if not any(_keys.INTERVALS in one for one in told.values()) or _keys.std(key) not in table.layers:
        reasons = reasons_untold(table.uns[key])
        msg = (
            f"layers[{_keys.std(key)!r}] is not there. {' '.join(reasons)} Measure more spots, or {_AGAIN.format(key)}"
        )
        raise KeyError(msg)


def _wanted(result: Stored, genes: Sequence[str] | None) -> list[str]:
    if genes is None:
        return result.genes
    missing = [gene for gene in genes if gene not in set(result.genes)]
    if missing:
        msg = f"{len(missing)} of {len(genes)} genes are not among those predicted: {quoted(missing)}."
        raise KeyError(msg)
    return list(genes)


def _depths(table: AnnData, depth: Any) -> Array | None:
    if depth is None:
        return None
    if isinstance(depth, str):
        if depth not in table.obs:
            msg = f"No column {depth!r} in obs with the depth; there are: {quoted(table.obs.columns)}."
            raise KeyError(msg)
        depth = table.obs[depth]
    values = np.asarray(depth, dtype=np.float64)
    if values.shape not in ((), (table.n_obs,)):
        raise ValueError(
            f"`depth` must be one number, or one for each of the {table.n_obs} spots; its shape is {values.shape}."
        )
    values = np.broadcast_to(values, (table.n_obs,))
    if not (values > 0).all():
        raise ValueError("`depth` must be above 0 at every spot: it is the total count of a spot.")
    return values


def _slides(said: Reading, data: Any, table: AnnData, key: str) -> list[Slide]:
    reading = said.after(reading_kept(table, key), data, of="The prediction was made")
    return replace(reading, kept_pitch=pitch_kept(table, key)).slides(data)
