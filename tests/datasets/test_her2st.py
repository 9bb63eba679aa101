"""The breast tumour reader, on a written folder and on the public files."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import isspmatrix_csr

from phg2st_sc._slide import open_slides
from phg2st_sc.datasets import her2st

COUNTS = pd.DataFrame(
    [[3, 0, 1], [0, 2, 0], [5, 0, 0], [1, 1, 7]],
    index=["10x13", "11x13", "10x14", "30x2"],
    columns=["FASN", "CD3E", "MUC1"],
)
SPOTS = pd.DataFrame(
    {
        "x": [11, 10, 10, 12],
        "y": [13, 14, 13, 13],
        "new_x": 0.0,
        "new_y": 0.0,
        "pixel_x": [140.5, 100.0, 100.25, 180.0],
        "pixel_y": [200.0, 240.0, 200.75, 200.0],
        "selected": [1, 1, 1, 0],
    }
)


def write_section(root: Path, name: str, counts: pd.DataFrame = COUNTS, spots: pd.DataFrame = SPOTS) -> None:
    for folder in ("ST-cnts", "ST-spotfiles", f"ST-imgs/{name[0]}/{name}", "ST-pat/lbl"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    counts.to_csv(root / "ST-cnts" / f"{name}.tsv.gz", sep="\t")
    spots.to_csv(root / "ST-spotfiles" / f"{name}_selection.tsv", sep="\t", index=False)


def test_known_section(tmp_path: Path) -> None:
    write_section(tmp_path, "A1")
    adata = her2st(tmp_path)["A1"]
    # 30x2 has no position and 12x13 is not selected; the order is that of the counts.
    assert list(adata.obs_names) == ["10x13", "11x13", "10x14"]
    assert isspmatrix_csr(adata.X)
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS.loc[adata.obs_names])
    np.testing.assert_array_equal(adata.obsm["spatial"], [[100.25, 200.75], [140.5, 200.0], [100.0, 240.0]])
    assert adata.obs["array_col"].tolist() == [10, 11, 10]
    assert adata.obs["array_row"].tolist() == [13, 13, 14]
    assert adata.obs["patient"].unique().tolist() == ["A"]
    assert "pathologist_label" not in adata.obs
    record = adata.uns["spatial"]["A1"]
    assert record["metadata"] == {"platform": "ST", "pitch_um": 200.0}
    assert "images" not in record
    assert record["scalefactors"]["spot_diameter_fullres"] == pytest.approx(0.5 * np.hypot(0.25, 39.25))


def test_order_of_the_spot_file_does_not_matter(tmp_path: Path) -> None:
    write_section(tmp_path / "a", "A1")
    write_section(tmp_path / "b", "A1", spots=SPOTS.iloc[::-1])
    first, second = her2st(tmp_path / "a")["A1"], her2st(tmp_path / "b")["A1"]
    assert first.obs.equals(second.obs)
    np.testing.assert_array_equal(first.obsm["spatial"], second.obsm["spatial"])


def test_labels_follow_spot_ids(tmp_path: Path) -> None:
    write_section(tmp_path, "B1")
    labels = pd.DataFrame({"x": [9.98, 11.02], "y": [14.01, 12.97], "label": ["adipose tissue", "invasive cancer "]})
    labels.to_csv(tmp_path / "ST-pat/lbl/B1_labeled_coordinates.tsv", sep="\t")
    column = her2st(tmp_path)["B1"].obs["pathologist_label"]
    assert column["10x14"] == "adipose tissue"
    assert column["11x13"] == "invasive cancer"
    assert pd.isna(column["10x13"])


def test_picture_becomes_a_thumbnail_with_its_scale(tmp_path: Path) -> None:
    write_section(tmp_path, "C4")
    Image.new("RGB", (2400, 1600), (200, 100, 150)).save(tmp_path / "ST-imgs/C/C4/scan.jpg")
    record = her2st(tmp_path)["C4"].uns["spatial"]["C4"]
    thumbnail = record["images"]["hires"]
    assert max(thumbnail.shape) <= 1000
    assert thumbnail.dtype == np.uint8
    assert record["scalefactors"]["tissue_hires_scalef"] == thumbnail.shape[1] / 2400
    assert record["metadata"]["source_image_path"] == str((tmp_path / "ST-imgs/C/C4/scan.jpg").resolve())
    np.testing.assert_allclose(thumbnail.mean((0, 1)), [200, 100, 150], atol=2)
    bare = her2st(tmp_path, with_images=False)["C4"].uns["spatial"]["C4"]
    assert "images" not in bare
    assert "source_image_path" not in bare["metadata"]


def test_clone_or_data_folder_and_choice_of_sections(tmp_path: Path) -> None:
    for name in ("A2", "A1", "D3"):
        write_section(tmp_path / "data", name)
    assert list(her2st(tmp_path, progress=False)) == ["A1", "A2", "D3"]
    assert list(her2st(tmp_path / "data", sections="D3")) == ["D3"]
    with pytest.raises(ValueError, match=r"\['Z9'\].*A1, A2, D3"):
        her2st(tmp_path, sections=["A1", "Z9"])


def test_sections_joined_as_documented_are_told_apart(tmp_path: Path) -> None:
    for name in ("C3", "C4"):
        write_section(tmp_path, name)
    slides = her2st(tmp_path, progress=False)
    joined = ad.concat(slides, join="inner", index_unique="-", uns_merge="unique")
    assert {slide.name: slide.mpp_source for slide in open_slides(joined)} == {"C3": "pitch_um", "C4": "pitch_um"}


def test_errors_name_the_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ST-cnts.*github\.com/almaan/her2st"):
        her2st(tmp_path)
    write_section(tmp_path, "A1")
    (tmp_path / "ST-spotfiles/A1_selection.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"A1_selection\.tsv"):
        her2st(tmp_path)
    for name in ("one.jpg", "two.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / "ST-imgs/A/A1" / name)
    SPOTS.to_csv(tmp_path / "ST-spotfiles/A1_selection.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match="2 pictures"):
        her2st(tmp_path)


@pytest.mark.parametrize(
    ("spots", "message"),
    [
        (SPOTS.assign(x=SPOTS["x"] + 50), "share 0 spots"),
        (SPOTS.drop(columns="pixel_y"), r"lacks the columns \['pixel_y'\]"),
        (pd.concat([SPOTS, SPOTS.iloc[:1]]), "11x13 more than once"),
    ],
)
def test_spot_files_that_do_not_fit(tmp_path: Path, spots: pd.DataFrame, message: str) -> None:
    write_section(tmp_path, "A1", spots=spots)
    with pytest.raises(ValueError, match=message):
        her2st(tmp_path)


@pytest.mark.parametrize(
    "text", ["\tFASN\tCD3E\n10x13\t1\tmany\n", "\tFASN\tCD3E\n10x13\t1\t2\n11x13\t1\n", "\tFASN\n"]
)
def test_counts_that_are_no_table(tmp_path: Path, text: str) -> None:
    write_section(tmp_path, "A1")
    with gzip.open(tmp_path / "ST-cnts/A1.tsv.gz", "wt") as handle:
        handle.write(text)
    with pytest.raises(ValueError, match=r"A1\.tsv\.gz"):
        her2st(tmp_path)


@pytest.mark.parametrize(("name", "n_spots", "n_genes"), [("C4", 184, 15842), ("A1", 346, 15045), ("F3", 712, 15067)])
def test_public_sections(real_data: Path, name: str, n_spots: int, n_genes: int) -> None:
    root = real_data / "her2st"
    adata = her2st(root, sections=name)[name]
    assert adata.shape == (n_spots, n_genes)
    raw = pd.read_csv(
        root / "ST-cnts" / f"{name}.tsv.gz",
        sep="\t",
        index_col=0,
        usecols=lambda c: c in {"Unnamed: 0", "FASN", "ERBB2"},
    )
    kept = raw.loc[adata.obs_names]
    np.testing.assert_array_equal(adata[:, ["FASN", "ERBB2"]].X.toarray(), kept[["FASN", "ERBB2"]])
    table = pd.read_csv(root / "ST-spotfiles" / f"{name}_selection.tsv", sep="\t")
    by_id = {f"{x}x{y}": (px, py) for x, y, px, py in table[["x", "y", "pixel_x", "pixel_y"]].itertuples(index=False)}
    np.testing.assert_array_equal(adata.obsm["spatial"], [by_id[spot] for spot in adata.obs_names])
    # Columns run along x and rows along y, at the pitch of the array.
    for axis, column in enumerate(("array_col", "array_row")):
        assert np.corrcoef(adata.obs[column], adata.obsm["spatial"][:, axis])[0, 1] > 0.999


def test_public_pictures_and_labels(real_data: Path) -> None:
    slides = her2st(real_data / "her2st", sections=["C4", "A1"], progress=False)
    record = slides["C4"].uns["spatial"]["C4"]
    assert record["images"]["hires"].shape == (1000, 935, 3)
    assert record["scalefactors"]["tissue_hires_scalef"] == pytest.approx(935 / 9278)
    assert record["metadata"]["source_image_path"].endswith("5714_HE_BT_D2.jpg")
    labels = slides["A1"].obs["pathologist_label"]
    assert labels.notna().all()
    assert (labels == "cancer in situ").sum() == 21
    assert "images" not in slides["A1"].uns["spatial"]["A1"]
