"""How a network was trained: its loss, and its score on what was left out, by epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._docs import documented
from ._style import BLUE, GRAY, RED, finish, legend_above, new_axes

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from ..models import Estimator


@documented
def training(
    model: Estimator | str | os.PathLike[str],
    *,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw the loss of a network by epoch, and its score on the spots that were left out to decide when to stop.

    The dotted line is the epoch that was kept. Of the default model these are the networks that are averaged into it, which are
    trained for a fixed number of epochs.

    Parameters
    ----------
    {model:drawn} {ax} {title} {show} {save}

    Returns
    -------
    Axes of the loss.

    Raises
    ------
    TypeError
        If ``model`` is neither a method nor the name of one.
    ValueError
        If no network was trained.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=20, progress=False)
    >>> phg2st.pp.extract_embeddings(slides, encoder="texture", context=None, progress=False)
    >>> model = phg2st.tl.train(slides, method="stnet", max_epochs=2, progress=False)
    >>> phg2st.pl.training(model).get_xlabel()
    'epoch'
    """
    from matplotlib.ticker import MaxNLocator

    record = _record(model)
    losses, scores = list(record["losses"]), list(record.get("scores", ()))
    axis = new_axes(ax)
    axis.plot(range(1, len(losses) + 1), losses, "-", color=BLUE, linewidth=1.4, label="loss in training")
    axis.set(xlabel="epoch", ylabel="loss")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines["top"].set_visible(False)
    if scores:
        right = axis.twinx()
        right.plot(range(1, len(scores) + 1), scores, "-", color=RED, linewidth=1.4)
        right.set_ylabel("score on what was left out")
        right.spines["top"].set_visible(False)
        axis.plot([], [], color=RED, label="score on what was left out")
    else:
        axis.spines["right"].set_visible(False)
    if record.get("best_epoch") is not None:
        axis.axvline(record["best_epoch"] + 1, color=GRAY, linestyle=":", linewidth=1.2, label="epoch that was kept")
    legend_above(axis, title)
    finish(axis, save=save, show=show)
    return axis


def _record(model: Any) -> Mapping[str, Any]:
    """What the card of a model says of its training."""
    from ..models import Estimator, load

    if isinstance(model, (str, os.PathLike)):
        model = load(model)
    if not isinstance(model, Estimator):
        msg = f"`model` is what `phg2st_sc.tl.train` returned, or where it was saved, not {type(model).__name__}."
        raise TypeError(msg)
    for record in (model.card.get("training"), model.card):
        if record and len(record.get("losses", ())):
            return record
    msg = (
        f"No network was trained in this {model.name!r}: only networks have epochs. Train one, "
        "`phg2st_sc.tl.train(adatas, method='phg2st_paper')`, or the default on slides with images."
    )
    raise ValueError(msg)
