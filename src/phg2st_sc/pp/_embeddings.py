"""Image embeddings of spots and of the tiles around them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._cluster import check_client
from .._deprecated import renamed_parameters
from .._docs import documented
from .._reading import Reading, warn_of_one_picture
from .._slide import KEPT_IN_STORE, THUMBNAILS, Slide, refuse_foreign, store_behind, write_slots
from .._threads import limited_threads
from .._warn import one_message_per_fault
from ..encoders import drop_kept, needed
from ._embedding_cluster import embed_on
from ._embedding_job import TILE_UM, ContextMode, Job, job_of
from ._embedding_slide import Asked, EmbeddedSlide, embed_here
from ._embedding_slots import obsm_keys, owner, update

if TYPE_CHECKING:
    import torch
    from anndata import AnnData
    from distributed import Client
    from spatialdata import SpatialData

    from ..encoders import Encoder, TileFunction


@renamed_parameters(table="table_key")
@one_message_per_fault
@limited_threads()
@documented
def extract_embeddings(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData] | Mapping[str, AnnData | SpatialData],
    *,
    image: Any = None,
    encoder: str | Encoder | TileFunction = "uni",
    mpp: float | None = None,
    pitch_um: float | None = None,
    platform: str | None = None,
    tile_um: float = TILE_UM,
    context: int | Literal["auto"] | None = None,
    context_mode: ContextMode = "grid",
    pool_um: float | None = None,
    exact_context: bool = False,
    skip_glass: bool | None = None,
    key_added: str | None = None,
    input_px: int | None = None,
    fields_um: Sequence[float] | None = None,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    cache: str | os.PathLike[str] | None = None,
    write: bool = False,
    client: Client | None = None,
) -> None:
    """Embed the image around every spot.

    A tile of ``tile_um`` is centred on each spot, read from the pyramid level that fits, resampled to the encoder's
    input size and encoded. Tiles that reach beyond the image are padded with white. With ``context=5``, the tiles around
    the spots are encoded too, which ``"phg2st_paper"`` and ``"triplex"`` look at and the default method does not: on one grid per slide that neighbouring spots share (a spot's block is centred on it to
    half a tile), or, with ``context_mode="exact"``, centred on every spot exactly, at up to ``context ** 2`` times the work.
    Where spots lie closer than tiles, as bins of 8 µm do, ``context_mode="lattice"`` encodes no tile twice, and with a vision
    transformer ``context_mode="tokens"`` pools the patches of tiles at every spot.

    No slot of an object is written before all its slides are done, so the call can be interrupted at any time. With ``cache`` or
    ``write=True``, what was encoded by then is not encoded again by the next call that asks for the same.

    Parameters
    ----------
    {data}
        A list or dict of objects is embedded one object after the other, and each is written when it is done.
    {image}
        Of several objects a dict by slide name, a thumbnail or ``None``.
    encoder
        A registered name (:func:`phg2st_sc.encoders.list_encoders`), ``"timm:<model>"``, an encoder that
        :func:`phg2st_sc.encoders.get_encoder` opened (open it once for many calls), or a function from (b, h, w, 3)
        uint8 tiles to (b, d) features that treats each tile on its own. ``"uni"``, its peers and timm need the
        ``encoders`` extra and weights, ``"texture"`` neither.
    {mpp} {pitch_um} {platform} {pitch} {tile_um}
    context
        Tiles along a side of the block around each spot (odd), or ``None`` for no block. ``"auto"``, the default of earlier
        releases, takes 5, and none for an encoder such as ``"texture"`` that looks at more than the tile already.
    context_mode
        ``"grid"``: a tile centred on every spot, and one grid of tiles around them that the spots share. ``"exact"``: a tile
        and a block centred on every spot. ``"lattice"``: one lattice of tiles, whatever the number of spots; what a spot
        itself shows is weighted from the tiles around its centre. ``"tokens"``: features of the patches of tiles that overlap,
        pooled around every spot by area, without a block; of vision transformers, and of any encoder that is a
        :class:`phg2st_sc.encoders.TokenEncoder`.
    pool_um
        Side in µm of the square around a spot over which patches are pooled, with ``context_mode="tokens"``; at least that of a
        patch. ``None``: the distance of neighbouring spots, as far as it fits into a tile (96 µm with UNI).
    exact_context
        The old way to say ``context_mode="exact"``.
    skip_glass
        Do not encode tiles that show glass alone: bright, and even where tissue of any kind has structure. They are given the
        features of a white tile. By default in the modes ``"lattice"`` and ``"tokens"``.
    key_added
        Key in ``obsm``, by default ``"X_<encoder>"``, and ``"X_<encoder>_tokens"`` for pooled patches.
    input_px
        Tile side in pixels for an encoder that is a function; 224 by default.
    fields_um
        Widths in µm of the squares around a spot that an encoder that is a function is shown, each resampled to ``input_px``; their
        features are put side by side. The first is the tile, in place of ``tile_um``: ``(112, 560)`` shows the spot, and what surrounds it.
    {weights:encoder}
    {device} {precision:encoder}
    batch_size
        Tiles per read and encoder call. By default 64 on a processor; on other devices it doubles from there for as long as that
        makes a tile cheaper. It changes no result on a processor, and on other devices what they round.
    {progress} {slide_key} {table_key} {coordinate_system}
    cache
        Folder in which features of tiles are kept batch by batch, so that the same call goes on where an earlier one was cut
        off, and finds all of a finished one; delete it once the object is saved. Of an encoder without weights, such as a
        function, and of a picture that is no file, a few tiles are encoded again, and all where these differ by now. With
        ``write=True`` features are kept in the store, until the call has written its results.
    {write}
    {client}
        A task is a thousand tiles that lie together, or a slide where an encoder such as ``"texture"`` looks at the image as a
        whole. Workers write nothing but the features on their way, in ``cache`` or in the store; results are written by this
        process. An encoder that is named is opened by every worker, ``device=None`` on the best device that it has.

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
    image; with ``context_mode="exact"`` instead ``obsm["X_<encoder>_context"]`` (n_obs, context², d) float16, NaN there.
    Expression is never read.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, progress=False)
    >>> phg2st.pp.extract_embeddings(adata, image="hires", encoder="texture", progress=False)
    >>> adata.obsm["X_texture"].shape[0] == adata.n_obs
    True
    """
    check_client(client)
    reading = Reading.among(locals())
    objects = _objects(data, image)
    opened = [reading.open(one, image=image, mpp=mpp, pitch_um=pitch_um, platform=platform) for one in objects]
    stores = [store_behind(one) / KEPT_IN_STORE if write else None for one in objects]
    job = job_of(
        encoder,
        {"weights": weights, "device": device, "precision": precision},
        key_added=key_added,
        input_px=input_px,
        tile_um=tile_um,
        fields_um=fields_um,
        context=context,
        context_mode=context_mode,
        pool_um=pool_um,
        exact_context=exact_context,
        skip_glass=skip_glass,
        batch_size=batch_size,
        progress=progress,
        keep_in=None if cache is None else Path(cache).expanduser().absolute(),
    )
    _check_slots(opened, job.rep)
    asked = [
        Asked(slides, replace(job, keep_in=job.keep_in or store), partial(_write, one, job, write))
        for one, slides, store in zip(objects, opened, stores, strict=True)
    ]
    _embed(asked, client)
    for store in stores:
        if store is not None and cache is None:
            drop_kept(store, job.rep)


def _objects(data: Any, image: Any) -> list[Any]:
    """The objects of a call; an error where one picture is named for several."""
    if not isinstance(data, (Mapping, list, tuple)):
        return [data]
    objects = list(data.values()) if isinstance(data, Mapping) else list(data)
    if not objects:
        raise ValueError("No data: `data` is empty.")
    if len({id(one) for one in objects}) < len(objects):
        raise ValueError("The same object occurs more than once in `data`.")
    if len(objects) > 1 and not (
        image is None or isinstance(image, Mapping) or (isinstance(image, str) and image in THUMBNAILS)
    ):
        msg = (
            "For several objects `image` is a dict by slide name, 'hires' or 'lowres', or None for what their records name; or call "
            "for each object with its own."
        )
        raise TypeError(msg)
    return objects


def _check_slots(opened: Sequence[Sequence[Slide]], rep: str) -> None:
    """Raise where a table holds slots of these names that are not of this function."""
    for table in {id(slide.table): slide.table for slides in opened for slide in slides}.values():
        refuse_foreign(table, [("obsm", key) for key in obsm_keys(rep)], owner(rep))


def _embed(asked: Sequence[Asked], client: Client | None) -> None:
    """Embed here or on a cluster; what is kept on the way stays until all is done."""
    with ExitStack() as held:
        for one in asked:
            held.enter_context(needed(one.job.keep_in, one.job.rep))
        if client is None:
            embed_here(asked)
        else:
            embed_on(client, asked)


def _write(data: AnnData | SpatialData, job: Job, write: bool, embedded: Sequence[EmbeddedSlide]) -> None:
    by_table: dict[int, list[EmbeddedSlide]] = {}
    for one in embedded:
        by_table.setdefault(id(one.slide.table), []).append(one)
    for found in by_table.values():
        warn_of_one_picture([one.slide for one in found], [[one.picture] for one in found])
        target = found[0].slide.table
        write_slots(data, target, update(target, found, job.rep, job), write=write)
