"""Features kept in a folder batch by batch as they come, so that the same work goes on where it was cut off.

A batch is appended to one file, numbers of its places and their features, and then a line about it to another: its shape and a
checksum. What the last line does not vouch for is cut off when the work goes on. A folder is named after all that the features
depend on, so that other work finds none of it. A function has no name for what it does: a few tiles are encoded again.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from .._files import alone, in_use, only_writer, remove_if_left
from .._image import Picture
from .._provenance import package_versions
from ._base import Encoder

Batch = tuple[NDArray[np.int64], NDArray[np.float32]]
_FORM = "1"
_LINE = struct.Struct("<III")
_LONGEST_NAME = 60
_TOLERANCE = 1e-2
"""Of a feature's largest value: a batch of another size may be rounded otherwise on a GPU, in half precision too."""


@dataclass(frozen=True, eq=False)
class Proof:
    """How what is kept of a piece of work is proven.

    Attributes
    ----------
    again
        Encodes some of the places, by number.
    order
        Numbers in the order in which they are kept, where that is one: where locks are missing, two calls may have kept the
        same, and what comes after the first that is not next is left out.
    n
        How many places are encoded again.
    """

    again: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    order: NDArray[np.int64] | None = None
    n: int = 8


class KeptBatches:
    """The batches of one piece of work in a folder that nobody else writes to.

    Parameters
    ----------
    folder
        Of this work alone; it exists.
    order
        See :class:`Proof`.
    """

    def __init__(self, folder: Path, order: NDArray[np.int64] | None = None) -> None:
        self._features, self._lines, self._order = folder / "features", folder / "batches", order
        for path in (self._features, self._lines):
            path.touch()

    def done(self) -> Iterator[Batch]:
        """What is there, to be asked for to the end before anything is added: numbers (n,) and features (n, dim)."""
        order = self._order
        lines = self._lines.read_bytes()
        whole = size = first = 0
        with self._features.open("rb") as file:
            for n, dim, checksum in _LINE.iter_unpack(lines[: len(lines) // _LINE.size * _LINE.size]):
                numbers, features = file.read(8 * n), file.read(4 * n * dim)
                if len(features) != 4 * n * dim or crc32(features, crc32(numbers)) != checksum:
                    break
                index = np.frombuffer(numbers, dtype="<i8")
                if order is not None and not np.array_equal(index, order[first : first + n]):
                    break
                whole, size, first = whole + 1, size + len(numbers) + len(features), first + n
                yield index, np.frombuffer(features, dtype="<f4").reshape(n, dim)
        for path, length in ((self._features, size), (self._lines, whole * _LINE.size)):
            with path.open("r+b") as file:
                file.truncate(length)

    def drop_unless(self, proof: Proof) -> None:
        """Encode a few again of those that are there, from the first to the last, and drop all where these are others by now."""
        found = [
            (numbers[row], features[row].copy())
            for numbers, features in self.done()
            for row in sorted({0, len(numbers) // 2, len(numbers) - 1})
        ]
        if not found:
            return
        some = [found[i] for i in sorted(set(np.linspace(0, len(found) - 1, proof.n).astype(int).tolist()))]
        now = proof.again(np.array([number for number, _ in some]))
        if not _are_alike(np.array([features for _, features in some]), now):
            for path in (self._lines, self._features):
                with path.open("r+b") as file:
                    file.truncate(0)

    def add(self, numbers: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Append a batch."""
        stored = numbers.astype("<i8").tobytes() + features.astype("<f4").tobytes()
        with self._features.open("ab") as file:
            file.write(stored)
        with self._lines.open("ab") as file:
            file.write(_LINE.pack(*features.shape, crc32(stored)))


@dataclass(frozen=True, eq=False)
class Keeping:
    """Where the features of one slide are kept.

    Attributes
    ----------
    folder
        For all that is kept; it is made when it is needed.
    embedding
        Key of the embedding.
    slide
        Name of the slide.
    picture
        Which picture the tiles are of.
    """

    folder: Path
    embedding: str
    slide: str
    picture: Picture

    @contextmanager
    def work(self, encoder: Encoder, *of: Any, proof: Proof) -> Iterator[KeptBatches]:
        """Hold the folder of a piece of work: what an encoder makes of the picture, and of what, in arrays, texts and numbers.

        An encoder without weights and a picture that is no file are not known by their names alone: what is there is proven.
        """
        picture = self.picture
        digest = sha256(repr((_FORM, package_versions(("phg2st-sc",)), sorted(asdict(encoder.card).items()))).encode())
        for part in (picture.name, _file_of(picture.name), picture.width, picture.height, picture.blocks, *of):
            digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        digest.update(_made_of_noise(encoder))
        slide = re.sub(r"[^A-Za-z0-9_.-]", "_", self.slide)[:_LONGEST_NAME]
        folder = self.folder / self.embedding / f"{slide}-{digest.hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        with only_writer(folder):
            kept = KeptBatches(folder, proof.order)
            if not encoder.card.weights or _file_of(picture.name) is None:
                kept.drop_unless(proof)
            yield kept


def _are_alike(before: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
    if before.shape != now.shape:
        return False
    size = np.abs(before)
    return bool(
        (np.abs(now - before) <= _TOLERANCE * size.max(axis=0, initial=0.0) + 1e-6 * size.max(initial=0.0)).all()
    )


def _file_of(name: str) -> tuple[int, int] | None:
    """Size and time of change of a picture that is a file: colours of a few blocks do not tell one from another."""
    with suppress(OSError, ValueError, RuntimeError):  # names of elements may be anything
        file = Path(name).expanduser()
        if file.is_file():
            return file.stat().st_size, file.stat().st_mtime_ns
    return None


def _made_of_noise(encoder: Encoder) -> bytes:
    """What an encoder makes of a made tile: by that one is known which has no weights to be known by."""
    if encoder.card.weights:
        return b""
    side = encoder.card.input_px
    noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3)) ** 2 // 256
    return np.asarray(encoder(noise.astype(np.uint8)), dtype=np.float32).tobytes()


@contextmanager
def needed(folder: Path | None, embedding: str) -> Iterator[None]:
    """Leave what is kept of an embedding to the call that runs within: of slides that it is done with, too."""
    if folder is None:
        yield
        return
    try:
        with in_use(folder / embedding):
            yield
    finally:
        _remove_if_empty(folder / embedding)


def drop_kept(folder: Path, embedding: str = "*") -> bool:
    """Remove features of an embedding, or of all, that no running call needs, and tell whether there were any."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    dropped = []
    for kept in _folders(folder, embedding):
        with alone(kept) as is_free:
            dropped += [remove_if_left(work) for work in _folders(kept)] if is_free else []
        _remove_if_empty(kept)
    return any(dropped)


def _remove_if_empty(kept: Path) -> None:
    """Remove the folder of an embedding that nobody keeps anything in, and the one that it is in, likewise."""
    with suppress(OSError):
        with alone(kept) as is_free:
            if is_free:
                kept.rmdir()
        kept.parent.rmdir()


def _folders(folder: Path, pattern: str = "*") -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_dir() and not path.is_symlink()]
