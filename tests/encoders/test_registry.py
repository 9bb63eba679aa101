"""Names, cards and functions as encoders."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from phg2st_sc.encoders import ENCODERS, EncoderCard, TextureEncoder, get_encoder, list_encoders, register_encoder


def color(tiles):
    return tiles.mean(axis=(1, 2))


@pytest.fixture
def empty_slot(monkeypatch):
    monkeypatch.setattr(ENCODERS, "_entries", dict(ENCODERS._entries))


def test_cards_are_complete():
    for card in list_encoders():
        assert card.name
        assert card.input_px > 0
        assert card.tile_um > 0
        assert card.license != "unknown"
        assert card.revision != "unknown"
        assert 1.0 in card.fields


def test_texture_needs_no_weights():
    encoder = get_encoder("texture")
    assert isinstance(encoder, TextureEncoder)
    assert not encoder.card.needs_weights
    assert encoder.card.total_dim == encoder.card.dim * len(encoder.card.fields)


def test_unknown_name_lists_what_exists():
    with pytest.raises(
        ValueError, match=r"no encoder 'nope'\. Available: .*'texture'.*'timm:<model>', or a function on tiles"
    ):
        get_encoder("nope")


def test_function_becomes_an_encoder():
    encoder = get_encoder(color, input_px=64)
    assert (encoder.card.name, encoder.card.input_px, encoder.card.dim) == ("color", 64, None)
    np.testing.assert_array_equal(encoder(np.full((2, 4, 4, 3), 7, dtype=np.uint8)), np.full((2, 3), 7.0))


def test_lambda_needs_a_name():
    with pytest.raises(ValueError, match=r"lambda has no name.*key_added"):
        get_encoder(lambda tiles: tiles)
    assert get_encoder(lambda tiles: tiles, name="mine").card.name == "mine"


def test_bad_encoders():
    with pytest.raises(TypeError, match="name or a function on tiles, got int"):
        get_encoder(3)
    with pytest.raises(ValueError, match="cannot name an encoder"):
        get_encoder(color, name="a/b")
    with pytest.raises(ValueError, match="leave `input_px` out"):
        get_encoder("texture", input_px=17)


def test_registering(empty_slot):
    class Mine:
        card = EncoderCard("mine", dim=3, input_px=32, tile_um=112)

        def __call__(self, tiles):
            return color(tiles).astype(np.float32)

    register_encoder(Mine.card, Mine)
    assert isinstance(get_encoder("mine"), Mine)
    assert "mine" in [card.name for card in list_encoders()]
    with pytest.raises(ValueError, match="registered already"):
        register_encoder(Mine.card, Mine)


def test_import_is_light():
    code = (
        "import sys, phg2st_sc.encoders, phg2st_sc._image, phg2st_sc._image._tiles;"
        "bad = {'torch', 'timm', 'skimage', 'tifffile', 'xarray', 'zarr', 'dask', 'PIL', 'spatialdata'};"
        "sys.exit(','.join(bad & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_function_may_have_several_fields_and_a_registered_encoder_has_its_own():
    assert get_encoder(color, fields=(1, 5)).card.fields == (1.0, 5.0)
    assert get_encoder(color).card.fields == (1.0,)
    with pytest.raises(ValueError, match="'texture' knows its fields of view"):
        get_encoder("texture", fields=(1, 3))
