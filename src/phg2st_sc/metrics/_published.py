"""The published scoring, kept to show what it does. Never report a number from this module as accuracy.

The published evaluation replaces each label by the mean over its 3 x 3 block of spots *before* the prompts are drawn,
and scores the prompts as well. A prompt then carries the counts of its unmeasured neighbours, and part of the answers
is scored against itself: on pure noise, interpolation reaches a correlation above 0.3. The honest rules are in
:func:`phg2st_sc.metrics.score_section`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._docs import documented
from .._warn import warn_user
from ._correlation import ccc, mae, pcc
from ._targets import (
    RADIUS,
    SHARE_SCALE,
    Counts,
    average,
    dense_counts,
    gene_blocks,
    lognorm_target,
    neighbor_operator,
    predicted_share,
)

_DEPTH = 1e6

PUBLISHED_WARNING = (
    "protocol='published' scores smoothed labels, prompts included: pure noise reaches a correlation above 0.3 under "
    "it. Use it to understand published figures, never to report accuracy; protocol='honest' is the default."
)


@documented
def smooth_published(values: Counts, positions: ArrayLike) -> NDArray[np.float64]:
    """Mean over each spot's 3 x 3 block of spots, **prompts and held-out spots alike: it leaks**.

    For ``protocol="published"`` only: a prompt taken from smoothed values carries the expression of the unmeasured
    spots around it, so whatever is scored afterwards is no held-out score.

    Parameters
    ----------
    values
        (n, G) labels or counts of *all* spots of the slide.
    {positions}
        On a hexagonal lattice the block is the spot and its six neighbours.

    Returns
    -------
    (n, G) float64.

    Raises
    ------
    ValueError
        If ``values`` and ``positions`` are not over the same spots.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import smooth_published
    >>> grid = np.argwhere(np.ones((3, 3)))
    >>> float(smooth_published(np.eye(9), grid)[4, 0])  # the center carries a ninth of its corner
    0.1111111111111111
    """
    dense = dense_counts(values)
    return average(dense, _neighborhoods(dense.shape[0], positions))


@documented
def published_counts(counts: Counts, totals: ArrayLike, positions: ArrayLike) -> NDArray[np.float64]:
    """Whole counts whose log-normalised shares are the smoothed labels, to hand to a method as prompts; **it leaks**.

    For ``protocol="published"`` only, see :func:`smooth_published`. Every spot gets a total near one million, since the
    published methods take their prompts as exact.

    Parameters
    ----------
    {counts}
        Of *all* spots of the slide, over all genes.
    {totals} {positions}

    Returns
    -------
    (n, G) float64 whole numbers.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import published_counts
    >>> grid = np.argwhere(np.ones((3, 3)))
    >>> published_counts(np.full((9, 2), 5), np.full(9, 10), grid)[0].tolist()
    [500000.0, 500000.0]
    """
    labels = smooth_published(lognorm_target(counts, totals, target_sum=SHARE_SCALE), positions)
    return np.rint(_DEPTH / SHARE_SCALE * np.expm1(labels))


@documented
def score_published(
    counts: Counts,
    totals: ArrayLike,
    positions: ArrayLike,
    prediction: ArrayLike,
    target_sum: float,
    prompts: ArrayLike,
    *,
    genes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Score as published: smoothed labels, prompts included; **not a measure of accuracy**.

    Parameters
    ----------
    {counts}
        Of *all* spots of the slide.
    {totals} {positions} {prediction:log} {target_sum}
    prompts
        (n,) bool, True at prompts.
    genes
        G names; default 0, 1, ...

    Returns
    -------
    One row per gene: ``pcc``, ``ccc``, ``mae`` over all spots, and ``pcc_heldout`` over the unprompted ones only,
    which still leaks because their labels were averaged into the prompts. ``.attrs["protocol"]`` is ``"published"``.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Warns
    -----
    UserWarning
        Always.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from phg2st_sc.metrics import score_published
    >>> grid = np.argwhere(np.ones((4, 4)))
    >>> counts = np.stack([grid[:, 0] + 1, 5 - grid[:, 0]], axis=1)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     scores = score_published(counts, counts.sum(1), grid, np.log1p(counts / 6), 1.0, grid[:, 1] == 0)
    >>> scores.attrs["protocol"], bool((scores["pcc"] > 0.9).all())
    ('published', True)
    """
    warn_user(PUBLISHED_WARNING)
    counted = sparse.csc_array(counts) if sparse.issparse(counts) else dense_counts(counts)
    n_spots, n_genes = counted.shape
    operator = _neighborhoods(n_spots, positions)
    heldout, values = ~np.asarray(prompts, dtype=bool), np.asarray(prediction)
    if values.shape != (n_spots, n_genes):
        msg = f"`prediction` must be {(n_spots, n_genes)} (spots, genes), as the counts; it is {values.shape}."
        raise ValueError(msg)
    parts = []
    for block in gene_blocks(n_spots, n_genes):
        labels = average(lognorm_target(counted[:, block], totals, target_sum=SHARE_SCALE), operator)
        predicted = predicted_share(np.asfortranarray(values[:, block]), target_sum)
        columns = {"pcc": pcc(labels, predicted), "pcc_heldout": pcc(labels[heldout], predicted[heldout])}
        parts.append(pd.DataFrame(columns | {"ccc": ccc(labels, predicted), "mae": mae(labels, predicted)}))
    table = pd.concat(parts, ignore_index=True)
    means = {str(name): float(value) for name, value in table.mean().items()}
    table.insert(0, "gene", list(genes) if genes is not None else range(n_genes))
    table.attrs = {"protocol": "published", "n_spots": n_spots, "means": means}
    return table


def _neighborhoods(n_spots: int, positions: ArrayLike) -> sparse.csr_array:
    operator = neighbor_operator(positions, radius=RADIUS)
    if n_spots != operator.shape[0]:
        msg = f"The values are over {n_spots} spots, `positions` over {operator.shape[0]}."
        raise ValueError(msg)
    return operator
