"""Tables that the package makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from anndata import AnnData


def new_table(values: NDArray[Any] | None, like: AnnData, genes: Sequence[str], **slots: Mapping[str, Any]) -> AnnData:
    """Return a table over the spots of another one and some of its genes.

    Parameters
    ----------
    values
        (n_obs, len(genes)), its ``X``.
    like
        The other table, whose names of spots and genes it takes.
    genes
        Which genes.
    **slots
        What else it holds, by slot and key.
    """
    from anndata import AnnData

    made = AnnData(values, obs=like.obs[[]].copy(), var=like.var.loc[list(genes), []].copy())
    for slot, entries in slots.items():
        for key, value in entries.items():
            getattr(made, slot)[key] = value
    return made
