"""Kill whoever saves a model, at every step and at any moment: the folder holds the old model or the new one, and the next save cleans up.

python benchmarks/reliability/saving.py --count 150 --seed 0
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from phg2st_sc import models

_GENES = 20_000
_STEPS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "open")


def model(level: float) -> models.PromptMean:
    """A fitted model whose arrays take a while to write."""
    made = models.PromptMean()
    made.genes = tuple(f"g{number}" for number in range(_GENES))
    made.levels = np.full(_GENES, level)
    return made


def killed(act: Callable[[], object], *, step: int | None = None, after_s: float | None = None) -> bool:
    """Do it in a fork that is killed at a step, or after a time; whether it was before it ended."""
    child = os.fork()
    if child == 0:
        if step is not None:
            sys.addaudithook(_killer(step))
        act()
        os._exit(0)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] != 0


def _killer(step: int) -> Callable[[str, tuple[object, ...]], None]:
    seen = 0

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event.startswith(_STEPS[:-1]) or (event == "open" and "model" in str(arguments[0])):
            seen += 1
            if seen > step:
                os.kill(os.getpid(), signal.SIGKILL)

    return look


def check(folder: Path, *, there: bool) -> str:
    """What the folder holds after the kill, and whether the next save leaves nothing behind; a fault in capitals."""
    held = "nothing"
    if folder.exists():
        try:
            held = {1.0: "the old", 2.0: "the new"}[float(models.load(folder).levels[0])]
        except (OSError, ValueError, KeyError) as error:
            return f"LOST {error}"
    if there and held == "nothing":
        return "LOST both"
    model(3.0).save(folder, overwrite=True)
    left = [
        path.name for path in folder.parent.rglob("*") if path.name not in ("model", "model.json", "arrays.safetensors")
    ]
    if left or float(models.load(folder).levels[0]) != 3.0:
        return f"LEFT {left}"
    return held


def trial(home: Path, *, there: bool, step: int | None = None, after_s: float | None = None) -> tuple[str, bool]:
    """One kill."""
    folder = home / "model"
    home.mkdir()
    if there:
        model(1.0).save(folder)
    was = killed(partial(model(2.0).save, folder, overwrite=there), step=step, after_s=after_s)
    return check(folder, there=there), was


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--count", type=int, default=150, help="kills at random moments; those at every step come with them"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, found, n = np.random.default_rng(arguments.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        model(0.0).save(home / "warm")
        began = time.monotonic()
        model(0.0).save(home / "warm", overwrite=True)
        whole = time.monotonic() - began
        for there in (True, False):
            step, was = 0, True
            while was:
                word, was = trial(home / f"step{there}{step}", there=there, step=step)
                found[f"{word}, at a step"] += was
                step += 1
        for number in range(arguments.count):
            there = number % 3 > 0
            word, was = trial(home / f"time{number}", there=there, after_s=float(rng.uniform(0, 1.2 * whole)))
            found[f"{word}, at a moment"] += was
            n += 1
            sys.stderr.write(f"\r{n}/{arguments.count}")
    sys.stderr.write("\n")
    for word, times in sorted(found.items()):
        sys.stdout.write(f"{times} x {word}\n")
    faults = sum(times for word, times in found.items() if word.split()[0].isupper())
    sys.stdout.write(f"{sum(found.values())} kills, {faults} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
