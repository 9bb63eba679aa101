"""Files and folders that are there as a whole or not at all, also where the process was killed or the power failed.

New content is written beside and moved into place. Whoever writes holds a lock that the system takes back when the process ends,
so that what a dead run left behind is known from what a live one is writing.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and what a killed run left stays
    fcntl = None  # type: ignore[assignment]

_PART = ".part"
_WAIT_S = 60.0
_STEP_S = 0.05


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside, and move it over ``path`` once it is complete; what killed runs left of it goes.

    Parameters
    ----------
    path
        File; one that is there is replaced, a link is not followed.
    write
        Writes to the path that it is given, which has the same ending.
    """
    with _beside(path, _new_file) as (part, number):
        write(part)
        if number is not None:
            os.fsync(number)
        part.replace(path)
    sync_folder(path.parent)


def new_folder(path: Path, fill: Callable[[Path], object]) -> None:
    """Fill a folder beside, and give it its name once it is complete; what killed runs left of it goes.

    Parameters
    ----------
    path
        Folder that is not there yet.
    fill
        Fills the folder that it is given.

    Raises
    ------
    FileExistsError
        If somebody else made it in the meantime.
    """
    with _beside(path, Path.mkdir) as (part, _):
        fill(part)
        _move_new(part, path)
    sync_folder(path.parent)


def _move_new(part: Path, path: Path) -> None:
    try:
        part.rename(path)
    except OSError as error:
        if not path.exists():
            raise
        msg = f"{path} was made by another process in the meantime, and is left as it is: choose another name, or call again."
        raise FileExistsError(msg) from error


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder alone while files in it are exchanged; waits for another process that does.

    Raises
    ------
    TimeoutError
        If the other does not end within a minute.
    """
    with _opened(folder) as number:
        until = time.monotonic() + _WAIT_S
        while not _lock(number):
            if time.monotonic() > until:
                msg = f"Another process has been writing to {folder} for a minute: wait until it ends, and call again."
                raise TimeoutError(msg)
            time.sleep(_STEP_S)
        yield


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Use a folder, which is made where it is not there, beside others: while any does, it is not free for :func:`alone`."""
    number = _share(folder)
    while number is None and fcntl is not None:  # somebody removed it before the lock
        number = _share(folder)
    try:
        yield
    finally:
        if number is not None:
            os.close(number)


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Hold a folder and tell that nobody uses it, or tell that somebody does."""
    with _opened(folder) as number:
        yield _lock(number)


def remove_if_left(folder: Path) -> bool:
    """Remove a folder unless somebody holds it by :func:`only_writer`, and tell which."""
    with _opened(folder) as number:
        if not _lock(number):
            return False
        shutil.rmtree(folder)
    return True


def sync_file(path: Path) -> None:
    """Have a file's content on the disk before anything that comes after."""
    number = os.open(path, os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; some systems cannot, and need not."""
    with suppress(OSError), _opened(folder) as number:
        if number is not None:
            os.fsync(number)


# --- locks and leftovers ----------------------------------------------------------------------------------------------
@contextmanager
def _beside(path: Path, make: Callable[[Path], None]) -> Iterator[tuple[Path, int | None]]:
    """A new file or folder of this run's own, held until it is done with; removed where that fails."""
    _sweep(path)
    held = False
    while not held:  # another run's sweep may come before the lock
        part = path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}{_PART}{path.suffix}")
        make(part)
        held, number = _hold(part)
    try:
        yield part, number
    except BaseException:
        _remove(part)
        raise
    finally:
        if number is not None:
            os.close(number)


def _hold(part: Path) -> tuple[bool, int | None]:
    if fcntl is None:
        return True, None
    try:
        number = os.open(part, os.O_RDONLY)
    except FileNotFoundError:
        return False, None
    if _lock(number) and part.exists():
        return True, number
    os.close(number)
    return False, None


def _new_file(path: Path) -> None:
    path.touch(exist_ok=False)


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    if fcntl is None:  # folders cannot be opened there, and open files not moved
        yield None
        return
    number = os.open(path, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)


def _lock(number: int | None) -> bool:
    """Whether nobody else holds the file; where the system has no locks there is nobody to be seen."""
    if fcntl is None or number is None:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return True
    return True


def _share(folder: Path) -> int | None:
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        return None
    try:
        number = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # a network file system without locks
        fcntl.flock(number, fcntl.LOCK_SH)
    if folder.exists() and os.path.samestat(os.fstat(number), folder.stat()):
        return number
    os.close(number)
    return None


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _sweep(path: Path) -> None:
    """Remove what writing ``path`` left behind where the writer is dead."""
    if fcntl is None:
        return
    for part in path.parent.iterdir():
        ours = part.name.startswith(_prefix(path)) and part.name.removesuffix(path.suffix).endswith(_PART)
        if not ours or part.is_symlink() or not (part.is_file() or part.is_dir()):
            continue
        with suppress(OSError), _opened(part) as number:
            if number is not None:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(part)
