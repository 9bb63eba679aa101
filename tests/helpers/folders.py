"""Folders of saved models, changed by accident or by somebody who knows how they are checked."""

from __future__ import annotations

import json

from safetensors.numpy import load_file, save_file

from phg2st_sc._json import content_hash
from phg2st_sc.models._read import arrays_hash


def seal(folder):
    """Give a folder the checksums of what it holds, so that what is checked beside them is seen."""
    record = json.loads((folder / "model.json").read_text())
    record.pop("checksums", None)
    sums = {"arrays": arrays_hash(folder / "arrays.safetensors"), "settings": content_hash(record)}
    (folder / "model.json").write_text(json.dumps({**record, "checksums": sums}))


def change_arrays(folder, change, *, sealed=True):
    arrays = load_file(folder / "arrays.safetensors")
    change(arrays)
    save_file(arrays, folder / "arrays.safetensors")
    if sealed:
        seal(folder)


def change_settings(folder, change, *, sealed=True):
    record = json.loads((folder / "model.json").read_text())
    change(record)
    (folder / "model.json").write_text(json.dumps(record))
    if sealed:
        seal(folder)
