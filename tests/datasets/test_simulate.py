"""The simulator: its truth, its picture, its containers."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData
from scipy.spatial import KDTree
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phg2st_sc.datasets import simulate


@pytest.fixture(scope="module")
def slide() -> AnnData:
    return simulate(seed=3)


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


def picture_of(adata: AnnData) -> np.ndarray:
    return adata.uns["spatial"]["P1_S1"]["images"]["hires"]


def tile_colors(adata: AnnData) -> np.ndarray:
    """Mean and spread of the colours within 40 µm of every spot."""
    picture = picture_of(adata).astype(float)
    rows = []
    for x, y in adata.obsm["spatial"].astype(int):
        tile = picture[max(y - 40, 0) : y + 40, max(x - 40, 0) : x + 40].reshape(-1, 3)
        rows.append(np.concatenate([tile.mean(0), tile.std(0)]))
    return np.array(rows)


def test_same_seed_same_bits() -> None:
    first, second, other = (simulate(n_spots=40, n_genes=12, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.X.toarray(), second.X.toarray())
    np.testing.assert_array_equal(picture_of(first), picture_of(second))
    assert (first.X != other.X).nnz > 0
    assert first.obs.equals(second.obs)


def test_picture_and_number_of_slides_change_no_count() -> None:
    drawn = simulate(n_spots=40, n_genes=12, seed=5)
    bare = simulate(n_spots=40, n_genes=12, seed=5, image=False)
    several = simulate(n_spots=40, n_genes=12, seed=5, image=False, n_slides=3, n_patients=1, progress=False)
    for other in (bare, several["P1_S1"]):
        np.testing.assert_array_equal(drawn.X.toarray(), other.X.toarray())
    assert "images" not in bare.uns["spatial"]["P1_S1"]


@pytest.mark.parametrize(("lattice", "pitch", "spot", "mpp"), [("visium", 100, 55, 1.0), ("st", 200, 100, 2.0)])
def test_lattice_and_record(lattice: str, pitch: float, spot: float, mpp: float) -> None:
    adata = simulate(n_spots=75, n_genes=5, lattice=lattice, image=False)
    assert adata.n_obs == 75
    distance, _ = KDTree(adata.obsm["spatial"]).query(adata.obsm["spatial"], k=2)
    np.testing.assert_allclose(np.median(distance[:, 1]) * mpp, pitch)
    record = adata.uns["spatial"]["P1_S1"]
    assert record["scalefactors"]["spot_diameter_fullres"] == spot / mpp
    assert record["metadata"]["mpp"] == mpp
    assert record["metadata"]["pitch_um"] == pitch
    assert adata.obs_names.is_unique
    for axis, column in enumerate(("array_col", "array_row")):
        assert np.corrcoef(adata.obs[column], adata.obsm["spatial"][:, axis])[0, 1] > 0.999


def test_spots_lie_on_tissue(slide: AnnData) -> None:
    picture = picture_of(slide)
    height, width = picture.shape[:2]
    assert (slide.obsm["spatial"] > 0).all()
    assert (slide.obsm["spatial"] < [width, height]).all()
    assert height != width
    colors = tile_colors(slide)
    solid = (slide.obs["compartment"] != "fat").to_numpy()
    assert (colors[solid, 1] < 225).mean() > 0.98
    assert np.median(picture[:20, :20]) > 235


def test_compartments_look_different(slide: AnnData) -> None:
    colors = tile_colors(slide)
    compartment = slide.obs["compartment"].to_numpy()
    red = {name: colors[compartment == name, 0].mean() for name in ("tumour", "stroma", "immune", "fat")}
    assert red["fat"] > red["stroma"] > red["tumour"] > red["immune"]
    nuclei = slide.obs.groupby("compartment", observed=True)["n_nuclei"].mean()
    assert nuclei["immune"] > nuclei["tumour"] > nuclei["stroma"] > nuclei["fat"]


def test_picture_predicts_its_genes_and_no_others(slide: AnnData) -> None:
    truth = np.log(slide.layers["true_rate"].astype(float))
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 7)))
    folds = KFold(5, shuffle=True, random_state=0)
    informative = ~slide.var["is_noise"].to_numpy()
    predicted = cross_val_predict(model, tile_colors(slide), truth[:, informative], cv=folds)
    score = correlations(predicted, truth[:, informative])
    var = slide.var[informative]
    assert score[(var["image_driven"] == 1).to_numpy()].mean() > 0.7
    assert abs(score[(var["space_driven"] == 1).to_numpy()].mean()) < 0.15


def test_space_programs_are_smooth_and_unrelated_to_the_picture(slide: AnnData) -> None:
    programs = list(slide.uns["simulation"]["programmes"])
    activity = slide.obsm["true_programmes"].astype(float)
    space = activity[:, [programs.index(name) for name in ("gradient", "domain", "patch")]]
    image = activity[:, : programs.index("gradient")]
    assert np.abs(np.corrcoef(image.T, space.T)[: image.shape[1], image.shape[1] :]).max() < 1e-4
    _, neighbor = KDTree(slide.obsm["spatial"]).query(slide.obsm["spatial"], k=2)
    assert (correlations(space, space[neighbor[:, 1]]) > 0.5).all()


def explained(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    design = np.column_stack([np.ones(len(design)), design])
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return 1 - left.var(0) / values.var(0)


def test_nonlinear_genes_follow_the_picture_but_no_line() -> None:
    adata = simulate(seed=3, nonlinear_fraction=0.5, space_fraction=0, mixed_fraction=0, image=False)
    names = list(adata.uns["simulation"]["programmes"])
    seen = adata.obsm["true_programmes"][:, : names.index("gradient")].astype(float)
    linear = seen[:, : names.index("interface")]
    bent = (adata.var["nonlinear_driven"] > 0.5).to_numpy()
    straight = ((adata.var["nonlinear_driven"] < 0.3) & ~adata.var["is_noise"]).to_numpy()
    assert 60 < bent.sum() < 110
    logs = np.log(adata.layers["true_rate"].astype(float))
    assert explained(seen, logs[:, bent]).mean() > 0.85
    assert explained(linear, logs[:, bent]).mean() < 0.5
    assert explained(linear, logs[:, straight]).mean() > 0.7
    assert (adata.var["nonlinear_driven"] <= adata.var["image_driven"] + 1e-12).all()


def test_nonlinear_genes_leave_tissue_and_other_genes_alone() -> None:
    plain, bent = (simulate(n_spots=60, n_genes=40, nonlinear_fraction=f, image=False) for f in (0, 0.5))
    np.testing.assert_array_equal(plain.obsm["spatial"], bent.obsm["spatial"])
    np.testing.assert_array_equal(plain.obs["n_nuclei"], bent.obs["n_nuclei"])
    kept = (plain.var["image_driven"] == 0).to_numpy()
    np.testing.assert_array_equal(plain.var.loc[kept, "space_driven"], bent.var.loc[kept, "space_driven"])
    assert (plain.var["nonlinear_driven"] == 0).all()


def test_truth_is_a_share_and_noise_is_flat(slide: AnnData) -> None:
    rate = slide.layers["true_rate"].astype(float)
    np.testing.assert_allclose(rate.sum(1), 1, rtol=1e-5)
    noise = slide.var["is_noise"].to_numpy()
    assert noise.sum() == 30
    assert (rate[:, noise].std(0) / rate[:, noise].mean(0)).max() < 1e-5
    assert (rate[:, ~noise].std(0) / rate[:, ~noise].mean(0)).min() > 0.1
    assert slide.var.loc[noise, ["image_driven", "space_driven"]].to_numpy().sum() == 0
    assert (slide.var.loc[noise, "programme"] == "none").all()
    total = slide.var.loc[~noise, ["image_driven", "space_driven"]].sum(1)
    np.testing.assert_allclose(total, 1)


def test_counts_follow_the_truth(slide: AnnData) -> None:
    counts = slide.X.toarray().astype(float)
    mean = slide.layers["true_rate"] * slide.obs["true_depth"].to_numpy()[:, None]
    assert (counts == np.round(counts)).all()
    assert (counts >= 0).all()
    assert counts.sum() / mean.sum() == pytest.approx(1, abs=0.01)
    dispersion = slide.var["overdispersion"].to_numpy()
    excess = ((counts - mean) ** 2 / (mean + dispersion * mean**2)).mean()
    assert excess == pytest.approx(1, abs=0.08)
    assert ((counts - mean) ** 2 / mean).mean() > 2


def test_no_overdispersion_gives_poisson() -> None:
    adata = simulate(n_spots=300, n_genes=100, overdispersion=0, image=False)
    mean = adata.layers["true_rate"] * adata.obs["true_depth"].to_numpy()[:, None]
    assert ((adata.X.toarray() - mean) ** 2 / mean).mean() == pytest.approx(1, abs=0.05)


def test_depth(slide: AnnData) -> None:
    depth = np.log(slide.obs["true_depth"].to_numpy())
    assert depth.std() == pytest.approx(0.4, abs=0.1)
    _, neighbor = KDTree(slide.obsm["spatial"]).query(slide.obsm["spatial"], k=2)
    assert 0.1 < np.corrcoef(depth, depth[neighbor[:, 1]])[0, 1] < 0.8
    flat = simulate(n_spots=60, n_genes=10, depth=1000, depth_sd=0, image=False)
    np.testing.assert_allclose(flat.obs["true_depth"], 1000)


def test_patients_differ_and_slides_of_one_patient_share() -> None:
    slides = simulate(n_slides=4, n_patients=2, n_spots=200, image=False, progress=False)
    assert list(slides) == ["P1_S1", "P2_S1", "P1_S2", "P2_S2"]
    assert [s.obs["patient"].iloc[0] for s in slides.values()] == ["P1", "P2", "P1", "P2"]
    assert all(s.var.equals(slides["P1_S1"].var) for s in slides.values())
    noise = slides["P1_S1"].var["is_noise"].to_numpy()
    level = {name: s.layers["true_rate"][0, noise] for name, s in slides.items()}
    np.testing.assert_allclose(level["P1_S1"], level["P1_S2"], rtol=1e-5)
    assert np.abs(np.log(level["P1_S1"] / level["P2_S1"])).mean() > 0.1
    # Genes covary alike: the covariance of log rates on one slide resembles that of another patient.
    covariance = [np.corrcoef(np.log(slides[name].layers["true_rate"][:, ~noise].T)) for name in ("P1_S1", "P2_S1")]
    off_diagonal = np.triu_indices_from(covariance[0], k=1)
    assert np.corrcoef(covariance[0][off_diagonal], covariance[1][off_diagonal])[0, 1] > 0.7
    joined = ad.concat(slides, index_unique="-", merge="same")
    assert joined.obs_names.is_unique
    assert "programme" in joined.var


def test_shares_of_genes() -> None:
    var = simulate(n_spots=40, n_genes=50, space_fraction=1, mixed_fraction=0, noise_fraction=0, image=False).var
    assert (var["space_driven"] == 1).all()
    mixed = simulate(n_spots=40, n_genes=50, space_fraction=0, mixed_fraction=1, noise_fraction=0, image=False).var
    assert mixed["image_driven"].between(0.05, 0.95).mean() > 0.9


def test_picture_on_disk(tmp_path: Path) -> None:
    import tifffile

    whole = simulate(n_spots=200, n_genes=5, seed=2)
    adata = simulate(n_spots=200, n_genes=5, seed=2, image_dir=tmp_path / "pictures")
    record = adata.uns["spatial"]["P1_S1"]
    path = Path(record["metadata"]["source_image_path"])
    np.testing.assert_array_equal(tifffile.imread(path), picture_of(whole))
    assert max(record["images"]["hires"].shape) <= 1000
    assert record["scalefactors"]["tissue_hires_scalef"] == pytest.approx(
        record["images"]["hires"].shape[1] / picture_of(whole).shape[1]
    )
    with tifffile.TiffFile(path) as tiff:
        numerator, denominator = tiff.pages[0].tags["XResolution"].value
        assert numerator / denominator == 10_000
        assert tiff.pages[0].is_tiled
    assert record["metadata"]["mpp"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lattice": "hex"}, "'visium', 'st'"),
        ({"n_slides": 1, "n_patients": 2}, "n_patients"),
        ({"n_spots": 5}, "at least 30"),
        ({"mpp": 0}, "mpp"),
        ({"depth": -1}, "depth"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed=1.5 must be an integer"),
        ({"space_fraction": 0.8, "mixed_fraction": 0.3}, "exceed 1"),
        ({"nonlinear_fraction": 1.5}, "nonlinear_fraction must be between 0 and 1, not 1.5"),
        ({"container": "csv"}, "'csv'"),
        ({"container": "spatialdata", "image_dir": "x"}, "image_dir"),
        ({"image": False, "image_dir": "x"}, "image_dir"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(**arguments)


def test_h5ad_round_trip(tmp_path: Path) -> None:
    adata = simulate(n_spots=40, n_genes=6)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(picture_of(back), picture_of(adata))
    np.testing.assert_array_equal(back.X.toarray(), adata.X.toarray())
    assert back.uns["simulation"]["seed"] == 0
    assert back.var["programme"].astype(str).equals(adata.var["programme"].astype(str))


@pytest.mark.parametrize("multiscale", [True, False])
def test_spatialdata_round_trip(tmp_path: Path, multiscale: bool) -> None:
    from spatialdata import get_extent, read_zarr, transform

    plain = simulate(n_spots=60, n_genes=8, seed=4)
    sdata = simulate(n_spots=60, n_genes=8, seed=4, container="spatialdata", multiscale=multiscale)
    sdata.write(tmp_path / "slide.zarr")
    back = read_zarr(tmp_path / "slide.zarr")
    table, circles = back.tables["table"], back.shapes["P1_S1_spots"]
    np.testing.assert_array_equal(table.X.toarray(), plain.X.toarray())
    assert table.uns["spatialdata_attrs"]["region"] == "P1_S1_spots"
    assert list(table.obs["instance_id"]) == list(circles.index)
    np.testing.assert_array_equal(np.column_stack([circles.geometry.x, circles.geometry.y]), plain.obsm["spatial"])
    assert (circles["radius"] == 27.5).all()
    assert table.uns["spatial"]["P1_S1"]["metadata"]["mpp"] == 1.0
    image = back.images["P1_S1_image"]
    full = image["scale0"].ds["image"] if multiscale else image
    np.testing.assert_array_equal(full.transpose("y", "x", "c").to_numpy(), picture_of(plain))
    spots, picture = (get_extent(element, coordinate_system="um") for element in (circles, image))
    assert picture["x"][0] <= spots["x"][0]
    assert spots["y"][1] <= picture["y"][1]
    assert transform(circles, to_coordinate_system="um")["radius"].iloc[0] == pytest.approx(27.5)


def test_micrometers_of_a_coarser_picture() -> None:
    from spatialdata import get_extent

    sdata = simulate(n_spots=60, n_genes=8, mpp=2.0, container="spatialdata", multiscale=False)
    pixels = get_extent(sdata.images["P1_S1_image"], coordinate_system="global")
    um = get_extent(sdata.images["P1_S1_image"], coordinate_system="um")
    assert um["x"][1] == pytest.approx(2 * pixels["x"][1])
    assert sdata.shapes["P1_S1_spots"]["radius"].iloc[0] == 27.5 / 2


def test_plots(slide: AnnData) -> None:
    import matplotlib.pyplot as plt

    squidpy = pytest.importorskip("squidpy")
    pytest.importorskip("spatialdata_plot")

    squidpy.pl.spatial_scatter(slide, color="compartment")
    ax = plt.gca()
    assert ax.images, "the picture lies under the spots"
    plt.close("all")
    sdata = simulate(n_spots=60, n_genes=8, container="spatialdata")
    _, ax = plt.subplots()
    sdata.pl.render_images("P1_S1_image").pl.render_shapes("P1_S1_spots", color="GENE0001").pl.show(
        ax=ax, coordinate_systems="global"
    )
    assert ax.images
    assert ax.collections
    plt.close("all")
