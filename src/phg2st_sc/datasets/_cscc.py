"""Cutaneous squamous cell carcinoma of Ji et al. 2020."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .._docs import documented
from .._progress import bar, is_shown
from .._warn import one_message_per_fault, warn_of_each
from ._legacy import LegacyArray, read_legacy_section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

ACCESSION = "https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc=GSE144239"
ARRAY = LegacyArray(pitch_um=150.0, spot_um=110.0)
_COUNTS = re.compile(r"^(?:GSM\d+_)?(?P<section>(?P<patient>P\d+)_ST_rep\d+)_stdata\.tsv(?:\.gz)?$")


@one_message_per_fault
@documented
def cscc(
    path: str | Path,
    *,
    sections: str | Iterable[str] | None = None,
    with_images: bool = True,
    progress: bool | None = None,
) -> dict[str, AnnData]:
    """Read the squamous cell carcinoma sections as the Gene Expression Omnibus distributes them.

    The folder is the unpacked ``GSE144240_RAW.tar``: for every section ``GSM…_P2_ST_rep1_stdata.tsv.gz``,
    ``GSM…_spot_data-selection-P2_ST_rep1.tsv.gz`` and ``GSM…_P2_ST_rep1.jpg``, each table gzipped or not. The
    counts hold every spot of the array; only those that the selection file lists, under the tissue, are kept.

    Parameters
    ----------
    path
        Folder with the unpacked files.
    sections
        Sections to read, such as ``"P2_ST_rep1"``; all that have counts by default. One section too comes in a dict.
    with_images
        Record where each picture is, and keep a thumbnail of it (at most 1,000 px). Pictures must be unpacked
        (``gunzip *.jpg.gz``), since a gzipped one cannot be read in parts; one that is not is left out with a warning.
    {progress}

    Returns
    -------
    dict of AnnData
        By section, in order of name, in the shape that :func:`her2st` describes: raw counts, spot centres in
        full-resolution pixels, ``obs["patient"]`` such as ``"P2"``, and the record in ``uns["spatial"]`` with
        ``platform`` ``"ST"`` and ``pitch_um`` 150 (spots of 110 µm).

    Raises
    ------
    FileNotFoundError
        When the layout or a section's selection file is not there; the message lists what was looked for.
    ValueError
        When a section is unknown, or its files do not fit together.

    Notes
    -----
    Source: Ji et al., Cell 182, 497-514 (2020), series GSE144239 and GSE144240.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.cscc("GSE144240_RAW", sections="P2_ST_rep1")  # doctest: +SKIP
    >>> slides["P2_ST_rep1"].obs["patient"].unique().tolist()  # doctest: +SKIP
    ['P2']
    """
    root = Path(path)
    counts = _find_counts(root)
    wanted = _wanted(counts, sections, root)
    shown = bar(wanted, progress=is_shown(progress) and len(wanted) > 1, desc="cscc", unit="section")
    slides = {}
    for name in shown:
        slides[name] = _read(root, name, counts[name], with_images=with_images)
    return slides


def _find_counts(root: Path) -> dict[str, Path]:
    files = sorted(root.iterdir()) if root.is_dir() else []
    counts = {match["section"]: file for file in files if (match := _COUNTS.match(file.name))}
    if counts:
        return dict(sorted(counts.items(), key=lambda item: _natural(item[0])))
    msg = f"No counts found: looked for {root / 'GSM*_P*_ST_rep*_stdata.tsv.gz'}. "
    if root.suffix == ".tar" or any(file.suffix == ".tar" for file in files):
        msg += "Unpack the archive first (tar -xf GSE144240_RAW.tar) and pass the folder."
    else:
        msg += f"Download GSE144240_RAW.tar from {ACCESSION}, unpack it, and pass the folder."
    raise FileNotFoundError(msg)


def _natural(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))


def _wanted(counts: dict[str, Path], sections: str | Iterable[str] | None, root: Path) -> list[str]:
    if sections is None:
        return list(counts)
    wanted = [sections] if isinstance(sections, str) else list(sections)
    unknown = [name for name in wanted if name not in counts]
    if unknown or not wanted:
        msg = f"No counts for sections {unknown} in {root}; there are {', '.join(counts)}."
        raise ValueError(msg)
    return wanted


def _read(root: Path, name: str, counts: Path, *, with_images: bool) -> AnnData:
    spots = _first(root, rf"^(?:GSM\d+_)?spot_data-selection-{name}\.tsv(?:\.gz)?$")
    if spots is None:
        msg = (
            f"Section {name} has counts but no spot positions: looked for "
            f"{root / f'GSM*_spot_data-selection-{name}.tsv.gz'}, part of GSE144240_RAW.tar ({ACCESSION})."
        )
        raise FileNotFoundError(msg)
    image = _image(root, name) if with_images else None
    return read_legacy_section(counts, spots, name=name, patient=name.split("_")[0], array=ARRAY, image=image)


def _image(root: Path, name: str) -> Path | None:
    picture = _first(root, rf"^(?:GSM\d+_)?{name}\.jpe?g$")
    packed = _first(root, rf"^(?:GSM\d+_)?{name}\.jpe?g\.gz$")
    if picture is None and packed is not None:
        warn_of_each(
            f"The picture of {name} is gzipped and was left out; run `gunzip {packed}` and read again.",
            each=name,
            several=f"The pictures of {{which}} are gzipped and were left out; run `gunzip {packed.parent}/*.gz` and read again.",
        )
    return picture


def _first(root: Path, pattern: str) -> Path | None:
    return next((file for file in sorted(root.iterdir()) if re.match(pattern, file.name)), None)
