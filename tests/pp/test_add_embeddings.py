"""Ready-made features land on their spots, by name or by place, with the record that later steps ask for."""

from __future__ import annotations

import pickle
import shutil

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from feature_files import hest, lazyslide, trident

from phg2st_sc import _keys, pp, tl
from phg2st_sc.encoders import open_features

SIDE = 80  # two spots of the lattice along a side
RECORD = _keys.EMBEDDINGS


@pytest.fixture
def tiled():
    """Corners of the tiles that cover the lattice but for its last rows, and features that tell the tile."""
    x, y = np.meshgrid(np.arange(7), np.arange(5))
    corners = np.column_stack([x.ravel(), y.ravel()]) * SIDE
    return corners, np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 7.0)])


def _expected(adata):
    """What a spot gets: column and row of the tile that it lies in; NaN below the last row of tiles."""
    found = np.column_stack([adata.obsm["spatial"] // SIDE, np.full(adata.n_obs, 7.0)])
    found[found[:, 1] > 4] = np.nan
    return found


def test_trident_by_place(spot_adata, tiled, tmp_path):
    path = trident(tmp_path / "section.h5", *tiled, side=40)
    with pytest.warns(UserWarning, match=r"20? of 120 spots have no features|have no features") as told:
        pp.add_embeddings(spot_adata, path)
    expected = _expected(spot_adata)
    np.testing.assert_array_equal(spot_adata.obsm["X_uni_v1"], expected)
    assert len(told) == 1
    first = spot_adata.obs_names[np.isnan(expected[:, 0])][0]
    assert first in str(told[0].message)
    record = spot_adata.uns[RECORD]["X_uni_v1"]
    assert (record["source"], record["encoder"], record["tile_um"]) == ("image", "uni_v1", 20.0)
    assert record["transform"] == "as made by TRIDENT"
    assert list(record["n_without"]) == [int(np.isnan(expected[:, 0]).sum())]


def test_trident_names_its_encoder_by_the_folder_too(spot_adata, tiled, tmp_path):
    path = trident(tmp_path / "features_virchow2" / "section.h5", *tiled, encoder="", side=40)
    assert open_features(path).encoder == "virchow2"
    path = trident(tmp_path / "section.h5", *tiled, encoder="", side=40)
    with pytest.raises(ValueError, match="Which encoder made these features"):
        pp.add_embeddings(spot_adata, path)


def test_lazyslide_by_place(spot_adata, tiled, tmp_path):
    path = lazyslide(tmp_path / "slide.zarr", *tiled, side=SIDE, mpp=0.5)
    with pytest.warns(UserWarning, match="have no features"):
        pp.add_embeddings(spot_adata, path)
    np.testing.assert_array_equal(spot_adata.obsm["X_uni"], _expected(spot_adata))
    assert spot_adata.uns[RECORD]["X_uni"]["tile_um"] == 40.0


def test_lazyslide_store_with_several_tables(tiled, tmp_path):
    path = lazyslide(tmp_path / "slide.zarr", *tiled, side=SIDE, mpp=0.5, tables=("uni_tiles", "conch_tiles"))
    with pytest.raises(KeyError, match="several tables of features .*say which, e.g. `element='conch_tiles'`"):
        open_features(path)
    assert open_features(path, element="uni_tiles").encoder == "uni"
    with pytest.raises(KeyError, match="no table 'tiles' of features"):
        open_features(path, element="tiles")


def test_hest_by_barcode(spot_adata, rng, tmp_path):
    order = rng.permutation(spot_adata.n_obs)
    values = rng.normal(size=(spot_adata.n_obs, 5)).astype(np.float32)
    names = spot_adata.obs_names[order].tolist()
    path = hest(tmp_path / "TENX1.h5", names, spot_adata.obsm["spatial"][order], values[order])
    pp.add_embeddings(spot_adata, path, encoder="gigapath", tile_um=112)
    np.testing.assert_array_equal(spot_adata.obsm["X_gigapath"], values)
    other = spot_adata[order[:50]].copy()
    pp.add_embeddings(other, path, encoder="gigapath", tile_um=112)
    np.testing.assert_array_equal(other.obsm["X_gigapath"], values[order[:50]])


def test_names_may_stand_in_a_column(spot_adata, rng, tmp_path):
    values = rng.normal(size=(spot_adata.n_obs, 5)).astype(np.float32)
    spot_adata.obs["barcode"] = [f"AAAC-{i}" for i in range(spot_adata.n_obs)]
    path = hest(tmp_path / "a.h5", spot_adata.obs["barcode"].tolist(), spot_adata.obsm["spatial"], values)
    with pytest.raises(ValueError, match=r"names are like 'AAAC-0'.*spots like 'spot0'.*`obs_key=`"):
        pp.add_embeddings(spot_adata, path, encoder="uni", tile_um=112)
    pp.add_embeddings(spot_adata, path, encoder="uni", tile_um=112, obs_key="barcode")
    np.testing.assert_array_equal(spot_adata.obsm["X_uni"], values)
    with pytest.raises(KeyError, match="no column 'code'"):
        pp.add_embeddings(spot_adata, path, encoder="uni", tile_um=112, obs_key="code")


def test_hest_by_place_needs_the_size_of_a_pixel(spot_adata, rng, tmp_path):
    values = rng.normal(size=(spot_adata.n_obs, 5)).astype(np.float32)
    names = [f"other{i}" for i in range(spot_adata.n_obs)]
    path = hest(tmp_path / "a.h5", names, spot_adata.obsm["spatial"] - 20, values)  # tiles of 40 px
    options = {"encoder": "uni", "tile_um": 112, "match": "place"}
    with pytest.raises(ValueError, match="the size of a pixel is unknown"):
        pp.add_embeddings(spot_adata, path, **options)
    spot_adata.uns["spatial"] = {"section": {"metadata": {"mpp": 2.8}, "scalefactors": {}, "images": {}}}
    pp.add_embeddings(spot_adata, path, **options)
    np.testing.assert_array_equal(spot_adata.obsm["X_uni"], values)


def _frame(adata, rng):
    values = rng.normal(size=(adata.n_obs, 3)).astype(np.float32)
    return pd.DataFrame(values, index=adata.obs_names, columns=["f0", "f1", "f2"])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet", "frame"])
def test_tables_by_name(spot_adata, rng, tmp_path, suffix):
    frame = _frame(spot_adata, rng)
    shuffled, source = frame.sample(frac=1.0, random_state=0), tmp_path / f"features{suffix}"
    if suffix == ".parquet":
        shuffled.to_parquet(source)
    elif suffix == "frame":
        source = shuffled
    else:
        shuffled.to_csv(source, sep="\t" if suffix == ".tsv" else ",")
    pp.add_embeddings(spot_adata, source, encoder="mine", tile_um=112)
    np.testing.assert_allclose(spot_adata.obsm["X_mine"], frame, rtol=1e-6)


def test_numbers_as_names_keep_their_zeros(spot_adata, rng, tmp_path):
    spot_adata.obs_names = [f"{i:04}" for i in range(spot_adata.n_obs)]
    frame = _frame(spot_adata, rng)
    frame.to_csv(tmp_path / "a.csv")
    pp.add_embeddings(spot_adata, tmp_path / "a.csv", encoder="mine", tile_um=112)
    np.testing.assert_allclose(spot_adata.obsm["X_mine"], frame, rtol=1e-6)


def test_the_column_of_names_may_be_said(spot_adata, rng, tmp_path):
    spot_adata.obs["cell"] = np.arange(spot_adata.n_obs)
    frame = _frame(spot_adata, rng).reset_index(drop=True)
    table = frame.assign(cell=spot_adata.obs["cell"].to_numpy()).sample(frac=1.0, random_state=0)
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet", index=False)
    options = {"encoder": "mine", "tile_um": 112, "obs_key": "cell"}
    for source in (tmp_path / "a.csv", tmp_path / "a.parquet", table):
        pp.add_embeddings(spot_adata, source, index="cell", **options)
        np.testing.assert_allclose(spot_adata.obsm["X_mine"], frame, rtol=1e-6)
    with pytest.raises(ValueError, match="name of one of its columns, got 'spot'"):
        pp.add_embeddings(spot_adata, table, index="spot", **options)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", "frame"])
def test_an_index_is_no_feature(spot_adata, rng, tmp_path, suffix):
    frame = _frame(spot_adata, rng)
    # as left by leaving rows out: an index that counts is written, and rows are named by a column
    table = frame.rename_axis("barcode").reset_index().sample(frac=1.0, random_state=0)
    source = tmp_path / f"features{suffix}"
    if suffix == ".parquet":
        table.rename_axis("cell_id").to_parquet(source)
    elif suffix == "frame":
        table.to_csv(tmp_path / "a.csv")
        source = pd.read_csv(tmp_path / "a.csv")
    else:
        table.to_csv(source, sep="\t" if suffix == ".tsv" else ",")
    for index in (None, "barcode"):
        pp.add_embeddings(spot_adata, source, index=index, encoder="mine", tile_um=112)
        np.testing.assert_allclose(spot_adata.obsm["X_mine"], frame, rtol=1e-6)


def test_an_index_that_counts_names_the_rows_of_a_parquet_file(spot_adata, rng, tmp_path):
    frame = _frame(spot_adata, rng)
    spot_adata.obs["cell"] = np.arange(spot_adata.n_obs) + 7
    table = frame.set_index(pd.Index(spot_adata.obs["cell"], name="cell_id")).sample(frac=1.0, random_state=0)
    table.to_parquet(tmp_path / "a.parquet")
    pp.add_embeddings(spot_adata, tmp_path / "a.parquet", encoder="mine", tile_um=112, obs_key="cell")
    np.testing.assert_allclose(spot_adata.obsm["X_mine"], frame, rtol=1e-6)


def test_a_table_by_place(spot_adata, tiled):
    corners, values = tiled
    frame = pd.DataFrame(values, columns=["f0", "f1", "f2"])
    frame[["x", "y"]] = corners + SIDE / 2
    with pytest.warns(UserWarning, match="have no features"):
        pp.add_embeddings(spot_adata, frame, encoder="mine", tile_um=112, max_distance=SIDE / 2)
    np.testing.assert_array_equal(spot_adata.obsm["X_mine"], _expected(spot_adata))


def test_arrays_by_order_or_index(spot_adata, rng, tmp_path):
    values = rng.normal(size=(spot_adata.n_obs, 4)).astype(np.float32)
    np.save(tmp_path / "a.npy", values[::-1])
    (tmp_path / "names.txt").write_text("\n".join(spot_adata.obs_names[::-1]))
    pp.add_embeddings(spot_adata, values, encoder="mine", tile_um=112)
    np.testing.assert_array_equal(spot_adata.obsm["X_mine"], values)
    options = {"encoder": "mine", "tile_um": 112}
    for index in (tmp_path / "names.txt", spot_adata.obs_names[::-1].tolist()):
        pp.add_embeddings(spot_adata, tmp_path / "a.npy", index=index, **options)
        np.testing.assert_array_equal(spot_adata.obsm["X_mine"], values)
    with pytest.raises(ValueError, match="119 rows without names or places, and the object has 120"):
        pp.add_embeddings(spot_adata, values[:-1], **options)


def test_only_rows_that_are_asked_for_are_read(spot_adata, rng, tmp_path):
    import h5py

    values = rng.normal(size=(20_000, 4)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["embeddings"] = values
    rows = np.array([19_999, 3, 8_192, 3, 4_095])

    def read(path):
        out = np.full((len(rows), 4), np.nan)
        for places, piece in open_features(path).read(rows):
            out[places] = piece
        return out

    np.testing.assert_array_equal(read(tmp_path / "a.h5"), values[rows])
    frame = pd.DataFrame(values, columns=list("abcd"))
    frame.to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read(tmp_path / "a.parquet"), values[rows])


def test_slides_by_name(spot_adata, rng):
    left = spot_adata.obsm["spatial"][:, 0] < 300
    spot_adata.obs["slide"] = np.where(left, "L", "R")
    frame = _frame(spot_adata, rng)
    options = {"encoder": "mine", "tile_um": 112, "slide_key": "slide"}
    pp.add_embeddings(spot_adata, {"L": frame}, **options)
    np.testing.assert_allclose(spot_adata.obsm["X_mine"][left], frame[left])
    assert np.isnan(spot_adata.obsm["X_mine"][~left]).all()
    pp.add_embeddings(spot_adata, {"L": frame, "R": frame}, **options)
    np.testing.assert_allclose(spot_adata.obsm["X_mine"], frame)
    assert list(spot_adata.uns[RECORD]["X_mine"]["slides"]) == ["L", "R"]
    with pytest.raises(KeyError, match="names slides 'M', and the object has 'L', 'R'"):
        pp.add_embeddings(spot_adata, {"M": frame}, **options)
    with pytest.raises(ValueError, match="The files differ: 2 features of 112 µm"):
        pp.add_embeddings(spot_adata, {"L": frame, "R": frame[["f0", "f1"]]}, **options)


def test_slides_one_after_the_other(spot_adata, rng, tmp_path):
    left = spot_adata.obsm["spatial"][:, 0] < 300
    spot_adata.obs["slide"] = np.where(left, "L", "R")
    frame = _frame(spot_adata, rng)
    options = {"encoder": "mine", "slide_key": "slide"}
    pp.add_embeddings(spot_adata, {"L": frame}, tile_um=112, **options)
    spot_adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pp.add_embeddings(again, {"R": frame}, tile_um=112, **options)
    np.testing.assert_allclose(again.obsm["X_mine"], frame)
    record = again.uns[RECORD]["X_mine"]
    assert list(record["slides"]) == ["L", "R"]
    assert {len(record[key]) for key in ("files", "mpp", "mpp_source", "n_without")} == {2}
    pp.add_embeddings(again, {"L": frame + 1}, tile_um=112, **options)
    np.testing.assert_allclose(again.obsm["X_mine"], frame + left[:, None])
    assert list(again.uns[RECORD]["X_mine"]["slides"]) == ["R", "L"]


def test_a_slide_beside_joined_ones(spot_adata, rng):
    frame = _frame(spot_adata, rng)
    parts = {name: spot_adata[i * 40 : i * 40 + 40].copy() for i, name in enumerate("ABC")}
    for name in "AB":
        parts[name].obs["slide"] = f"section{name}"
        pp.add_embeddings(parts[name], {f"section{name}": frame}, encoder="mine", tile_um=112, slide_key="slide")
    joined = ad.concat(parts, label="slide", uns_merge="unique")
    joined.obsm["X_mine"] = np.concatenate([parts[name].obsm["X_mine"] for name in "AB"] + [np.full((40, 3), np.nan)])
    pp.add_embeddings(joined, {"C": frame}, encoder="mine", tile_um=112, slide_key="slide")
    np.testing.assert_allclose(joined.obsm["X_mine"], frame)


@pytest.mark.parametrize("other", [{"tile_um": 55}, {"revision": "2"}, {"columns": ["f0", "f1"]}])
def test_slides_that_lose_features_of_another_kind_are_named(spot_adata, rng, other):
    left = spot_adata.obsm["spatial"][:, 0] < 300
    spot_adata.obs["slide"] = np.where(left, "L", "R")
    frame = _frame(spot_adata, rng)
    options = {"encoder": "mine", "slide_key": "slide", "tile_um": 112}
    pp.add_embeddings(spot_adata, {"L": frame}, **options)
    table = frame[other.pop("columns", list(frame))]
    with pytest.warns(UserWarning, match=r"leaves out \('L'\) are replaced by NaN.*another `key_added=`") as told:
        pp.add_embeddings(spot_adata, {"R": table}, **{**options, **other})
    assert len(told) == 1
    assert np.isnan(spot_adata.obsm["X_mine"][left]).all()
    np.testing.assert_allclose(spot_adata.obsm["X_mine"][~left], table[~left])
    assert list(spot_adata.uns[RECORD]["X_mine"]["slides"]) == ["R"]


def test_arrays_of_one_slide_each(spot_adata, rng):
    left = spot_adata.obsm["spatial"][:, 0] < 300
    spot_adata.obs["slide"] = np.where(left, "L", "R")
    values = rng.normal(size=(spot_adata.n_obs, 3)).astype(np.float32)
    options = {"encoder": "mine", "slide_key": "slide", "tile_um": 112}
    pp.add_embeddings(spot_adata, {"R": values[~left], "L": values[left]}, **options)
    np.testing.assert_array_equal(spot_adata.obsm["X_mine"], values)
    with pytest.raises(ValueError, match="7 rows without names or places, and the object has 120, slide 'L' "):
        pp.add_embeddings(spot_adata, {"L": values[:7]}, **options)
    with pytest.raises(ValueError, match=r"rows without names or places, and the object has 120: pass"):
        pp.add_embeddings(spot_adata, values[left], **options)


def test_methods_take_them_as_their_own(spot_adata, rng, tmp_path):
    frame = _frame(spot_adata, rng)
    pp.add_embeddings(spot_adata, frame, encoder="mine", tile_um=112)
    spot_adata.obs["prompt"] = np.arange(spot_adata.n_obs) % 3 == 0
    spot_adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    tl.impute(again, method="image_ridge", use_rep="X_mine", key_added="out", progress=False)
    assert again.uns["out"]["features"]["encoder"] == "mine"
    assert np.isfinite(again.layers["out"]).any()


def test_context_of_another_call_goes(spot_adata, he_image, rng):
    def mine(tiles):
        return tiles.mean(axis=(1, 2))

    pp.extract_embeddings(
        spot_adata, image=he_image, encoder=mine, input_px=16, pitch_um=200, context=3, progress=False
    )
    assert _keys.context_index("X_mine") in spot_adata.obsm
    pp.add_embeddings(spot_adata, _frame(spot_adata, rng), encoder="mine", tile_um=112)
    assert _keys.context_index("X_mine") not in spot_adata.obsm
    assert "X_mine" not in spot_adata.uns[_keys.TILES]


def test_slots_of_the_user_stay(spot_adata, rng):
    spot_adata.obsm["X_mine"] = rng.normal(size=(spot_adata.n_obs, 3))
    with pytest.raises(ValueError, match=r"obsm\['X_mine'\] exists and was not written by phg2st_sc"):
        pp.add_embeddings(spot_adata, _frame(spot_adata, rng), encoder="mine", tile_um=112)


def test_expression_is_never_read(spot_adata, rng):
    spot_adata.X = None
    pp.add_embeddings(spot_adata, _frame(spot_adata, rng), encoder="mine", tile_um=112)
    assert "X_mine" in spot_adata.obsm


@pytest.mark.parametrize("suffix", [".csv", ".parquet", "frame"])
def test_tables_of_expression_are_refused(spot_adata, rng, tmp_path, suffix):
    spot_adata.var["gene_ids"] = [f"ENSG{i:05}" for i in range(spot_adata.n_vars)]
    good, counts = _frame(spot_adata, rng), spot_adata.to_df()
    tables = {
        "30 of 30 columns are genes .*'g0', 'g1'": counts,
        r"30 of 30 columns are genes .*'ENSG00000'": counts.set_axis(spot_adata.var["gene_ids"], axis=1),
        r"1 of 4 columns .*\('g7'\)": good.assign(g7=counts["g7"]),
        r"2 of 5 columns .*\('total_counts', 'n_genes_by_counts'\)": good.assign(total_counts=9, n_genes_by_counts=3),
    }
    for i, (message, table) in enumerate(tables.items()):
        source = table if suffix == "frame" else tmp_path / f"{i}{suffix}"
        if suffix != "frame":
            (table.to_csv if suffix == ".csv" else table.to_parquet)(source)
        with pytest.raises(ValueError, match=f"(?s){message}.*would leak.*only the columns of features of the image"):
            pp.add_embeddings(spot_adata, source, encoder="mine", tile_um=112)
    assert "X_mine" not in spot_adata.obsm


def test_columns_and_genes_that_are_only_counted(spot_adata, rng):
    spot_adata.var_names = [str(i) for i in range(spot_adata.n_vars)]
    options = {"encoder": "mine", "tile_um": 112}
    with pytest.raises(ValueError, match="30 of 30 columns are genes"):
        pp.add_embeddings(spot_adata, spot_adata.to_df(), **options)
    frame = _frame(spot_adata, rng).set_axis(range(3), axis=1)
    pp.add_embeddings(spot_adata, frame, **options)
    np.testing.assert_array_equal(spot_adata.obsm["X_mine"], frame)


@pytest.mark.parametrize("name", ["pca", "PCA_50", "scVI", "umap"])
def test_names_of_what_is_computed_from_expression_are_refused(spot_adata, rng, name):
    frame = _frame(spot_adata, rng)
    with pytest.raises(ValueError, match=f"`encoder='{name}'` is what features of expression are called"):
        pp.add_embeddings(spot_adata, frame, encoder=name, tile_um=112)
    with pytest.raises(ValueError, match=f"`key_added='X_{name}'` is what features of expression are called"):
        pp.add_embeddings(spot_adata, frame, encoder="mine", key_added=f"X_{name}", tile_um=112)
    assert not [key for key in spot_adata.obsm if key.startswith("X_")]


def test_what_is_not_known_is_asked_for(spot_adata, rng, tmp_path):
    frame = _frame(spot_adata, rng)
    with pytest.raises(ValueError, match=r"how large its tiles are: pass `tile_um=`"):
        pp.add_embeddings(spot_adata, frame, encoder="mine")
    with pytest.raises(ValueError, match="must be 'auto', 'name' or 'place', got 'nearest'"):
        pp.add_embeddings(spot_adata, frame, encoder="mine", tile_um=112, match="nearest")
    with pytest.raises(ValueError, match="holds no places to match by"):
        pp.add_embeddings(spot_adata, frame, encoder="mine", tile_um=112, match="place", max_distance=3)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        pp.add_embeddings(spot_adata, tmp_path / "nowhere.h5", encoder="mine")


def test_faults_of_the_values(spot_adata, rng):
    frame = _frame(spot_adata, rng)
    twice = pd.concat([frame, frame.iloc[:2]])
    with pytest.raises(ValueError, match="2 names stand for several rows \\('spot0', 'spot1'\\)"):
        pp.add_embeddings(spot_adata, twice, encoder="mine", tile_um=112)
    frame.iloc[4, 1] = np.inf
    with pytest.raises(ValueError, match="NaN or infinite at spots that it has a row for \\('spot4'\\)"):
        pp.add_embeddings(spot_adata, frame, encoder="mine", tile_um=112)
    with pytest.raises(ValueError, match="columns 'color' are no numbers"):
        pp.add_embeddings(spot_adata, frame.assign(name="a", color="b"), encoder="mine", tile_um=112)


def test_other_places_are_told_of(spot_adata, tiled, tmp_path):
    path = trident(tmp_path / "a.h5", tiled[0] + 90_000, tiled[1], side=40)
    with pytest.raises(ValueError, match=r"tiles lie at x 90000 to 90480, .*the spots at x 60 to 500"):
        pp.add_embeddings(spot_adata, path)


def test_nothing_in_a_file_is_unpickled(tmp_path):
    import h5py
    import zarr
    from numcodecs import Pickle

    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"features": 1}))
    with pytest.raises(ValueError, match=r"a\.npy' cannot be read"):
        open_features(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="can run code when they are read, so they are not"):
        open_features(tmp_path / "a.pt")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["features"] = np.ones((3, 2))
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["features"] = h5py.ExternalLink("other.h5", "features")
    with pytest.raises(ValueError, match="'features' is no array that lies in this file"):
        open_features(tmp_path / "link.h5")
    corners = np.array([[0, 0], [8, 0], [16, 0]])
    good = lazyslide(tmp_path / "slide.zarr", corners, np.ones((3, 2)), side=8, mpp=0.5)
    root = zarr.open_group(tmp_path / "bad.zarr", mode="w", zarr_format=2)
    root.create_group("shapes").create_group("tiles")
    shutil.copy(good / "shapes/tiles/shapes.parquet", tmp_path / "bad.zarr/shapes/tiles/shapes.parquet")
    table = root.create_group("tables").create_group("uni_tiles")
    table.attrs["region"] = "tiles"
    options = {"shape": (3, 2), "chunks": (3, 2), "dtype": "f4"}
    table.create_array("X", filters=[Pickle()], **options)
    with pytest.raises(ValueError, match=r"bad\.zarr' cannot be read"):
        open_features(tmp_path / "bad.zarr")
    table.create_array("X", compressors=Pickle(), overwrite=True, **options)
    with pytest.raises(ValueError, match="cannot be read|holds pickled objects"):
        open_features(tmp_path / "bad.zarr")


def test_damaged_files(tmp_path, tiled):
    import h5py

    whole = trident(tmp_path / "a.h5", *tiled).read_bytes()
    (tmp_path / "b.h5").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ValueError, match=r"b\.h5' cannot be read"):
        open_features(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["coords"] = tiled[0]
    with pytest.raises(KeyError, match=r"neither 'features' \(TRIDENT\) nor 'embeddings' \(HEST\), only 'coords'"):
        open_features(tmp_path / "c.h5")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["features"] = np.ones(1024)
    with pytest.raises(ValueError, match="One vector for a whole slide"):
        open_features(tmp_path / "d.h5")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["features"], file["coords"] = np.ones((4, 2)), np.ones((3, 2))
    with pytest.raises(ValueError, match="4 rows of features and 3 names or places"):
        open_features(tmp_path / "e.h5")
    (tmp_path / "f.csv").write_text("")
    with pytest.raises(ValueError, match=r"f\.csv' (cannot be read|holds no rows)"):
        open_features(tmp_path / "f.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises((ValueError, KeyError), match=r"cannot be read|no table of features"):
        open_features(tmp_path / "folder")


def test_into_the_store_behind_a_spatialdata(tmp_path, rng):
    from spatial_elements import annotating, circles, picture, square
    from spatialdata import SpatialData, read_zarr

    points = square(6, 20.0, 30.0)
    sdata = SpatialData(
        images={"he": picture(200, 200)},
        shapes={"spots": circles(points, np.arange(36))},
        tables={"table": annotating({"spots": np.arange(36)})},
    )
    sdata.write(tmp_path / "data.zarr")
    sdata = read_zarr(tmp_path / "data.zarr")
    corners = np.array([[x, y] for y in range(0, 160, 40) for x in range(0, 160, 40)]) + 20
    path = trident(tmp_path / "a.h5", corners, corners.astype(float), side=20)
    pp.add_embeddings(sdata, path, write=True)
    table = read_zarr(tmp_path / "data.zarr").tables["table"]
    centers = points[table.obs["instance_id"].to_numpy()]
    np.testing.assert_array_equal(table.obsm["X_uni_v1"], (centers - 20) // 40 * 40 + 20)
    assert table.uns[RECORD]["X_uni_v1"]["source"] == "image"
