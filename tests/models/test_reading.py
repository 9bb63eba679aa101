"""What a folder of somebody else says is bounded, and nothing that it points to is read."""

from __future__ import annotations

import json
import os

import pytest
from folders import change_settings

from phg2st_sc import models
from phg2st_sc._json import parse_json


@pytest.fixture
def folder(tmp_path):
    return models.create("idw", n_neighbors=3).save(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.json", "arrays.safetensors"])
def test_links_that_lead_out_are_not_followed(folder, name):
    outside = folder.parent / "elsewhere"
    (folder / name).replace(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(ValueError, match=f"{name} is a link to a file outside of the folder, which is not followed"):
        models.load(folder)


def test_links_of_the_hub_are_followed(folder):
    root = folder.parent / "models--lab--tumour"
    (root / "blobs").mkdir(parents=True)
    (root / "snapshots" / "0123").mkdir(parents=True)
    for path in folder.iterdir():
        blob = path.rename(root / "blobs" / f"of-{path.name}")
        (root / "snapshots" / "0123" / path.name).symlink_to(f"../../blobs/{blob.name}")
    assert models.load(root / "snapshots" / "0123").n_neighbors == 3


def test_a_file_larger_than_memory(folder):
    os.truncate(folder / "arrays.safetensors", 1 << 43)
    with pytest.raises(
        ValueError, match=r"arrays\.safetensors has 8,796,093,022,208 bytes, more than there is place for"
    ):
        models.load(folder)


TEXTS = {
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper"),
    "rather deep": (b"[" * 50 + b"]" * 50, "nested deeper"),
    "twice": (b'{"a": 1, "a": 2}', "the name 'a' twice"),
    "many": (b"[" + b"0," * 3_000_000 + b"0]", "far more than is ever written"),
    "no JSON": (b"\x00" * 100, "Expecting value"),
    "no text": (b'"\xff"', "decode"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_json_is_bounded(folder, text):
    content, message = TEXTS[text]
    with pytest.raises(ValueError, match=message):
        parse_json(content)
    (folder / "model.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged\. model\.json is not readable JSON") as told:
        models.load(folder)
    assert len(str(told.value)) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" + "0" * 400])
def test_numbers_beyond_arithmetic(folder, number):
    text = (folder / "model.json").read_text().replace('"power": 1.0', f'"power": {number}')
    record = json.loads(text)
    (folder / "model.json").write_text(text)
    with pytest.raises(ValueError, match="is damaged"):
        models.load(folder)
    change_settings(folder, lambda _: _.update(record))
    with pytest.raises(ValueError, match=r"model\.json holds numbers that are not finite"):
        models.load(folder)


def test_names_without_a_place(folder):
    change_settings(folder, lambda record: record.update({"\x1b[31mhook": "rm"}))
    with pytest.raises(ValueError, match=r"model\.json has no place for '\\x1b\[31mhook'"):
        models.load(folder)
