"""Mouse olfactory bulb, of Ståhl et al. 2016 and of STUtility."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import _keys
from .._docs import documented
from .._progress import bar, is_shown
from ._from_ids import picture_at, section_of
from ._legacy import LegacyArray, array_ids, read_counts, read_legacy_section
from ._section import read_section
from ._sources import Source, chosen, fetch, known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData

_REP11 = "Rep11"
_REP11_PITCH_PX = 2319 * 194 / 6200
_FOLDERS = {_REP11: "stahl_mob/Rep11", "MOB1": "stutility_mob/MOB1", "MOB2": "stutility_mob/MOB2"}
_1K, _2K = LegacyArray(pitch_um=200.0, spot_um=100.0), LegacyArray(pitch_um=150.0, spot_um=110.0)
SOURCE = known(
    Source(
        name="mouse_olfactory_bulb",
        what="mouse olfactory bulb, ST",
        sections=tuple(_FOLDERS),
        citation="Ståhl et al., Science 353, 78 (2016) for Rep11; Bergenstråhle et al., BMC Genomics 21, 482 (2020) for MOB1 and MOB2",
        license="See the repositories; none is shown to cover the data themselves.",
        repository="https://github.com/almaan/sepal, https://github.com/tare/Splotch and https://github.com/jbergenstrahle/STUtility",
    )
)


@documented
def mouse_olfactory_bulb(
    path: str | Path | None = None,
    *,
    sections: str | Iterable[str] | None = None,
    with_images: bool = True,
    progress: bool | None = None,
) -> dict[str, AnnData]:
    """Mouse olfactory bulb: ``"Rep11"`` of Ståhl et al., 262 spots, and ``"MOB1"`` and ``"MOB2"`` of STUtility, with pictures.

    Parameters
    ----------
    path
        Folder with ``stahl_mob/Rep11``, ``stutility_mob/MOB1`` and ``stutility_mob/MOB2``, each as
        :func:`phg2st_sc.datasets.read_section` reads it. ``None``: downloaded to :data:`phg2st_sc.settings` ``.cache`` when it
        is not there yet.
    sections
        Sections to read; all by default.
    with_images
        Record where each picture is, and keep a thumbnail of it.
    {progress}

    Returns
    -------
    dict of AnnData
        By section, each its own ``obs["patient"]``. ``X``: raw counts. Genes of ``"MOB1"`` and ``"MOB2"`` are Ensembl ids with
        their version as downloaded, 1,000 of them; the folders may name them otherwise.

    Raises
    ------
    ConnectionError
        If a file is not in the cache, and cannot be downloaded.
    FileNotFoundError
        If a section is not in the folder.
    ValueError
        If there is no such section.

    Notes
    -----
    Sources: Ståhl et al., Science 353, 78 (2016), counts as in https://github.com/almaan/sepal and the picture as in
    https://github.com/tare/Splotch; Bergenstråhle et al., BMC Genomics 21, 482 (2020), https://github.com/jbergenstrahle/STUtility.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.mouse_olfactory_bulb()  # doctest: +SKIP
    >>> slides["Rep11"].shape  # doctest: +SKIP
    (262, 16218)
    """
    names = chosen(SOURCE, sections)
    if path is None:
        root = fetch(SOURCE, [one for name in names for one in _files(name, with_images)], progress=progress)
    shown = bar(names, progress=is_shown(progress) and len(names) > 1, desc=SOURCE.name, unit="section")
    if path is None:
        return {name: _downloaded(root, name, with_images=with_images) for name in shown}
    return {name: read_section(Path(path) / _FOLDERS[name], patient=name, with_images=with_images) for name in shown}


def _files(name: str, with_images: bool) -> list[str]:
    tables = [f"{name}.tsv.gz"] if name == _REP11 else [f"{name}.tsv", f"{name}_spots.tsv"]
    return [*tables, f"{name}.jpg"] if with_images else tables


def _downloaded(root: Path, name: str, *, with_images: bool) -> AnnData:
    image = picture_at(root / f"{name}.jpg") if with_images else None
    if name != _REP11:
        counts, spots = root / f"{name}.tsv", root / f"{name}_spots.tsv"
        adata = read_legacy_section(counts, spots, name=name, patient=name, array=_2K, image=image)
        adata.uns[_keys.SPATIAL][name][_keys.METADATA].update(SOURCE.facts)
        return adata
    ids, genes, matrix = read_counts(root / f"{name}.tsv.gz")
    adata = section_of(
        ids,
        genes,
        matrix,
        name=name,
        patient=name,
        pitch_px=(_REP11_PITCH_PX, _REP11_PITCH_PX),
        array=_1K,
        facts=SOURCE.facts,
        image=image,
    )
    adata.obs_names = array_ids(adata.obs[_keys.ARRAY_X], adata.obs[_keys.ARRAY_Y])
    return adata
