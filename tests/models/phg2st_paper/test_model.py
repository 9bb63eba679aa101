"""The published network as a method: what it takes, what it keeps, what it predicts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc.models import PHG2ST, PHG2STPaper, SlideArrays, TrainingSlide

QUICK = {
    "max_epochs": 2,
    "engine": "torch",
    "accelerator": "cpu",
    "network": {"width": 16, "hypergraph_width": 8},
}


def with_context(slide: TrainingSlide, seed: int = 0) -> TrainingSlide:
    """Tiles that resemble the spots of the block: 25 spots around, -1 beyond the edge."""
    arrays = slide.arrays
    offsets = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), axis=-1).reshape(-1, 2)
    where = {tuple(p): i for i, p in enumerate(arrays.positions.astype(int))}
    index = np.array([[where.get(tuple(p + o), -1) for o in offsets] for p in arrays.positions.astype(int)])
    tiles = None if arrays.features is None else arrays.features.astype(np.float16)
    index = None if arrays.features is None else index.astype(np.int32)
    return replace(slide, arrays=replace(arrays, context_index=index, tiles=tiles))


@pytest.fixture(scope="module")
def slides(cohort) -> list[TrainingSlide]:
    return [with_context(s) for s in cohort]


@pytest.fixture(scope="module")
def new(slide) -> TrainingSlide:
    return with_context(slide)


@pytest.fixture(scope="module")
def model(slides) -> PHG2STPaper:
    return PHG2STPaper(**QUICK).fit(slides)


def test_a_prompt_moves_the_prediction_of_its_own_spot_alone(model, new, draw):
    prompts = draw(new, 20)
    before = model.predict(new.arrays, prompts).mean
    counts = prompts.counts.copy()
    counts[3] = counts[3][::-1] * 2
    after = model.predict(new.arrays, replace(prompts, counts=counts)).mean
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == [prompts.index[3]]


def test_dropping_prompts_moves_their_own_spots_alone(model, new, draw):
    prompts = draw(new, 20)
    before = model.predict(new.arrays, prompts).mean
    after = model.predict(new.arrays, prompts.subset(np.arange(5, 20))).mean
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == sorted(prompts.index[:5])


def test_order_of_spots_plays_no_role(model, new, draw):
    order = np.random.default_rng(0).permutation(new.arrays.n_spots)
    shuffled = TrainingSlide(new.arrays.take(order), new.counts[order], new.totals[order], new.genes)
    prompts = draw(new, 20)
    place = np.argsort(order)
    same = shuffled.prompts(place[prompts.index], target_sum=prompts.target_sum)
    straight = model.predict(new.arrays, prompts).mean
    np.testing.assert_allclose(model.predict(shuffled.arrays, same).mean, straight[order], rtol=1e-4, atol=1e-4)


def test_scale_of_the_prediction_is_the_one_asked_for(model, new, draw):
    prompts = draw(new, 20)
    rates = [
        np.expm1(model.predict(new.arrays, replace(prompts, target_sum=s)).mean.astype(float)) / s for s in (1e3, 1e5)
    ]
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-3, atol=1e-7)


def test_levels_fit_the_training_slides(model, slides, draw):
    """The mean of logarithms lies below the logarithm of the mean: without a correction all levels would be low."""
    one = slides[0]
    rate = np.expm1(model.predict(one.arrays, draw(one, 20)).mean.astype(float)) / 1e4
    expected = one.totals @ rate
    assert expected.sum() == pytest.approx(one.counts.sum(), rel=0.1)


@pytest.mark.parametrize("branches", ["both", "spot", "context"])
def test_saved_and_loaded_predicts_the_same(tmp_path, slides, new, draw, branches):
    model = PHG2STPaper(**QUICK, branches=branches, checkpoint_dir=tmp_path / "checkpoints").fit(slides[:2])
    model.save(tmp_path / "model")
    loaded = PHG2STPaper.load(tmp_path / "model")
    prompts = draw(new, 15)
    np.testing.assert_array_equal(loaded.predict(new.arrays, prompts).mean, model.predict(new.arrays, prompts).mean)
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"model.json", "arrays.safetensors"}
    assert "checkpoints" not in (tmp_path / "model" / "model.json").read_text()
    assert loaded.record == json.loads(json.dumps(model.record))


def test_slides_without_an_image_train_and_are_predicted(slides, new, draw):
    bare = [replace(s, arrays=SlideArrays(s.arrays.name, s.arrays.positions, patient=s.arrays.patient)) for s in slides]
    mixed = PHG2STPaper(**QUICK).fit([*slides[:2], bare[2]])
    alone = PHG2STPaper(**QUICK).fit(bare)
    unseen = SlideArrays("bare", new.arrays.positions)
    for model in (mixed, alone):
        prediction = model.predict(unseen, draw(new, 20)).mean
        assert prediction.shape == new.counts.shape
        assert np.isfinite(prediction).all()
    assert np.isfinite(mixed.predict(new.arrays, draw(new, 20)).mean).all()
    # features mean nothing to a network that never saw any
    without = SlideArrays(new.arrays.name, new.arrays.positions)
    np.testing.assert_array_equal(
        alone.predict(new.arrays, draw(new, 20)).mean, alone.predict(without, draw(new, 20)).mean
    )


def test_validation_is_on_other_patients(model, slides):
    training = model.record["training"]
    assert training["unit"] == "patient"
    assert training["validation"] == [slides[0].arrays.name]
    assert len(training["losses"]) == len(training["scores"]) == training["epochs"] == 2


def test_resumed_training_equals_uninterrupted(tmp_path, slides, new, draw):
    prompts = draw(new, 15)
    settings = {**QUICK, "max_epochs": 4}
    whole = PHG2STPaper(**settings).fit(slides[:3]).predict(new.arrays, prompts).mean
    PHG2STPaper(**QUICK, checkpoint_dir=tmp_path).fit(slides[:3])
    resumed = PHG2STPaper(**settings, resume_from=tmp_path / "last.ckpt").fit(slides[:3])
    np.testing.assert_array_equal(resumed.predict(new.arrays, prompts).mean, whole)


def test_fitting_again_forgets_the_tokens_of_the_last_network(slides, new, draw):
    prompts = draw(new, 15)
    model = PHG2STPaper(**QUICK).fit(slides[:2])
    model.predict(new.arrays, prompts)
    model.fit(slides[1:])
    fresh = PHG2STPaper(**QUICK).fit(slides[1:])
    np.testing.assert_array_equal(model.predict(new.arrays, prompts).mean, fresh.predict(new.arrays, prompts).mean)


def test_engines_agree(model, new, draw):
    pytest.importorskip("dgl")
    prompts = draw(new, 15)
    expected = model.predict(new.arrays, prompts)
    assert expected.details["engine"] == "torch"
    other = PHG2STPaper(**{**QUICK, "engine": "dgl"})
    other.set_state(*model.state())
    found = other.predict(new.arrays, prompts)
    assert found.details["engine"] == "dgl"
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-4, atol=1e-4)


def test_missing_context_names_the_call(model, slide, cohort):
    with pytest.raises(
        ValueError, match=r"extract_embeddings\(data, encoder='planted', context=5\).*branches=\"spot\""
    ):
        PHG2STPaper(**QUICK).fit(cohort)
    with pytest.raises(ValueError, match="has no features of the tiles"):
        model.encode(slide.arrays)


def test_features_of_another_width_are_refused(model, new):
    arrays = replace(new.arrays, features=new.arrays.features[:, :5])
    with pytest.raises(ValueError, match="has 5 features per spot, the network takes 12"):
        model.encode(arrays)


def test_an_untrained_network_does_not_predict(new, draw):
    with pytest.raises(ValueError, match="must be trained first"):
        PHG2STPaper().predict(new.arrays, draw(new, 5))


def test_wrong_settings_are_refused_before_training(slides):
    for wrong, words in (
        ({"preset": "huge"}, "Unknown preset 'huge'"),
        ({"branches": "all"}, "branches='all'"),
        ({"engine": "fast"}, "engine='fast'"),
    ):
        with pytest.raises(ValueError, match=words):
            PHG2STPaper(**{**QUICK, **wrong}).fit(slides[:2])


def test_presets_reach_network_and_training():
    method = PHG2STPaper(preset="paper", max_epochs=3)
    assert method.network_config(n_features=1024, n_genes=10).width == 1024
    training = method.training_config()
    assert (training.lr, training.max_epochs) == (1e-4, 3)
    assert PHG2STPaper(network={"width": 64}).network_config(n_features=9, n_genes=2).width == 64


# --- the name that it had before --------------------------------------------------------------------------------------
def test_the_former_name_makes_the_method_and_says_so_once():
    settings = {"preset": "paper", "branches": "spot"}
    for make in (PHG2ST, lambda **given: phg2st.models.create("phg2st", **given)):
        with pytest.warns(FutureWarning, match="use method='phg2st_paper'") as told:
            made = make(fusion="paper", **settings)
        assert type(made) is PHG2STPaper
        assert (made.preset, made.branches, len(told)) == ("paper", "spot", 1)


def test_the_default_was_a_fusion_too():
    with pytest.warns(FutureWarning, match="leave it out"):
        made = PHG2ST(fusion="propagate", n_components=7)
    assert type(made) is PHG2ST
    assert made.n_components == 7
    assert "fusion" not in made.parameter_names()
    assert repr(made) == "PHG2ST(n_components=7)"
    with pytest.raises(ValueError, match="Unknown fusion 'magic'.*'propagate', 'paper'"):
        PHG2ST(fusion="magic")


@pytest.mark.parametrize("setting", [{"preset": "default"}, {"prompt_fraction": 0.3}])
def test_settings_of_the_published_network_belong_to_it(setting):
    with pytest.raises(TypeError, match=f"`{next(iter(setting))}` is a setting of the published.*'phg2st_paper'"):
        phg2st.models.create("phg2st", **setting)
    assert phg2st.models.create("phg2st_paper", **setting).needs_fit


def former_folder(model, folder, fusion):
    """A folder as the last version wrote it: all settings of both forms, weights and statistics by flat names."""
    from safetensors.numpy import save_file

    trained = model._trained
    weights = {f"network.{name}": value.cpu().numpy() for name, value in trained.network.state_dict().items()}
    stats = {"features.mean": trained.stats.mean, "features.scale": trained.stats.scale}
    state = {"network": trained.network.config.as_dict(), "scale": trained.scale, "imaged": trained.imaged}
    state |= {"genes": list(model.genes), "record": model.record}
    both = {"n_components": 30, "correction": None, "without": [], "preset": None, "prompt_fraction": None}
    record = {"schema": 1, "method": "phg2st", "parameters": {**both, **model.kept_parameters(), "fusion": fusion}}
    record["parameters"] |= {"preset": None}
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({**record, "state": state if fusion == "paper" else {}, "card": {}}))
    save_file({**weights, **stats, "level": trained.level} if fusion == "paper" else {}, folder / "arrays.safetensors")
    return folder


def test_folders_of_the_former_name_are_read(tmp_path, model, new, draw):
    loaded = phg2st.models.load(former_folder(model, tmp_path / "paper", "paper"))
    assert type(loaded) is PHG2STPaper
    prompts = draw(new, 15)
    np.testing.assert_array_equal(loaded.predict(new.arrays, prompts).mean, model.predict(new.arrays, prompts).mean)
    assert type(phg2st.models.load(former_folder(model, tmp_path / "propagate", "propagate"))) is PHG2ST


def color(tiles: np.ndarray) -> np.ndarray:
    """Mean and spread of each channel."""
    return np.concatenate([tiles.mean(axis=(1, 2)), tiles.std(axis=(1, 2))], axis=1) / 255.0


@pytest.fixture(scope="module")
def simulated():
    """Four sections of four patients with colours of spots and of the tiles around them."""
    found = phg2st.datasets.simulate(
        n_slides=4,
        n_patients=4,
        n_spots=150,
        n_genes=40,
        space_fraction=0.0,
        mixed_fraction=0.0,
        progress=False,
        seed=3,
    )
    for adata in found.values():
        phg2st.pp.extract_embeddings(adata, image="hires", encoder=color, input_px=16, context=5, progress=False)
    return found


@pytest.mark.slow
def test_beats_prompt_mean_and_image_free_kriging_on_an_unseen_patient(simulated):
    training = dict(simulated)
    new = training.pop("P4_S1").copy()
    model = phg2st.tl.train(training, method="phg2st_paper", max_epochs=60, progress=False)
    losses = model.card["training"]["losses"]
    assert losses[-1] < 0.8 * losses[0]
    phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    phg2st.tl.impute(new, model=model)
    table = phg2st.tl.evaluate(new, layer="phg2st_paper", compare=["prompt_mean", "kriging", "gene_kriging"])
    means = {name: values["pcc"] for name, values in table.attrs["means"].items()}
    assert means["phg2st_paper"] > max(means["prompt_mean"], means["kriging"], means["gene_kriging"]) + 0.05


def test_end_to_end_on_anndata(simulated, tmp_path):
    training = {name: simulated[name] for name in ("P1_S1", "P2_S1")}
    new = simulated["P3_S1"].copy()
    model = phg2st.tl.train(training, method="phg2st_paper", max_epochs=2, progress=False)
    assert model.card["training"]["unit"] == "patient"
    phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    phg2st.tl.impute(new, model=model.save(tmp_path / "model"))
    assert np.isfinite(new.layers["phg2st_paper"]).all()
    assert new.uns["phg2st_paper"]["details"]["P3_S1"]["fusion"] == "paper"
    hidden = new.copy()
    counts = hidden.X.toarray() if hasattr(hidden.X, "toarray") else hidden.X.copy()
    counts[~hidden.obs["prompt"].to_numpy()] = np.nan
    hidden.X = counts
    phg2st.tl.impute(hidden, model=model)
    np.testing.assert_array_equal(hidden.layers["phg2st_paper"], new.layers["phg2st_paper"])


def test_tiles_that_belong_to_other_spots_are_refused(simulated):
    training = {name: simulated[name] for name in ("P1_S1", "P2_S1")}
    model = phg2st.tl.train(training, method="phg2st_paper", max_epochs=1, progress=False)
    mixed = simulated["P3_S1"].copy()
    phg2st.pp.sample_prompts(mixed, fraction=0.1, seed=0)
    mixed.uns["phg2st_tiles"]["X_color"] = {
        key: value[::-1].copy() if key == "positions" else value
        for key, value in mixed.uns["phg2st_tiles"]["X_color"].items()
    }
    with pytest.raises(ValueError, match=r"the tiles there belong to other spots.*context=5"):
        phg2st.tl.impute(mixed, model=model)
    del mixed.uns["phg2st_tiles"]
    with pytest.raises(ValueError, match="the features of the tiles are no longer there"):
        phg2st.tl.impute(mixed, model=model)


def test_only_methods_that_look_at_tiles_are_handed_them(simulated):
    whole = simulated["P3_S1"].copy()
    phg2st.pp.sample_prompts(whole, fraction=0.1, seed=0)
    torn = whole.copy()
    del torn.uns["phg2st_tiles"]
    for one in (whole, torn):
        phg2st.tl.impute(one)
    np.testing.assert_array_equal(torn.layers["phg2st"], whole.layers["phg2st"])
    looks = {
        branches: phg2st.models.PHG2STPaper(branches=branches).uses_context for branches in ("both", "spot", "context")
    }
    assert looks == {"both": True, "spot": False, "context": True}
    assert not phg2st.models.PHG2STPaper(network={"branches": "spot"}).uses_context
    alone = phg2st.tl.train({"P1_S1": torn}, method="phg2st_paper", branches="spot", max_epochs=1, progress=False)
    phg2st.tl.impute(torn, model=alone)


def test_a_slice_of_spots_is_predicted_like_the_exact_blocks(simulated):
    """The index into the tiles survives slicing; blocks kept per spot give the same arrays."""
    from phg2st_sc._reading._context import context_of
    from phg2st_sc._slide import open_slides

    adata = simulated["P1_S1"]
    part = adata[10:60].copy()
    index, tiles = context_of(open_slides(part)[0], "X_color")
    stored = adata.uns["phg2st_tiles"]["X_color"]["features"]
    whole = np.asarray(adata.obsm["X_color_context_index"])[10:60]
    assert ((index >= 0) == (whole >= 0)).all()
    np.testing.assert_array_equal(tiles[index[index >= 0]], stored[whole[whole >= 0]])
    blocks = np.full((*whole.shape, stored.shape[1]), np.nan, dtype=np.float16)
    blocks[whole >= 0] = stored[whole[whole >= 0]]
    del part.obsm["X_color_context_index"]
    part.obsm["X_color_context"] = blocks
    again, exact = context_of(open_slides(part)[0], "X_color")
    np.testing.assert_array_equal(exact[again[again >= 0]], tiles[index[index >= 0]])
