"""Are results the same whatever an object keeps its values in?

python benchmarks/reliability/forms.py --count 200 --seed 0 --out failures.txt

Each case is a simulated section of random size. Counts, image features, spot centres, prompt mask and marked genes are put into forms drawn at random
(DataFrame with integer columns, sparse, lazy, structured, arrow, words ...), which hold the same values, and the section is predicted: every value
has to be that of plain arrays, to the last bit. Then one value is made unusable (NaN, infinite, complex, a gap in the mask), and the prediction has to end in an
error that names the slot. Exit code 1 where anything fails.
"""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from anndata import AnnData
from scipy import sparse

import phg2st_sc as phg2st

REP = "X_own"
METHODS = ("kriging", "image_ridge", "space_image_kriging", "phg2st")
Form = Callable[[Any, pd.Index], Any]


def _lazy(values: Any) -> Any:
    return da.from_array(values, chunks=(40, values.shape[1]))


ARRAYS: dict[str, Form] = {
    "array": lambda v, _: v,
    "fortran": lambda v, _: np.asfortranarray(v),
    "double": lambda v, _: v.astype(np.float64),
    "objects": lambda v, _: v.astype(object),
    "masked": lambda v, _: np.ma.array(v),
    "csr": lambda v, _: sparse.csr_matrix(v),
    "csc": lambda v, _: sparse.csc_matrix(v),
    "csr array": lambda v, _: sparse.csr_array(v),
    "csc array": lambda v, _: sparse.csc_array(v),
    "dask": lambda v, _: _lazy(v),
    "dask of csr": lambda v, _: _lazy(v).map_blocks(sparse.csr_matrix),
}
ROWS: dict[str, Form] = ARRAYS | {
    "frame": lambda v, names: pd.DataFrame(v, index=names),
    "frame, columns counted down": lambda v, names: pd.DataFrame(v, index=names, columns=np.arange(v.shape[1])[::-1]),
    "nullable frame": lambda v, names: pd.DataFrame(v, index=names).convert_dtypes(),
    "arrow frame": lambda v, names: pd.DataFrame(v, index=names).convert_dtypes(dtype_backend="pyarrow"),
    "structured": lambda v, _: np.rec.fromarrays(v.T, names=[f"f{i}" for i in range(v.shape[1])]),
    "xarray": lambda v, _: xr.DataArray(v, dims=("obs", "feature")),
    "xarray by name": lambda v, names: xr.DataArray(v, dims=("obs", "feature"), coords={"obs": names}),
}
MASKS: dict[str, Form] = {
    "array": lambda v, _: v,
    "arrow": lambda v, _: pd.array(v, dtype="bool[pyarrow]"),
    "shuffled": lambda v, names: pd.Series(v, index=names).sample(frac=1.0, random_state=0),
    "shuffled arrow": lambda v, names: (
        pd.Series(v, index=names).astype("bool[pyarrow]").sample(frac=1.0, random_state=0)
    ),
    "nullable": lambda v, names: pd.Series(v, index=names).astype("boolean"),
    "sparse": lambda v, names: pd.Series(v, index=names).astype(pd.SparseDtype(bool)),
    "words": lambda v, names: pd.Series(v, index=names).astype(str).astype("category"),
    "objects": lambda v, _: v.astype(object),
    "masked": lambda v, _: np.ma.array(v),
    "lazy": lambda v, _: da.from_array(v),
    "xarray, turned round": lambda v, names: xr.DataArray(v, dims="obs", coords={"obs": names})[::-1],
}
MARKS: dict[str, Form] = {
    "booleans": lambda v, _: v,
    "words": lambda v, _: v.astype(str),
    "nullable gaps": lambda v, names: pd.Series(v, index=names, dtype="boolean").where(v, pd.NA),
    "ones": lambda v, _: v.astype(int),
}


def section(rng: np.random.Generator) -> AnnData:
    """A section with features of its own and every second gene marked."""
    n_spots, n_genes = int(rng.integers(60, 160)), int(rng.integers(12, 40))
    adata = phg2st.datasets.simulate(
        n_spots=n_spots, n_genes=n_genes, image=False, progress=False, seed=int(rng.integers(1 << 30))
    )
    adata.layers["counts"] = adata.X.toarray()
    adata.obsm[REP] = rng.normal(size=(adata.n_obs, int(rng.integers(2, 9)))).astype(np.float32)
    adata.obsm[REP][:, 0] += adata.obsm["spatial"][:, 0].astype(np.float32) / 100
    adata.var["phg2st_panel"] = np.arange(n_genes) % 2 == 0
    return adata


def predict(adata: AnnData, mask: Any, method: str) -> Any:
    """Predictions by one method."""
    features = {} if method == "kriging" else {"use_rep": REP, "trust_rep": True}
    return phg2st.tl.predict(adata, prompt_mask=mask, method=method, counts_layer="counts", **features).X


def drawn(rng: np.random.Generator, forms: dict[str, Form]) -> tuple[str, Form]:
    """One of the forms."""
    name = str(rng.choice(list(forms)))
    return name, forms[name]


def check_same(rng: np.random.Generator) -> str:
    """Predict one section from plain arrays and from forms drawn at random; what they were."""
    plain = section(rng)
    mask = np.isin(np.arange(plain.n_obs), rng.choice(plain.n_obs, plain.n_obs // 4, replace=False))
    method = str(rng.choice(METHODS))
    expected = predict(plain, mask, method)
    other, names = plain.copy(), plain.obs_names
    said = [method]
    for slot, key, forms in (("layers", "counts", ARRAYS), ("obsm", REP, ROWS), ("obsm", "spatial", ROWS)):
        name, form = drawn(rng, forms)
        values = getattr(plain, slot)[key]
        getattr(other, slot)[key] = form(np.asarray(values), names)
        said.append(f"{key}: {name}")
    name, form = drawn(rng, MARKS)
    other.var["phg2st_panel"] = form(plain.var["phg2st_panel"].to_numpy(), plain.var_names)
    said.append(f"marks: {name}")
    name, form = drawn(rng, MASKS)
    said.append(f"mask: {name}")
    found = predict(other, form(mask, names), method)
    if not np.array_equal(found, expected):
        raise AssertionError(f"{'; '.join(said)}: predictions differ by up to {np.abs(found - expected).max():.3g}")
    return "; ".join(said)


def spoil(adata: AnnData, key: str, value: Any, rng: np.random.Generator) -> None:
    """Put one unusable value into a slot of ``obsm``, and the slot into a form drawn at random."""
    values = np.asarray(adata.obsm[key], dtype=np.result_type(np.float64, type(value)))
    values[rng.integers(adata.n_obs), rng.integers(values.shape[1])] = value
    _, form = drawn(rng, {"array": ROWS["array"], "csr": ROWS["csr"]} if isinstance(value, complex) else ROWS)
    adata.obsm[key] = form(values, adata.obs_names)


def check_refused(rng: np.random.Generator) -> str:
    """Make one value unusable: the error has to name the slot."""
    adata = section(rng)
    mask = np.isin(np.arange(adata.n_obs), rng.choice(adata.n_obs, adata.n_obs // 4, replace=False))
    key = str(rng.choice([REP, "spatial", "mask"]))
    value = [np.nan, np.inf, 1j][int(rng.integers(3))]
    given: Any = mask
    if key == "mask":
        gap = np.arange(mask.size) == rng.integers(mask.size)
        masked, arrow = np.ma.array(mask, mask=gap), pd.Series(mask, dtype="bool[pyarrow]").mask(gap).array
        given = masked if rng.random() < 0.5 else arrow
    else:
        spoil(adata, key, value, rng)
    word = "prompt mask" if key == "mask" else f"obsm[{key!r}]"
    try:
        predict(adata, given, "image_ridge")
    except (ValueError, TypeError) as error:
        if word not in str(error) or not str(error).endswith("."):
            raise AssertionError(f"{key} with {value}: the error does not name {word}: {error}") from error
        return f"refused {key}"
    raise AssertionError(f"{key} with {value} was taken")


def main() -> None:
    """Run the cases, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    failures, came = run(given.count, given.seed)
    if given.out is not None:
        given.out.write_text("\n\n".join(failures), encoding="utf-8")
    print(
        f"{given.count} sections predicted from other forms and {given.count} spoiled: {len(failures)} failures; {dict(came)}"
    )
    sys.exit(bool(failures))


def run(count: int, seed: int, *, progress: bool = True) -> tuple[list[str], Counter[str]]:
    """Failures, and how often each form was drawn."""
    failures, came = [], Counter[str]()
    for case in range(count):
        for number, check in enumerate((check_same, check_refused)):
            try:
                came.update(check(np.random.default_rng([seed, case, number])).split("; "))
            except Exception:  # noqa: BLE001 - whatever goes wrong is the finding
                failures.append(f"case {case} of {check.__name__}\n{traceback.format_exc()}")
        if progress and (case + 1) % 25 == 0:
            print(f"{case + 1} of {count}, {len(failures)} failures", flush=True)
    return failures, came


if __name__ == "__main__":
    main()
