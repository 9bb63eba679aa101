"""Genes whose prediction can be relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import _keys
from .._docs import documented
from .._slide import spots_table
from ..uncertainty import chances_below, discoveries
from ._assessed import reasons_untold
from ._stored import find_layer, table_with_prediction

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@documented
def reliable_genes(
    data: AnnData | SpatialData,
    *,
    fdr: float = 0.1,
    above: float = 0.0,
    layer: str | None = None,
    table_key: str | None = None,
) -> pd.DataFrame:
    """Genes whose prediction can be expected to go with what was not measured, at a false discovery rate.

    Parameters
    ----------
    {data}
        :func:`phg2st_sc.tl.impute` was run on it with ``uncertainty=True``.
    fdr
        Share of the returned genes that may be wrong on average, above 0 and below 1.
    above
        Correlation that has to be exceeded, at least 0 and below 1.
    layer
        Prediction, the ``key_added`` of :func:`phg2st_sc.tl.impute`. ``None``: ``"phg2st"``, or the only prediction there is.
    {table_key}

    Returns
    -------
    One row per gene, the surest first: ``trust``, the correlation that is expected where nothing was measured; ``trust_se``, its
    standard error; ``wrong``, the chance that it is no more than ``above``. The index are names of genes. Of several slides
    these are means over the slides.

    Raises
    ------
    KeyError
        If there is no such prediction, or it was made without ``uncertainty=True``, or from too few prompts to tell.
    ValueError
        If ``fdr`` or ``above`` is no such number.

    Notes
    -----
    Reads ``var["<layer>_trust"]``, ``var["<layer>_trust_se"]`` and ``var["<layer>_trust_null"]``; writes nothing. The list is the
    longest one whose mean ``wrong`` is at most ``fdr`` (Newton et al., Biostatistics 5:155, 2004). Few prompts make it
    short: that a gene is not in it says that the prompts do not show it, not that its prediction is bad.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=200, n_genes=60, image=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.3)
    >>> phg2st.tl.impute(adata, uncertainty=True)
    >>> reliable = phg2st.tl.reliable_genes(adata, fdr=0.1)
    >>> bool(reliable["wrong"].mean() <= 0.1)
    True
    """
    if not 0 < fdr < 1:
        raise ValueError(f"`fdr` must be a number above 0 and below 1, not {fdr!r}.")
    if not 0 <= above < 1:
        raise ValueError(f"`above` must be a correlation of at least 0 and below 1, not {above!r}.")
    table = spots_table(data, table_key or table_with_prediction(data, layer))
    key = find_layer(table, layer)
    names = [_keys.assessed(key, name) for name in (_keys.TRUST, _keys.TRUST_SE, _keys.TRUST_NULL)]
    missing = [name for name in names if name not in table.var]
    if missing:
        reasons = reasons_untold(table.uns.get(key, {}))
        msg = (
            f"var[{missing[0]!r}] is missing: {reasons[0]}"
            if reasons
            else f"var[{missing[0]!r}] is missing: run `phg2st_sc.tl.impute(data, uncertainty=True, key_added={key!r})`; from fewer than 10 "
            "prompts it cannot tell how far genes are to be trusted."
        )
        raise KeyError(msg)
    trust, error, nothing = (table.var[name].to_numpy(dtype=np.float64) for name in names)
    wrong = chances_below(trust, error, nothing, above)
    found = discoveries(wrong, fdr)
    columns = {"trust": trust[found], "trust_se": error[found], "wrong": wrong[found]}
    return pd.DataFrame(columns, index=table.var_names[found])
