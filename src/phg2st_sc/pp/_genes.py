"""Choose the gene panel: genes whose expression varies beyond what sequencing depth explains."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._reading import THETA, Reading, common_genes, rank_genes
from .._slide import Owner, SlotUpdate, is_target, is_true, refuse_foreign, write_slots
from .._text import quoted
from .._warn import one_message_per_fault, warn_user

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide


@renamed_parameters(datas="adatas", n_top="n_top_genes", table="table_key")
@one_message_per_fault
@documented
def select_genes(
    adatas: Any,
    *,
    n_top_genes: int = 1000,
    min_spots: int | None = None,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    patients: Collection[str] | None = None,
    prompt_mask: Any = None,
    slide_key: str | None = None,
    key_added: str = _keys.PANEL,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    write: bool = False,
) -> list[str]:
    """Choose the genes that vary most over space or between spots, depth set aside, in all slides together.

    Within each slide genes are ranked by the variance of their analytic Pearson residuals (negative binomial, theta 100,
    clipped at the square root of the number of spots). Over slides, the genes that are among the first ``n_top_genes`` of most
    slides come first, ties broken by the median of those ranks (the rule of scanpy's
    ``experimental.pp.highly_variable_genes(flavor="pearson_residuals", batch_key=...)``), then by variance, then by name.

    Parameters
    ----------
    {adatas}
        Only genes that all of them have can be chosen.
    n_top_genes
        How many genes to choose.
    min_spots
        In how many of the spots that are read a gene must be detected. ``None``: 1 % of them, at least 3.
    {counts_layer} {gex_only}
    patients
        Read the expression of these patients only, such as those of the training set. The panel is marked in every
        object all the same.
    {prompt_mask:every}
        This is right for training slides; choosing genes on a slide that is to be predicted without a mask leaks what was
        held out (a warning tells where ``obs["prompt"]`` exists). Of several objects a column.
    {slide_key} {table_key} {coordinate_system} {write}
    key_added
        ``var`` column to write.

    Returns
    -------
    The chosen genes, the most variable first. Writes ``var[key_added]``, bool, and ``uns[key_added]``, the genes in order
    and how they were chosen, on every object.

    Raises
    ------
    KeyError
        A patient, layer or mask column does not exist.
    ValueError
        No common gene, none detected often enough, too few spots, values that are no counts, or ``key_added`` names a
        slot that was not written by this function.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import phg2st_sc as phg2st
    >>> counts = np.random.default_rng(0).poisson(5, size=(50, 40))
    >>> counts[:25, 2] *= 3
    >>> a = anndata.AnnData(counts.astype("float32"))
    >>> a.obsm["spatial"] = np.argwhere(np.ones((10, 5))).astype(float)
    >>> phg2st.pp.select_genes(a, n_top_genes=1)
    ['2']
    """
    if isinstance(n_top_genes, bool) or not isinstance(n_top_genes, (int, np.integer)) or n_top_genes < 1:
        raise ValueError(f"n_top_genes={n_top_genes!r} must be an integer of at least 1.")
    reading = Reading.among(locals())
    slides = reading.open_cohort(adatas)
    tables = list({id(slide.table): slide.table for slide in slides}.values())
    owner = Owner((key_added,), ("rule",))
    for each in tables:
        refuse_foreign(each, [("var", key_added), ("uns", key_added)], owner)
    reading.say_no_genes(slides)
    genes = common_genes(tables, reading)
    chosen_slides = _of_patients(slides, patients)
    _check_mask(tables, prompt_mask)
    if prompt_mask is None:
        _warn_of_prompts(chosen_slides)
    ranked = rank_genes(
        reading, chosen_slides, genes, n_top_genes=n_top_genes, min_spots=min_spots, prompt_mask=prompt_mask
    )
    panel = ranked.genes
    record = {
        "genes": np.array(panel, dtype=object),
        "n_top_genes": int(n_top_genes),
        "min_spots": ranked.min_spots,
        "n_spots_read": ranked.n_spots,
        "n_slides_read": ranked.n_slides,
        "counts_layer": reading.layer or _keys.X,
        "prompts_only": prompt_mask is not None,
        "rule": f"variance of Pearson residuals, theta {THETA:g}, ranks combined over slides",
    }
    for each in tables:
        marks = np.asarray(each.var_names.isin(panel))
        update = SlotUpdate(var={key_added: marks}, uns={key_added: dict(record)}, owner=owner)
        write_slots(_holder(adatas, each), each, update, write=write)
    return panel


def _of_patients(slides: list[Slide], patients: Collection[str] | None) -> list[Slide]:
    if patients is None:
        return slides
    wanted = {patients} if isinstance(patients, str) else set(patients)
    known = {slide.patient for slide in slides if slide.patient is not None}
    if unknown := sorted(wanted - known):
        raise KeyError(f"No slide is of patient {quoted(unknown)}. Patients here: {sorted(known) or 'none recorded'}.")
    return [slide for slide in slides if slide.patient in wanted]


def _check_mask(tables: list[AnnData], prompt_mask: Any) -> None:
    if prompt_mask is not None and not isinstance(prompt_mask, str) and len(tables) > 1:
        msg = (
            f"A prompt mask as values fits one object, but {len(tables)} were given: store each mask in its object, "
            "e.g. `data.obs['prompt'] = mask`, and pass the column name."
        )
        raise TypeError(msg)


def _warn_of_prompts(slides: list[Slide]) -> None:
    marked = [
        slide.name
        for slide in slides
        if _keys.PROMPT in slide.table.obs
        and not (is_true(slide.table.obs[_keys.PROMPT]) | is_target(slide.table)).all()
    ]
    if marked:
        warn_user(
            f"Genes are chosen by every spot of {quoted(marked)}, although obs[{_keys.PROMPT!r}] marks only some as measured."
            f" Right for training slides; for a slide to be predicted pass prompt_mask={_keys.PROMPT!r}."
        )


def _holder(adatas: Any, table: AnnData) -> Any:
    """Which of the objects holds a table; the table itself where that is an AnnData."""
    objects = (
        adatas.values() if isinstance(adatas, Mapping) else adatas if isinstance(adatas, (list, tuple)) else [adatas]
    )
    tables = (item for item in objects if hasattr(item, "tables"))
    return next((item for item in tables if any(each is table for each in item.tables.values())), table)
