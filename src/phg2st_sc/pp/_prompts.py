"""Choose which spots count as measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._reading import Reading, full_mask
from .._slide import Owner, SlotUpdate, check_finite_centers, is_target, write_slots
from ..prompts import STRATEGIES, generator_of, number_of_prompts, sample_mask

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from .._slide import Slide


@renamed_parameters(table="table_key")
@documented
def sample_prompts(
    data: AnnData | SpatialData,
    *,
    fraction: float = 0.1,
    n: int | None = None,
    strategy: str = "random",
    within: Any = None,
    key_added: str = _keys.PROMPT,
    seed: int = 0,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    write: bool = False,
) -> None:
    """Draw the spots that count as measured, the same number whatever the seed.

    Expression is not read. To check the predictions of a slide that was measured in part, draw within the measured
    spots: those that are not drawn are held out and can be compared. Each slide is drawn for itself, by a generator that depends on ``seed`` and on the slide's
    name: adding a slide to the object moves no prompt of another. Targets of :func:`phg2st_sc.pp.add_targets` are never drawn.

    Parameters
    ----------
    {data}
    fraction
        Part of each slide's spots (of those within ``within``) to draw, above 0 and below 1; ``round(fraction * n_spots)``
        of them, at least 1.
    n
        How many spots to draw on each slide, instead of ``fraction``.
    {strategy:prompts}
        ``"random"``: anywhere. ``"poisson"``: well spread. ``"grid"``: a regular sub-lattice. ``"squares"``: several small
        squares of about nine spots. ``"block"``: one square region, as a small capture area would give.
    within
        Draw among these spots only, such as the measured ones: a boolean array over the rows, a boolean Series by
        ``obs_names``, or the name of an ``obs`` column. All others become False. A slide with none of them gets no prompt.
    key_added
        ``obs`` column to write.
    {seed} {slide_key} {table_key} {coordinate_system} {write}

    Returns
    -------
    Nothing. Writes ``obs[key_added]``, bool, and ``uns["phg2st_<key_added>"]``, how it was drawn.

    Raises
    ------
    KeyError
        ``within`` names no ``obs`` column.
    TypeError
        ``within`` is not boolean.
    ValueError
        Unknown strategy; ``fraction``, ``n`` or ``seed`` out of range; no spot left to predict; ``within`` holds no spot,
        or does not fit the rows; ``obs[key_added]`` exists and was not drawn by this function.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import phg2st_sc as phg2st
    >>> a = anndata.AnnData(np.ones((100, 3), dtype="float32"))
    >>> a.obsm["spatial"] = np.argwhere(np.ones((10, 10))) * 100.0
    >>> phg2st.pp.sample_prompts(a, fraction=0.2, strategy="poisson", seed=1)
    >>> int(a.obs["prompt"].sum())
    20

    Of a slide measured in part, use a half of the measured spots, and hold the rest of them out:

    >>> a.obs["measured"] = a.obsm["spatial"][:, 0] < 400
    >>> phg2st.pp.sample_prompts(a, fraction=0.5, within="measured")
    >>> int(a.obs["prompt"].sum()), bool(a.obs["measured"][a.obs["prompt"]].all())
    (20, True)
    """
    STRATEGIES[strategy]
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed={seed!r} must be an integer of at least 0.")
    reading = Reading.among(locals())
    slides = reading.open(data)
    target = slides[0].table
    _refuse_to_overwrite(target, key_added)
    allowed = _allowed(target, within)
    open_to = [allowed[slide.rows] for slide in slides]
    numbers = [
        number_of_prompts(int(these.sum()), fraction=fraction, n=n, name=_named(slide, within)) if these.any() else 0
        for slide, these in zip(slides, open_to, strict=True)
    ]
    mask = np.zeros(target.n_obs, dtype=bool)
    for slide, these, number in zip(slides, open_to, numbers, strict=True):
        if number:
            check_finite_centers(slide, these)
            drawn = sample_mask(slide.positions[these], number, strategy, generator_of(seed, slide.name))
            mask[slide.rows[these]] = drawn
    record: dict[str, Any] = {
        "strategy": strategy,
        "seed": int(seed),
        "asked": f"n={n}" if n is not None else f"fraction={float(fraction)}",
        "slides": np.array([slide.name for slide in slides], dtype=object),
        "n_prompts": np.array(numbers, dtype=np.int64),
    }
    if within is not None:
        record["within"] = f"obs[{within!r}]" if isinstance(within, str) else "a mask"
        record["n_within"] = np.array([int(these.sum()) for these in open_to], dtype=np.int64)
    key = _keys.prompt_record(key_added)
    update = SlotUpdate(obs={key_added: mask}, uns={key: record}, owner=Owner((key,), ("strategy",)))
    write_slots(data, target, update, write=write)


def _allowed(table: AnnData, within: Any) -> NDArray[np.bool_]:
    if within is None:
        return ~is_target(table)
    allowed = full_mask(table, within) & ~is_target(table)
    if not allowed.any():
        raise ValueError("`within` marks no spot at all: set it to True for the spots to draw from (was it inverted?).")
    return allowed


def _named(slide: Slide, within: Any) -> str:
    return f"slide {slide.name!r}" if within is None else f"slide {slide.name!r} (those within `within=`)"


def _refuse_to_overwrite(table: AnnData, key: str) -> None:
    record: Any = table.uns.get(_keys.prompt_record(key))
    if key in table.obs and record is None:
        msg = (
            f"obs[{key!r}] exists and was not drawn by `sample_prompts`, so it may hold what you really measured. "
            f"Choose another `key_added=`, or delete it first: `del data.obs[{key!r}]`."
        )
        raise ValueError(msg)
