"""HER2-positive breast tumours of Andersson et al. 2021."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from .. import _keys
from .._docs import documented
from .._progress import bar, is_shown
from ._legacy import LegacyArray, array_ids, read_legacy_section
from ._sources import Source, chosen, fetch, known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

REPOSITORY = "https://github.com/almaan/her2st"
ARRAY = LegacyArray(pitch_um=200.0, spot_um=100.0)
COUNTS, SPOTS, IMAGES, LABELS = "ST-cnts", "ST-spotfiles", "ST-imgs", "ST-pat/lbl"
_OF_PATIENTS = {"A": 6, "B": 6, "C": 6, "D": 6, "E": 3, "F": 3, "G": 3, "H": 3}
SOURCE = known(
    Source(
        name="her2st",
        what="HER2-positive breast tumours, ST",
        sections=tuple(f"{patient}{i}" for patient, n in _OF_PATIENTS.items() for i in range(1, n + 1)),
        citation="Andersson et al., Nature Communications 12, 6012 (2021)",
        license="See the repository.",
        repository=REPOSITORY,
    )
)


@documented
def her2st(
    path: str | Path | None = None,
    *,
    sections: str | Iterable[str] | None = None,
    with_images: bool = True,
    progress: bool | None = None,
) -> dict[str, AnnData]:
    """Read the HER2-positive breast tumour sections in the layout of their public repository.

    The folder holds ``ST-cnts/<section>.tsv.gz`` and ``ST-spotfiles/<section>_selection.tsv``, and where there
    are any ``ST-imgs/<patient>/<section>/*.jpg`` and ``ST-pat/lbl/<section>_labeled_coordinates.tsv``. The
    first letter of a section names its patient. A spot is kept when the counts have it and the spot file selects it.

    Parameters
    ----------
    path
        The repository's ``data`` folder, or the clone itself. ``None``: downloaded to :data:`phg2st_sc.settings` ``.cache`` when
        it is not there yet: counts and spots of all 36 sections, labels of eight, pictures of B4 and C2 to C6.
    sections
        Sections to read, such as ``"C4"`` or ``["C3", "C4"]``; all that have counts by default. One section too comes in
        a dict: ``her2st(path, sections="C4")["C4"]``.
    with_images
        Record where each picture is, and keep a thumbnail of it (at most 1,000 px). The picture itself is not
        decoded. ``False`` leaves both out.
    {progress}

    Returns
    -------
    dict of AnnData
        By section, in order of name. ``X``: raw counts, CSR float32 (n_obs, n_vars); genes differ between sections.
        ``obs_names``: ``<x>x<y>`` of the array, unique within a section only.
        ``obsm["spatial"]``: spot centres (x, y) in full-resolution pixels, float64 (n_obs, 2).
        ``obs["array_col"]`` is the array's x and runs along pixel x, ``obs["array_row"]`` its y along pixel y.
        ``obs["section"]``, ``obs["patient"]``, ``obs["in_tissue"]``, and ``obs["pathologist_label"]`` where labels exist.
        ``uns["spatial"][section]``: ``images["hires"]`` and ``scalefactors["tissue_hires_scalef"]`` (both only with a
        picture), ``scalefactors["spot_diameter_fullres"]``, and ``metadata`` with ``platform`` ``"ST"``, ``pitch_um``
        200 and ``source_image_path``. The pixel size is not in the data; it follows from the pitch.

    Raises
    ------
    ConnectionError
        When a file is not in the cache, and cannot be downloaded.
    FileNotFoundError
        When the layout or a section's file is not there; the message lists what was looked for.
    ValueError
        When a section is unknown, has several pictures, or its files do not fit together.

    Notes
    -----
    Squidpy plots a section without a picture when told ``shape=None``. To join sections, make their spot ids unique and
    keep the records in ``uns``, by which the sections are told apart afterwards and their pictures found:
    ``anndata.concat(slides, join="inner", index_unique="-", uns_merge="unique")``.

    Source: Andersson et al., Nature Communications 12, 6012 (2021), https://github.com/almaan/her2st.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.her2st("her2st/data", sections=["C3", "C4"])  # doctest: +SKIP
    >>> slides["C4"].obsm["spatial"].shape  # doctest: +SKIP
    (184, 2)
    """
    if path is None:
        names = chosen(SOURCE, sections)
        root = fetch(SOURCE, _files(names, with_images), progress=progress)
    else:
        root = _root(Path(path))
        names = _section_names(root, sections)
    shown = bar(names, progress=is_shown(progress) and len(names) > 1, desc="her2st", unit="section")
    return {name: _read(root, name, with_images=with_images) for name in shown}


def _files(names: list[str], with_images: bool) -> list[str]:
    """What can be downloaded of some sections."""
    folders = (COUNTS, SPOTS, LABELS, IMAGES) if with_images else (COUNTS, SPOTS, LABELS)
    return [
        file
        for file in SOURCE.files
        if file.startswith(folders) and any(part.split("_")[0].split(".")[0] in names for part in file.split("/"))
    ]


def _root(path: Path) -> Path:
    for candidate in (path, path / "data"):
        if any((candidate / COUNTS).glob("*.tsv*")):
            return candidate
    msg = (
        f"No counts found: looked for {path / COUNTS / '*.tsv.gz'} and {path / 'data' / COUNTS / '*.tsv.gz'}. "
        f"Clone {REPOSITORY} and pass its `data` folder."
    )
    raise FileNotFoundError(msg)


def _section_names(root: Path, sections: str | Iterable[str] | None) -> list[str]:
    available = sorted({file.name.split(".")[0] for file in (root / COUNTS).glob("*.tsv*")})
    if sections is None:
        return available
    wanted = [sections] if isinstance(sections, str) else list(sections)
    unknown = [name for name in wanted if name not in available]
    if unknown or not wanted:
        msg = f"No counts for sections {unknown} in {root / COUNTS}; there are {', '.join(available)}."
        raise ValueError(msg)
    return wanted


def _read(root: Path, name: str, *, with_images: bool) -> AnnData:
    counts = next(file for file in sorted((root / COUNTS).glob(f"{name}.tsv*")))
    spots = root / SPOTS / f"{name}_selection.tsv"
    if not spots.is_file():
        msg = f"Section {name} has counts but no spot positions: {spots} is missing. It is part of {REPOSITORY}."
        raise FileNotFoundError(msg)
    patient = name[0]
    image = _image(root / IMAGES / patient / name) if with_images else None
    adata = read_legacy_section(counts, spots, name=name, patient=patient, array=ARRAY, image=image)
    labels = root / LABELS / f"{name}_labeled_coordinates.tsv"
    if labels.is_file():
        adata.obs[_keys.LABEL] = _labels(labels).reindex(adata.obs_names).astype("category")
    return adata


def _image(folder: Path) -> Path | None:
    pictures = sorted(file for file in folder.glob("*") if file.suffix.lower() in {".jpg", ".jpeg"})
    if len(pictures) > 1:
        msg = f"{folder} holds {len(pictures)} pictures ({', '.join(p.name for p in pictures)}); keep the one in use."
        raise ValueError(msg)
    return pictures[0] if pictures else None


def _labels(path: Path) -> pd.Series:
    table = pd.read_csv(path, sep="\t").dropna(subset=["x", "y", "label"])
    labels = pd.Series(table["label"].str.strip().to_numpy(), index=array_ids(table["x"], table["y"]))
    return labels[~labels.index.duplicated()]
