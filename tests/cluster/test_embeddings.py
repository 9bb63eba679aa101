"""Embeddings on a cluster: the bits of one process, cut into parts, whatever happens to the workers."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
from on_cluster import idle, kill_a_busy_worker, once, press
from spatialdata import read_zarr

import phg2st_sc as phg2st
from phg2st_sc import _keys
from phg2st_sc._cluster import run_tasks
from phg2st_sc._slide._opened import NamedImage
from phg2st_sc.encoders import EncoderCard
from phg2st_sc.pp import _embedding_work

SETTINGS = {"input_px": 16, "context": 3, "batch_size": 8, "progress": False}


def mean(tiles):
    return tiles.mean(axis=(1, 2))


def slowly(tiles):
    time.sleep(0.1)
    return mean(tiles)


slowly.__name__ = "mean"


def bits(adata, key="X_mean"):
    """All that was written but the paths of pictures."""
    found = {slot: np.asarray(adata.obsm[slot]).tobytes() for slot in adata.obsm if slot.startswith(key)}
    tiles = adata.uns.get(_keys.TILES, {}).get(key, {})
    return found | {name: tiles[name].tobytes() for name in ("features", "positions") if name in tiles}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_embedding_work, "_TILES", 24)


@pytest.fixture(scope="module")
def slides():
    return phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=8, progress=False)


def copies(slides):
    return {name: one.copy() for name, one in slides.items()}


def embedded(slides, **settings):
    made = copies(slides)
    phg2st.pp.extract_embeddings(made, image="hires", **{"encoder": mean, **SETTINGS, **settings})
    return [bits(one) for one in made.values()]


@pytest.mark.parametrize("mode", ["grid", "lattice"])
def test_bits_are_those_of_one_process(slides, client, mode):
    assert embedded(slides, context_mode=mode, client=client) == embedded(slides, context_mode=mode)


class Colors:
    """Mean color of each of 7 x 7 patches of a tile of 56 px."""

    card = EncoderCard("colors", 3, 56, 112.0, transform="none", patch_px=8, token_dim=3)

    def __call__(self, tiles):
        return mean(tiles).astype(np.float32)

    def tokens(self, tiles):
        return tiles.reshape(-1, 7, 8, 7, 8, 3).mean(axis=(2, 4)).astype(np.float32)


def test_patches_are_pooled_by_parts(slides, client, monkeypatch):
    monkeypatch.setattr(_embedding_work, "_TILES", 5)
    settings = {"encoder": Colors(), "context_mode": "tokens", "input_px": None, "context": None}
    alone, there = ([one.copy() for one in slides.values()] for _ in range(2))
    phg2st.pp.extract_embeddings(alone, image="hires", **{**SETTINGS, **settings})
    phg2st.pp.extract_embeddings(there, image="hires", **{**SETTINGS, **settings}, client=client)
    assert [bits(one, "X_colors_tokens") for one in there] == [bits(one, "X_colors_tokens") for one in alone]


def test_texture_is_one_task_a_slide(slides, client):
    settings = {"encoder": "texture", "input_px": None, "context": None}
    alone, there = ([one.copy() for one in slides.values()] for _ in range(2))
    phg2st.pp.extract_embeddings(alone, image="hires", **{**SETTINGS, **settings})
    phg2st.pp.extract_embeddings(there, image="hires", **{**SETTINGS, **settings}, client=client)
    assert [bits(one, "X_texture") for one in there] == [bits(one, "X_texture") for one in alone]


def test_a_worker_that_dies_loses_nothing(slides, client, tmp_path):
    expected, kept = embedded(slides), tmp_path / "kept"
    with once(lambda: len(list(kept.glob("*/*/batches"))) > 2, kill_a_busy_worker(client)) as killed:
        assert embedded(slides, encoder=slowly, cache=kept, client=client) == expected
    assert killed[0] is not None


def test_an_interrupted_call_writes_nothing_and_goes_on(slides, client, tmp_path):
    expected, kept, made = embedded(slides), tmp_path / "kept", copies(slides)
    call = partial(phg2st.pp.extract_embeddings, made, image="hires", cache=kept, client=client, **SETTINGS)
    with once(lambda: len(list(kept.glob("*/*/batches"))) > 2, press), pytest.raises(KeyboardInterrupt):
        call(encoder=slowly)
    assert not any("X_mean" in one.obsm for one in made.values())
    assert idle(client)
    assert len({path.parent.name.partition("-")[0] for path in kept.glob("*/*/batches")}) > 0
    call(encoder=slowly)
    assert [bits(one) for one in made.values()] == expected


def test_stores_are_read_by_the_workers_and_written_by_this_process(client, tmp_path, monkeypatch):
    made = phg2st.datasets.simulate(
        n_slides=2, n_patients=2, n_spots=50, n_genes=8, container="spatialdata", progress=False
    )
    for name, one in made.items():
        one.write(tmp_path / f"{name}.zarr")
    monkeypatch.chdir(tmp_path)  # where workers are not
    stored = {name: read_zarr(f"{name}.zarr") for name in made}
    phg2st.pp.extract_embeddings(made, encoder=mean, **SETTINGS)
    phg2st.pp.extract_embeddings(stored, encoder=mean, write=True, client=client, **SETTINGS)
    for name, one in stored.items():
        again = read_zarr(tmp_path / f"{name}.zarr")
        for found in (one, again):
            assert bits(found["table"]) == bits(made[name]["table"])
        assert not list((tmp_path / f"{name}.zarr").glob(".phg2st*"))


def test_a_picture_that_a_worker_sees_in_part_is_refused(client, tmp_path, monkeypatch):
    made = phg2st.datasets.simulate(n_spots=50, n_genes=8, container="spatialdata", progress=False)
    made.write(tmp_path / "there.zarr")
    stored = read_zarr(tmp_path / "there.zarr")

    def lose_the_picture(*args, **settings):
        for level in (tmp_path / "there.zarr" / "images").glob("*/*"):
            if level.is_dir():
                level.rename(tmp_path / level.name)
        run_tasks(*args, **settings)

    monkeypatch.setattr("phg2st_sc.pp._embedding_cluster.run_tasks", lose_the_picture)
    with pytest.raises(ValueError, match="all machines see it by the same path"):
        phg2st.pp.extract_embeddings(stored, encoder=mean, client=client, **SETTINGS)


def test_pictures_are_closed_while_workers_encode(slides, client, monkeypatch):
    opened, seen, make, close = set(), [], NamedImage.__init__, NamedImage.close

    def opening(self, *args, **settings):
        make(self, *args, **settings)
        opened.add(self)

    def closing(self):
        close(self)
        opened.discard(self)

    def looked(*args, **settings):
        seen.append(len(opened))
        run_tasks(*args, **settings)

    monkeypatch.setattr(NamedImage, "__init__", opening)
    monkeypatch.setattr(NamedImage, "close", closing)
    monkeypatch.setattr("phg2st_sc.pp._embedding_cluster.run_tasks", looked)
    expected = embedded(slides)
    assert embedded(slides, client=client) == expected
    assert seen == [0]
    assert not opened


def test_spots_on_padding_are_named_as_alone(slides, client):
    found = []
    for settings in ({}, {"client": client}):
        one = next(iter(slides.values())).copy()
        library = next(iter(one.uns["spatial"]))
        picture = one.uns["spatial"][library]["images"]["hires"].copy()
        picture[: len(picture) // 3] = 0
        one.uns["spatial"][library]["images"]["hires"] = picture
        with pytest.warns(UserWarning, match="padding") as said:
            phg2st.pp.extract_embeddings(one, image="hires", encoder=mean, **SETTINGS, **settings)
        found.append([str(each.message) for each in said])
    assert found[0] == found[1]


def test_an_opened_encoder_that_is_too_large_is_told_of(slides, client, monkeypatch):
    monkeypatch.setattr("phg2st_sc._cluster._client.MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"Pass pictures as paths.*an encoder by its name"):
        embedded(slides, client=client)


def test_one_picture_for_several_objects_is_refused(slides):
    with pytest.raises(TypeError, match="a dict by slide name"):
        phg2st.pp.extract_embeddings(list(slides.values()), image="there.tif", encoder="texture")
