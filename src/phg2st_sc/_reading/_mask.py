"""Which spots were measured: prompt masks in every form a user may hold them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._slide import is_target
from .._text import quoted

if TYPE_CHECKING:
    from anndata import AnnData


def resolve_mask(
    table: AnnData,
    rows: NDArray[np.int64] | None,
    prompt_mask: Any,
    *,
    name: str | None = None,
    allow_zero: bool = False,
    allow_all: bool = False,
) -> NDArray[np.bool_]:
    """Return which of the given rows are prompts.

    Parameters
    ----------
    table
        Table annotating the spots.
    rows
        Rows of ``table`` to answer for, such as the rows of one slide; ``None`` for every row.
    prompt_mask
        Boolean array of length ``table.n_obs``; boolean Series with exactly the names of ``table.obs_names``, in any
        order; name of a boolean ``obs`` column; ``None`` reads ``obs["prompt"]``. True means measured. Strings or
        categories ``"True"`` and ``"False"`` are understood too.
    name
        Name of the slide, for messages.
    allow_zero
        Whether a slide without any prompt is fine.
    allow_all
        Whether a slide whose spots are all prompts is fine.

    Returns
    -------
    (len(rows),) boolean array, a copy.

    Raises
    ------
    KeyError
        The ``obs`` column does not exist.
    TypeError
        The mask is not boolean.
    ValueError
        Wrong length or index, missing values, zero prompts, nothing but prompts, or a prompt where no spot was.
    """
    full = full_mask(table, prompt_mask)
    _refuse_targets(table, full)
    mask = full.copy() if rows is None else full[np.asarray(rows, dtype=np.int64)]
    _check_number(mask, "the table" if name is None else f"slide {name!r}", allow_zero=allow_zero, allow_all=allow_all)
    return mask


def full_mask(table: AnnData, prompt_mask: Any) -> NDArray[np.bool_]:
    """Return the mask over every row of the table, however many prompts it holds."""
    if prompt_mask is None or isinstance(prompt_mask, str):
        return _from_column(table, prompt_mask)
    if getattr(prompt_mask, "indexes", None):  # an xarray whose values have names
        prompt_mask = prompt_mask.to_series()
    if isinstance(prompt_mask, pd.Series):
        return _from_series(table, prompt_mask)
    if isinstance(prompt_mask, pd.DataFrame):
        msg = "The prompt mask is a DataFrame: pass one of its columns, e.g. `prompt_mask=frame['prompt']`."
        raise TypeError(msg)
    return _from_array(table, prompt_mask)


def _refuse_targets(table: AnnData, mask: NDArray[np.bool_]) -> None:
    wrong = mask & is_target(table)
    if wrong.any():
        msg = (
            f"The prompt mask marks {int(wrong.sum())} targets as measured ({quoted(table.obs_names[wrong])}), but no spot was "
            f"there: pass `mask & ~data.obs[{_keys.TARGET!r}]`."
        )
        raise ValueError(msg)


def _check_number(mask: NDArray[np.bool_], where: str, *, allow_zero: bool, allow_all: bool) -> None:
    if not mask.any() and not allow_zero:
        msg = (
            f"The prompt mask marks none of the {mask.size} spots of {where} as measured. True means measured: set it "
            "for the spots you have, or draw some with `phg2st_sc.pp.sample_prompts(data)`."
        )
        raise ValueError(msg)
    if mask.size and mask.all() and not allow_all:
        msg = (
            f"The prompt mask marks all {mask.size} spots of {where} as measured, so that nothing is left to predict. "
            "True means measured: set it to False where expression is to be predicted (was the mask inverted?)."
        )
        raise ValueError(msg)


def _from_column(table: AnnData, column: str | None) -> NDArray[np.bool_]:
    key = _keys.PROMPT if column is None else column
    if key in table.obs:
        return _as_bool(table.obs[key], f"obs[{key!r}]", f"data.obs[{key!r}]")
    if column is None:
        msg = (
            f"There is no obs[{key!r}] that says which spots were measured. Draw prompts with "
            "`phg2st_sc.pp.sample_prompts(data)`, or pass `prompt_mask=`: a boolean array, a Series, or a column name."
        )
        if _keys.TARGET in table.obs:
            msg += f" Where every spot was measured, that is `~data.obs[{_keys.TARGET!r}]`."
        raise KeyError(msg)
    boolean = [str(c) for c in table.obs.columns if pd.api.types.is_bool_dtype(table.obs[c].dtype)]
    msg = f"There is no obs[{key!r}] to read the prompt mask from. Boolean columns of obs: {boolean or 'none'}."
    raise KeyError(msg)


def _from_series(table: AnnData, series: pd.Series) -> NDArray[np.bool_]:
    values = _as_bool(series, "The prompt mask", "mask")
    index = _as_names(series.index, table.obs_names)
    if not index.is_unique:
        msg = (
            f"The index of the prompt mask names spots more than once ({quoted(index[index.duplicated()])}): "
            "keep one row each, e.g. `mask[~mask.index.duplicated()]`."
        )
        raise ValueError(msg)
    missing, extra = table.obs_names.difference(index), index.difference(table.obs_names)
    if len(missing) or len(extra):
        parts = [f"{len(missing)} spots are missing ({quoted(missing)})"] if len(missing) else []
        parts += [f"{len(extra)} names are no spots ({quoted(extra)})"] if len(extra) else []
        msg = (
            f"The index of the prompt mask does not fit obs_names: {' and '.join(parts)}. Align it first, e.g. "
            "`mask.reindex(data.obs_names, fill_value=False)`, or pass a plain array if it is in the order of the rows."
        )
        raise ValueError(msg)
    return values[index.get_indexer(table.obs_names)]


def _as_names(index: pd.Index, names: pd.Index) -> pd.Index:
    """The index as text, where it holds numbers that are names only so: AnnData turns 0, 1, ... into "0", "1", ..."""
    if pd.api.types.is_integer_dtype(index.dtype) and index.astype(str).isin(names).all():
        return index.astype(str)
    return index


def _from_array(table: AnnData, mask: Any) -> NDArray[np.bool_]:
    if isinstance(mask, (set, frozenset, dict)) or callable(mask):
        msg = (
            f"The prompt mask is a {type(mask).__name__}: pass a boolean array over the rows, a boolean Series indexed "
            "by obs_names, or the name of a boolean obs column."
        )
        raise TypeError(msg)
    if sparse.issparse(mask) and 1 in mask.shape:
        mask = mask.toarray().ravel()
    if isinstance(mask, np.ma.MaskedArray):
        mask = _with_gaps(mask)
    extension = isinstance(mask, pd.api.extensions.ExtensionArray)
    values = _as_bool(pd.Series(mask) if extension else np.asarray(mask), "The prompt mask", "mask")
    if values.ndim != 1:
        msg = f"The prompt mask has shape {values.shape}: one value for each of the {table.n_obs} rows is expected."
        raise ValueError(msg)
    if values.size != table.n_obs:
        msg = (
            f"The prompt mask has {values.size} values, but the table has {table.n_obs} rows. Pass one value for each "
            "row of the whole table (of all its slides), or a Series indexed by obs_names."
        )
        raise ValueError(msg)
    return values.copy()


def _with_gaps(mask: Any) -> NDArray[Any]:
    """Values of a masked array, ``None`` where they are masked."""
    if not np.ma.is_masked(mask):
        return np.asarray(mask)
    values = np.asarray(mask.data, dtype=object).copy()
    values[np.ma.getmaskarray(mask)] = None
    return values


def _as_bool(values: Any, what: str, code: str) -> NDArray[np.bool_]:
    """Accept bool, nullable boolean without gaps, and objects, strings or categories that are all true or false.

    Explains how to convert the rest.
    """
    if values.dtype == np.bool_:
        return np.asarray(values)
    given, values = values, _spelled_out(values)
    gaps = np.asarray(pd.isna(values))
    if pd.api.types.is_bool_dtype(values.dtype) or values.dtype == object:
        known = np.asarray(values[~gaps], dtype=object)
        if all(isinstance(value, (bool, np.bool_)) for value in known.ravel()):
            if gaps.any():
                mend = _fill(given, code, words=values is not given)
                msg = (
                    f"{what} has {int(gaps.sum())} missing values: say whether those spots were measured, and pass "
                    f"that as `prompt_mask=`, e.g. {mend}."
                )
                raise ValueError(msg)
            return np.asarray(values, dtype=bool)
    raise TypeError(f"{what} is of dtype {values.dtype}, not bool: {_mend(values, code)}")


def _fill(values: Any, code: str, *, words: bool) -> str:
    """How to say that gaps were not measured; of words, all that are not empty would become True by `astype`."""
    series = isinstance(values, pd.Series)
    start = code if series else f"pandas.Series({code})"
    mend = f"({start}.astype(str).str.lower() == 'true')" if words else f"{start}.fillna(False).astype(bool)"
    return f"`{mend if series else mend + '.to_numpy()'}`"


def _spelled_out(values: Any) -> Any:
    """Categories or strings that say nothing but True and False (as plots want them), as the booleans they stand for."""
    if not (
        isinstance(values.dtype, pd.CategoricalDtype)
        or values.dtype == object
        or pd.api.types.is_string_dtype(values.dtype)
    ):
        return values
    series = pd.Series(np.asarray(values, dtype=object).ravel())
    known = series[~series.isna()]
    words = known.astype(str).str.lower()
    if known.map(lambda value: isinstance(value, (bool, np.bool_))).all() and values.dtype == object:
        return values
    if known.empty or np.ndim(values) != 1 or not words.isin(("true", "false")).all():
        return values
    truth = words.eq("true").reindex(series.index).astype(object)
    return truth.where(~series.isna(), None).to_numpy(dtype=object)


def _mend(values: Any, code: str) -> str:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        first = dtype.categories[-1] if len(dtype.categories) else True
        return f"compare it with the category that means measured, e.g. `{code} == {_plain(first)!r}`."
    if pd.api.types.is_integer_dtype(dtype):
        if set(np.unique(np.asarray(values))) <= {0, 1}:
            return f"if 1 means measured, pass `{code}.astype(bool)`."
        if isinstance(values, pd.Series):
            return f"pass the comparison that means measured, e.g. `{code} > 0`."
        return "if these are row numbers, pass `numpy.isin(numpy.arange(data.n_obs), rows)`."
    if pd.api.types.is_float_dtype(dtype):
        return f"pass the comparison that means measured, e.g. `{code} > 0.5`."
    if isinstance(values, pd.Series):
        held = sorted(values.dropna().unique(), key=str)
        return f"pass the comparison that means measured, e.g. `{code} == {_plain(held[-1]) if held else 'yes'!r}`."
    return "if these are names of spots, pass `data.obs_names.isin(names)`."


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
