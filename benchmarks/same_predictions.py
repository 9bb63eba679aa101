"""Prove that a change of the code changes no bit of any prediction: record with the old code, compare with the new.

    python benchmarks/same_predictions.py record same_record --data her2st/data     # with the code before the change
    python benchmarks/same_predictions.py compare same_record --data her2st/data    # with the code after it
    python benchmarks/same_predictions.py compare same_record --only kriging        # some cases, simulated sections alone

Every registered method, from the prompts alone and trained, on scattered prompts and prompts in a block, on simulated sections with
and without an image, and with ``--data`` on HER2+ sections; networks are small and train for two or three epochs, which says
nothing about how good they are. Trained models are saved with the record, and ``compare`` trains them anew *and* loads the saved
ones: both have to predict what was recorded. It ends with exit code 1 where any prediction differs, or cannot be made.

Bits hold for one machine, one set of packages and one number of threads, all of which the record names. What a method says
about a prediction (``details``) may gain entries; differences there are printed, and are no failure.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from _same_cases import ALONE, SAVED, TRAINED, Case, Way, cases, chosen, planned
from _same_sections import World, Worlds

import phg2st_sc as phg2st

MACHINE, FACTS, MEAN = "machine.json", "facts.json", "mean"
SAME, OTHER, ERROR, MISSING, UNKNOWN = "equal", "DIFFERENT", "ERROR", "MISSING", "not recorded"
SAVED_MODEL = "saved model"
STRICT = ("genes", "target_sum")
"""Facts that have to be the same."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What is kept of a prediction: arrays to the bit, facts as JSON has them."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Keep in a folder of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in self.arrays.items():
            np.save(folder / f"{name}.npy", values)
        (folder / FACTS).write_text(json.dumps(self.facts, indent=1, sort_keys=True), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Answer:
        """Read what :meth:`write` kept."""
        arrays = {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}
        return cls(arrays, json.loads((folder / FACTS).read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Row:
    """One line of the comparison."""

    key: str
    made: str
    verdict: str
    largest: float = 0.0
    note: str = ""


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


# --- predictions ------------------------------------------------------------------------------------------------------
def predictions(case: Case, world: World, **by: Any) -> Iterator[tuple[str, Answer]]:
    """Key and prediction of every target and mask; ``by`` says what predicts."""
    for name in case.targets:
        target = world.targets[name]
        for label, strategy, seed in case.draws():
            mask = target.mask(strategy, seed)
            with redirect_stderr(StringIO()):  # progress bars over several slides
                out = phg2st.tl.predict(target.data, prompt_mask=mask, **target.options, **target.predict, **by)
            arrays = {MEAN: out.X, **{layer: out.layers[layer] for layer in out.layers if layer}, "mask": mask}
            facts = {"genes": list(out.var_names), "target_sum": out.uns["target_sum"], "details": out.uns["details"]}
            yield f"{case.key}/{name}/{label}", Answer(arrays, plain(facts))


def train(case: Case, way: Way, world: World) -> phg2st.models.Estimator:
    """Model of a case."""
    options = {**world.options, **case.options, **way.settings}
    return phg2st.tl.train(dict(world.training), method=way.method, progress=False, **options)


def inputs(world: World) -> Iterator[tuple[str, Answer]]:
    """What is predicted from: where this differs, predictions do for no fault of theirs."""
    tables = {**world.training, **{name: target.table for name, target in world.targets.items()}}
    for name, table in tables.items():
        counts = table.X.toarray() if hasattr(table.X, "toarray") else np.asarray(table.X)
        slots = {key: np.asarray(table.obsm[key]) for key in table.obsm if key.startswith("X_") or key == "spatial"}
        yield name, Answer({"counts": counts, **slots}, {"genes": list(table.var_names)})


def ways(case: Case) -> list[Way]:
    """Ways of a case that the code has."""
    known = phg2st.models.methods()
    return [way for number, way in enumerate(case.ways) if number == 0 or way.method in known]


# --- record -----------------------------------------------------------------------------------------------------------
def record(folder: Path, worlds: Worlds, only: str | None) -> int:
    """Keep every prediction and every trained model."""
    if unplanned := set(phg2st.models.methods()) - planned():
        raise SystemExit(f"no case is about {', '.join(sorted(unplanned))}: add them to _same_cases.py")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MACHINE).write_text(json.dumps(machine(), indent=1), encoding="utf-8")
    n = 0
    for case in chosen(only, [case for case in cases() if case.world in worlds]):
        start, world, before = time.perf_counter(), worlds[case.world], n
        for key, answer in _made(case, world, folder):
            answer.write(folder / "predictions" / key)
            n += 1
        print(f"{case.key:55s} {n - before:3d} predictions {time.perf_counter() - start:6.1f} s", flush=True)
    for name, world in worlds.made.items():
        for slide, answer in inputs(world):
            answer.write(folder / "inputs" / name / slide)
    print(f"{n} predictions recorded in {folder}")
    return 0


def _made(case: Case, world: World, folder: Path) -> Iterator[tuple[str, Answer]]:
    path = folder / "models" / case.key
    if case.form == ALONE:
        return predictions(case, world, method=case.ways[0].method, **case.ways[0].settings)
    if case.form == TRAINED:
        model = train(case, case.ways[0], world)
        model.save(path, overwrite=True)
        return predictions(case, world, model=model)
    trust_everywhere(folder / "models" / case.of, path)
    return predictions(case, world, model=phg2st.models.load(path))


def trust_everywhere(source: Path, path: Path) -> None:
    """Copy a saved model of ours, whose network gets the same weights without an image as it earned with one.

    The only place that knows names of arrays in a saved model; what is loaded later is the copy as it was recorded.
    """
    from safetensors.numpy import load_file, save_file

    shutil.copytree(source, path, dirs_exist_ok=True)
    (file,) = path.glob("*.safetensors")
    arrays = load_file(file)
    (earned,) = [name for name in arrays if name.endswith("alpha_image")]
    if not arrays[earned].any():
        raise SystemExit(f"the network of {source} earned no trust: choose other settings in _same_cases.py")
    arrays[earned.removesuffix("_image")] = arrays[earned].copy()
    save_file(arrays, file)


def machine() -> dict[str, Any]:
    """What bits depend on, beside the code."""
    import platform
    from importlib.metadata import version

    packages = ("numpy", "scipy", "scikit-learn", "torch", "lightning", "dgl", "anndata", "scikit-image", "pillow")
    found = {"python": platform.python_version(), "processor": _processor(), "threads": os.environ["OMP_NUM_THREADS"]}
    return {**found, **{name: version(name) for name in packages}}


def _processor() -> str:
    import platform

    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


# --- compare ----------------------------------------------------------------------------------------------------------
def compare(folder: Path, worlds: Worlds, only: str | None, *, saved_only: bool, table: Path | None) -> int:
    """Make every prediction again, and print what differs; 1 where anything does."""
    _say_machine(json.loads((folder / MACHINE).read_text(encoding="utf-8")), machine())
    if unplanned := set(phg2st.models.methods()) - planned():
        print(f"no case is about {', '.join(sorted(unplanned))}")
    rows: list[Row] = []
    for case in chosen(only, [case for case in cases() if case.world in worlds]):
        start = time.perf_counter()
        found = compared(case, worlds[case.world], folder, saved_only=saved_only)
        rows += found
        _print_case(case, found, time.perf_counter() - start)
    rows += [row for name, world in worlds.made.items() for row in _compared_inputs(name, world, folder)]
    return _report(rows, table)


def compared(case: Case, world: World, folder: Path, *, saved_only: bool) -> list[Row]:
    """Rows of one case, by every way in which its predictions can be made."""
    if not (folder / "predictions" / case.key).exists():
        return [Row(case.key, "", UNKNOWN)]
    rows: list[Row] = []
    for label, maker in makers(case, world, folder, saved_only=saved_only).items():
        rows += against_record(case, world, folder, label, maker)
    return rows


def makers(case: Case, world: World, folder: Path, *, saved_only: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    """What predicts, as ``tl.predict`` takes it, by a label; called when its turn comes."""
    if case.form == ALONE:
        return {way.method: partial(dict, way.settings, method=way.method) for way in ways(case)}
    path = folder / "models" / case.key
    saved = {SAVED_MODEL: lambda: {"model": phg2st.models.load(path)}}
    if saved_only or case.form == SAVED:
        return saved
    return {f"{way.method} trained": partial(_trained, case, way, world) for way in ways(case)} | saved


def _trained(case: Case, way: Way, world: World) -> dict[str, Any]:
    return {"model": train(case, way, world)}


def against_record(
    case: Case, world: World, folder: Path, label: str, maker: Callable[[], dict[str, Any]]
) -> list[Row]:
    """Rows of one case and one way; predictions that are recorded and not made are missing."""
    known = folder / "predictions"
    missing = {path.parent.relative_to(known).as_posix() for path in (known / case.key).rglob(FACTS)}
    rows: list[Row] = []
    try:
        by = maker()
        if label != SAVED_MODEL and "model" in by:
            rows.append(kept(case, folder, label, by["model"]))
        for key, answer in predictions(case, world, **by):
            there = key in missing
            rows.append(
                differences(key, label, Answer.read(known / key), answer) if there else Row(key, label, UNKNOWN)
            )
            missing.discard(key)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other cases go on
        rows.append(Row(case.key, label, ERROR, np.nan, f"{type(error).__name__}: {error}"))
    return [*rows, *(Row(key, label, MISSING, np.nan) for key in sorted(missing))]


def kept(case: Case, folder: Path, label: str, model: phg2st.models.Estimator) -> Row:
    """Whether a model that was trained anew keeps the same arrays; those under other names are no failure."""
    with tempfile.TemporaryDirectory() as scratch:
        new = model_answer(model.save(Path(scratch) / "model"))
    old = model_answer(folder / "models" / case.key)
    shared = old.arrays.keys() & new.arrays.keys()
    others = sorted(old.arrays.keys() ^ new.arrays.keys())
    one, other = (Answer({name: a.arrays[name] for name in shared}, a.facts) for a in (old, new))
    row = differences(f"models/{case.key}", label, one, other)
    return replace(row, note=", ".join(filter(None, [row.note, listed("details of other arrays", others)])))


def model_answer(path: Path) -> Answer:
    """Arrays and card of a saved model."""
    from safetensors.numpy import load_file

    arrays = {name: values for file in path.glob("*.safetensors") for name, values in load_file(file).items()}
    card = json.loads((path / "model.json").read_text(encoding="utf-8"))["card"]
    return Answer(arrays, {"details": {name: value for name, value in card.items() if name != "versions"}})


def differences(key: str, label: str, old: Answer, new: Answer) -> Row:
    """Whether all bits are equal, else by how much they are not."""
    names = sorted({*old.arrays, *new.arrays})
    unequal = [name for name in names if not _same_bits(old.arrays.get(name), new.arrays.get(name))]
    facts = [name for name in STRICT if old.facts.get(name) != new.facts.get(name)]
    largest = max((_distance(old.arrays.get(name), new.arrays.get(name)) for name in unequal), default=0.0)
    note = details_note(old.facts.get("details", {}), new.facts.get("details", {}))
    return Row(key, label, OTHER if unequal or facts else SAME, largest, ", ".join([*unequal, *facts, *note]))


def _same_bits(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return False
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def _distance(one: np.ndarray | None, other: np.ndarray | None) -> float:
    """Largest difference; infinite where there is no way to compare."""
    if one is None or other is None or one.shape != other.shape:
        return np.inf
    one, other = one.astype(np.float64), other.astype(np.float64)
    if (np.isnan(one) != np.isnan(other)).any():
        return np.inf
    return float(np.nanmax(np.abs(one - other), initial=0.0))


def details_note(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What was said about a prediction, and is said otherwise now: no failure."""
    one, other = flat(old), flat(new)
    lost, gained = sorted(set(one) - set(other)), sorted(set(other) - set(one))
    changed = sorted(key for key in set(one) & set(other) if one[key] != other[key])
    groups = {"lost": lost, "gained": gained, "changed": changed}
    return [listed(f"details {word}", keys) for word, keys in groups.items() if keys]


def listed(title: str, names: Sequence[str], most: int = 4) -> str:
    """The first of some names; empty without any."""
    return f"{title}: {' '.join(names[:most])}" + " ..." * (len(names) > most) if names else ""


def flat(nested: Any, prefix: str = "") -> dict[str, str]:
    """Entries of nested records by their path, as text."""
    if not isinstance(nested, Mapping):
        return {prefix: json.dumps(nested, sort_keys=True)}
    return {key: value for name, one in nested.items() for key, value in flat(one, f"{prefix}/{name}").items()}


def _compared_inputs(name: str, world: World, folder: Path) -> list[Row]:
    known = folder / "inputs" / name
    return [
        differences(f"inputs/{name}/{slide}", "", Answer.read(known / slide), answer)
        for slide, answer in inputs(world)
        if (known / slide).exists()
    ]


# --- what is printed --------------------------------------------------------------------------------------------------
def _say_machine(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            print(
                f"NOTE: {name} was {old.get(name)!r} when recorded and is {new.get(name)!r} now: bits may differ for it"
            )


def _print_case(case: Case, rows: list[Row], seconds: float) -> None:
    """One line by way."""
    for label, found in pd.DataFrame(rows).groupby("made", sort=False):
        equal = int((found["verdict"] == SAME).sum())
        verdict = SAME if equal == len(found) else ", ".join(sorted(set(found["verdict"]) - {SAME}))
        noted = int(found["note"].str.contains("details").sum())
        notes = f"  details of {noted} read otherwise" if noted else ""
        largest = found["largest"].max(skipna=True)
        line = f"{case.key:50s} {label:22s} {equal:3d}/{len(found):<3d} largest difference {largest:<9.3g} {verdict}{notes}"
        print(line, flush=True)
    print(f"{'':50s} {seconds:.1f} s", flush=True)


def _report(rows: list[Row], path: Path | None) -> int:
    """Print what is not equal, and how much is; the exit code."""
    table = pd.DataFrame(rows, columns=["key", "made", "verdict", "largest", "note"])
    if path is not None:
        table.to_csv(path, index=False)
    failed = table[table["verdict"].isin([OTHER, ERROR, MISSING])]
    noted = table[table["note"].str.contains("details") & ~table.index.isin(failed.index)]
    for title, part in (("Details that read otherwise (no failure)", noted), ("Not equal", failed)):
        if len(part):
            print(f"\n{title}:")
            print(part.to_string(index=False, max_colwidth=160))
    print(f"\n{(table['verdict'] == SAME).sum()} of {len(table)} equal, {len(failed)} failed")
    return int(len(failed) > 0 or not len(table))


def quiet() -> None:
    """No warnings and no words of the trainer: the table is to be read."""
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "phg2st_sc"):
        logging.getLogger(name).setLevel(logging.ERROR)


def parse() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    recording = commands.add_parser("record", help="keep every prediction and every trained model")
    comparing = commands.add_parser("compare", help="make every prediction again; exit code 1 where one differs")
    for command in (recording, comparing):
        command.add_argument("folder", type=Path, help="where predictions and models are kept")
        command.add_argument(
            "--data", type=Path, help="folder of the HER2+ data set; without, simulated sections alone"
        )
        command.add_argument("--panel", type=Path, help="file of gene names; default: her2st_genes.txt beside the data")
        command.add_argument("--only", help="cases whose name holds this text, as in simulated/trained/kriging")
    comparing.add_argument("--saved-only", action="store_true", help="load the saved models, train none")
    comparing.add_argument("--table", type=Path, help="write every line to this CSV")
    return parser.parse_args()


def main() -> None:
    """Record or compare."""
    args = parse()
    print(f"phg2st_sc of {phg2st.__file__}", flush=True)
    quiet()
    panel = args.panel or (None if args.data is None else args.data.parent / "her2st_genes.txt")
    worlds = Worlds(args.data, panel)
    if args.what == "record":
        sys.exit(record(args.folder, worlds, args.only))
    sys.exit(compare(args.folder, worlds, args.only, saved_only=args.saved_only, table=args.table))


if __name__ == "__main__":
    main()
