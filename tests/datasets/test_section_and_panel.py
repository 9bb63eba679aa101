"""Section folders and gene panels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from PIL import Image

from phg2st_sc.datasets import read_panel, read_section

META = {
    "sample": "S7",
    "um_per_px": 2.5,
    "technology": "ST 1k array",
    "image_file": "image.png",
    "image_width": 60,
    "image_height": 40,
    "spot_diameter_px": 8.0,
    "X": "raw counts",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    obs = pd.DataFrame({"array_x": [1.0, 2.04, 2.96], "array_y": [5, 6, 7]}, index=["1x5", "2x6", "3x7"])
    adata = AnnData(np.arange(6).reshape(3, 2), obs=obs)
    adata.obsm["spatial"] = np.array([[10, 11], [26, 11], [42, 27]])
    adata.write_h5ad(tmp_path / "counts.h5ad")
    (tmp_path / "meta.json").write_text(json.dumps(META))
    Image.new("RGB", (60, 40), (10, 20, 30)).save(tmp_path / "image.png")
    return tmp_path


def test_section_folder(folder: Path) -> None:
    adata = read_section(folder, patient="C")
    record = adata.uns["spatial"]["S7"]
    assert record["metadata"]["mpp"] == 2.5
    assert record["metadata"]["platform"] == "ST"
    assert record["metadata"]["X"] == "raw counts"
    assert record["metadata"]["source_image_path"] == str((folder / "image.png").resolve())
    assert record["images"]["hires"].shape == (40, 60, 3)
    assert record["scalefactors"] == {"spot_diameter_fullres": 8.0, "tissue_hires_scalef": 1.0}
    assert adata.obs["array_col"].tolist() == [1, 2, 3]
    assert adata.obs["array_row"].tolist() == [5, 6, 7]
    assert adata.obs["patient"].tolist() == ["C"] * 3
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.toarray(), np.arange(6).reshape(3, 2))
    assert "patient" not in read_section(folder, with_images=False).obs


def test_section_folder_errors(folder: Path) -> None:
    (folder / "meta.json").write_text(json.dumps({**META, "image_width": 61}))
    with pytest.raises(ValueError, match=r"60 x 40 px, but meta\.json gives 61 x 40"):
        read_section(folder)
    (folder / "image.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"image\.png.*with_images=False"):
        read_section(folder)
    (folder / "meta.json").write_text("{}")
    with pytest.raises(KeyError, match="spot_diameter_px"):
        read_section(folder)
    (folder / "counts.h5ad").unlink()
    with pytest.raises(FileNotFoundError, match=r"counts\.h5ad not found"):
        read_section(folder)


@pytest.mark.parametrize(
    ("path", "name", "shape", "platform"),
    [
        ("her2st/A1_lowres", "A1", (346, 15045), "ST"),
        ("stahl_mob/Rep11", "Rep11", (262, 16218), "ST"),
        ("stutility_mob/MOB1", "MOB1", (379, 1000), "ST"),
        ("visium_crop/V1_Adult_Mouse_Brain_crop", "V1_Adult_Mouse_Brain_crop", (49, 1999), "Visium"),
    ],
)
def test_public_folders(real_data: Path, path: str, name: str, shape: tuple[int, int], platform: str) -> None:
    if not (real_data / path).is_dir():
        pytest.skip(f"{path} is not among the public data here")
    adata = read_section(real_data / path)
    metadata = json.loads((real_data / path / "meta.json").read_text())
    record = adata.uns["spatial"][name]
    assert adata.shape == shape
    assert record["metadata"]["mpp"] == metadata["um_per_px"]
    assert record["metadata"]["platform"] == platform
    assert (adata.obsm["spatial"] > 0).all()
    assert (adata.obsm["spatial"] < [metadata["image_width"], metadata["image_height"]]).all()


def test_panel_from_text_and_array(tmp_path: Path) -> None:
    text = tmp_path / "panel.txt"
    text.write_text("# chosen by hand\nFASN\n\n ERBB2 ,17\nMUC1\tx\n")
    assert read_panel(text) == ["FASN", "ERBB2", "MUC1"]
    np.save(tmp_path / "panel.npy", np.array(["B", "A"]))
    assert read_panel(tmp_path / "panel.npy") == ["B", "A"]


def test_panel_errors(tmp_path: Path) -> None:
    text = tmp_path / "panel.txt"
    text.write_text("A\nB\nA\n")
    with pytest.raises(ValueError, match="1 genes more than once, among them 'A'"):
        read_panel(text)
    text.write_text("# nothing\n")
    with pytest.raises(ValueError, match="no genes"):
        read_panel(text)
    np.save(tmp_path / "old.npy", np.array(["A", "B"], dtype=object))
    with pytest.raises(ValueError, match=r"pickled objects.*names as text"):
        read_panel(tmp_path / "old.npy")


def test_published_panels(real_data: Path) -> None:
    panel = read_panel(real_data / "her2st_genes.txt")
    assert len(panel) == 785
    assert len(read_panel(real_data / "cscc_genes.txt")) == 171
    assert "FASN" in panel
