"""Expression of the genes that are asked for, from a prediction of which scores were kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._docs import documented
from .._progress import part, parts
from .._reading import check_gene_names, full_mask
from .._row_blocks import block_rows
from .._slide import ScatteredRows, new_table, spots_table, write_slots
from .._text import quoted
from .._threads import limited_threads
from .._warn import one_message_per_fault
from ._results import copied, is_table, layers_of, put_table, refuse_early, table_of
from ._scores import Scores, low_rank_in

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@one_message_per_fault
@limited_threads()
@documented
def expand(
    data: AnnData | SpatialData,
    *,
    genes: Sequence[str] | None = None,
    key: str | None = None,
    key_added: str | None = None,
    table_key: str | None = None,
    copy: bool = False,
    write: bool | Literal["table"] = False,
    progress: bool | None = None,
) -> Any:
    """Make a layer of some genes from what ``tl.impute(low_rank=)`` kept.

    Parameters
    ----------
    {data}
        With the scores that :func:`phg2st_sc.tl.impute` left there.
    genes
        Which genes. ``None``: all that were predicted and that the object has.
    key
        Name of the prediction, its ``key_added``. ``None``: ``"phg2st"``, or the only one there is.
    key_added
        Name of the layer or table. ``None``: that of the prediction.
    {table_key} {copy} {write:predicted}

        ``"table"``: put the genes into a table of their own. Of a SpatialData it is named ``key_added``, and saved too where
        there is a store; of an AnnData it is returned, and ``data`` stays as it is.
    {progress:long}

    Returns
    -------
    ``None``, or the copy. With ``write="table"`` the table of an AnnData.

    Raises
    ------
    KeyError
        If there is no such prediction, a part of it is missing, or it lacks some of the genes.
    ValueError
        If scores and components do not belong together, as after joining objects; ``data`` is a view; or ``key_added`` names
        a slot that something else wrote. Nothing is changed then.

    Notes
    -----
    Reads ``obsm["<key>_scores"]``, ``obs["<key>_factor"]``, ``obs["<key>_components"]`` and ``uns[key]``. Writes what
    :func:`phg2st_sc.tl.impute` writes; the scores stay. Spots may be left out or put in another order before, genes too.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, seed=0)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    >>> phg2st.tl.impute(adata, low_rank=16)
    >>> phg2st.tl.expand(adata, genes=list(adata.var_names[:3]), write="table").shape
    (120, 3)
    """
    check_gene_names(genes)
    data = copied(data) if copy and not (write == "table" and is_table(data)) else data
    table = spots_table(data, table_key)
    key = _find(table) if key is None else key
    scores = Scores.of(table, key)
    name = key if key_added is None else key_added
    if write != "table":
        refuse_early(data, name, write)
    done = _Expanded(table, key, scores, _wanted(table, scores, genes), kept_here=name == key)
    with parts(progress):
        if write == "table":
            return put_table(data, done, table_of(data, done), name, copy)
        write_slots(data, table, layers_of(done, name, write=bool(write)), write=bool(write))
    return data if copy else None


@dataclass(frozen=True, eq=False)
class _Expanded:
    """Some genes of a low-rank prediction."""

    table: AnnData
    key: str
    scores: Scores
    genes: list[str]
    kept_here: bool

    @property
    def mask(self) -> NDArray[np.bool_]:
        return full_mask(self.table, _keys.used_prompts(self.key))

    @property
    def columns(self) -> NDArray[np.int64]:
        return np.asarray(self.table.var_names.get_indexer(self.genes), dtype=np.int64)

    def mean(self) -> ScatteredRows:
        return ScatteredRows((self.table.n_obs, len(self.genes)), np.arange(len(self.genes)), self._pieces)

    def layer(self) -> ScatteredRows:
        return ScatteredRows(self.table.shape, self.columns, self._pieces)

    def layers_beside(self) -> dict[str, ScatteredRows]:
        return {}

    def assessed(self) -> None:
        return None

    def facts(self) -> dict[str, Any]:
        facts = {name: value for name, value in self.table.uns[self.key].items() if name != _keys.LOW_RANK}
        if self.kept_here:
            facts[_keys.LOW_RANK] = self.table.uns[self.key][_keys.LOW_RANK]
        return {**facts, "genes": np.array(self.genes, dtype=object)}

    def as_table(self, *, values: bool = True) -> AnnData:
        places = {_keys.SPATIAL: self.table.obsm[_keys.SPATIAL]} if _keys.SPATIAL in self.table.obsm else {}
        facts = {name: value for name, value in self.facts().items() if name != _keys.LOW_RANK}
        whole = self.mean().whole() if values else None
        return new_table(whole, self.table, self.genes, obs={_keys.PROMPT: self.mask}, obsm=places, uns=facts)

    def _pieces(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        genes = np.asarray(self.scores.genes.get_indexer(pd.Index(self.genes)), dtype=np.int64)
        n, step = self.table.n_obs, block_rows(max(genes.size, 1))
        for start in part(range(0, n, step), desc="expand", unit="block"):
            rows = slice(start, min(start + step, n))
            yield np.arange(rows.start, rows.stop), self.scores.at(rows, genes)


def _find(table: AnnData) -> str:
    found = low_rank_in(table)
    return found[0] if len(found) == 1 and _keys.DEFAULT_RESULT not in found else _keys.DEFAULT_RESULT


def _wanted(table: AnnData, scores: Scores, genes: Sequence[str] | None) -> list[str]:
    if genes is None:
        shown = [gene for gene in scores.genes if gene in table.var_names]
        if not shown:
            msg = f"The object has none of the {len(scores.genes)} predicted genes, {quoted(scores.genes)}."
            raise ValueError(msg)
        return shown
    for missing, where in (
        ([gene for gene in genes if gene not in scores.genes], f"not among the {len(scores.genes)} predicted genes"),
        ([gene for gene in genes if gene not in table.var_names], "not in var_names"),
    ):
        if missing:
            msg = f"{len(missing)} of {len(genes)} genes are {where}: {quoted(missing)}."
            raise KeyError(msg)
    return list(genes)
