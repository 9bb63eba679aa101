"""Run the package on objects drawn at random: right shapes and values, or an error that is a sentence; nothing of the user changed.

python benchmarks/reliability/objects.py --count 10000 --seed 0 --out failures.txt
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, seed, settings
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parent))  # so that a test, too, can import what is beside
from _generated import Case, Made, cases, make

import phg2st_sc as phg2st

PACKAGE = str(Path(phg2st.__file__).parent)
CHUNK = 250
ERRORS = (ValueError, KeyError, TypeError)
OF_LIBRARIES = ("anndata", "spatialdata", "ImplicitModification", "zarr", "dask", "Transforming to str index")


class Fault(AssertionError):
    """What should not have happened."""


def check_case(case: Case) -> Counter[str]:
    """Put the object of a case through the package; what came of each step, or :class:`Fault`."""
    came: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = make(case)
        except Exception:  # noqa: BLE001 - what anndata itself refuses is no object
            return Counter({"not an object": 1})
    data, given = made.data, {k: made.settings[k] for k in ("counts_layer", "slide_key") if k in made.settings}
    slide = {key: value for key, value in given.items() if key == "slide_key"}
    before = contents(_table(data))
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("normalize", lambda: phg2st.pp.normalize(data, **given)),
        ("sample_prompts", lambda: phg2st.pp.sample_prompts(data, key_added="drawn", fraction=0.4, **slide)),
        ("build_hypergraph", lambda: phg2st.pp.build_hypergraph(data, builder="position", n_neighbors=3, **slide)),
        ("impute", lambda: phg2st.tl.impute(data, prompt_mask=made.mask, key_added="done", **made.settings)),
    ]
    for name, step in steps:
        value = attempt(step, case)
        came[f"{name}: {_word(value)}"] += 1
        compare(before, contents(_table(data)), f"after {name}")
    predicted = attempt(lambda: phg2st.tl.predict(data, prompt_mask=made.mask, **made.settings), case)
    came[f"predict: {_word(predicted)}"] += 1
    if not isinstance(predicted, Exception):
        check_prediction(case, made, predicted, imputed=came["impute: done"] > 0)
        value = attempt(lambda: phg2st.tl.evaluate(data, layer="done", n_splits=1, **slide), case)
        came[f"evaluate: {_word(value)}"] += 1
        if isinstance(value, pd.DataFrame):
            check_scores(value)
        if case.targets and not case.view:
            came[f"add_targets: {check_targets(case, made, slide)}"] += 1
    compare(before, contents(_table(data)), "at the end")
    return came


def attempt(call: Callable[[], Any], case: Case) -> Any:
    """What a call returns, or the error that it says in a sentence of its own; :class:`Fault` for any other."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = call()
        except ERRORS as error:
            _check_error(error)
            value = error
        except Exception as error:
            raise Fault(f"{type(error).__name__}: {error}\n{traceback.format_exc()}") from error
    said = Counter(str(one.message) for one in caught if not any(word in str(one.message) for word in OF_LIBRARIES))
    for one in caught:
        mine = one.filename.startswith(PACKAGE)
        if issubclass(one.category, RuntimeWarning) or (mine and issubclass(one.category, UserWarning)):
            raise Fault(f"{one.category.__name__} at {one.filename}:{one.lineno}: {one.message}")
    twice = [message for message, n in said.items() if n > 1]
    if twice:
        raise Fault(f"said more than once: {twice[0]}")
    return value


def _check_error(error: Exception) -> None:
    message = str(error.args[0]) if error.args else ""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames[-1].filename.startswith(PACKAGE):
        where = "".join(traceback.format_tb(error.__traceback__)[-3:])
        raise Fault(f"an error of a library, {type(error).__name__}: {message}\n{where}") from error
    # a sentence starts with a capital, a number, a quote or the name of what is wrong, such as obs["prompt"] or n=3
    starts = message[:1].isupper() or message[:1] in "`'\"0123456789" or re.match(r"[A-Za-z_]\w*( |=|\[)", message)
    if len(message) < 20 or not starts:
        raise Fault(f"no sentence: {message!r}") from error
    if message[-1:] not in ".?)":
        raise Fault(f"no stop: {message!r}") from error


def check_prediction(case: Case, made: Made, predicted: Any, *, imputed: bool) -> None:
    """Shape, finiteness, the mask that is stored, the same bits again, and rows that must not matter."""
    table = _table(made.data)
    unknown = {k: list(v) for k, v in predicted.uns.get("not_measured", {}).items()}
    values = np.asarray(predicted.X)
    if values.shape != (table.n_obs, predicted.n_vars) or values.dtype != np.float32:
        raise Fault(f"prediction of shape {values.shape} and dtype {values.dtype}")
    gaps = np.isnan(values)
    if not unknown and not np.isfinite(values).all():
        raise Fault("the prediction is not finite")
    for name in predicted.var_names[gaps.any(axis=0)]:
        if not any(name in genes for genes in unknown.values()):
            raise Fault(f"gene {name!r} has gaps, and no slide lacks it")
    if predicted.obs["prompt"].dtype != bool or (predicted.obs["prompt"].to_numpy() != made.measured).any():
        raise Fault("the stored mask is another one")
    if case.target_sum is None and not np.isclose(predicted.uns["target_sum"], median_total(made), rtol=1e-6):
        raise Fault(f"the scale is {predicted.uns['target_sum']}, and the median total {median_total(made)}")
    if imputed:
        _check_layer(table, predicted, values)
    for what, other in {
        "noise in rows that were not measured": {"noise": True},
        "the same in a dense array": {"plain": True},
    }.items():
        same = make(case, **other)
        again = attempt(lambda o=same: phg2st.tl.predict(o.data, prompt_mask=o.mask, **o.settings), case)
        if isinstance(again, Exception):
            raise Fault(f"{what}: {again!r}") from again
        if np.asarray(again.X).tobytes() != values.tobytes():
            raise Fault(f"{what}: other bits")


def _check_layer(table: Any, predicted: Any, values: np.ndarray) -> None:
    """What ``impute`` wrote is what ``predict`` returns."""
    layer = np.asarray(table.layers["done"])
    columns = table.var["done_predicted"].to_numpy()
    if not np.array_equal(layer[:, columns], values, equal_nan=True) or not np.isnan(layer[:, ~columns]).all():
        raise Fault("impute and predict differ")
    if list(table.var_names[columns]) != sorted(predicted.var_names, key=list(table.var_names).index):
        raise Fault("other genes are marked than were predicted")


def median_total(made: Made) -> float:
    """Median total of the prompts over what is a gene, counted in another way than the package does."""
    source = made.table
    layer = made.settings.get("counts_layer")
    values, var = (
        (source.raw.X, source.raw.var) if layer == "raw" else (source.layers[layer] if layer else source.X, source.var)
    )
    prompts = values[np.flatnonzero(made.measured)]
    dense = np.asarray(prompts.toarray() if sparse.issparse(prompts) else prompts).astype(np.float64)
    genes = ~var.index.isin(["NegPrb1", "Blank-1"])
    if "feature_types" in var:
        genes &= (var["feature_types"] == "Gene Expression").to_numpy()
    totals = np.nansum(dense[:, genes], axis=1)
    return float(np.median(totals[totals > 0]))


def check_scores(scores: pd.DataFrame) -> None:
    """Correlations are correlations."""
    for column in ("pcc", "spearman"):
        known = scores[column].dropna() if column in scores else pd.Series(dtype=float)
        if (known.abs() > 1 + 1e-6).any():
            raise Fault(f"{column} beyond 1")


def check_targets(case: Case, made: Made, slide: dict[str, Any]) -> str:
    """Places without a spot are predicted too, and never prompts."""
    longer = attempt(lambda: phg2st.pp.add_targets(made.data, region="capture", pitch_um=25.0, mpp=1.0, **slide), case)
    if isinstance(longer, Exception) or made.mask is not None:
        return _word(longer)
    value = attempt(lambda: phg2st.tl.predict(longer, **made.settings), case)
    if not isinstance(value, Exception):
        target = _table(longer).obs["phg2st_target"].to_numpy()
        if value.obs["prompt"].to_numpy()[target].any() or value.n_obs != _table(longer).n_obs:
            raise Fault("targets are prompts, or lost")
    return _word(value)


def contents(table: Any) -> dict[str, Any]:
    """All that a table holds but what the package wrote, copied."""
    ours = ("phg2st_lognorm", "drawn", "phg2st_drawn", "hypergraph", "done")
    out: dict[str, Any] = {"X": _plain(table.X), "raw": None if table.raw is None else _plain(table.raw.X)}
    for slot in ("layers", "obsm", "varm", "obsp", "uns"):
        for key in getattr(table, slot):
            if key is not None and not str(key).startswith(ours):
                out[f"{slot}/{key}"] = _plain(getattr(table, slot)[key])
    for slot in ("obs", "var"):
        frame = getattr(table, slot)
        out[slot] = list(frame.index)
        for column in frame.columns:
            if not str(column).startswith(ours):
                out[f"{slot}/{column}"] = frame[column].copy()
    return out


def _plain(value: Any) -> Any:
    if sparse.issparse(value):
        return (value.format, str(value.dtype), value.indptr.tobytes(), value.indices.tobytes(), value.data.tobytes())
    if isinstance(value, np.ndarray) and value.dtype != object:
        return (value.shape, str(value.dtype), value.tobytes())
    return deepcopy(value)


def compare(before: dict[str, Any], after: dict[str, Any], when: str) -> None:
    """All that was there is there still, to the byte, and nothing else."""
    if set(before) != set(after):
        raise Fault(f"slots {set(before) ^ set(after)} came or went {when}")
    for key, value in before.items():
        now = after[key]
        same = value.equals(now) if isinstance(value, pd.Series) else _same(value, now)
        if not same or (isinstance(value, pd.Series) and value.dtype != now.dtype):
            raise Fault(f"{key} changed {when}")


def _same(value: Any, now: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == set(now) and all(_same(value[key], now[key]) for key in value)
    if isinstance(value, np.ndarray):
        return value.shape == now.shape and all(
            a is b or a == b or (a != a and b != b) for a, b in zip(value.flat, now.flat, strict=True)
        )
    return bool(value == now)


def _table(data: Any) -> Any:
    return data.tables["table"] if hasattr(data, "tables") else data


def _word(value: Any) -> str:
    return "refused" if isinstance(value, Exception) else "done"


def campaign(count: int, first: int, out: Path | None) -> int:
    """Run so many cases; the number of those with a fault."""
    came: Counter[str] = Counter()
    faults: list[str] = []
    kinds: Counter[str] = Counter()
    started, done = time.monotonic(), 0

    def one(case: Case) -> None:
        nonlocal done
        done += 1
        try:
            came.update(check_case(case))
        except Exception as fault:  # noqa: BLE001 - one of the campaign's own is seen, too, and the others go on
            kinds[str(fault).splitlines()[0][:100]] += 1
            faults.append(f"{case}\n{fault}\n")
            if out is not None:
                out.write_text("\n".join(faults))

    quiet = settings(
        max_examples=CHUNK,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for chunk in range(-(-count // CHUNK)):
        seed(first + chunk)(quiet(given(cases())(one)))()
        print(f"{done} objects, {len(faults)} faults, {time.monotonic() - started:.0f} s", flush=True)
    for name, n in sorted(came.items()):
        print(f"  {name}: {n}")
    for name, n in kinds.most_common():
        print(f"  FAULT {n} x {name}")
    print(f"{done} objects: {done - len(faults)} survived, {len(faults)} did not.")
    return len(faults)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first 250; each further 250 have the next one")
    parser.add_argument("--out", type=Path, help="file for the faults")
    options = parser.parse_args()
    sys.exit(1 if campaign(options.count, options.seed, options.out) else 0)


if __name__ == "__main__":
    main()
