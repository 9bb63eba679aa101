"""Image features that other software computed, put beside the spots that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._checks import is_positive
from .._docs import documented
from .._image import check_length
from .._reading import Reading
from .._slide import Slide, SlotUpdate, refuse_foreign, store_behind, write_slots
from .._text import plain, quoted
from .._warn import one_message_per_fault, warn_user
from ..encoders import FeatureFile, check_name, open_features
from ._embedding_earlier import begin
from ._embedding_guard import check_columns, check_from_image
from ._embedding_match import Call, Match, no_spot, rows_of_spots
from ._embedding_record import UNKNOWN, image_record
from ._embedding_slots import obsm_keys, owner

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_PREFIX = _keys.embedding("")


@dataclass(frozen=True, eq=False)
class _Matched:
    """Which rows of a file the spots of one slide get; -1 for none."""

    slide: Slide
    file: FeatureFile
    tile_um: float
    rows: NDArray[np.int64]

    @property
    def has(self) -> NDArray[np.bool_]:
        """Which spots have features."""
        return self.rows >= 0


@one_message_per_fault
@documented
def add_embeddings(
    data: AnnData | SpatialData,
    features: Any,
    *,
    encoder: str | None = None,
    match: Match = "auto",
    obs_key: str | None = None,
    index: Any = None,
    element: str | None = None,
    tile_um: float | None = None,
    max_distance: float | None = None,
    revision: str | None = None,
    key_added: str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    write: bool = False,
) -> None:
    """Add image features that other software computed, with the record that later steps ask for.

    Read are HDF5 files of TRIDENT (``features``, ``coords``) and HEST (``embeddings``, ``barcodes``, ``coords``), zarr stores of
    LazySlide, tables (csv, tsv, parquet, DataFrame) and arrays (npy, numpy). Spots and features are matched by name, or by
    place: every spot gets the tile whose centre is nearest, if the spot lies inside it. Only features of spots are read, a
    bounded number of rows at once, and nothing in a file is ever run or unpickled.

    The record says that the features come from the image; only you can know. **Features computed from expression would leak
    the spots to be predicted**, and are refused where their names tell: columns that are genes, or an encoder called "pca".

    Parameters
    ----------
    {data}
    features
        Path, DataFrame or array, or a dict of them by slide name; slides that a dict leaves out keep what an earlier call
        gave them if it is of the same kind, else get NaN. Columns of a table are one of names (the index, or the one column
        of text), ``x`` and ``y`` (centres of tiles in full-resolution pixels), and features. The rows of an array are those
        of the object, or in a dict those of the slide, unless ``index`` names them.
    encoder
        Name of the encoder, for the record and the slot. Files of TRIDENT and LazySlide say it.
    match
        ``"name"``, ``"place"``, or ``"auto"``: by name where there are names, else by place.
    obs_key
        Column of ``obs`` with the names that the file uses. ``None``: ``obs_names``.
    index
        Names of the rows: of an array a list, or a text file with one a line; of a table the name of the column, where it is
        another one or holds numbers.
    element
        Table of a LazySlide store with several, e.g. ``"uni_tiles"``.
    {tile_um}
        Of those that were encoded; ``None``: what the file says.
    max_distance
        How far a spot may lie from the centre of its tile, along x and along y, in full-resolution pixels. ``None``: half
        the side of a tile.
    revision
        Version of the weights. Features of different revisions do not mix.
    key_added
        Key in ``obsm``, by default ``"X_<encoder>"``.
    {slide_key} {table_key} {coordinate_system} {pitch} {write}

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    KeyError
        If it holds no features, or several tables of them and none is named; or ``obs`` has no such column.
    TypeError, ValueError
        If it is of another kind or damaged; if columns are genes of the object or counts of a spot, or encoder or key is called
        as what is computed from expression (pca, umap, scvi, ...); if encoder or tile size is not known; if no spot has a feature, names repeat, or
        features are not finite; if ``obsm`` holds that key and it was not written by this package.

    Warns
    -----
    UserWarning
        If some spots have no features; they are named, and their features are NaN. If slides that a dict leaves out lose
        features of another kind.

    Notes
    -----
    Writes ``obsm["X_<encoder>"]`` (n_obs, d) float32 and its provenance in ``uns["phg2st_embeddings"]["X_<encoder>"]``.
    Context of an earlier call of :func:`extract_embeddings` under the same key is removed. Expression is never read.
    Places of TRIDENT and LazySlide are in pixels of the slide that they read: it must be the picture that the spots lie on.

    Examples
    --------
    >>> import numpy as np
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, image=False, progress=False)
    >>> made = np.random.default_rng(0).normal(size=(adata.n_obs, 8))
    >>> phg2st.pp.add_embeddings(adata, made, encoder="mine", tile_um=112)
    >>> adata.obsm["X_mine"].shape == (adata.n_obs, 8)
    True
    """
    call = replace(_checked(match, obs_key, max_distance, tile_um), by_slide=isinstance(features, Mapping))
    slides = Reading.among(locals()).open(data)
    if write:
        store_behind(data)
    files = _files(features, slides, index, element)
    name = _encoder(encoder, list(files.values()))
    rep = _keys.embedding(name) if key_added is None else key_added
    check_name(rep.removeprefix(_PREFIX))
    check_from_image(name, rep)
    tables = {id(slide.table): slide.table for slide in slides}
    for table in tables.values():
        refuse_foreign(table, [("obsm", key) for key in obsm_keys(rep)], owner(rep))
    matched = [_matched(slide, files[slide.name], call) for slide in slides if slide.name in files]
    _check_alike(matched)
    by_table: dict[int, list[_Matched]] = {}
    for one in matched:
        by_table.setdefault(id(one.slide.table), []).append(one)
    left_out = [slide for slide in slides if slide.name not in files]
    updates = {key: _update(found, left_out, rep, _record(found, name, revision)) for key, found in by_table.items()}
    for key, update in updates.items():
        write_slots(data, tables[key], update, write=write)


def _checked(match: str, obs_key: str | None, max_distance: float | None, tile_um: float | None) -> Call:
    if match not in ("auto", "name", "place"):
        msg = f"`match` must be 'auto', 'name' or 'place', got {match!r}."
        raise ValueError(msg)
    if max_distance is not None and not is_positive(max_distance):
        msg = f"`max_distance` must be a number of pixels above 0, got {max_distance!r}."
        raise ValueError(msg)
    return Call(match, obs_key, max_distance, None if tile_um is None else check_length("tile_um", tile_um))  # type: ignore[arg-type]


def _files(features: Any, slides: Sequence[Slide], index: Any, element: str | None) -> dict[str, FeatureFile]:
    """Opened files by slide."""
    names = [slide.name for slide in slides]
    if not isinstance(features, Mapping):
        opened = open_features(features, index=index, element=element)
        return dict.fromkeys(names, opened)
    given = {str(name): source for name, source in features.items()}
    unknown = [name for name in given if name not in names]
    if unknown or not given:
        msg = f"`features` names slides {quoted(unknown) or '(none)'}, and the object has {quoted(names)}."
        raise KeyError(msg)
    return {name: open_features(source, index=index, element=element) for name, source in given.items()}


def _encoder(encoder: str | None, files: Sequence[FeatureFile]) -> str:
    if encoder is not None:
        return encoder
    said = sorted({file.encoder for file in files})
    if len(said) == 1 and said[0]:
        return said[0]
    told = f"files say {quoted(said)}" if len(said) > 1 else f"{files[0].where!r} does not say"
    msg = f"Which encoder made these features? The {told}: pass `encoder=`, e.g. `encoder='uni'`."
    raise ValueError(msg)


def _matched(slide: Slide, file: FeatureFile, call: Call) -> _Matched:
    tile_um = call.tile_um or file.tile_um
    if tile_um is None:
        msg = (
            f"{file.where!r} does not say how large its tiles are: pass `tile_um=`, the side in µm of what was encoded."
        )
        raise ValueError(msg)
    check_columns(file, slide.table)
    rows = rows_of_spots(slide, file, call, tile_um)
    if (rows < 0).all():
        raise ValueError(no_spot(slide, file, call))
    return _Matched(slide, file, tile_um, rows)


def _check_alike(matched: Sequence[_Matched]) -> None:
    """Refuse slides whose features cannot stand in one array with one record."""
    kinds = {(one.file.shape[1], one.tile_um, one.file.layout) for one in matched}
    if len(kinds) > 1:
        told = "; ".join(f"{d} features of {um:g} µm ({layout})" for d, um, layout in sorted(kinds))
        msg = f"The files differ: {told}. Add features of each kind under a `key_added=` of their own."
        raise ValueError(msg)


def _update(matched: Sequence[_Matched], left_out: Sequence[Slide], rep: str, record: dict[str, Any]) -> SlotUpdate:
    table = matched[0].slide.table
    values, record = begin(table, [slide for slide in left_out if slide.table is table], rep, record)
    for one in matched:
        _fill(values, table, one)
        _warn_without(table, one, rep)
    uns: dict[str, Any] = {_keys.EMBEDDINGS: {**(table.uns.get(_keys.EMBEDDINGS) or {}), rep: record}}
    tiles = table.uns.get(_keys.TILES) or {}
    if rep in tiles:
        uns[_keys.TILES] = {key: value for key, value in tiles.items() if key != rep}
    return SlotUpdate(obsm={rep: values}, uns=uns, remove={"obsm": list(obsm_keys(rep)[1:])}, owner=owner(rep))


def _fill(values: NDArray[np.float32], table: AnnData, one: _Matched) -> None:
    spots = one.slide.rows[one.has]
    for places, piece in one.file.read(one.rows[one.has]):
        values[spots[places]] = piece
        faulty = ~np.isfinite(piece).all(axis=1)
        if faulty.any():
            names = table.obs_names[spots[places[faulty]]]
            msg = f"{one.file.where!r}: features are NaN or infinite at spots that it has a row for ({quoted(names)})."
            raise ValueError(msg)


def _warn_without(table: AnnData, one: _Matched, rep: str) -> None:
    names = table.obs_names[one.slide.rows[~one.has]]
    if not len(names):
        return
    warn_user(
        f"Slide {one.slide.name!r}: {len(names)} of {one.slide.n_spots} spots have no features in {one.file.where!r} ({quoted(names)}). "
        f"obsm[{rep!r}] is NaN there, and methods that use it ask to leave them out, e.g. "
        f"`data[numpy.isfinite(data.obsm[{rep!r}]).all(axis=1)].copy()`."
    )


def _record(matched: Sequence[_Matched], encoder: str, revision: str | None) -> dict[str, Any]:
    first, table = matched[0], matched[0].slide.table
    common = image_record(
        table,
        [(one.slide.name, one.slide.mpp, one.slide.mpp_source) for one in matched],
        encoder=encoder,
        revision=revision or UNKNOWN,
        transform=f"as made by {first.file.layout}",
        dim=first.file.shape[1],
        tile_um=first.tile_um,
        made_with=("pandas",),
    )
    return {
        **common,
        _keys.LAYOUT: first.file.layout,
        _keys.FILES: np.array([plain(one.file.where) for one in matched]),
        _keys.N_WITHOUT: np.array([int((~one.has).sum()) for one in matched]),
    }
