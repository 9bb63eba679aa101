"""The model takes the hypergraph a user built, and no other."""

import numpy as np
import pytest

import phg2st_sc as phg2st

METHODS = {
    "phg2st": {},
    "phg2st_paper": {"branches": "spot", "max_epochs": 2, "accelerator": "cpu"},
}


def color(tiles):
    return np.concatenate([tiles.mean((1, 2)), tiles.std((1, 2))], axis=1).astype(np.float32) / 100


@pytest.fixture(scope="module")
def sections():
    slides = phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=60, n_genes=20, progress=False)
    for slide in slides.values():
        phg2st.pp.extract_embeddings(slide, encoder=color, context=None, progress=False)
        phg2st.pp.build_hypergraph(slide, builder="position", n_neighbors=2)
    phg2st.pp.sample_prompts(slides["P3_S1"], fraction=0.3, seed=0)
    return slides


@pytest.fixture(scope="module", params=METHODS)
def model(sections, request):
    slides, settings = [sections["P1_S1"], sections["P2_S1"]], METHODS[request.param]
    return phg2st.tl.train(slides, method=request.param, hypergraph_key="hypergraph", progress=False, **settings)


def test_another_hypergraph_is_another_prediction(sections, model):
    new = sections["P3_S1"].copy()
    few = phg2st.tl.predict(new, model=model).X
    np.testing.assert_array_equal(few, phg2st.tl.predict(new, model=model).X)
    phg2st.pp.build_hypergraph(new, builder="position", n_neighbors=12)
    assert np.abs(phg2st.tl.predict(new, model=model).X - few).max() > 1e-6


def test_the_order_of_rows_does_not_matter(sections, model):
    new = sections["P3_S1"].copy()
    expected = phg2st.tl.predict(new, model=model)
    shuffled = new[np.random.default_rng(0).permutation(new.n_obs)].copy()
    phg2st.pp.build_hypergraph(shuffled, builder="position", n_neighbors=2)
    found = phg2st.tl.predict(shuffled, model=model)
    np.testing.assert_allclose(found[expected.obs_names].X, expected.X, rtol=1e-5, atol=1e-6)


def test_one_that_is_missing_or_no_longer_fits_is_refused(sections, model, tmp_path):
    bare = sections["P3_S1"].copy()
    del bare.uns["hypergraph"]
    part = sections["P3_S1"][:50].copy()
    loaded = phg2st.models.load(model.save(tmp_path / "m"))
    for new in (bare, part):
        with pytest.raises(KeyError, match="no hypergraph 'hypergraph' that fits.*build_hypergraph"):
            phg2st.tl.predict(new, model=loaded)
