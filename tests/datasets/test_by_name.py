"""Public data sets by name: downloaded once from a server that has them, or read from a folder; nothing leaves this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from PIL import Image
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc.datasets import (
    DATASETS,
    _als,
    _bulb,
    _her2st,
    _sources,
    als_spinal_cord,
    her2st,
    mouse_colon_visium,
    mouse_olfactory_bulb,
    ra_synovium,
)

GENES = ["ESR1", "__no_feature", "CD3E"]


class _Counting(http.server.SimpleHTTPRequestHandler):
    """A server of files that remembers what it was asked for."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def public(tmp_path, monkeypatch):
    """Folder of what the server has, by address; and what it was asked for."""
    folder, asked = tmp_path / "public", []
    folder.mkdir()
    handler = type("Handler", (_Counting,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(_sources, "_RAW", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(_sources, "_RETRIES", 0)
    with phg2st.settings.override(cache=tmp_path / "cache", progress=False):
        yield folder, asked
    server.shutdown()
    server.server_close()


def without_hashes(monkeypatch, module):
    """The same files, of any content."""
    source = replace(module.SOURCE)
    files = {name: file._replace(hash=None) for name, file in module.SOURCE.files.items()}
    source.__dict__["files"] = files
    monkeypatch.setattr(module, "SOURCE", source)
    return files


def put(folder, address, content):
    path = folder / address
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def table(ids, values):
    frame = pd.DataFrame(values, index=ids, columns=GENES)
    return frame.to_csv(sep="\t").encode()


def picture(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "white").save(path)
    return path.read_bytes()


def test_every_data_set_has_a_card_and_a_reader():
    assert set(DATASETS) == {
        "her2st",
        "als_spinal_cord",
        "mouse_olfactory_bulb",
        "ra_synovium",
        "mouse_colon_visium",
    }
    for name, source in DATASETS.items():
        assert callable(getattr(phg2st.datasets, name))
        assert source.repository.startswith("https://github.com/")
        assert source.citation
        assert source.license
        assert name in repr(DATASETS)
        assert len(set(source.sections)) == len(source.sections)


def test_addresses_name_a_commit_and_hashes_are_whole():
    listed = {name: source.files for name, source in DATASETS.items() if source.files}
    assert set(listed) == {"her2st", "als_spinal_cord", "mouse_olfactory_bulb"}
    for files in listed.values():
        for name, file in files.items():
            owner, repository, commit, *path = file.address.split("/")
            assert len(commit) == 40
            assert int(commit, 16)
            assert owner
            assert repository
            assert path
            assert not Path(name).is_absolute()
            assert file.hash is None or (file.hash.startswith("sha256:") and len(file.hash) == 7 + 64)


def test_spinal_cord_is_downloaded_once_and_then_read_offline(public, monkeypatch):
    folder, asked = public
    files = without_hashes(monkeypatch, _als)
    name, shown = "counts/CN51_C2_1_stdata_aligned_counts_IDs.txt", "images/CN51_C2_HE.jpg"
    put(folder, files[name].address, table(["1.0x1.0", "5.907x2.103"], [[1, 2, 3], [4, 5, 6]]))
    put(folder, files[shown].address, picture(folder / "one.jpg", (320, 340)))
    adata = als_spinal_cord(sections="CN51_C2_1")["CN51_C2_1"]
    assert len(asked) == 2
    np.testing.assert_array_equal(adata.X.toarray(), [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(adata.obsm["spatial"], [[0, 0], [1432.230625, 323.99002941]])
    assert (list(adata.obs["patient"]), list(adata.obs["group"])) == (["765"] * 2, ["WT p70 F"] * 2)
    record = adata.uns["spatial"]["CN51_C2_1"]
    assert record["metadata"]["citation"] == DATASETS["als_spinal_cord"].citation
    assert record["scalefactors"]["spot_diameter_fullres"] == pytest.approx(9340 / 32 / 2)
    assert Path(record["metadata"]["source_image_path"]).is_relative_to(phg2st.settings.cache)
    shutil.rmtree(folder)
    again = als_spinal_cord(sections=["CN51_C2_1"])["CN51_C2_1"]
    assert len(asked) == 2
    np.testing.assert_array_equal(again.X.toarray(), adata.X.toarray())
    with pytest.raises(ConnectionError, match=r"CN62_E2.*cannot be downloaded"):
        als_spinal_cord(sections="CN62_E2", with_images=False)
    with pytest.raises(ValueError, match=r"als_spinal_cord has no sections 'C4'; it has CN51_C2_1"):
        als_spinal_cord(sections="C4")


def test_a_file_with_another_hash_is_refused(public):
    folder, _ = public
    put(folder, _her2st.SOURCE.files["ST-cnts/C4.tsv.gz"].address, b"something else")
    with pytest.raises(ValueError, match="hash"):
        her2st(sections="C4", with_images=False)
    assert not (phg2st.settings.cache / "datasets" / "her2st" / "ST-cnts" / "C4.tsv.gz").exists()


def test_breast_tumours_are_downloaded_in_the_layout_of_the_repository(public, monkeypatch):
    folder, asked = public
    files = without_hashes(monkeypatch, _her2st)
    assert _her2st._files(["C4"], True) == [
        "ST-cnts/C4.tsv.gz",
        "ST-spotfiles/C4_selection.tsv",
        "ST-imgs/C/C4/5714_HE_BT_D2.jpg",
    ]
    assert len(_her2st._files(["A1"], True)) == 3  # its labels, and no picture
    counts = pd.DataFrame([[1, 2, 3], [4, 5, 6]], index=["10x13", "11x13"], columns=GENES)
    counts.to_csv(folder / "C4.tsv.gz", sep="\t")
    spots = "x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y\tselected\n10\t13\t10\t13\t100\t200\t1\n11\t13\t11\t13\t140\t200\t1\n"
    put(folder, files["ST-cnts/C4.tsv.gz"].address, (folder / "C4.tsv.gz").read_bytes())
    put(folder, files["ST-spotfiles/C4_selection.tsv"].address, spots.encode())
    adata = her2st(sections="C4", with_images=False)["C4"]
    assert len(asked) == 2
    np.testing.assert_array_equal(adata.X.toarray(), counts)
    kept = phg2st.settings.cache / "datasets" / "her2st"
    np.testing.assert_array_equal(her2st(kept)["C4"].X.toarray(), counts)


def test_bulbs_are_downloaded_in_two_forms(public, monkeypatch):
    folder, _ = public
    files = without_hashes(monkeypatch, _bulb)
    frame = pd.DataFrame([[1, 2, 3], [4, 5, 6]], index=["16.92x9.015", "16.945x11.075"], columns=GENES)
    frame.to_csv(folder / "rep.tsv.gz", sep="\t")
    put(folder, files["Rep11.tsv.gz"].address, (folder / "rep.tsv.gz").read_bytes())
    put(folder, files["MOB1.tsv"].address, table(["12x28", "12x30", "1x1"], [[1, 0, 0], [0, 1, 0], [9, 9, 9]]))
    lines = ["x\ty\tnew_x\tnew_y\tpixel_x\tpixel_y\tselected", "12\t28\t12\t28\t506.25\t720.95\t1"]
    lines += ["12\t30\t12.02\t29.99\t506.65\t769\t1", "1\t1\t1\t0.97\t268.5\t70.8\t0"]
    put(folder, files["MOB1_spots.tsv"].address, "\n".join(lines).encode())
    slides = mouse_olfactory_bulb(sections=["Rep11", "MOB1"], with_images=False)
    assert list(slides["Rep11"].obs_names) == ["17x9", "17x11"]
    np.testing.assert_allclose(slides["Rep11"].obsm["spatial"][0], [1155.191148, 581.586498])
    assert list(slides["MOB1"].obs_names) == ["12x28", "12x30"]
    np.testing.assert_array_equal(slides["MOB1"].obsm["spatial"], [[506.25, 720.95], [506.65, 769.0]])
    assert slides["MOB1"].uns["spatial"]["MOB1"]["metadata"]["pitch_um"] == 150.0
    assert [slides[name].obs["patient"].iloc[0] for name in slides] == ["Rep11", "MOB1"]


def test_what_is_not_downloaded_says_where_it_comes_from(public, tmp_path):
    for read, name in ((ra_synovium, "ra_synovium"), (mouse_colon_visium, "mouse_colon_visium")):
        with pytest.raises(FileNotFoundError, match=rf"{name} is not downloaded: https://github.com/.* Cite ") as error:
            read()
        assert str(phg2st.settings.cache / "datasets" / name) in str(error.value)
    folder = phg2st.settings.cache / "datasets" / "ra_synovium"
    folder.mkdir(parents=True)
    section = AnnData(sparse.csr_matrix(np.ones((3, 2), np.float32)))
    section.obsm["spatial_array"] = np.array([[9.0, 7.0], [8.0, 7.0], [10.0, 7.0]])
    section.write_h5ad(folder / "RA2_3.h5ad")
    (adata,) = ra_synovium().values()
    np.testing.assert_array_equal(adata.obsm["spatial"][0], [900, 700])
    assert (adata.obs["patient"].iloc[0], adata.obs["section"].iloc[0]) == ("RA2", "RA2_3")
    with pytest.raises(FileNotFoundError, match=r"lacks RA1_1\.h5ad"):
        ra_synovium(sections="RA1_1")
    with pytest.raises(ValueError, match="no sections 'RA5_1'"):
        ra_synovium(folder, sections="RA5_1")


def test_local_copies_are_read(real_data):
    cord = als_spinal_cord(real_data / "als_spinal_cord", sections="CN63_C1", progress=False)["CN63_C1"]
    assert cord.obs["patient"].iloc[0] == "652"
    assert Path(cord.uns["spatial"]["CN63_C1"]["metadata"]["source_image_path"]).name == "CN63_C1_HE.jpg"
    kept = phg2st.datasets.DATASETS["als_spinal_cord"].files["images/CN63_C1_HE.jpg"]
    content = (real_data / "als_spinal_cord" / "images" / "CN63_C1_HE.jpg").read_bytes()
    assert kept.hash == f"sha256:{hashlib.sha256(content).hexdigest()}"
    bulb = mouse_olfactory_bulb(real_data, sections=["Rep11", "MOB1"], progress=False)
    assert bulb["Rep11"].shape == (262, 16218)
    synovium = ra_synovium(real_data / "ra3dst", progress=False)
    assert len(synovium) == 20
    colon = mouse_colon_visium(real_data / "visium_mouse_colon")["section1"]
    assert colon.shape == (2604, 4338)
    assert colon.uns["spatial"]["section1"]["metadata"]["mpp"] == pytest.approx(0.9707)


def test_places_of_the_spinal_cord_are_those_of_the_copy(real_data):
    import anndata

    name = "CN63_C1"
    adata = als_spinal_cord(real_data / "als_spinal_cord", sections=name, with_images=False, progress=False)[name]
    kept = anndata.read_h5ad(real_data / "als_spinal_cord" / name / "counts.h5ad")
    np.testing.assert_allclose(adata.obsm["spatial"], kept.obsm["spatial"], atol=0.01)
