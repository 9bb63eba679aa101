"""Image embeddings of spots and of the tiles around them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._image import (
    Picture,
    Tiles,
    check_length,
    check_resolution,
    check_tissue,
    context_blocks,
    context_grid,
    pictures_record,
    tile_pixels,
)
from .._progress import bar
from .._provenance import names_hash, package_versions
from .._reading import Reading, pixel_size, warn_of_another_picture, warn_of_one_picture
from .._slide import Owner, Slide, SlotUpdate, check_positions_in_image, refuse_foreign, store_behind, write_slots
from .._warn import one_message_per_fault
from ..encoders import Encoder, check_name, encode_tiles, get_encoder

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from anndata import AnnData
    from spatialdata import SpatialData

    from .._image import SlideImage
    from ..encoders import TileFunction

logger = logging.getLogger("phg2st_sc")

_PREFIX = _keys.embedding("")


@dataclass(frozen=True)
class _Job:
    rep: str
    encoder: Encoder
    tile_um: float
    context: int
    exact: bool
    batch_size: int
    progress: bool


@dataclass(frozen=True, eq=False)
class _Embedded:
    """What one slide yields."""

    slide: Slide
    mpp: float
    mpp_source: str
    picture: Picture
    n_padded: int
    spots: NDArray[np.float32]
    index: NDArray[np.int32] | None = None
    tiles: Tiles | None = None
    tile_features: NDArray[np.float16] | None = None
    blocks: NDArray[np.float16] | None = None


@renamed_parameters(table="table_key")
@one_message_per_fault
@documented
def extract_embeddings(
    data: AnnData | SpatialData,
    *,
    image: Any = None,
    encoder: str | Encoder | TileFunction = "uni",
    mpp: float | None = None,
    pitch_um: float | None = None,
    platform: str | None = None,
    tile_um: float = 112.0,
    context: int | Literal["auto"] | None = "auto",
    exact_context: bool = False,
    key_added: str | None = None,
    input_px: int | None = None,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    batch_size: int = 64,
    progress: bool = True,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    write: bool = False,
) -> None:
    """Embed the image around every spot.

    A tile of ``tile_um`` is centred on each spot, read from the pyramid level that fits, resampled to the encoder's
    input size and encoded. Tiles that reach beyond the image are padded with white. With ``context``, the tiles around
    the spots are encoded too: on one grid per slide that neighbouring spots share (a spot's block is centred on it to
    half a tile), or, with ``exact_context``, centred on every spot exactly, at up to ``context ** 2`` times the work.

    Nothing is written before all slides are done, so the call can be interrupted at any time.

    Parameters
    ----------
    {data} {image}
    encoder
        A registered name (:func:`phg2st_sc.encoders.list_encoders`), ``"timm:<model>"``, an encoder that
        :func:`phg2st_sc.encoders.get_encoder` opened (open it once for many calls), or a function from (b, h, w, 3)
        uint8 tiles to (b, d) features that treats each tile on its own. ``"uni"``, its peers and timm need the
        ``encoders`` extra and weights, ``"texture"`` neither.
    {mpp} {pitch_um} {platform} {pitch} {tile_um}
    context
        Tiles along a side of the block around each spot (odd), or ``None`` for no block. ``"auto"`` takes 5, and none
        for ``"texture"``, whose features cover that field already.
    exact_context
        Centre every block on its spot instead of sharing one grid.
    key_added
        Key in ``obsm``, by default ``"X_<encoder>"``.
    input_px
        Tile side in pixels for an encoder that is a function; 224 by default.
    {weights:encoder}
    {device} {precision:encoder}
    batch_size
        Tiles per read and encoder call; it changes no result.
    {progress} {slide_key} {table_key} {coordinate_system} {write}

    Raises
    ------
    KeyError
        If there is no image, no spot coordinates, or slides whose spots lie on each other have one picture.
    ValueError
        If mpp is unknown, centres lie outside the image, x and y are swapped, ``data`` is a view, the encoder is
        unknown or returns unusable features, or ``obsm`` holds that key and it was not written by this function.
    ImportError, PermissionError, ConnectionError, FileNotFoundError
        If a network cannot be opened; see :func:`phg2st_sc.encoders.get_encoder`.

    Warns
    -----
    UserWarning
        If centres lie just outside the image, on black or transparent padding, or mostly on glass; or if a slide was embedded
        from another picture before.

    Notes
    -----
    Reads ``obsm["spatial"]`` and ``uns["spatial"]``. Writes ``obsm["X_<encoder>"]`` (n_obs, d) float32 and its
    provenance in ``uns["phg2st_embeddings"]["X_<encoder>"]``. With context also
    ``obsm["X_<encoder>_context_index"]`` (n_obs, context²) int32 into
    ``uns["phg2st_tiles"]["X_<encoder>"]["features"]`` (tiles, d) float16, -1 where a tile's centre is outside the
    image; with ``exact_context`` instead ``obsm["X_<encoder>_context"]`` (n_obs, context², d) float16, NaN there.
    Expression is never read.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, progress=False)
    >>> phg2st.pp.extract_embeddings(adata, image="hires", encoder="texture", progress=False)
    >>> adata.obsm["X_texture"].shape[0] == adata.n_obs
    True
    """
    reading = Reading.among(locals())
    slides = reading.open(data, image=image, mpp=mpp, pitch_um=pitch_um, platform=platform)
    options = {"weights": weights, "device": device, "precision": precision}
    rep, opened = _resolve_encoder(encoder, key_added, input_px, options)
    job = _Job(
        rep,
        opened,
        check_length("tile_um", tile_um),
        _resolve_context(context, opened),
        exact_context,
        _batch(batch_size),
        progress,
    )
    if write:
        store_behind(data)
    for target in {id(slide.table): slide.table for slide in slides}.values():
        refuse_foreign(target, [("obsm", key) for key in _obsm_keys(rep)], _owner(rep))
    by_table: dict[int, list[_Embedded]] = {}
    for slide in slides:
        by_table.setdefault(id(slide.table), []).append(_encode_slide(slide, job))
    for encoded in by_table.values():
        warn_of_one_picture([one.slide for one in encoded], [[one.picture] for one in encoded])
        target = encoded[0].slide.table
        write_slots(data, target, _update(target, encoded, rep, job), write=write)


def _resolve_encoder(
    encoder: str | Encoder | TileFunction, key_added: str | None, input_px: int | None, options: dict[str, Any]
) -> tuple[str, Encoder]:
    if key_added is not None:
        check_name(key_added)
    is_lambda = getattr(encoder, "__name__", "") == "<lambda>"
    name = key_added.removeprefix(_PREFIX) if key_added is not None and is_lambda else None
    opened = get_encoder(encoder, name=name, input_px=input_px, **options)
    return key_added or _keys.embedding(opened.card.name), opened


def _resolve_context(context: int | str | None, encoder: Encoder) -> int:
    if context == "auto":
        return 5 if max(encoder.card.fields) == 1.0 else 0
    if context is None:
        return 0
    if isinstance(context, bool) or not isinstance(context, (int, np.integer)) or context < 1 or context % 2 == 0:
        msg = f"`context` must be an odd number of tiles along a side, None or 'auto', got {context!r}."
        raise ValueError(msg)
    return int(context)


def _batch(batch_size: int) -> int:
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        msg = f"`batch_size` must be an integer of at least 1, got {batch_size!r}."
        raise ValueError(msg)
    return int(batch_size)


def _encode_slide(slide: Slide, job: _Job) -> _Embedded:
    opened = slide.open_image()
    try:
        return _encode_on(slide, opened, job)
    finally:
        opened.close()


def _encode_on(slide: Slide, image: SlideImage, job: _Job) -> _Embedded:
    check_positions_in_image(slide, image.height, image.width)
    mpp, source = pixel_size(slide, image)
    size_px = tile_pixels(job.tile_um, mpp)
    check_resolution(size_px, image, slide=slide.name, tile_um=job.tile_um)
    check_tissue(slide.positions, size_px, image, slide=slide.name, names=slide.table.obs_names[slide.rows])
    spots = Tiles(slide.positions, size_px)
    n_padded = int(spots.beyond(image).sum())
    if n_padded:
        logger.info("%s: %d of %d tiles reach beyond the image; padded with white", slide.name, n_padded, len(spots))
    picture = Picture.of(image, slide.image_name)
    warn_of_another_picture(slide, picture, job.rep)
    return _Embedded(slide, mpp, source, picture, n_padded, **_run(slide, image, spots, job))


def _run(slide: Slide, image: SlideImage, spots: Tiles, job: _Job) -> dict[str, Any]:
    """Encode the spots of one slide, and their context in the form asked for."""
    tiles, index = _context(spots, image, job)
    total = (len(spots) + (len(tiles) if tiles else 0)) * len(job.encoder.card.fields)
    with bar(progress=job.progress, total=total, desc=slide.name, unit="tile") as shown:
        found: dict[str, Any] = {"spots": encode_tiles(image, spots, job.encoder, batch_size=job.batch_size, bar=shown)}
        if tiles is None or index is None:
            return found
        features = encode_tiles(image, tiles, job.encoder, batch_size=job.batch_size, bar=shown).astype(np.float16)
    if job.exact:
        found["blocks"] = _gather(features, index)
    else:
        found.update(index=index, tiles=tiles, tile_features=features)
    return found


def _context(spots: Tiles, image: SlideImage, job: _Job) -> tuple[Tiles | None, NDArray[np.int32] | None]:
    if not job.context:
        return None, None
    make = context_blocks if job.exact else context_grid
    return make(spots.centers, spots.size_px, job.context, image)


def _gather(features: NDArray[np.float16], index: NDArray[np.int32]) -> NDArray[np.float16]:
    blocks = np.full((*index.shape, features.shape[1]), np.nan, dtype=np.float16)
    blocks[index >= 0] = features[index[index >= 0]]
    return blocks


def _update(table: AnnData, encoded: Sequence[_Embedded], rep: str, job: _Job) -> SlotUpdate:
    """Everything one call writes on one table, and what an earlier one left that no longer fits."""
    obsm: dict[str, Any] = {rep: _scatter(table.n_obs, encoded, "spots", np.float32(np.nan))}
    tiles = {key: value for key, value in (table.uns.get(_keys.TILES) or {}).items() if key != rep}
    form = _context_form(job)
    if form == "exact":
        obsm[_keys.context(rep)] = _scatter(table.n_obs, encoded, "blocks", np.float16(np.nan))
    elif form == "grid":
        obsm[_keys.context_index(rep)], tiles[rep] = _join_tiles(table.n_obs, encoded)
    uns: dict[str, Any] = {}
    if tiles or _keys.TILES in table.uns:
        uns[_keys.TILES] = tiles
    record = _record(table, encoded, job, obsm[rep].shape[1])
    uns[_keys.EMBEDDINGS] = {**(table.uns.get(_keys.EMBEDDINGS) or {}), rep: record}
    return SlotUpdate(obsm=obsm, uns=uns, remove={"obsm": _stale(rep, job)}, owner=_owner(rep))


def _owner(rep: str) -> Owner:
    return Owner((_keys.EMBEDDINGS, rep), ("encoder",), shared=(_keys.EMBEDDINGS, _keys.TILES))


def _obsm_keys(rep: str) -> tuple[str, ...]:
    return rep, _keys.context_index(rep), _keys.context(rep)


def _scatter(n_obs: int, encoded: Sequence[_Embedded], what: str, fill: np.generic) -> NDArray[Any]:
    first = getattr(encoded[0], what)
    out = np.full((n_obs, *first.shape[1:]), fill, dtype=first.dtype)
    for one in encoded:
        out[one.slide.rows] = getattr(one, what)
    return out


def _join_tiles(n_obs: int, encoded: Sequence[_Embedded]) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Index over all rows of the table, and the tiles of its slides one slide after the other."""
    index: NDArray[np.int32] | None = None
    features, centers, codes, start = [], [], [], 0
    for code, one in enumerate(encoded):
        if one.index is None or one.tiles is None or one.tile_features is None:
            continue
        if index is None:
            index = np.full((n_obs, one.index.shape[1]), -1, dtype=np.int32)
        index[one.slide.rows] = np.where(one.index >= 0, one.index + start, -1)
        features.append(one.tile_features)
        centers.append(one.tiles.centers)
        codes.append(np.full(len(one.tiles), code, dtype=np.int32))
        start += len(one.tiles)
    tiles = {
        "features": np.concatenate(features),
        "positions": np.concatenate(centers),
        "slide": np.concatenate(codes),
        "slides": np.array([one.slide.name for one in encoded]),
    }
    return np.asarray(index, dtype=np.int32), tiles


def _record(table: AnnData, encoded: Sequence[_Embedded], job: _Job, dim: int) -> dict[str, Any]:
    """Provenance of one embedding; the one thing that tells later steps it comes from the image."""
    card = job.encoder.card
    return {
        "source": "image",
        "encoder": card.name,
        "revision": card.revision,
        "weights": card.weights,
        "transform": card.transform,
        "precision": card.precision,
        "licence": card.license,
        "dim": dim,
        "input_px": card.input_px,
        "fields": np.array(card.fields),
        "tile_um": job.tile_um,
        "context": job.context,
        "context_form": _context_form(job),
        "slides": np.array([one.slide.name for one in encoded]),
        "mpp": np.array([one.mpp for one in encoded]),
        "mpp_source": np.array([one.mpp_source for one in encoded]),
        "n_padded": np.array([one.n_padded for one in encoded]),
        **pictures_record([one.picture for one in encoded]),
        _keys.N_OBS: table.n_obs,
        _keys.NAMES_HASH: names_hash(table.obs_names),
        "versions": package_versions(("phg2st-sc", "numpy", "scipy", "scikit-image", "pillow", "torch", "timm")),
    }


def _stale(rep: str, job: _Job) -> list[str]:
    """Keys of ``obsm`` that hold the context of an earlier call under the same key, in a form that this one has not."""
    form = _context_form(job)
    keys = {"grid": _keys.context_index(rep), "exact": _keys.context(rep)}
    return [key for name, key in keys.items() if name != form]


def _context_form(job: _Job) -> str:
    if not job.context:
        return "none"
    return "exact" if job.exact else "grid"
