"""The squamous cell carcinoma reader, on a folder in the layout of the archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from phg2st_sc.datasets import cscc

ARRAY = [f"{x}x{y}" for x in range(1, 6) for y in range(1, 5)]


def write_section(
    root: Path, accession: str, name: str, *, gz: str = ".gz", picture: str | None = None
) -> pd.DataFrame:
    values = np.random.default_rng(sum(map(ord, name))).poisson(3, (len(ARRAY), 4))
    counts = pd.DataFrame(values, index=ARRAY, columns=["KRT5", "KRT14", "COL1A1", "CD3D"])
    counts.to_csv(root / f"{accession}_{name}_stdata.tsv{gz}", sep="\t")
    under_tissue = [(x, y) for x in (2, 3, 4) for y in (1, 2)]
    spots = pd.DataFrame(under_tissue[::-1], columns=["x", "y"])
    spots["new_x"], spots["new_y"] = spots["x"] + 0.02, spots["y"] - 0.03
    spots["pixel_x"], spots["pixel_y"] = spots["x"] * 300.0 + 7, spots["y"] * 300.0 - 11
    spots.to_csv(root / f"{accession}_spot_data-selection-{name}.tsv{gz}", sep="\t", index=False)
    if picture:
        Image.new("RGB", (1500, 1200), (220, 150, 180)).save(root / f"{accession}_{name}{picture}", format="JPEG")
    return counts


def test_known_sections(tmp_path: Path) -> None:
    write_section(tmp_path, "GSM4284325", "P10_ST_rep1", gz="")
    counts = write_section(tmp_path, "GSM4284316", "P2_ST_rep1", picture=".jpg")
    write_section(tmp_path, "GSM4284317", "P2_ST_rep2")
    slides = cscc(tmp_path, progress=False)
    assert list(slides) == ["P2_ST_rep1", "P2_ST_rep2", "P10_ST_rep1"]
    adata = slides["P2_ST_rep1"]
    assert list(adata.obs_names) == ["2x1", "2x2", "3x1", "3x2", "4x1", "4x2"]
    np.testing.assert_array_equal(adata.X.toarray(), counts.loc[adata.obs_names])
    np.testing.assert_array_equal(adata.obsm["spatial"][1], [607.0, 589.0])
    assert slides["P10_ST_rep1"].obs["patient"].unique().tolist() == ["P10"]
    record = adata.uns["spatial"]["P2_ST_rep1"]
    assert record["metadata"]["pitch_um"] == 150.0
    assert record["scalefactors"]["spot_diameter_fullres"] == pytest.approx(300 * 110 / 150)
    assert record["images"]["hires"].shape[1] == round(1500 * record["scalefactors"]["tissue_hires_scalef"])
    assert "images" not in slides["P2_ST_rep2"].uns["spatial"]["P2_ST_rep2"]


def test_gzipped_picture_is_left_out_with_advice(tmp_path: Path) -> None:
    write_section(tmp_path, "GSM4284316", "P2_ST_rep1", picture=".jpg.gz")
    with pytest.warns(UserWarning, match=r"gunzip .*GSM4284316_P2_ST_rep1\.jpg\.gz") as caught:
        adata = cscc(tmp_path)["P2_ST_rep1"]
    assert {str(one.filename) for one in caught if "gunzip" in str(one.message)} == {__file__}
    assert "source_image_path" not in adata.uns["spatial"]["P2_ST_rep1"]["metadata"]


def test_similar_names_are_kept_apart(tmp_path: Path) -> None:
    write_section(tmp_path, "GSM1", "P1_ST_rep1")
    write_section(tmp_path, "GSM2", "P1_ST_rep10", picture=".jpg")
    slides = cscc(tmp_path, progress=False)
    assert "images" not in slides["P1_ST_rep1"].uns["spatial"]["P1_ST_rep1"]
    assert "images" in slides["P1_ST_rep10"].uns["spatial"]["P1_ST_rep10"]


def test_errors_name_the_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"_stdata\.tsv\.gz.*GSE144240_RAW\.tar"):
        cscc(tmp_path)
    (tmp_path / "GSE144240_RAW.tar").touch()
    with pytest.raises(FileNotFoundError, match="Unpack the archive first"):
        cscc(tmp_path)
    write_section(tmp_path, "GSM4284316", "P2_ST_rep1")
    with pytest.raises(ValueError, match=r"\['P3_ST_rep1'\].*P2_ST_rep1"):
        cscc(tmp_path, sections="P3_ST_rep1")
    (tmp_path / "GSM4284316_spot_data-selection-P2_ST_rep1.tsv.gz").unlink()
    with pytest.raises(FileNotFoundError, match="spot_data-selection-P2_ST_rep1"):
        cscc(tmp_path)
