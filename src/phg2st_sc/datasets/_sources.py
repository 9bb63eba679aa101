"""Public data sets by name: who made them, under what licence, and where their files are."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from .._progress import bar, is_shown
from .._registry import Registry
from .._settings import settings
from .._text import quoted

logger = logging.getLogger("phg2st_sc")

_RAW = "https://raw.githubusercontent.com"
_RETRIES = 2


class _File(NamedTuple):
    """A file of a repository, at a commit; its hash where it is known."""

    address: str
    hash: str | None


@dataclass(frozen=True)
class Source:
    """A public data set.

    Attributes
    ----------
    name
        Name of the function that reads it.
    what
        Tissue, and how it was measured.
    sections
        Names of its sections.
    citation
        The paper to cite.
    license
        What its authors allow, as far as they say.
    repository
        Where it is.
    """

    name: str
    what: str
    sections: tuple[str, ...]
    citation: str
    license: str
    repository: str

    @cached_property
    def files(self) -> Mapping[str, _File]:
        """Files that can be downloaded, by their place in the folder; none where the source has another form."""
        listed = files(__package__).joinpath("_files", f"{self.name}.tsv")
        lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
        rows = [line.split("\t") for line in lines]
        return {name: _File(address, None if known == "-" else known) for name, address, known in rows}

    @property
    def facts(self) -> dict[str, str]:
        """What the record of a section says of it."""
        return {"citation": self.citation, "license": self.license, "source": self.repository}


def _card(source: Source) -> dict[str, object]:
    return {
        "what": source.what,
        "sections": len(source.sections),
        "downloads": bool(source.files),
        "license": source.license,
        "citation": source.citation,
    }


DATASETS: Registry[Source] = Registry("data set", _card)
"""Every public data set that has a name: tissue, sections, licence and citation."""


def known(source: Source) -> Source:
    """Put a data set into :data:`DATASETS`."""
    DATASETS[source.name] = source
    return source


def chosen(source: Source, sections: str | Iterable[str] | None) -> list[str]:
    """Names of sections that are asked for, in that order; all by default."""
    if sections is None:
        return list(source.sections)
    wanted = [sections] if isinstance(sections, str) else list(sections)
    unknown = [name for name in wanted if name not in source.sections]
    if unknown or not wanted:
        msg = f"{source.name} has no sections {quoted(unknown)}; it has {', '.join(source.sections)}."
        raise ValueError(msg)
    return wanted


def folder_of(source: Source) -> Path:
    """Folder of a data set in the cache."""
    return settings.cache / "datasets" / source.name


def kept(source: Source, path: str | Path | None, *, holds: str) -> Path:
    """The folder of a data set that is not downloaded: the one that is given, else that in the cache.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    folder = folder_of(source) if path is None else Path(path)
    if not folder.is_dir():
        msg = (
            f"There is no folder {folder}. {source.name} is not downloaded: {source.repository} has it in a form that has to "
            f"be converted first. Pass a folder that holds {holds}, or put it there. Cite {source.citation}."
        )
        raise FileNotFoundError(msg)
    return folder


def fetch(source: Source, names: Sequence[str], *, progress: bool | None) -> Path:
    """Folder of a data set in the cache, with some of its files, which are downloaded where they are not there yet.

    Raises
    ------
    ConnectionError
        If a file is not there, and cannot be downloaded.
    ValueError
        If a file is not the one whose hash is known.
    """
    import pooch

    folder = folder_of(source)
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        logger.info(
            "%s: %d files from %s. %s Cite %s.",
            source.name,
            len(lacking),
            source.repository,
            source.license,
            source.citation,
        )
    store = pooch.create(
        path=folder,
        base_url=_RAW,
        registry={name: source.files[name].hash for name in names},
        urls={name: f"{_RAW}/{source.files[name].address}" for name in names},
        retry_if_failed=_RETRIES,
    )
    pooch.get_logger().setLevel(logging.WARNING)  # it tells of every file
    for name in bar(names, progress=is_shown(progress) and bool(lacking), desc=source.name, unit="file"):
        try:
            store.fetch(name)
        except OSError as error:
            msg = (
                f"{_RAW}/{source.files[name].address} cannot be downloaded ({error}). With a copy of {source.repository} "
                f"elsewhere, pass its folder, or put the file to {folder / name}."
            )
            raise ConnectionError(msg) from error
    return folder
