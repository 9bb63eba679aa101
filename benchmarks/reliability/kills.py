"""Kill the package while it writes into stores, fill the disk, let several write at once; see what is left.

Every kill is followed by the same questions. Is the store readable? Does every function see the old result or the whole new one, or
is it told which call mends the store? Does that call mend it, after the store was moved, and after it was killed itself?
Does doing it again give what would have come out without the kill? Is everything else in the store as it was, to the byte?
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anndata  # noqa: F401 - children are forked with everything loaded
import numpy as np
import zarr
from _steps import Steps, in_child
from scipy import sparse
from spatialdata import SpatialData  # imported now, once for all children

import phg2st_sc as phg2st

MARK = "phg2st_unfinished"
WORK = ".phg2st-write"

Call = Callable[[Any], Any]


def _impute(sdata: Any, **settings: Any) -> None:
    phg2st.tl.impute(sdata, **{"method": "idw", "progress": False, "write": True, **settings})


def _in_blocks(sdata: Any, **settings: Any) -> None:
    """As a result goes into the store that is too large for memory; in a process of its own."""
    from phg2st_sc._slide import _scattered
    from phg2st_sc.tl import _results

    _results.MOST_IN_MEMORY, _scattered._VALUES = 1, 200
    _impute(sdata, **settings)


JOBS: dict[str, tuple[list[Call], Call]] = {
    "sample_prompts": ([], lambda s: phg2st.pp.sample_prompts(s, fraction=0.3, seed=1, write=True)),
    "normalize": ([], lambda s: phg2st.pp.normalize(s, write=True)),
    "select_genes": ([], lambda s: phg2st.pp.select_genes(s, n_top_genes=10, min_spots=2, write=True)),
    "extract_embeddings": (
        [],
        lambda s: phg2st.pp.extract_embeddings(s, encoder="texture", context=None, progress=False, write=True),
    ),
    "build_hypergraph": ([], lambda s: phg2st.pp.build_hypergraph(s, builder="position", write=True)),
    "impute": ([lambda s: phg2st.pp.sample_prompts(s, fraction=0.3, seed=1, write=True)], _impute),
    "impute again": (
        [lambda s: phg2st.pp.sample_prompts(s, fraction=0.3, seed=1, write=True), lambda s: _impute(s, power=1.0)],
        lambda s: _impute(s, power=3.0),
    ),
    "impute, write='table'": (
        [
            lambda s: phg2st.pp.sample_prompts(s, fraction=0.3, seed=1, write=True),
            lambda s: phg2st.tl.impute(s, method="idw", power=1.0, progress=False, write="table"),
        ],
        lambda s: phg2st.tl.impute(s, method="idw", power=3.0, progress=False, write="table"),
    ),
    "impute again, block by block": (
        [lambda s: phg2st.pp.sample_prompts(s, fraction=0.3, seed=1, write=True), lambda s: _impute(s, power=1.0)],
        lambda s: _in_blocks(s, power=3.0),
    ),
    "impute, write='table', block by block": (
        [
            lambda s: phg2st.pp.sample_prompts(s, fraction=0.3, seed=1, write=True),
            lambda s: _in_blocks(s, power=1.0, write="table"),
        ],
        lambda s: _in_blocks(s, power=3.0, write="table"),
    ),
    "sample_prompts again": (
        [lambda s: phg2st.pp.sample_prompts(s, fraction=0.3, seed=1, write=True)],
        lambda s: phg2st.pp.sample_prompts(s, fraction=0.5, seed=2, write=True),
    ),
}

READERS: dict[str, Call] = {
    "impute": lambda s: phg2st.tl.impute(s, method="idw", progress=False),
    "evaluate": lambda s: phg2st.tl.evaluate(s, n_splits=0, progress=False),
    "normalize": phg2st.pp.normalize,
    "select_genes": phg2st.pp.select_genes,
    "sample_prompts": phg2st.pp.sample_prompts,
    "extract_embeddings": lambda s: phg2st.pp.extract_embeddings(s, encoder="texture", progress=False),
    "build_hypergraph": lambda s: phg2st.pp.build_hypergraph(s, builder="position"),
    "add_targets": lambda s: phg2st.pp.add_targets(s, region="capture"),
    "tiles": phg2st.pl.tiles,
}


def main() -> int:
    """Run the campaign; exit code 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=180, help="kills, over all steps of writing")
    parser.add_argument("--full", type=int, default=45, help="times that the disk is full")
    parser.add_argument("--writers", type=int, default=10, help="times that four processes write at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--jobs",
        nargs="+",
        choices=list(JOBS),
        default=list(JOBS),
        metavar="JOB",
        help="without the checks that use all of them",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for stores, emptied of what was made, and the report"
    )
    parser.add_argument("--disk", type=Path, help="a small file system of its own, which is really filled up")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in set(JOBS) - set(options.jobs):
        del JOBS[name]
    _load_everything()
    campaign = Campaign(options.out.resolve(), random.Random(options.seed), options.disk)
    campaign.prepare()
    for number in range(options.count):
        campaign.kill(number)
    for number in range(options.full):
        campaign.fill(number)
    for number in range(options.writers):
        campaign.write_at_once(number)
    if "impute" in JOBS:
        campaign.read_only()
    return campaign.report()


class Campaign:
    """The stores, and what came out."""

    def __init__(self, out: Path, draw: random.Random, disk: Path | None) -> None:
        self.out, self.draw, self.disk = out, draw, disk
        self.plans: dict[str, dict[str, Any]] = {}
        self.results: list[dict[str, Any]] = []

    def prepare(self) -> None:
        """Make the store before each job, and learn what comes out if nobody interferes."""
        shutil.rmtree(self.out / "bases", ignore_errors=True)
        (self.out / "bases").mkdir()
        first = self.out / "bases" / "first.zarr"
        in_child(lambda: _simulate(first))
        for number, (name, (before, job)) in enumerate(JOBS.items()):
            base = self.out / "bases" / f"{number}.zarr"
            shutil.copytree(first, base)
            in_child(partial(_do, base, *before))
            plan = in_child(partial(_count, base, self.out / "counted.zarr", job))
            self.plans[name] = {"base": base, **plan}
            _say(f"{name}: {plan['end']} steps, of them {plan['end'] - plan['begin']} of the exchange")

    def kill(self, number: int) -> None:
        """One kill: while new content is made ready, while it is exchanged, or at any time."""
        name = list(JOBS)[number % len(JOBS)]
        plan, job, store = self.plans[name], JOBS[name][1], self._copy(name)
        round_ = number // len(JOBS)
        how = ("exchange", "exchange", "ready", "time")[round_ % 4]
        if how == "time":
            delay = self.draw.uniform(0.0, plan["seconds"])
            in_child(lambda: _do(store, job), kill_after=delay)
            where = f"after {delay:.3f} s"
        else:
            span = (plan["begin"], plan["end"]) if how == "exchange" else (0, plan["begin"])
            at = self.draw.randrange(*span)
            in_child(lambda: _do_until(store, at, job))
            where = f"at step {at}"
        if self.draw.random() < 0.25:
            moved = store.with_name("moved.zarr")
            store = store.rename(moved)
        again = self.draw.randrange(30) if self.draw.random() < 0.3 else None
        if again is not None:  # the recovery is killed too
            in_child(lambda: _recover_until(store, again))
        self._ask(f"kill {how}", name, where, store, plan, job)

    def fill(self, number: int) -> None:
        """One full disk: an error at a step, or for real where there is a small file system."""
        name = list(JOBS)[number % len(JOBS)]
        plan, job = self.plans[name], JOBS[name][1]
        if self.disk is None or number % 2:
            store = self._copy(name)
            at = self.draw.randrange(plan["end"])
            said = in_child(lambda: _do_on_full_disk(store, at, job))
            where = f"at step {at}"
        else:
            store = self._copy(name, self.disk)
            left = int(self.draw.uniform(0, plan["bytes"]))
            said = in_child(lambda: _do_with_space(store, self.disk, left, job))
            where = f"with {left} bytes left"
        found = {"told": said, "locked": (store / WORK).exists()}
        if said and "No space left" not in said:
            self._note("full disk", name, where, f"an error that does not say so: {said}")
            return
        if said and (found["locked"] or in_child(lambda: _digest(store)) != plan["old"]):
            self._note("full disk", name, where, "the old result is not there, or the store is locked")
            return
        self._ask("full disk", name, where, store, plan, job)

    def write_at_once(self, number: int) -> None:
        """Four processes that write to one store; each succeeds or is told."""
        store = self._copy("impute")
        wrote = in_child(lambda: _four_writers(store))
        held = in_child(lambda: sorted(k for k in _layers(store) if k.startswith("w")))
        fault = "" if wrote["done"] == held and not wrote["other"] and held else f"{wrote}, in the store {held}"
        self._note("two writers", "impute", f"round {number}", fault)

    def read_only(self) -> None:
        """A store of somebody else's."""
        store = self._copy("impute")
        before = _files(store)
        said = in_child(lambda: _as_nobody(store))
        fault = "" if said and "cannot be written to" in said and _files(store) == before else f"{said}"
        self._note("read-only", "impute", "", fault)

    def report(self) -> int:
        """Print the summary, keep the rest."""
        (self.out / "kills.json").write_text(json.dumps(self.results, indent=1), encoding="utf-8")
        failed = [one for one in self.results if one["fault"]]
        kinds = Counter(one["kind"] for one in self.results)
        outcomes = Counter(one["outcome"] for one in self.results if one["outcome"])
        for one in failed:
            _say(f"FAILED {one['kind']}, {one['job']} {one['where']}: {one['fault']}")
        _say(f"{dict(kinds)}; recovered: {dict(outcomes)}; {len(failed)} failed")
        for left in (*self.out.glob("*.zarr"), self.out / "bases"):
            shutil.rmtree(left, ignore_errors=True)
        return 1 if failed else 0

    def _copy(self, name: str, folder: Path | None = None) -> Path:
        store = (folder or self.out) / "store.zarr"
        for left in (store, store.with_name("moved.zarr")):
            shutil.rmtree(left, ignore_errors=True)
        (store.with_name("ballast")).unlink(missing_ok=True)
        shutil.copytree(self.plans[name]["base"], store)
        return store

    def _ask(self, kind: str, name: str, where: str, store: Path, plan: Mapping[str, Any], job: Call) -> None:
        try:
            answer = in_child(lambda: _questions(store, plan, job))
        except RuntimeError as error:
            answer = {"fault": str(error), "outcome": "", "marked": None}
        self._note(kind, name, where, answer["fault"], outcome=answer["outcome"], marked=answer["marked"])

    def _note(self, kind: str, job: str, where: str, fault: str, **more: Any) -> None:
        self.results.append({"kind": kind, "job": job, "where": where, "fault": fault, "outcome": "", **more})
        if len(self.results) % 20 == 0:
            _say(f"{len(self.results)} done, {sum(bool(one['fault']) for one in self.results)} failed")


def _questions(store: Path, plan: Mapping[str, Any], job: Call) -> dict[str, Any]:
    sdata = _read(store)
    marked = any(MARK in table.uns for table in sdata.tables.values())
    faults = []
    if marked:
        faults += [f"{name} reads what is half written" for name, call in READERS.items() if not _is_told(call, sdata)]
    else:
        if _digest(store) not in (plan["old"], plan["new"]):
            faults.append("neither old nor new before the recovery, and no mark")
        if "io.recover" in str(_refused(READERS["build_hypergraph"], sdata)):
            faults.append("refused although whole")
    outcome = phg2st.io.recover(store)
    after = _digest(store)
    allowed = {"old kept": [plan["old"]], "new completed": [plan["new"]], "nothing to do": [plan["old"], plan["new"]]}
    if after not in allowed[outcome]:
        faults.append(f"{outcome!r}, but the store holds something else")
    if _others(store) != plan["others"]:
        faults.append("something else in the store was changed")
    if phg2st.io.recover(store) != "nothing to do":
        faults.append("recovered twice")
    _do(store, job)
    if _digest(store) != plan["new"]:
        faults.append("another result when done again")
    if [left for left in store.glob(f"{WORK}*") if any(left.iterdir())]:  # an empty one goes with a later write
        faults.append("something of the write is left")
    return {"fault": "; ".join(faults), "outcome": outcome, "marked": marked}


def _is_told(call: Call, sdata: Any) -> bool:
    return "phg2st_sc.io.recover" in str(_refused(call, sdata))


def _refused(call: Call, sdata: Any) -> Exception | None:
    try:
        call(sdata)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        return error
    return None


def _load_everything() -> None:
    """Use every function once, so that children need not load it; no store is touched, whose threads would not be forked."""
    adata = phg2st.datasets.simulate(n_spots=60, n_genes=20, seed=0, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in READERS.values():
            try:
                call(adata)
            except (ValueError, KeyError, TypeError):
                continue


def _simulate(path: Path) -> None:
    simulated = phg2st.datasets.simulate(
        n_spots=60, n_genes=20, container="spatialdata", multiscale=False, seed=0, progress=False
    )
    table = next(iter(simulated.tables.values()))
    table.layers["mine"] = table.X * 2
    table.obs["mine"] = np.arange(table.n_obs)
    table.uns["mine"] = {"a": np.arange(3)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulated.write(path)


def _read(store: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SpatialData.read(store)


def _do(store: Path, *calls: Call) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in calls:
            call(_read(store))


def _do_until(store: Path, at: int, job: Call) -> None:
    sdata = _read(store)
    Steps(store, at)
    job(sdata)


def _recover_until(store: Path, at: int) -> None:
    Steps(store, at)
    phg2st.io.recover(store)


def _do_on_full_disk(store: Path, at: int, job: Call) -> str:
    sdata = _read(store)
    steps = Steps(store, at, full=True)
    try:
        job(sdata)
    except OSError as error:
        return f"{error} {' '.join(getattr(error, '__notes__', ()))}"
    finally:
        steps.on = False
    return ""


def _do_with_space(store: Path, disk: Path, left: int, job: Call) -> str:
    sdata = _read(store)
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(max(0, free - left)))
    try:
        job(sdata)
    except OSError as error:
        return f"{error} {' '.join(getattr(error, '__notes__', ()))}"
    finally:
        ballast.unlink()
    return ""


def _count(base: Path, copy: Path, job: Call) -> dict[str, Any]:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(base, copy)
    sdata, old, others, size = _read(copy), _digest(copy), _others(copy), _size(copy)
    steps = Steps(copy)
    start = time.perf_counter()
    job(sdata)
    seconds = time.perf_counter() - start
    steps.on = False
    end = next(number for number, line in enumerate(steps.log) if line.endswith(".done"))
    done = {
        "begin": steps.first("journal.json"),
        "end": end + 2,
        "seconds": seconds,
        "bytes": _size(copy) - size + 65536,
    }
    return {**done, "old": old, "new": _digest(copy), "others": others}


def _four_writers(store: Path) -> dict[str, Any]:
    def write(key: str) -> str:
        try:
            _do(store, lambda s: phg2st.tl.impute(s, method="idw", key_added=key, progress=False, write=True))
        except phg2st.io.StoreLockedError:
            return "locked"
        return key

    children = []
    for number in range(4):
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.write(writing, write(f"w{number}").encode())
            except BaseException as error:  # noqa: BLE001 - told to the parent
                os.write(writing, f"other: {error!r}"[:4000].encode())
            os._exit(0)
        os.close(writing)
        children.append((pid, reading))
    said = []
    for pid, reading in children:
        said.append(os.read(reading, 1 << 16).decode())
        os.waitpid(pid, 0)
    done = sorted(one for one in said if one.startswith("w"))
    return {"done": done, "other": [one for one in said if one not in (*done, "locked")]}


def _as_nobody(store: Path) -> str:
    for path in (store, *store.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    sdata = _read(store)
    phg2st.tl.impute(sdata, method="idw", progress=False)  # loads all that nobody may not read
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        _impute(sdata)
    except ValueError as error:
        return str(error)
    return ""


def _layers(store: Path) -> list[str]:
    sdata = _read(store)
    return [key for table in sdata.tables.values() for key in table.layers if key]


def _digest(store: Path) -> dict[str, str]:
    """Fingerprint of every slot of every table, as they are read, and as consolidated metadata list them."""
    found = {}
    for name, table in _read(store).tables.items():
        for slot in ("layers", "obsm", "obsp", "varm"):
            for key, value in getattr(table, slot).items():
                found[f"{name}/{slot}/{key}"] = _hash(value)
        for frame in ("obs", "var"):
            for key in getattr(table, frame):
                found[f"{name}/{frame}/{key}"] = _hash(getattr(table, frame)[key])
        for key, value in table.uns.items():
            found[f"{name}/uns/{key}"] = _hash(value)
        found[f"{name}/X"] = _hash(table.X)
    root = zarr.open_group(store, mode="r", use_consolidated=False)
    if root.metadata.consolidated_metadata is not None:
        listed = zarr.open_group(store, mode="r", use_consolidated=True)
        found["listed"] = _hash({n: [f"{s}/{k}" for s in g for k in g[s]] for n, g in listed["tables"].groups()})
        truly = {n: [f"{s}/{k}" for s in g for k in g[s]] for n, g in root["tables"].groups()}
        if _hash(truly) != found["listed"]:
            found["listed"] = "consolidated metadata tell another story"
    return found


def _hash(value: Any) -> str:
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()[:16]


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for key in sorted(value):
            digest.update(str(key).encode())
            _add(digest, value[key])
    elif sparse.issparse(value):
        _add(digest, value.toarray())
    elif isinstance(value, list):
        for item in sorted(map(str, value)):
            digest.update(item.encode())
    else:
        array = np.asarray(value)
        digest.update(repr((array.dtype.kind, array.shape)).encode())
        digest.update(array.tobytes() if array.dtype.kind in "biuf" else repr(array.tolist()).encode())


def _others(store: Path) -> dict[str, str]:
    """Bytes of every file that is the user's."""
    own = ("images", "shapes", "labels", "points")
    user = [*(store / kind for kind in own), *store.glob("tables/*/X"), *store.glob("tables/*/*/mine")]
    return {
        str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in user
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "phg2st" not in file.parts and "idw" not in file.parts
    }


def _files(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def _size(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
