"""Read one colour chart from every common kind of picture, and files that are damaged at random.

python benchmarks/reliability/images.py [--count 400] [--seed 0] [--out images.csv]

Every kind of `tests/helpers/picture_cases.py` and `scanner_files.py` must give the right colours, or a refusal that names the
file where that is what is asked. Then `--count` copies of such files are cut short or have bytes changed: each must be read, or
refused with an error that names the file. The exit code is 1 where one was neither. A damaged stream can crash a codec of
imagecodecs, and Python with it: that is counted, and fails nothing here.
"""

from __future__ import annotations

import argparse
import csv
import functools
import logging
import multiprocessing
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from phg2st_sc.io import open_image

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from picture_cases import Case, all_cases, patches
from scanner_files import series_cases

PASSED = ("right colours", "refused by name", "read", "codec crashed")
MOST_PIXELS, MOST_SIDE, MOST_SECONDS = 10_000_000, 2000, 120


def read(source: Any, **options: Any) -> np.ndarray:
    """The whole picture."""
    image = open_image(source, **options)
    try:
        return image.read(0, 0, min(image.height, MOST_SIDE), min(image.width, MOST_SIDE))
    finally:
        image.close()


def judge(case: Case, folder: Path) -> tuple[str, str]:
    """What came out of a case, and a word on it."""
    source = case.make(folder)
    try:
        found = read(source)
    except (ValueError, TypeError) as error:
        named = not isinstance(source, Path) or str(source) in str(error)
        asked = case.expected is None or case.may_refuse
        return (
            "refused by name" if named and asked else "refused without need" if named else "refused without name"
        ), str(error)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "another error", repr(error)
    if case.expected is None:
        return "read, not refused", ""
    if found.shape != case.expected.shape:
        return "wrong picture", f"{found.shape}"
    off = float(np.abs(patches(found) - patches(case.expected)).max())
    return ("right colours" if off <= case.tolerance else "wrong colours"), f"{off:.1f}"


def damage(path: Path, rng: np.random.Generator) -> str:
    """Cut a file short, or change bytes of it."""
    data = bytearray(path.read_bytes())
    if rng.random() < 0.5:
        kept = int(rng.integers(0, len(data)))
        path.write_bytes(data[:kept])
        return f"cut at {kept} of {len(data)}"
    places = rng.integers(0, min(len(data), 4000) if rng.random() < 0.5 else len(data), int(rng.integers(1, 20)))
    for place in places:
        data[place] = rng.integers(0, 256)
    path.write_bytes(data)
    return f"{len(places)} bytes changed"


@functools.cache
def file_cases() -> list[Case]:
    """Cases that are single files, not arrays or folders."""
    return [case for case in (*all_cases(), *series_cases()) if is_file(case)]


def judge_damaged(seed: int, number: int) -> tuple[str, str, str]:
    """Which file was damaged, what came out of it, and a word on it."""
    rng = np.random.default_rng([seed, number])
    case = file_cases()[rng.integers(len(file_cases()))]
    with tempfile.TemporaryDirectory() as folder:
        return case.name, *read_damaged(case, Path(folder), rng)


def damaged(seed: int, count: int) -> Iterator[tuple[str, str, str]]:
    """Read damaged files in a process of their own, since a codec may take Python with it."""
    pool = None
    for number in tqdm(range(count), desc="damaged"):
        pool = pool or ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            yield pool.submit(judge_damaged, seed, number).result(timeout=MOST_SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            hung = isinstance(error, TimeoutError)
            yield f"number {number}", "hung" if hung else "codec crashed", ""
            for process in list(pool._processes.values()):
                process.kill()
            pool = None
    if pool is not None:
        pool.shutdown()


def read_damaged(case: Case, folder: Path, rng: np.random.Generator) -> tuple[str, str]:
    """What came out of a damaged file, and a word on it."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    source = case.make(folder)
    said = damage(source, rng)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            found = read(source, max_pixels=MOST_PIXELS)
    except (ValueError, TypeError) as error:
        return ("refused by name" if str(source) in str(error) else "refused without name"), f"{said}: {error}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "another error", f"{said}: {error!r}"
    told = [one for one in told if one.category is UserWarning]
    if said.startswith("cut") and not told and case.expected is not None:
        same = found.shape == case.expected.shape
        if not same or np.abs(patches(found) - patches(case.expected)).max() > case.tolerance:
            return "cut short, read in silence", said
    return "read", said


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="damaged files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="table of all outcomes")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    cases = [*all_cases(), *series_cases()]
    rows: list[tuple[str, str, str, str]] = []
    for case in tqdm(cases, desc="kinds"):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(("kind", case.name, *judge(case, Path(folder))))
    rows += [("damaged", *row) for row in damaged(arguments.seed, arguments.count)]
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            csv.writer(file).writerows([("part", "case", "outcome", "said"), *rows])
    failed = [row for row in rows if row[2] not in PASSED]
    for row in failed:
        print(*row, sep=" | ")
    for part in ("kind", "damaged"):
        counts = Counter(row[2] for row in rows if row[0] == part)
        print(
            f"{part}: {sum(counts.values())}; " + ", ".join(f"{name} {count}" for name, count in counts.most_common())
        )
    return int(bool(failed))


def is_file(case: Case) -> bool:
    """Whether a case is a single file, and not an array or a folder."""
    with tempfile.TemporaryDirectory() as folder:
        source = case.make(Path(folder))
        return isinstance(source, Path) and source.is_file()


if __name__ == "__main__":
    sys.exit(main())
