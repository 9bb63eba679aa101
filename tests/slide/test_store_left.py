"""What a killed write left in a store: trusted only as far as it can be checked, and found wherever the store goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import spatial_elements as make
from cut_off import Killed, cut_off
from slot_updates import assert_has, reread, snapshot, update
from spatialdata import SpatialData

import phg2st_sc as phg2st
from phg2st_sc import _keys
from phg2st_sc._slide import StoreLockedError, store_of, write_slots
from phg2st_sc._slide._disk import _process

WORK = ".phg2st-write"


def second(sdata):
    write_slots(sdata, sdata["table"], update(sdata["table"], 2.0), write=True)


@pytest.fixture(scope="module")
def half_written(tmp_path_factory):
    """A store whose second write was killed in the middle of the exchange."""
    ids = np.arange(20)
    sdata = SpatialData(
        images={"he": make.picture(60, 60)},
        shapes={"spots": make.circles(make.square(5, 10.0, 5.0)[:20], ids)},
        tables={"table": make.annotating({"spots": ids})},
    )
    sdata["table"].layers["mine"] = sdata["table"].X * 2
    path = tmp_path_factory.mktemp("half") / "s.zarr"
    sdata.write(path)
    write_slots(sdata, sdata["table"], update(sdata["table"], 1.0), write=True)
    shutil.copytree(path, path.with_name("counted.zarr"))
    with cut_off(path.with_name("counted.zarr"), None, kill=False) as counts:
        second(SpatialData.read(path.with_name("counted.zarr")))
    step = counts.first("old/layers/pred") + 1
    with cut_off(path, step, kill=True), pytest.raises(Killed):
        second(sdata)
    return path


@pytest.fixture
def half(half_written, tmp_path, monkeypatch):
    """A copy of it, for a test to change; the process that wrote is gone."""
    shutil.copytree(half_written, tmp_path / "half.zarr")
    monkeypatch.setattr(_process.Process, "runs", lambda self: False)
    return tmp_path / "half.zarr"


def journal(store):
    return store / WORK / "journal.json"


def change(store, **fields):
    record = json.loads(journal(store).read_text())
    journal(store).write_text(json.dumps({**record, **fields}))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store_that_was_moved_or_copied_after_a_kill_is_completed(half, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    copied, moved = tmp_path / "elsewhere" / "c.zarr", tmp_path / "elsewhere" / "m.zarr"
    shutil.copytree(half, copied)
    half.rename(moved)
    for store in (copied, moved):
        assert phg2st.io.recover(store) == "new completed"
        assert_has(reread(SpatialData.read(store)), 2.0)


def test_a_store_is_recovered_through_a_link(half, tmp_path):
    (tmp_path / "link.zarr").symlink_to(half)
    assert phg2st.io.recover(tmp_path / "link.zarr") == "new completed"
    assert_has(reread(SpatialData.read(tmp_path / "link.zarr")), 2.0)


def test_every_function_that_opens_a_half_written_table_names_the_recovery(half):
    sdata = SpatialData.read(half)
    table = sdata["table"]
    calls = {
        "impute": lambda: phg2st.tl.impute(sdata),
        "predict": lambda: phg2st.tl.predict(table, prompt_mask="prompt"),
        "evaluate": lambda: phg2st.tl.evaluate(sdata, layer="pred"),
        "train": lambda: phg2st.tl.train([table], method="kriging"),
        "normalize": lambda: phg2st.pp.normalize(sdata),
        "select_genes": lambda: phg2st.pp.select_genes(sdata),
        "sample_prompts": lambda: phg2st.pp.sample_prompts(sdata),
        "build_hypergraph": lambda: phg2st.pp.build_hypergraph(sdata, builder="position"),
        "extract_embeddings": lambda: phg2st.pp.extract_embeddings(sdata, encoder="texture"),
        "add_targets": lambda: phg2st.pp.add_targets(sdata),
        "tiles": lambda: phg2st.pl.tiles(sdata),
        "benchmark": lambda: phg2st.tl.benchmark([sdata], methods=["kriging"]),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=r"neither old nor new.*phg2st_sc\.io\.recover"):
            call()
        assert name


def test_the_next_write_recovers_first(half):
    sdata = SpatialData.read(half)
    del sdata["table"].uns[_keys.UNFINISHED]
    write_slots(sdata, sdata["table"], update(sdata["table"], 1.0), write=True)
    assert_has(reread(SpatialData.read(half)), 1.0)
    assert not (half / WORK).exists()


@pytest.mark.parametrize("inside", ["tables", "tables/table", "tables/table/X", "shapes/spots", WORK])
def test_a_folder_in_the_store_leads_to_the_store(half, inside):
    assert phg2st.io.recover(half / inside) == "new completed"
    assert_has(reread(SpatialData.read(half)), 2.0)


def test_a_table_of_a_store_that_says_nothing_of_itself_leads_to_it(stored):
    store = Path(stored.path)
    root = json.loads((store / "zarr.json").read_text())
    del root["attributes"]["spatialdata_attrs"]
    (store / "zarr.json").write_text(json.dumps(root))
    assert store_of(store / "tables" / "table") == store


def test_a_spatialdata_stands_for_its_store(half):
    assert phg2st.io.recover(SpatialData.read(half)) == "new completed"
    assert_has(reread(SpatialData.read(half)), 2.0)


def test_what_is_no_store_is_not_recovered(stored, tmp_path):
    table = stored["table"]
    table.write_zarr(tmp_path / "a.zarr")
    for folder in (tmp_path, tmp_path / "a.zarr"):
        with pytest.raises(ValueError, match=r"is no store of a SpatialData, and lies in none.*`sdata.write\(path\)`"):
            phg2st.io.recover(folder)
    with pytest.raises(TypeError, match=r"not AnnData: `phg2st_sc\.io\.recover\(\"section.zarr\"\)`"):
        phg2st.io.recover(table)
    with pytest.raises(ValueError, match="no store behind this SpatialData"):
        phg2st.io.recover(SpatialData())
    with pytest.raises(FileNotFoundError, match="no store in a folder"):
        phg2st.io.recover(tmp_path / "nowhere")


def test_recover_deletes_what_writes_that_are_over_left_and_nothing_of_live_ones(stored):
    store = Path(stored.path)
    owner = json.dumps({"run": "0", **_process.Process.current(store).record()})
    gone = json.dumps({**json.loads(owner), "pid": 1, "started": 0.0})
    left = {"a" * 32: gone, "b" * 32 + ".done": gone, "c" * 32: owner}
    for name, record in left.items():
        (store / f"{WORK}.{name}").mkdir()
        (store / f"{WORK}.{name}" / "owner.json").write_text(record)
    (store / f"{WORK}.mine").mkdir()
    assert phg2st.io.recover(store) == "nothing to do"
    assert {path.name for path in store.glob(f"{WORK}*")} == {f"{WORK}.{'c' * 32}", f"{WORK}.mine"}


OUTSIDE = {
    "absolute": {"table": "/etc"},
    "parent": {"table": ".."},
    "unknown schema": {"schema": 7},
    "another run": {"run": "../../x"},
    "item": {"items": [{"slot": "layers", "key": ["../../../images/he"], "new": False, "old": True}]},
    "slot": {"items": [{"slot": "..", "key": ["images"], "new": False, "old": True}]},
    "element": {"items": [{"slot": "images", "key": ["he"], "new": False, "old": True}]},
    "deep": {"items": [{"slot": "tables", "key": ["table", "X"], "new": False, "old": True}]},
    "no key": {"items": [{"slot": "layers", "key": [], "new": False, "old": True}]},
    "level": {"levels": ["../.."]},
    "kind": {"items": 3},
    "many": {"items": [{"slot": "layers", "key": ["a"], "new": True, "old": True}] * 5000},
    "field": {"delete": ["/etc"]},
}


@pytest.mark.parametrize("fields", OUTSIDE.values(), ids=list(OUTSIDE))
def test_a_journal_that_leads_elsewhere_is_reported_and_does_nothing(half, fields):
    change(half, **fields)
    before = files(half)
    with pytest.raises(ValueError, match=r"journal .* damaged.*Nothing was changed"):
        phg2st.io.recover(half)
    assert files(half) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"schema": 1}'])
def test_a_damaged_journal_is_reported_by_writes_too(half, text):
    journal(half).write_text(text)
    before = files(half)
    sdata = SpatialData.read(half)
    del sdata["table"].uns[_keys.UNFINISHED]
    with pytest.raises(ValueError, match="journal .* damaged"):
        second(sdata)
    assert files(half) == before


def test_a_journal_of_another_store_changes_nothing(half, stored):
    store = Path(stored.path)
    before, others = snapshot(reread(stored)), files(store)
    shutil.copytree(half / WORK, store / WORK)
    assert phg2st.io.recover(store) == "old kept"
    assert snapshot(reread(stored)) == before
    assert files(store).keys() == others.keys()


def test_a_journal_beside_the_store_is_not_read(stored, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    work = Path(stored.path).with_name(".s.zarr.phg2st-write")
    (work / "old").mkdir(parents=True)
    entry = {"target": str(precious), "backup": str(work / "old" / "0"), "existed": False}
    (work / "journal.json").write_text(json.dumps([entry]))
    second(stored)
    assert precious.is_dir()


@pytest.mark.parametrize("slot", ["tables", "tables/table", "tables/table/layers", "tables/table/uns"])
def test_nothing_is_written_or_recovered_through_links_that_lead_out(half, tmp_path, slot):
    outside = tmp_path / "outside"
    (half / slot).rename(outside)
    (half / slot).symlink_to(outside)
    before = files(outside)
    with pytest.raises(ValueError, match="by a link"):
        phg2st.io.recover(half)
    assert files(outside) == before


def test_a_work_folder_that_is_a_link_is_reported(stored, tmp_path):
    (tmp_path / "outside").mkdir()
    (Path(stored.path) / WORK).symlink_to(tmp_path / "outside")
    for call in (lambda: phg2st.io.recover(stored.path), lambda: second(stored)):
        with pytest.raises(ValueError, match="it is a link"):
            call()
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("owner", [None, "", "{}", '{"pid": 1}', "[1]", "x" * 10_000])
def test_a_work_folder_without_a_readable_owner_is_reported(stored, owner):
    work = Path(stored.path) / WORK
    (work / "old").mkdir(parents=True)
    if owner is not None:
        (work / "owner.json").write_text(owner)
    with pytest.raises(ValueError, match=r"was not left by a write of this package, or is damaged"):
        second(stored)
    assert (work / "old").is_dir()


def test_what_another_handle_wrote_since_is_neither_deleted_nor_taken_for_ours(half):
    layer = half / "tables" / "table" / "layers" / "pred"
    if layer.exists():
        layer.rename(half / WORK / "new" / "layers" / "pred")
    shutil.copytree(half / "tables" / "table" / "layers" / "mine", layer)
    before = files(half)
    with pytest.raises(ValueError, match=r"something else wrote layers\['pred'\]"):
        phg2st.io.recover(half)
    assert files(half) == before


def test_a_table_that_was_replaced_since_is_left_alone(half, stored):
    shutil.rmtree(half / "tables" / "table")
    shutil.copytree(Path(stored.path) / "tables" / "table", half / "tables" / "table")
    before = snapshot(SpatialData.read(half)["table"])
    assert phg2st.io.recover(half) == "old kept"
    assert snapshot(reread(SpatialData.read(half))) == before


def test_a_mark_without_what_would_complete_it_is_told(half):
    shutil.rmtree(half / WORK)
    with pytest.raises(ValueError, match=r"half-written result.*delete .*layers.*make the result again"):
        phg2st.io.recover(half)


def test_a_store_on_another_machine_is_told_of_and_recovered_on_demand(half, monkeypatch):
    monkeypatch.setattr(_process.Process, "runs", lambda self: None)
    with pytest.raises(StoreLockedError, match=r"break_lock=True"):
        phg2st.io.recover(half)
    assert phg2st.io.recover(half, break_lock=True) == "new completed"


@pytest.mark.parametrize("way", [False, True])
def test_a_process_that_runs_keeps_its_store(half_written, way):
    with pytest.raises(StoreLockedError, match="wait for it"):
        phg2st.io.recover(half_written, break_lock=way)


def test_a_copy_is_not_locked_by_who_writes_to_the_original(half, tmp_path, monkeypatch):
    monkeypatch.setattr(_process.Process, "runs", lambda self: True)
    shutil.copytree(half, tmp_path / "copy.zarr")
    assert phg2st.io.recover(tmp_path / "copy.zarr") == "new completed"


def test_a_recovery_that_is_killed_is_recovered(half):
    with cut_off(half, None, kill=False) as counts:
        shutil.copytree(half, half.with_name("c.zarr"))
        phg2st.io.recover(half)
    for step in range(0, counts.seen, 4):
        store = half.with_name(f"r{step}.zarr")
        shutil.copytree(half.with_name("c.zarr"), store)
        with cut_off(store, step, kill=True), pytest.raises(Killed):
            phg2st.io.recover(store)
        phg2st.io.recover(store)
        assert_has(reread(SpatialData.read(store)), 2.0)


def test_there_has_to_be_a_store(tmp_path):
    with pytest.raises(FileNotFoundError, match="no store"):
        phg2st.io.recover(tmp_path / "none.zarr")
