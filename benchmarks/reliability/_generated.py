"""Objects drawn at random: every odd thing that a table of spots may have, from a few draws and a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse

STORAGE = (
    *("dense f4", "dense f8", "csr f4", "csr f8", "csc f4", "csr_array f4", "csr i8", "csc i4", "dense i4"),
    *("dense i8", "dense u1", "csr u1", "dense b1", "csr b1", "dense object", "dense f2", "fortran f4"),
)
LAYOUT = ("lattice", "lattice", "lattice", "random", "repeated", "line", "one place", "gap", "integers", "far", "tiny")
NAMES = ("plain", "plain", "plain", "unicode", "empty", "numbers", "spaces", "duplicates", "slashes")
MASK = (
    *(
        "column",
        "column",
        "column",
        "array",
        "series",
        "shuffled",
        "list",
        "objects",
        "strings",
        "category",
        "nullable",
    ),
    *("integers", "floats", "rows", "names", "short", "frame", "none", "all", "gaps", "pyarrow", "another"),
)
SLIDE_KEY = ("none", "none", "strings", "category", "unused", "integers", "gaps", "missing", "floats", "bools")
COUNTS_IN = ("X", "X", "X", "layer", "raw", "raw wide", "no X", "lognorm")
SPOILED = ("no", "no", "nan", "negative", "fraction", "inf", "words")
CONTROLS = ("none", "none", "none", "names", "types", "antibodies alone", "genomes")
LACKING = ("none", "none", "none", "zeros", "nan", "nan spots", "all zero gene")
METHODS = ("prompt_mean", "idw", "kriging", "gene_kriging", "best_simple", None, "image_ridge", "nonsense")
GENES = ("all", "all", "all", "two", "one", "unknown", "twice", "control", "empty")


@dataclass(frozen=True)
class Case:
    """One object, and how it is handed to the package."""

    seed: int
    n_slides: int
    n_spots: int
    n_genes: int
    depth: float
    storage: str
    layout: str
    spot_names: str
    gene_names: str
    mask: str
    share: float
    slide_key: str
    counts_in: str
    spoiled: str
    controls: str
    lacking: str
    method: str | None
    genes: str
    target_sum: float | None
    view: bool
    targets: bool
    panel: bool
    odd_obs: bool
    spatialdata: bool


def cases() -> st.SearchStrategy[Case]:
    """Cases in which each oddity is one of several, so that many of them run to the end."""
    return st.builds(
        Case,
        seed=st.integers(0, 2**32 - 1),
        n_slides=st.sampled_from([1, 1, 1, 2, 2, 3]),
        n_spots=st.sampled_from([1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 36]),
        n_genes=st.sampled_from([0, 1, 2, 3, 5, 8, 12, 16, 24]),
        depth=st.sampled_from([0.02, 0.3, 2.0, 2.0, 5.0, 40.0]),
        storage=st.sampled_from(STORAGE),
        layout=st.sampled_from(LAYOUT),
        spot_names=st.sampled_from(NAMES),
        gene_names=st.sampled_from(NAMES),
        mask=st.sampled_from(MASK),
        share=st.sampled_from([0.05, 0.2, 0.4, 0.6, 0.9]),
        slide_key=st.sampled_from(SLIDE_KEY),
        counts_in=st.sampled_from(COUNTS_IN),
        spoiled=st.sampled_from(SPOILED),
        controls=st.sampled_from(CONTROLS),
        lacking=st.sampled_from(LACKING),
        method=st.sampled_from(METHODS),
        genes=st.sampled_from(GENES),
        target_sum=st.sampled_from([None, None, None, 1e4, 1.0, 0.0, float("nan")]),
        view=st.sampled_from([False, False, False, True]),
        targets=st.sampled_from([False, False, False, False, True]),
        panel=st.booleans(),
        odd_obs=st.booleans(),
        spatialdata=st.sampled_from([False] * 19 + [True]),
    ).map(_sober)


def _sober(case: Case) -> Case:
    """Undo most oddities of a case, so that one in two is an object as users have it, with one or two faults."""
    rng = np.random.default_rng(case.seed)
    if rng.random() < 0.25:
        return case
    plain: dict[str, Any] = {
        "n_spots": max(case.n_spots, 12),
        "n_genes": max(case.n_genes, 5),
        "depth": max(case.depth, 2.0),
        "layout": "lattice",
        "spot_names": "plain",
        "gene_names": "plain",
        "mask": "column",
        "slide_key": "none",
        "counts_in": "X",
        "spoiled": "no",
        "controls": "none",
        "lacking": "none",
        "genes": "all",
        "target_sum": None,
        "view": False,
        "share": max(case.share, 0.4),
        "method": case.method if case.method in METHODS[:6] else "idw",
        "n_slides": case.n_slides if case.slide_key in ("strings", "category", "unused", "integers") else 1,
    }
    spared = rng.choice(list(plain), size=int(rng.integers(0, 5)), replace=False)
    return replace(case, **{name: value for name, value in plain.items() if name not in spared})


@dataclass(frozen=True)
class Made:
    """An object and what a call is given with it."""

    data: Any
    table: ad.AnnData
    measured: np.ndarray
    mask: Any
    settings: dict[str, Any]


def make(case: Case, *, noise: bool = False, plain: bool = False) -> Made:
    """The object of a case.

    With ``noise`` another one that differs at rows that were not measured; with ``plain`` one with the same values in a dense
    array of double precision.
    """
    rng = np.random.default_rng(case.seed)
    n = case.n_slides * case.n_spots
    slides = np.repeat(np.arange(case.n_slides), case.n_spots)
    measured = np.zeros(n, dtype=bool) if case.mask == "none" else rng.random(n) < case.share
    measured |= case.mask == "all"
    var = _var(case, rng)
    counts = _counts(case, rng, slides, len(var))
    _spoil(case, rng, counts, measured)
    if noise:
        counts[~measured] = _noise(case, np.random.default_rng(case.seed + 1), counts[~measured].shape)
    obs = pd.DataFrame(index=_names(case.spot_names, "s", n))
    settings = _slides(case, rng, obs, slides)
    if case.odd_obs:
        _odd(obs, rng)
    mask = _mask(case, obs, measured)
    table = _table(case, counts, obs, var, settings, plain=plain)
    table.obsm["spatial"] = _places(case, rng, slides)
    if case.panel and len(var) > 4:
        table.var["phg2st_panel"] = np.arange(len(var)) < 4
    table.uns["mine"] = {"kept": np.arange(3)}
    settings |= _asked(case, table)
    data = _container(case, table)
    return Made(data, table, measured, mask, settings)


def _names(kind: str, prefix: str, n: int) -> list[str]:
    plain = [f"{prefix}{i}" for i in range(n)]
    odd = {
        "unicode": [f"é🧬{i}" for i in range(n)],
        "empty": ["", *plain[1:]][:n],
        "numbers": [str(i) for i in range(n)],
        "spaces": [f" {name}\t" for name in plain],
        "duplicates": [plain[i // 2] for i in range(n)],
        "slashes": [f"a/{name}%.." for name in plain],
    }
    return odd.get(kind, plain)


def _var(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    var = pd.DataFrame(index=_names(case.gene_names, "g", case.n_genes))
    if case.controls == "names" and case.n_genes > 3:
        var.index = [*var.index[:-2], "NegPrb1", "Blank-1"]
    if case.controls in ("types", "antibodies alone") and case.n_genes:
        var["feature_types"] = "Antibody Capture"
        if case.controls == "types":
            var.iloc[: max(1, case.n_genes - 2), 0] = "Gene Expression"
    if case.controls == "genomes":
        var["genome"] = rng.choice(["GRCh38", "mm10", ""], size=case.n_genes)
    return var


def _counts(case: Case, rng: np.random.Generator, slides: np.ndarray, n_genes: int) -> np.ndarray:
    rate = rng.gamma(1.0, 1.0, n_genes) * case.depth
    counts = rng.poisson(np.tile(rate, (len(slides), 1))).astype(np.float64)
    part = max(1, n_genes // 3)
    if case.lacking in ("zeros", "nan") and n_genes > 3:
        counts[slides == 0, :part] = 0 if case.lacking == "zeros" else np.nan
    if case.lacking == "nan spots" and n_genes > 3:
        counts[: len(slides) // 2, :part] = np.nan
    if case.lacking == "all zero gene":
        counts[:, :1] = 0
    return counts if case.storage.split()[1] in ("f4", "f8", "object") else np.nan_to_num(counts)


def _spoil(case: Case, rng: np.random.Generator, counts: np.ndarray, measured: np.ndarray) -> None:
    """Put one value that is no count into a measured row."""
    values = {"nan": np.nan, "negative": -2.0, "fraction": 0.5, "inf": np.inf}
    rows = np.flatnonzero(measured)
    if case.spoiled in values and rows.size and counts.shape[1]:
        counts[rng.choice(rows), rng.integers(counts.shape[1])] = values[case.spoiled]


def _noise(case: Case, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    kind = case.storage.split()[1]
    if kind in ("f4", "f8", "object"):
        return rng.choice([np.nan, -3.5, 0.25, 1e6, np.inf, 0.0], size=shape)
    return rng.integers(0, 2 if kind == "b1" else 100, size=shape).astype(np.float64)


def _stored(case: Case, counts: np.ndarray, *, plain: bool) -> Any:
    values = _as_stored(case, counts)
    if not plain or case.storage.endswith("object"):
        return values
    return (values.toarray() if sparse.issparse(values) else np.asarray(values)).astype(np.float64)


def _as_stored(case: Case, counts: np.ndarray) -> Any:
    form, kind = case.storage.split()
    types = {
        "f4": "float32",
        "f8": "float64",
        "f2": "float16",
        "i4": "int32",
        "i8": "int64",
        "u1": "uint8",
        "b1": "bool",
    }
    with np.errstate(invalid="ignore"):
        if kind == "object":
            out = counts.astype(object)
            if case.spoiled == "words" and out.size:
                out.flat[0] = "many"
            return out
        values = np.nan_to_num(counts).astype(types[kind]) if kind[0] in "iub" else counts.astype(types[kind])
    makers = {
        "csr": sparse.csr_matrix,
        "csc": sparse.csc_matrix,
        "csr_array": sparse.csr_array,
        "fortran": np.asfortranarray,
    }
    return makers.get(form, np.array)(values)


def _table(
    case: Case, counts: np.ndarray, obs: pd.DataFrame, var: pd.DataFrame, settings: dict[str, Any], *, plain: bool
) -> ad.AnnData:
    values = _stored(case, counts, plain=plain)
    other = np.full(counts.shape, 0.125, dtype=np.float32)
    if case.counts_in == "layer":
        table = ad.AnnData(other, obs=obs, var=var, layers={"counts": values})
        settings["counts_layer"] = "counts"
    elif case.counts_in == "no X":
        table = ad.AnnData(None, obs=obs, var=var, layers={"counts": values}, shape=counts.shape)
    elif case.counts_in.startswith("raw") and case.storage != "dense object":
        whole = ad.AnnData(values, obs=obs, var=var)
        table = whole.copy() if case.counts_in == "raw" else whole[:, : max(1, counts.shape[1] // 2)].copy()
        table.raw = whole
        table.X = other[:, : table.n_vars]
        settings["counts_layer"] = "raw"
    elif case.counts_in == "lognorm":
        with np.errstate(all="ignore"):
            table = ad.AnnData(np.log1p(counts).astype(np.float32), obs=obs, var=var)
    else:
        table = ad.AnnData(values, obs=obs, var=var)
    return table


def _places(case: Case, rng: np.random.Generator, slides: np.ndarray) -> np.ndarray:
    within = np.concatenate([np.arange(case.n_spots)] * case.n_slides)
    places = np.stack([within % 6, within // 6], axis=1) * 50.0
    if case.layout == "random":
        places = rng.random(places.shape) * 1e3
    elif case.layout == "repeated":
        places = places[within // 2]
    elif case.layout == "line":
        places[:, 1] = 0.0
    elif case.layout == "one place":
        places[:] = 7.0
    elif case.layout == "gap":
        places[rng.integers(len(places))] = [np.nan, 3.0]
    elif case.layout == "integers":
        return places.astype(np.int64)
    elif case.layout in ("far", "tiny"):
        places = places + 1e9 if case.layout == "far" else places * 1e-9
    if case.slide_key == "none" and case.n_slides > 1:
        places[:, 0] += slides * 1e4
    return places


def _slides(case: Case, rng: np.random.Generator, obs: pd.DataFrame, slides: np.ndarray) -> dict[str, Any]:
    names = np.array([f"slide {i}" for i in slides], dtype=object)
    kinds: dict[str, Any] = {
        "strings": names,
        "category": pd.Categorical(names),
        "unused": pd.Categorical(names, categories=[*sorted(set(names)), "slide 9"]),
        "integers": slides,
        "gaps": np.where(rng.random(len(names)) < 0.1, None, names),
        "floats": slides + 0.5,
        "bools": slides == 0,
    }
    if case.slide_key == "missing":
        return {"slide_key": "nowhere"}
    if case.slide_key not in kinds:
        return {}
    obs["which"] = kinds[case.slide_key]
    return {"slide_key": "which"}


def _odd(obs: pd.DataFrame, rng: np.random.Generator) -> None:
    n = len(obs)
    obs["in_tissue"] = np.ones(n, dtype=np.int8)
    obs["patient"] = pd.Categorical(["p"] * n, categories=["p", "q"])
    obs["when"] = pd.Timestamp("2026-01-01")
    obs["nullable"] = pd.array([None, *([1] * (n - 1))], dtype="Int64")
    obs["complex"] = rng.random(n) + 1j
    obs["section"] = [f"x{i % 2}" for i in range(n)]


def _mask(case: Case, obs: pd.DataFrame, measured: np.ndarray) -> Any:
    """The mask as a call is given it; a column is put into ``obs``."""
    series = pd.Series(measured, index=obs.index)
    kinds = {
        "array": measured.copy(),
        "series": series,
        "shuffled": series.iloc[::-1],
        "list": measured.tolist(),
        "objects": measured.astype(object),
        "frame": pd.DataFrame({"a": series}),
        "short": measured[1:],
        "rows": np.flatnonzero(measured),
        "names": list(obs.index[measured]),
        "nullable": pd.array(measured, dtype="boolean"),
    }
    columns = {
        "column": measured,
        "none": measured,
        "all": measured,
        "strings": np.where(measured, "True", "False"),
        "category": pd.Categorical(measured),
        "integers": measured.astype(np.int64),
        "floats": measured.astype(np.float64),
        "gaps": pd.array(np.where(np.arange(len(measured)) == 0, None, measured), dtype="boolean"),
        "pyarrow": measured,
    }
    if case.mask == "another":
        return "nowhere"
    if case.mask in kinds:
        return kinds[case.mask]
    obs["prompt"] = columns[case.mask]
    if case.mask == "pyarrow":
        obs["prompt"] = obs["prompt"].astype("bool[pyarrow]")
    return None


def _asked(case: Case, table: ad.AnnData) -> dict[str, Any]:
    names = [str(name) for name in table.var_names]
    genes = {
        "two": names[:2],
        "one": names[:1],
        "unknown": ["nowhere", *names[:1]],
        "twice": names[:1] * 2,
        "control": names[-1:],
        "empty": [],
    }
    out: dict[str, Any] = {"target_sum": case.target_sum, "method": case.method}
    return out | ({"genes": genes[case.genes]} if case.genes in genes else {})


def _container(case: Case, table: ad.AnnData) -> Any:
    if not case.spatialdata:
        if not case.view:
            return table
        rows = np.arange(table.n_obs)
        return table[rows]
    import geopandas
    import spatialdata as sd
    from shapely import Point
    from spatialdata.models import ShapesModel, TableModel

    places = np.nan_to_num(np.asarray(table.obsm["spatial"], dtype=np.float64))
    frame = geopandas.GeoDataFrame({"radius": 10.0, "geometry": [Point(*xy) for xy in places]})
    table.obs["region"] = pd.Categorical(["spots"] * table.n_obs)
    table.obs["instance"] = np.arange(table.n_obs)
    parsed = TableModel.parse(table, region="spots", region_key="region", instance_key="instance")
    return sd.SpatialData(shapes={"spots": ShapesModel.parse(frame)}, tables={"table": parsed})
