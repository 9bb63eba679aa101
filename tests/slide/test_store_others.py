"""A store that others write to as well, have laid out in their own way, or let nobody write to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import zarr
from anndata.io import write_elem
from slot_updates import assert_has, reread, snapshot, update
from spatialdata import SpatialData

import phg2st_sc as phg2st
from phg2st_sc import _keys
from phg2st_sc._slide import HeldInterrupts, Owner, SlotUpdate, _behind, write_slots, write_table

REMOVED = {"layers": ["mine"], "obs": ["mine"]}


def table_of(sdata):
    return Path(sdata.path) / "tables" / "table"


def second(sdata, **more):
    write_slots(sdata, sdata["table"], update(sdata["table"], 2.0, **more), write=True)


def consolidate(group):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(group))


LEVELS = ["tables", "tables/table", "tables/table/obs", "tables/table/var", "tables/table/uns", "tables/table/layers"]


def consolidated(store, level):
    group = zarr.open_group(Path(store) / level, mode="r", use_consolidated=True)
    return {name: sorted(child) for name, child in group.groups()} | {"": sorted(group)}


@pytest.mark.parametrize("level", [*LEVELS, "all"])
def test_results_are_seen_where_a_group_has_consolidated_metadata_of_its_own(stored, level):
    levels = LEVELS[::-1] if level == "all" else [level]
    for one in levels:
        consolidate(Path(stored.path) / one)
    second(stored, remove=REMOVED)
    for table in (ad.read_zarr(table_of(stored)), reread(stored)):
        assert_has(table, 2.0)
        assert "mine" not in table.obs
        assert "mine" not in table.layers
        assert _keys.UNFINISHED not in table.uns
    for one in levels:
        seen = consolidated(stored.path, one)
        consolidate(Path(stored.path) / one)
        assert seen == consolidated(stored.path, one), one


def test_a_failure_puts_consolidated_metadata_back(stored):
    for one in LEVELS[::-1]:
        consolidate(Path(stored.path) / one)
    before = {one: (Path(stored.path) / one / "zarr.json").read_bytes() for one in LEVELS}
    with pytest.raises(OSError, match="No space"):
        _write_until_the_end(stored)
    assert {one: (Path(stored.path) / one / "zarr.json").read_bytes() for one in LEVELS} == before


def _write_until_the_end(sdata):
    """Fail when consolidated metadata are written at the end."""
    from phg2st_sc._slide._disk import _exchange

    def full(*_args):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_exchange, "consolidated", full)
        second(sdata, remove=REMOVED)


def test_a_store_without_consolidated_metadata_stays_without(sdata, tmp_path):
    sdata.write(tmp_path / "bare.zarr", consolidate_metadata=False)
    stored = SpatialData.read(tmp_path / "bare.zarr")
    second(stored)
    assert not stored.has_consolidated_metadata()
    assert_has(SpatialData.read(stored.path)["table"], 2.0)


def test_what_another_handle_added_meanwhile_stays(stored):
    other = zarr.open_group(table_of(stored), mode="r+", use_consolidated=False)
    write_elem(other["layers"], "theirs", np.ones(stored["table"].shape, np.float32))
    frame = SpatialData.read(stored.path)["table"].obs.assign(theirs=np.arange(50))
    write_elem(other, "obs", frame)
    second(stored, remove={"obs": ["mine"]})
    table = SpatialData.read(stored.path)["table"]
    assert_has(table, 2.0)
    np.testing.assert_array_equal(table.obs["theirs"], np.arange(50))
    assert (table.layers["theirs"] == 1).all()
    assert "theirs" not in stored["table"].layers


def test_a_slot_of_ours_that_another_handle_wrote_is_refused(stored):
    other = zarr.open_group(table_of(stored), mode="r+", use_consolidated=False)
    write_elem(other["layers"], "pred", np.full(stored["table"].shape, 7, np.float32))
    mine = update(stored["table"], 1.0, owner=Owner(("pred",), ("seed",)))
    with pytest.raises(ValueError, match=r"in the store: layers\['pred'\] exists and was not written") as caught:
        write_slots(stored, stored["table"], mine, write=True)
    assert "in memory" in " ".join(caught.value.__notes__)
    table = SpatialData.read(stored.path)["table"]
    assert (table.layers["pred"] == 7).all()
    assert "prompt" not in table.obs


def test_records_of_other_results_that_another_handle_wrote_stay(stored):
    def embed(sdata, rep):
        records = {**sdata["table"].uns.get("shared", {}), rep: {"encoder": rep}}
        owner = Owner(("shared", rep), ("encoder",), shared=("shared", "tiles"))
        features = {rep: np.zeros((50, 2), np.float32)}
        write_slots(sdata, sdata["table"], SlotUpdate(obsm=features, uns={"shared": records}, owner=owner), write=True)

    other = SpatialData.read(stored.path)
    for sdata, rep in ((stored, "a"), (other, "b"), (stored, "a")):
        embed(sdata, rep)
    table = reread(stored)
    assert table.uns["shared"] == {"a": {"encoder": "a"}, "b": {"encoder": "b"}}
    assert {"a", "b"} <= set(table.obsm)


def test_a_table_of_that_name_that_another_handle_wrote_is_refused(stored):
    other = SpatialData.read(stored.path)
    other["pred"] = other["table"].copy()
    other.write_element("pred")
    result = stored["table"][:, :1].copy()
    with pytest.raises(ValueError, match=r"'pred' in the store .* not written by this package"):
        write_table(stored, "pred", result, source="table", write=True)
    assert "pred" not in stored.tables


def test_a_store_of_the_second_zarr_format(sdata, tmp_path):
    formats = pytest.importorskip("spatialdata._io.format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdata.write(tmp_path / "v2.zarr", sdata_formats=formats.SpatialDataContainerFormatV01())
        stored = SpatialData.read(tmp_path / "v2.zarr")
        for level in ("", "tables/table"):
            consolidate(tmp_path / "v2.zarr" / level)
        for value in (1.0, 2.0):
            write_slots(stored, stored["table"], update(stored["table"], value), write=True)
            for table in (ad.read_zarr(table_of(stored)), reread(stored)):
                assert_has(table, value)
        write_table(stored, "pred", stored["table"][:, :1].copy(), source="table", write=True)
        assert SpatialData.read(stored.path)["pred"].n_vars == 1
        before = snapshot(reread(stored))
        with pytest.raises(OSError, match="No space"):
            _write_until_the_end(stored)
        assert snapshot(reread(stored)) == before


def test_a_store_that_cannot_be_written_to_is_told_of(stored, monkeypatch):
    monkeypatch.setattr(_behind.os, "access", lambda *_: False)
    with pytest.raises(ValueError, match=r"cannot be written to .*sdata\.write\(path\)"):
        second(stored)


def test_a_read_only_file_system_is_told_of(stored, monkeypatch):
    def read_only(self, *_args, **_kwargs):
        raise OSError(30, "Read-only file system", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        with pytest.raises(ValueError, match=r"cannot be written to \(Read-only file system\)") as caught:
            second(stored)
    assert "in memory" in " ".join(caught.value.__notes__)
    assert_has(stored["table"], 2.0)


def test_a_missing_store_is_told_of_before_the_work(sdata, monkeypatch):
    def predicted(*_args, **_kwargs):
        raise AssertionError("work was done")

    monkeypatch.setattr("phg2st_sc.tl._impute.predict_slides", predicted)
    monkeypatch.setattr("phg2st_sc.pp._embeddings.embed_here", predicted)
    calls = (phg2st.tl.impute, {}), (phg2st.pp.extract_embeddings, {"encoder": "texture"})
    for call, settings in calls:
        with pytest.raises(ValueError, match="no store behind this SpatialData"):
            call(sdata, write=True, **settings)


def test_a_store_that_was_moved_is_told_of(stored, tmp_path, monkeypatch):
    old = Path(stored.path)
    old.rename(tmp_path / "moved.zarr")
    with pytest.raises(ValueError, match=r"no store at .*Set `sdata.path`"):
        second(stored)
    monkeypatch.chdir(tmp_path)
    relative = SpatialData.read("moved.zarr")
    second(relative)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    if not Path(relative.path).is_absolute():
        with pytest.raises(ValueError, match=r"seen from .*below any more"):
            second(relative)
    stored.path = tmp_path / "moved.zarr"
    second(stored)
    assert_has(reread(stored), 2.0)


@pytest.mark.parametrize("place", ["s3://bucket/s.zarr", "file"])
def test_a_store_that_is_no_folder_is_told_of(stored, tmp_path, place):
    (tmp_path / "file").write_bytes(b"PK")
    stored.path = place if "://" in place else tmp_path / place
    with pytest.raises(ValueError, match="needs a store in a local folder"):
        second(stored)


def test_a_store_is_written_to_through_a_link(stored, tmp_path):
    (tmp_path / "link.zarr").symlink_to(stored.path)
    linked = SpatialData.read(tmp_path / "link.zarr")
    second(linked)
    assert_has(reread(stored), 2.0)


def test_threads_write_one_after_the_other_or_are_told(stored):
    outcomes = []

    def write(key):
        sdata = SpatialData.read(stored.path)
        layers = {key: np.ones(sdata["table"].shape, np.float32)}
        try:
            write_slots(sdata, sdata["table"], SlotUpdate(layers=layers), write=True)
            outcomes.append(key)
        except phg2st.io.StoreLockedError:
            pass

    threads = [threading.Thread(target=write, args=(f"t{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes
    assert {key for key in reread(stored).layers if key and key.startswith("t")} == set(outcomes)


CHILD = """
import os, signal, sys
from pathlib import Path
from phg2st_sc._slide._disk import StoreWrite
with StoreWrite(Path(sys.argv[1]), "table"):
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    print("holds", flush=True)
    sys.stdin.readline()
"""


def child(store, how):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(store), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_another_process_is_told_of_while_it_runs_and_replaced_once_it_was_killed(stored):
    with child(stored.path, "wait") as other:
        assert other.stdout.readline() == "holds\n"
        for call in (lambda: second(stored), lambda: phg2st.io.recover(stored.path)):
            with pytest.raises(phg2st.io.StoreLockedError, match=f"Process {other.pid} has been writing"):
                call()
        other.send_signal(signal.SIGKILL)
    assert phg2st.io.recover(stored.path) == "old kept"
    with child(stored.path, "die") as other:
        other.wait()
    second(stored)
    assert_has(reread(stored), 2.0)


def test_an_interrupt_during_the_exchange_comes_after_it(stored, monkeypatch):
    from phg2st_sc._slide._disk._exchange import Exchange

    real = Exchange.forward

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        real(self)

    monkeypatch.setattr(Exchange, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        second(stored)
    assert_has(reread(stored), 2.0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_before_the_exchange_keeps_the_old(stored, monkeypatch):
    before = snapshot(reread(stored))
    real = ad.io.write_elem

    def interrupted(*args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ad.io, "write_elem", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            second(stored)
    assert "holds its old content" in " ".join(caught.value.__notes__)
    assert snapshot(reread(stored)) == before


def test_interrupts_are_left_alone_outside_the_main_thread():
    def hold():
        with HeldInterrupts():
            pass

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_names_as_a_newer_anndata_reads_them_are_written_by_an_older_one(stored):
    table = stored["table"]
    table.obs.index, table.var.index = table.obs.index.astype("string"), table.var.index.astype("string")
    second(stored)
    assert_has(reread(stored), 2.0)
