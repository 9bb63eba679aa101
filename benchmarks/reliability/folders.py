"""Saved models, folders of benchmarks and files of weights that were damaged or made to harm: refused in a sentence, or harmless.

Each is read and used in a process of its own, with limits of memory and time, which is watched for files opened or changed outside
of the folder, commands, connections and unpickled objects. Ends with status 1 where anything but that came out.

    python benchmarks/reliability/folders.py --count 280 --seed 2 --out folders.csv
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _folder_cases import DAMAGES, HARMS, Change
from _other_cases import benchmark_cases, weight_cases
from _sandbox import Outcome, run

import phg2st_sc as phg2st
from phg2st_sc import models

QUICK: dict[str, dict[str, Any]] = {
    "phg2st": {
        "max_epochs": 1,
        "network": {"width": 16, "hypergraph_width": 8, "propagation_blocks": 1},
        "training": {"steps_per_epoch": 2},
    },
    "phg2st_paper": {"branches": "spot", "max_epochs": 1, "network": {"width": 16, "hypergraph_width": 8}},
    **{
        name: {"max_epochs": 2, "fine_tune": 2}
        for name in ("bleep", "hggep", "hist2st", "histogene", "stnet", "triplex")
    },
}
_SMALL = {
    "bleep": {"width": 16},
    "hggep": {"width": 16, "heads": 2, "hypergraph_width": 8, "n_views": 1},
    "hist2st": {"width": 16, "depth": 1, "heads": 2},
    "histogene": {"width": 16, "depth": 1, "heads": 2},
    "triplex": {"neighbors": False, "width": 16, "fusion_heads": 2, "global_heads": 2},
}
for _name, _sizes in _SMALL.items():
    QUICK[_name]["network"] = _sizes
_LONGEST = 1500
_SENTENCES = (
    "ValueError",
    "FileNotFoundError",
    "FileExistsError",
    "TypeError",
    "KeyError",
    "ConnectionError",
    "ImportError",
    "UnknownNameError",
)


@dataclass
class Case:
    """One folder or file, what was done to it, and what is to come of it."""

    kind: str
    what: str
    action: Any
    home: Path
    expected: Any
    sealed: bool


def cohort() -> tuple[dict[str, Any], Any]:
    """Four sections with made-up features of an encoder, and one of their patients' with prompts."""
    sections = phg2st.datasets.simulate(
        n_slides=5, n_patients=5, n_spots=64, n_genes=12, image=False, progress=False, seed=0
    )
    for number, adata in enumerate(sections.values()):
        shown = np.asarray(adata.obsm["true_programmes"])[:, :4] @ np.random.default_rng(5).normal(size=(4, 12))
        noise = np.random.default_rng(number).normal(size=shown.shape)
        adata.obsm["X_texture"] = (shown + 0.3 * noise).astype(np.float32)
        record = {"source": "image", "encoder": "texture", "revision": "1", "transform": "none", "tile_um": 112.0}
        adata.uns["phg2st_embeddings"] = {"X_texture": record}
    new = sections.pop("P5_S1")
    phg2st.pp.sample_prompts(new, fraction=0.25, seed=0)
    return sections, new


def save_all(sections: dict[str, Any], home: Path) -> list[str]:
    """Every method of the registry, trained where it can be and untrained."""
    made = []
    for name in models.methods():
        model = models.create(name, **QUICK.get(name, {}))
        if not model.needs_fit:
            model.save(home / f"{name}-untrained")
            made.append(f"{name}-untrained")
        if models.get_method(name).fit is not models.Estimator.fit:
            phg2st.tl.train(sections, method=name, progress=False, **QUICK.get(name, {})).save(home / name)
            made.append(name)
    return made


def predicted(new: Any, folder: Path) -> list[list[float]]:
    """What a user would do: predict with the folder."""
    model = models.load(folder)
    repr(model)
    return phg2st.tl.predict(new, model=folder, progress=False).X.tolist()


def model_cases(home: Path, new: Any, names: list[str], expected: dict[str, Any], n: int, seed: int) -> Iterator[Case]:
    """Folders of models, damaged and made to harm in turn."""
    rng = np.random.default_rng(seed)
    for number in range(n):
        changes = HARMS if number % 2 else DAMAGES
        change: Change = changes[int(rng.integers(len(changes)))]
        name, other = rng.choice(names, 2, replace=False)
        place = home / f"case{number}"
        folder = shutil.copytree(home / str(name), place / "model")
        what = change(folder, rng, home / str(other))
        yield Case(f"model {name}", what, partial(predicted, new, folder), place, expected[str(name)], bool(number % 2))


def judged(case: Case, outcome: Outcome) -> str:
    """What came out, in a word; a fault in capitals."""
    if outcome.acts:
        return f"ACTED {outcome.acts}"
    if outcome.ended:
        return f"ENDED {outcome.ended}"
    if outcome.error:
        said = outcome.message
        plain = (
            said.isprintable() and len(said) <= _LONGEST and "weights_only" not in said and "allow_pickle" not in said
        )
        if outcome.error not in _SENTENCES or not plain or " " not in said:
            return f"UNCLEAR {outcome.error}: {said[:300]!r}"
        return "refused"
    if outcome.value == case.expected:
        return "the same"
    if not case.sealed:
        return "TAKEN for what was saved"
    return "another model"


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--count",
        type=int,
        default=400,
        help="models; a fifth as many benchmarks, and files of weights, come with them",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="table of all cases")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = campaign(Path(scratch), arguments.count, arguments.seed)
    if arguments.out is not None:
        with arguments.out.open("w", newline="") as file:
            csv.writer(file).writerows([("kind", "what", "outcome", "seconds"), *rows])
    faults = [row for row in rows if row[2].split()[0].isupper()]
    for kind in ("model", "benchmark", "weights"):
        found = Counter(row[2] for row in rows if row[0].startswith(kind) and row not in faults)
        sys.stdout.write(f"{kind}: {', '.join(f'{n} {word}' for word, n in found.items())}\n")
    for row in faults:
        sys.stdout.write(f"FAULT {row}\n")
    sys.stdout.write(f"{len(rows)} tried, {len(faults)} faults\n")
    return 1 if faults else 0


def campaign(home: Path, n: int, seed: int) -> list[tuple[str, str, str, str]]:
    """All cases of a seed, as rows of a table."""
    sections, new = cohort()
    base = run(partial(save_all, sections, home), home, seconds=1800, megabytes=16_000)
    if base.error or base.ended:
        raise RuntimeError(base)
    _check_watch(home)
    expected = {}
    for name in base.value:
        outcome = run(partial(predicted, new, home / name), home, seconds=300)
        expected[name] = outcome.value
    rows = []
    others = [*benchmark_cases(home, sections, n // 5, seed, Case), *weight_cases(home, n // 5, seed, Case)]
    cases = [*model_cases(home, new, base.value, expected, n, seed), *others]
    for number, case in enumerate(cases, start=1):
        outcome = run(case.action, case.home)
        word = judged(case, outcome)
        rows.append((case.kind, case.what, word, f"{outcome.seconds:.1f}"))
        sys.stderr.write(f"\r{number}/{len(cases)} {case.kind}: {word}"[:150].ljust(150))
        shutil.rmtree(case.home, ignore_errors=True)
    sys.stderr.write("\n")
    return rows


def _check_watch(home: Path) -> None:
    """What must be noticed is noticed."""
    import os

    inner = home / "inner"
    inner.mkdir()
    acts = {
        "a command": lambda: os.system("true"),
        "a file made outside": lambda: (home / "made").touch(),
        "a file read outside": lambda: Path("/etc/passwd").read_text(),
    }
    unseen = [name for name, act in acts.items() if not run(act, inner).acts]
    if unseen:
        raise RuntimeError(unseen)


def _import_first() -> None:
    """What is imported at first use may bind a socket to see what the machine has; that is no folder's doing."""
    import phg2st_sc.training  # noqa: F401

    for name in ("timm", "dgl"):
        with suppress(Exception):
            import_module(name)


if __name__ == "__main__":
    _import_first()
    sys.exit(main())
