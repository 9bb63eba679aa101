"""Features of several encoders side by side: what is kept of each, and that each has the same say."""

from __future__ import annotations

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc import _keys, pp
from phg2st_sc._reading import embedding_call, identity, same_kind


def color(tiles):
    return tiles.mean(axis=(1, 2))


def grain(tiles):
    pixels = tiles.astype(np.float32).reshape(len(tiles), -1)
    return np.repeat(pixels.std(axis=1, keepdims=True), 40, axis=1) + pixels[:, :40]


@pytest.fixture(scope="module")
def embedded():
    made = phg2st.datasets.simulate(n_spots=80, n_genes=20, progress=False)
    for encoder in (color, grain):
        pp.extract_embeddings(made, image="hires", encoder=encoder, input_px=16, progress=False)
    pp.sample_prompts(made, fraction=0.2, seed=0)
    return made


@pytest.fixture
def adata(embedded):
    return embedded.copy()


def test_columns_of_all_and_where_they_begin(adata):
    pp.join_embeddings(adata, ["X_color", "X_grain"], key_added="X_both")
    np.testing.assert_array_equal(adata.obsm["X_both"], np.hstack([adata.obsm["X_color"], adata.obsm["X_grain"]]))
    record = adata.uns[_keys.EMBEDDINGS]["X_both"]
    assert (record["encoder"], record["source"], list(record["blocks"])) == ("color + grain", "image", [3, 40])
    pp.join_embeddings(adata, ["X_both", "X_color"], key_added="X_more")
    assert list(adata.uns[_keys.EMBEDDINGS]["X_more"]["blocks"]) == [3, 40, 3]
    assert embedding_call(record) == "`phg2st_sc.pp.join_embeddings(data, ['X_color', 'X_grain'], key_added=...)`"
    assert same_kind(identity(record), identity(record))
    assert not same_kind(identity(record), identity({**record, "blocks": np.array([40, 3])}))


def test_every_encoder_has_the_same_say(adata):
    """A block repeated ten times over changes nothing but rounding; put together without a record of blocks it does."""
    pp.join_embeddings(adata, ["X_color", "X_grain"], key_added="X_both")
    wide = adata.copy()
    wide.obsm["X_grain"] = np.tile(wide.obsm["X_grain"], 10)
    wide.uns[_keys.EMBEDDINGS]["X_grain"]["dim"] = 400
    pp.join_embeddings(wide, ["X_color", "X_grain"], key_added="X_both")
    for method in ("phg2st", "space_image_kriging", "image_ridge"):
        for one in (adata, wide):
            phg2st.tl.impute(one, method=method, use_rep="X_both", key_added=method)
        np.testing.assert_allclose(wide.layers[method], adata.layers[method], rtol=1e-4, atol=1e-4)
    for one in (adata, wide):
        del one.uns[_keys.EMBEDDINGS]["X_both"]["blocks"]
        phg2st.tl.impute(one, method="space_image_kriging", use_rep="X_both", key_added="alike")
    assert np.abs(wide.layers["alike"] - adata.layers["alike"]).max() > 1e-3


def test_a_model_takes_what_was_joined_alike_and_survives_a_file(adata, tmp_path):
    pp.join_embeddings(adata, ["X_color", "X_grain"], key_added="X_both")
    model = phg2st.tl.train({"a": adata}, use_rep="X_both", use_network=False, progress=False)
    path = model.save(tmp_path / "model")
    adata.write_h5ad(tmp_path / "a.h5ad")
    new = phg2st.datasets.simulate(n_spots=80, n_genes=20, seed=4, progress=False)
    new.var_names = adata.var_names
    for encoder in (color, grain):
        pp.extract_embeddings(new, image="hires", encoder=encoder, input_px=16, progress=False)
    pp.sample_prompts(new, fraction=0.2, seed=0)
    with pytest.raises(ValueError, match=r"join_embeddings\(data, \['X_color', 'X_grain'\]"):
        phg2st.tl.impute(new, model=path, use_rep="X_color")
    pp.join_embeddings(new, ["X_color", "X_grain"], key_added="X_both")
    new.write_h5ad(tmp_path / "new.h5ad")
    phg2st.tl.impute(new, model=path, use_rep="X_both")
    assert np.isfinite(new.layers["phg2st"]).all()


def test_what_cannot_be_joined_is_refused(adata):
    adata.obsm["X_pca"] = np.ones((adata.n_obs, 3))
    for keys, error, message in (
        (["X_color"], ValueError, "two or more different keys"),
        (["X_color", "X_color"], ValueError, "two or more different keys"),
        (["X_color", "X_uni"], KeyError, "No embeddings in obsm\\['X_uni'\\]"),
        (["X_color", "X_pca"], ValueError, "no record that it was computed from the image"),
        (["X_color", "X_both"], ValueError, "is one of `keys`"),
    ):
        with pytest.raises(error, match=message):
            pp.join_embeddings(adata, keys, key_added="X_both")
    adata.obsm["X_both"] = np.ones((adata.n_obs, 2))
    with pytest.raises(ValueError, match="X_both"):
        pp.join_embeddings(adata, ["X_color", "X_grain"], key_added="X_both")
    np.testing.assert_array_equal(adata.obsm["X_both"], 1.0)
