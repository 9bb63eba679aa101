"""An extraction that was cut off goes on where it was, ends with the same bits, and takes nothing of other work."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from PIL import Image
from spatialdata import read_zarr

from phg2st_sc import _keys, datasets, io, pp
from phg2st_sc._image import Picture, TileReads, open_image
from phg2st_sc._image._identity import _steps
from phg2st_sc.encoders import EncoderCard, TextureEncoder
from phg2st_sc.encoders._kept import KeptBatches

LEFT = ".phg2st-embeddings"


class Counting:
    """Mean colours; stops like a kill would, after some calls."""

    __name__ = "mean"

    def __init__(self, stop_after=None, factor=1.0):
        self.batches, self.stop_after, self.factor = [], stop_after, factor

    def __call__(self, tiles):
        if len(self.batches) == self.stop_after:
            raise KeyboardInterrupt
        self.batches.append(len(tiles))
        return tiles.mean(axis=(1, 2)) * self.factor


def _extract(adata, image, encoder, **options):
    options = {"input_px": 16, "pitch_um": 200, "context": 3, "batch_size": 32, "progress": False, **options}
    pp.extract_embeddings(adata, image=image, encoder=encoder, **options)
    return adata


def _bits(adata, key="X_mean"):
    tiles = adata.uns[_keys.TILES][key]["features"]
    return adata.obsm[key].tobytes(), adata.obsm[f"{key}_context_index"].tobytes(), tiles.tobytes()


@pytest.mark.parametrize("mode", ["grid", "lattice"])
def test_what_was_done_is_not_done_again_and_the_bits_are_the_same(mode, spot_adata, he_image, tmp_path):
    options = {"context_mode": mode, "skip_glass": False}
    whole, cut, rest, again = Counting(), Counting(stop_after=4), Counting(), Counting()
    expected = _bits(_extract(spot_adata.copy(), he_image, whole, **options))
    options["cache"] = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        _extract(spot_adata, he_image, cut, **options)
    assert _bits(_extract(spot_adata, he_image, rest, **options)) == expected
    assert cut.batches == [1, 32, 32, 32]  # the first is the made tile by which a function is known
    assert rest.batches[:2] == [1, 8]  # and a few of those that are there
    assert sum(rest.batches) - 9 == sum(whole.batches) - 96
    assert _bits(_extract(spot_adata, he_image, again, **options)) == expected
    assert again.batches == [1, 8]


OTHER = {
    "function": {"encoder": Counting(factor=2.0)},
    "tile": {"tile_um": 90},
    "resolution": {"input_px": 20},
    "context": {"context": 5},
    "glass": {"skip_glass": True},
    "picture": {"image": "other"},
}


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER)
def test_other_work_takes_nothing_of_it(other, spot_adata, he_image, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _extract(spot_adata, he_image, Counting(stop_after=3), cache=tmp_path)
    settings = {"image": he_image, "encoder": Counting(), **other}
    if isinstance(settings["image"], str):
        settings["image"] = 255 - he_image
    expected = _bits(_extract(spot_adata.copy(), **settings))
    n_before = len(settings["encoder"].batches)
    assert _bits(_extract(spot_adata.copy(), cache=tmp_path, **settings)) == expected
    assert len(settings["encoder"].batches) == 2 * n_before + 1


class Bright(Counting):
    """Whether a tile is bright: another threshold gives the same of the made tile."""

    def __init__(self, threshold, stop_after=None):
        super().__init__(stop_after)
        self.threshold = threshold

    def __call__(self, tiles):
        return (super().__call__(tiles) > self.threshold).astype(np.float32)


def test_a_function_that_was_changed_takes_nothing_of_what_it_was(spot_adata, he_image, tmp_path):
    middle = float(np.median(he_image.mean(axis=(0, 1))))
    expected = _bits(_extract(spot_adata.copy(), he_image, Bright(middle)))
    assert expected != _bits(_extract(spot_adata.copy(), he_image, Bright(middle + 20)))
    with pytest.raises(KeyboardInterrupt):
        _extract(spot_adata.copy(), he_image, Bright(middle + 20, stop_after=4), cache=tmp_path)
    assert _bits(_extract(spot_adata.copy(), he_image, Bright(middle), cache=tmp_path)) == expected
    again = Bright(middle)
    assert _bits(_extract(spot_adata.copy(), he_image, again, cache=tmp_path)) == expected
    assert again.batches == [1, 8]


@pytest.mark.parametrize("name", ["b.png", "a.png"])
def test_a_picture_that_differs_between_the_blocks_looked_at_is_another(name, spot_adata, he_image, tmp_path):
    other = he_image.copy()
    other[58:102, 62:106] //= 2
    blocks = [Picture.of(open_image(one), "").blocks for one in (he_image, other)]
    np.testing.assert_array_equal(*blocks)
    for path, pixels in ((tmp_path / "a.png", he_image), (tmp_path / name, other)):
        Image.fromarray(pixels).save(path)
        found = _bits(_extract(spot_adata.copy(), path, Counting(), cache=tmp_path / "kept"))
    assert found == _bits(_extract(spot_adata.copy(), other, Counting()))
    assert len(list(tmp_path.glob("kept/X_mean/*"))) == 2


def test_another_version_takes_nothing_of_it(spot_adata, he_image, tmp_path, monkeypatch):
    _extract(spot_adata.copy(), he_image, Counting(), cache=tmp_path)
    monkeypatch.setattr("phg2st_sc.encoders._kept.package_versions", lambda _: {"phg2st-sc": "another"}, raising=False)
    _extract(spot_adata.copy(), he_image, Counting(), cache=tmp_path)
    assert len(list(tmp_path.glob("X_mean/*"))) == 2


def test_a_cache_may_be_below_the_home_folder(spot_adata, he_image, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _extract(spot_adata, he_image, Counting(), cache="~/kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("damage", ["features cut", "features changed", "line cut", "line alone"])
def test_what_no_line_vouches_for_is_cut_off(damage, rng, tmp_path):
    batches = [rng.random((4, 3)).astype(np.float32) for _ in range(3)]
    kept = KeptBatches(tmp_path)
    assert list(kept.done()) == []
    for batch in batches:
        kept.add(np.arange(4), batch)
    features, lines = tmp_path / "features", tmp_path / "batches"
    if damage == "features cut":
        features.write_bytes(features.read_bytes()[:-5])
    elif damage == "features changed":
        features.write_bytes(features.read_bytes()[:-5] + b"\0" * 5)
    elif damage == "line cut":
        lines.write_bytes(lines.read_bytes()[:-3])
    else:
        lines.write_bytes(lines.read_bytes() + lines.read_bytes()[:12])
    left = 3 if damage == "line alone" else 2
    found = [batch for _, batch in KeptBatches(tmp_path).done()]
    np.testing.assert_array_equal(found, batches[:left])
    KeptBatches(tmp_path).add(np.arange(4), batches[0])
    assert len(list(KeptBatches(tmp_path).done())) == left + 1


def test_a_batch_that_two_calls_added_is_not_counted_twice(spot_adata, he_image, tmp_path):
    expected = _bits(_extract(spot_adata.copy(), he_image, Counting()))
    with pytest.raises(KeyboardInterrupt):
        _extract(spot_adata.copy(), he_image, Counting(stop_after=3), cache=tmp_path)
    (work,) = tmp_path.glob("*/*")
    _, (numbers, second) = KeptBatches(work).done()
    KeptBatches(work).add(numbers, second)
    assert _bits(_extract(spot_adata.copy(), he_image, Counting(), cache=tmp_path)) == expected
    found = np.concatenate([index for index, _ in KeptBatches(work).done()])
    assert len(found) == len(set(found.tolist()))


def test_tiles_that_nobody_encoded_are_refused(spot_adata, he_image, monkeypatch):
    batches = TileReads.batches
    monkeypatch.setattr(TileReads, "batches", lambda reads, size, *, start: batches(reads, size, start=start + 5))
    with pytest.raises(ValueError, match=r"'mean' was not asked for 5 of .* `io.recover\(store\)`"):
        _extract(spot_adata, he_image, Counting())


@pytest.fixture
def store(tmp_path):
    sdata = datasets.simulate(n_spots=60, n_genes=10, seed=1, container="spatialdata", progress=False)
    sdata.write(tmp_path / "a.zarr")
    return tmp_path / "a.zarr"


def _in_store(store, encoder):
    sdata = read_zarr(store)
    options = {"input_px": 32, "context": 3, "batch_size": 16, "progress": False}
    pp.extract_embeddings(sdata, encoder=encoder, write=True, **options)
    (table,) = sdata.tables.values()
    return table


def test_a_store_keeps_them_until_they_are_written(store):
    with pytest.raises(KeyboardInterrupt):
        _in_store(store, Counting(stop_after=3))
    assert (store / LEFT / "X_mean").is_dir()
    rest = Counting()
    table = _in_store(store, rest)
    assert not (store / LEFT).exists()
    (back,) = read_zarr(store).tables.values()
    assert _bits(back) == _bits(table)
    whole = Counting()
    assert _bits(_in_store(store, whole)) == _bits(table)
    assert sum(whole.batches) - sum(rest.batches) == 2 * 16 - 6


def test_recover_drops_what_a_killed_call_kept(store):
    with pytest.raises(KeyboardInterrupt):
        _in_store(store, Counting(stop_after=3))
    assert "X_mean" not in next(iter(read_zarr(store).tables.values())).obsm
    assert io.recover(store) == "old kept"
    assert not (store / LEFT).exists()
    assert io.recover(store) == "nothing to do"


def test_recover_leaves_a_call_that_still_runs_what_it_is_done_with(store, monkeypatch):
    said = []

    def killed(*_):
        said.append(io.recover(store))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("phg2st_sc.pp._embeddings.update", killed)
        _in_store(store, Counting())
    assert said == ["nothing to do"]
    rest = Counting()
    _in_store(store, rest)
    assert rest.batches == [1, 8]
    assert not (store / LEFT).exists()


def test_a_call_that_kept_nothing_leaves_no_folder(spot_adata, he_image, tmp_path):
    spot_adata.obsm["spatial"] += 10_000
    with pytest.raises(ValueError, match="outside"):
        _extract(spot_adata, he_image, Counting(), cache=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_finished_call_leaves_other_embeddings_their_work(store):
    with pytest.raises(KeyboardInterrupt):
        _in_store(store, Counting(stop_after=3))
    other = Counting()
    other.__name__ = "other"
    _in_store(store, other)
    assert [path.name for path in (store / LEFT).iterdir()] == ["X_mean"]


class Patches(Counting):
    """Mean colours of tiles and of their patches of 4 pixels."""

    def __init__(self, stop_after=None):
        super().__init__(stop_after)
        self.card = EncoderCard(name="mean", dim=3, input_px=32, tile_um=112.0, patch_px=4, token_dim=3)

    def tokens(self, tiles):
        patches = tiles.reshape(len(tiles), 8, 4, 8, 4, 3).mean(axis=(2, 4))
        self(tiles)
        return patches.astype(np.float32)


def test_patches_of_finished_tiles_are_kept_too(spot_adata, he_image, tmp_path):
    options = {"context": None, "context_mode": "tokens", "input_px": None, "batch_size": 8, "skip_glass": False}
    whole, cut, rest = Patches(), Patches(stop_after=4), Patches()
    expected = _extract(spot_adata.copy(), he_image, whole, **options).obsm["X_mean_tokens"]
    with pytest.raises(KeyboardInterrupt):
        _extract(spot_adata, he_image, cut, cache=tmp_path, **options)
    _extract(spot_adata, he_image, rest, cache=tmp_path, **options)
    np.testing.assert_array_equal(spot_adata.obsm["X_mean_tokens"], expected)
    assert sum(cut.batches) + sum(rest.batches) - 2 - 8 == sum(whole.batches)  # eight of those that are there again


def _changed(image):
    """Another picture, which is the same in the blocks by which pictures are known."""
    other = 255 - image
    for y0, y1 in _steps(image.shape[0]):
        for x0, x1 in _steps(image.shape[1]):
            other[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return other


class Weighty(Counting):
    """An encoder that is known by its weights."""

    card = EncoderCard(name="mean", dim=3, input_px=16, tile_um=112.0, weights="some")


def test_patches_of_a_changed_picture_are_made_anew(spot_adata, he_image, tmp_path):
    options = {"context": None, "context_mode": "tokens", "input_px": None, "batch_size": 8, "skip_glass": False}
    other = _changed(he_image)
    expected = _extract(spot_adata.copy(), other, Patches(), **options).obsm["X_mean_tokens"]
    before = _extract(spot_adata.copy(), he_image, Patches(), cache=tmp_path, **options).obsm["X_mean_tokens"]
    after = _extract(spot_adata.copy(), other, Patches(), cache=tmp_path, **options).obsm["X_mean_tokens"]
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, expected)


def test_tiles_of_a_changed_picture_in_memory_are_made_anew_by_an_encoder_with_weights_too(
    spot_adata, he_image, tmp_path
):
    other = _changed(he_image)
    options = {"input_px": None}
    expected = _bits(_extract(spot_adata.copy(), other, Weighty(), **options))
    assert _bits(_extract(spot_adata.copy(), he_image, Weighty(), cache=tmp_path, **options)) != expected
    assert _bits(_extract(spot_adata.copy(), other, Weighty(), cache=tmp_path, **options)) == expected


class Stopping(TextureEncoder):
    """The texture encoder, cut off after some blocks of the image."""

    def __init__(self, stop_after):
        super().__init__()
        self.blocks, self.stop_after = 0, stop_after

    def embed_places(self, image, tiles):
        for part in super().embed_places(image, tiles):
            if self.blocks == self.stop_after:
                raise KeyboardInterrupt
            self.blocks += 1
            yield part


def test_blocks_of_texture_that_are_done_are_kept_too(tmp_path, he_image, monkeypatch):
    monkeypatch.setattr("phg2st_sc.encoders._texture_places._BLOCK", 400)
    image = np.tile(he_image, (4, 4, 1))
    y, x = np.mgrid[200:1800:40, 200:2100:40]
    adata = AnnData(np.ones((x.size, 1), dtype=np.float32))
    adata.obsm["spatial"] = np.column_stack([x.ravel(), y.ravel()]).astype(float)
    options = {"image": image, "mpp": 0.7, "pitch_um": None, "input_px": None, "context": None, "skip_glass": False}
    whole, cut, rest = Stopping(None), Stopping(2), Stopping(None)
    expected = _extract(adata.copy(), encoder=whole, **options).obsm["X_texture"]
    with pytest.raises(KeyboardInterrupt):
        _extract(adata, encoder=cut, cache=tmp_path, **options)
    _extract(adata, encoder=rest, cache=tmp_path, **options)
    np.testing.assert_array_equal(adata.obsm["X_texture"], expected)
    again = 2
    assert cut.blocks + rest.blocks - again == whole.blocks > 2
    options["image"] = _changed(image)
    expected = _extract(adata.copy(), encoder=TextureEncoder(), **options).obsm["X_texture"]
    _extract(adata, encoder=TextureEncoder(), cache=tmp_path, **options)
    np.testing.assert_array_equal(adata.obsm["X_texture"], expected)
