"""Mouse lumbar spinal cord in ALS, of Maniatis et al. 2019."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anndata as ad

from .. import _keys
from .._docs import documented
from .._progress import bar, is_shown
from ._from_ids import picture_at, section_of
from ._legacy import LegacyArray, read_counts
from ._sources import Source, chosen, fetch, known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

ARRAY = LegacyArray(pitch_um=200.0, spot_um=100.0)
_COLUMNS, _ROWS = 32, 34
"""Steps of the array along the sides of a picture, which was cut to it."""


class _Section(NamedTuple):
    mouse: str
    group: str
    picture: str
    width: int
    height: int


_SECTIONS = {
    "CN51_C2_1": _Section("765", "WT p70 F", "CN51_C2_HE.jpg", 9340, 9987),
    "CN51_C2_2": _Section("794", "SOD1-G93A p70 F", "CN51_C2_HE.jpg", 9340, 9987),
    "CN52_C2_1": _Section("765", "WT p70 F", "CN52_C2_HE.jpg", 9293, 9899),
    "CN52_C2_2": _Section("794", "SOD1-G93A p70 F", "CN52_C2_HE.jpg", 9293, 9899),
    "CN62_E2": _Section("652", "SOD1-G93A p100 M", "CN62_E2_HE.jpg", 9411, 9954),
    "CN63_C1": _Section("652", "SOD1-G93A p100 M", "CN63_C1_HE.jpg", 9344, 9878),
    "CN63_E2": _Section("652", "SOD1-G93A p100 M", "CN63_E2_HE.jpg", 9392, 9930),
    "L6CN51_E1_2": _Section("794", "SOD1-G93A p70 F", "L6CN51_E1_HE.jpg", 9322, 9901),
}
SOURCE = known(
    Source(
        name="als_spinal_cord",
        what="mouse lumbar spinal cord, ALS model, ST",
        sections=tuple(_SECTIONS),
        citation="Maniatis et al., Science 364, 89 (2019)",
        license="MIT by the repository; none is shown to cover the data themselves.",
        repository="https://github.com/BiomedicalMachineLearning/Spacell",
    )
)


@documented
def als_spinal_cord(
    path: str | Path | None = None,
    *,
    sections: str | Iterable[str] | None = None,
    with_images: bool = True,
    progress: bool | None = None,
) -> dict[str, AnnData]:
    """Mouse lumbar spinal cord: eight sections of three mice, 34 to 99 spots each, with their pictures.

    Parameters
    ----------
    path
        Folder with ``<section>/counts.h5ad`` or ``counts/<section>_stdata_aligned_counts_IDs.txt``, and ``images/``.
        ``None``: downloaded to :data:`phg2st_sc.settings` ``.cache`` when it is not there yet, 3 MB a picture.
    sections
        Sections to read; all by default.
    with_images
        Record where each picture is, and keep a thumbnail of it. Two sections may share a picture.
    {progress}

    Returns
    -------
    dict of AnnData
        By section. ``X``: raw counts; names that start with ``__`` are reads between genes, which are left out of all that
        counts genes. ``obsm["spatial"]`` in pixels of the picture, ``obs["patient"]`` the mouse, ``obs["group"]`` its
        genotype, age and sex. ``uns["spatial"][section]["metadata"]`` has citation, license and source.

    Raises
    ------
    ConnectionError
        If a file is not in the cache, and cannot be downloaded.
    FileNotFoundError
        If counts or a picture are not in the folder.
    ValueError
        If there is no such section.

    Notes
    -----
    Source: Maniatis et al., Science 364, 89 (2019), as in https://github.com/BiomedicalMachineLearning/Spacell.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.als_spinal_cord(sections=["CN51_C2_1", "CN51_C2_2"])  # doctest: +SKIP
    >>> slides["CN51_C2_1"].shape  # doctest: +SKIP
    (40, 12572)
    """
    names = chosen(SOURCE, sections)
    if path is None:
        pictures = [f"images/{_SECTIONS[name].picture}" for name in names] if with_images else []
        path = fetch(SOURCE, [*(_counts(name) for name in names), *dict.fromkeys(pictures)], progress=progress)
    shown = bar(names, progress=is_shown(progress) and len(names) > 1, desc=SOURCE.name, unit="section")
    return {name: _read(Path(path), name, with_images=with_images) for name in shown}


def _counts(name: str) -> str:
    return f"counts/{name}_stdata_aligned_counts_IDs.txt"


def _read(root: Path, name: str, *, with_images: bool) -> AnnData:
    facts, kept, text = _SECTIONS[name], root / name / "counts.h5ad", root / _counts(name)
    if kept.is_file():
        table = ad.read_h5ad(kept)
        ids, genes, counts = list(table.obs_names), list(table.var_names), table.X
    elif text.is_file():
        ids, genes, counts = read_counts(text)
    else:
        msg = f"No counts of section {name}: looked for {kept} and {text}."
        raise FileNotFoundError(msg)
    adata = section_of(
        ids,
        genes,
        counts,
        name=name,
        patient=facts.mouse,
        pitch_px=(facts.width / _COLUMNS, facts.height / _ROWS),
        array=ARRAY,
        facts=SOURCE.facts,
        image=picture_at(root / "images" / facts.picture) if with_images else None,
    )
    adata.obs[_keys.GROUP] = facts.group
    return adata
