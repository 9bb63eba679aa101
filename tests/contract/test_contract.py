"""What every method of the registry must do, in its single-slide form and, where it has one, its cohort form."""

from __future__ import annotations

import copy
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from small_networks import PAPER, SMALL, TILED

from phg2st_sc import models
from phg2st_sc.models import Estimator, Prompts, SlideArrays, TrainingSlide
from phg2st_sc.models.published._method import NetworkMethod

NAMES = models.methods()
SETTINGS = {**SMALL, "triplex": {**SMALL["triplex"], "network": {**SMALL["triplex"]["network"], **TILED}}}


def _class(name):
    return models.get_method("phg2st" if name == PAPER else name)


COHORT = (*(n for n in NAMES if _class(n).fit is not Estimator.fit), PAPER)
FORMS = [(n, False) for n in NAMES if not _class(n).needs_fit] + [(n, True) for n in COHORT]
NETWORKS = [name for name in NAMES if issubclass(_class(name), NetworkMethod)]
IDS = [f"{name}-{'cohort' if fitted else 'single'}" for name, fitted in FORMS]
every_form = pytest.mark.parametrize(("name", "fitted"), FORMS, ids=IDS)


def _create(name):
    return models.create(_class(name).name, **SETTINGS.get(name, {}))


def tiled(slide):
    """The slide with the embeddings of the 5 x 5 places around each spot: tiles as wide as the pitch."""
    place = {tuple(position): number for number, position in enumerate(slide.arrays.positions.astype(int).tolist())}
    steps = [(dx, dy) for dy in range(-2, 3) for dx in range(-2, 3)]
    around = [[place.get((int(x) + dx, int(y) + dy), -1) for dx, dy in steps] for x, y in slide.arrays.positions]
    context = {"context_index": np.array(around, dtype=np.int32), "tiles": slide.arrays.features}
    return replace(slide, arrays=replace(slide.arrays, **context))


@pytest.fixture(scope="module")
def make_slide(make_slide):
    return lambda *args, **settings: tiled(make_slide(*args, **settings))


@pytest.fixture(scope="module")
def slide(make_slide):
    return make_slide(0)


@pytest.fixture(scope="module")
def cohort(make_slide):
    return [make_slide(seed) for seed in range(1, 5)]


def _predict(method, arrays, prompts):
    """As ``tl.impute`` calls a method."""
    return method.adapt(arrays, prompts).predict(arrays, prompts)


class _Fitted(dict):
    """Methods by name, fitted when first asked for."""

    def __init__(self, cohort):
        self.cohort = cohort

    def __missing__(self, name):
        return self.setdefault(name, _create(name).fit(self.cohort))


@pytest.fixture(scope="module")
def fitted_models(cohort):
    return _Fitted(cohort)


@pytest.fixture
def make(fitted_models):
    return lambda name, fitted: fitted_models[name] if fitted else _create(name)


def test_registry_names_what_the_classes_say():
    assert len(NAMES) >= 8
    for name in NAMES:
        assert models.get_method(name).name == name
        assert isinstance(_create(name), Estimator)
        assert not _create(name).is_fitted


@every_form
def test_shape_dtype_and_range(make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    prediction = _predict(make(name, fitted), slide.arrays, prompts)
    assert prediction.mean.shape == slide.counts.shape
    assert prediction.mean.dtype == np.float32
    assert np.isfinite(prediction.mean).all()
    assert (prediction.mean >= 0).all()
    # the panel has 0.8 of all counts here; all but networks make it so at every spot
    everything = 1e4 * prompts.counts.sum() / prompts.totals.sum()
    rtol = 0.5 if name in SMALL else 0.01
    np.testing.assert_allclose(np.expm1(prediction.mean.astype(float)).sum(axis=1), everything, rtol=rtol)
    for extra, shape in ((prediction.std, slide.counts.shape), (prediction.trust, (prompts.n_genes,))):
        assert extra is None or (extra.shape == shape and extra.dtype == np.float32)


@every_form
def test_same_bits_again(fitted_models, make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    first = _predict(make(name, fitted), slide.arrays, prompts).mean
    fresh = replace(slide.arrays)  # nothing cached for it
    again = _predict(make(name, fitted), fresh, prompts).mean
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", COHORT)
def test_training_again_gives_the_same_bits(fitted_models, cohort, slide, draw, name):
    prompts = draw(slide, 30)
    again = _create(name).fit(cohort)
    np.testing.assert_array_equal(
        _predict(again, slide.arrays, prompts).mean, _predict(fitted_models[name], slide.arrays, prompts).mean
    )


@pytest.mark.parametrize("name", COHORT)
def test_tuning_to_a_slide_leaves_the_method_as_it_was(fitted_models, slide, draw, name):
    prompts = draw(slide, 30)
    model = fitted_models[name]
    before = model.predict(slide.arrays, prompts).mean
    tuned = model.adapt(slide.arrays, prompts)
    moved = tuned.predict(slide.arrays, prompts).mean
    np.testing.assert_array_equal(model.predict(slide.arrays, prompts).mean, before)
    if issubclass(_class(name), NetworkMethod):
        assert np.abs(moved - before).max() > 0.01
        np.testing.assert_array_equal(tuned.predict(slide.arrays, prompts).mean, moved)


@pytest.mark.parametrize("name", NETWORKS)
def test_prompts_are_asked_whether_to_tune(fitted_models, make_slide, draw, tmp_path, name):
    """As users call it, who leave ``fine_tune`` alone; a model from a folder decides as the one that was saved."""
    model = copy.copy(fitted_models[name])
    model.fine_tune, model.fine_tune_lr = None, 1e-3
    new = make_slide(11)
    counts = new.counts.copy()
    counts[:, :8] = counts[:, 8:16]  # genes that the cohort knows nothing of follow the image here
    prompts = draw(replace(new, counts=counts), 60)
    prediction = _predict(model, new.arrays, prompts)
    assert prediction.details["fine_tuned"] == 10
    np.testing.assert_array_equal(_predict(model, replace(new.arrays), prompts).mean, prediction.mean)
    loaded = models.load(model.save(tmp_path / "model"))
    for seed in range(5):
        as_trained = draw(make_slide(20 + seed), 12)
        slide = make_slide(20 + seed).arrays
        expected = _predict(model, slide, as_trained)
        found = _predict(models.load(tmp_path / "model"), slide, as_trained)
        assert found.details["fine_tuned"] == expected.details["fine_tuned"]
        np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(_predict(loaded, new.arrays, prompts).mean, prediction.mean)


@pytest.mark.parametrize("name", NETWORKS)
def test_tuning_takes_genes_that_a_slide_lacks_for_unknown(fitted_models, slide, draw, name):
    """Prompts of a slide that lacks a third of the genes teach of the others about what they teach with all genes."""
    model = copy.copy(fitted_models[name])
    model.fine_tune_lr = 3e-3
    whole = draw(slide, 60)
    lacking = np.arange(0, whole.n_genes, 3)
    counts = whole.counts.copy()
    counts[:, lacking] = 0
    there = np.delete(np.arange(whole.n_genes), lacking)

    def moved(prompts):
        if name == "bleep":  # what it retrieves jumps; what it retrieves from does not
            return model.adapt(slide.arrays, prompts)._fitted.extra["bank"][-whole.n_prompts :, there].mean(axis=0)
        change = _predict(model, slide.arrays, prompts).mean - model.predict(slide.arrays, prompts).mean
        return change[:, there].mean(axis=0)

    expected = moved(whole)
    as_unknown, as_zeros = moved(replace(whole, counts=counts, lacking=lacking)), moved(replace(whole, counts=counts))
    assert np.abs(as_unknown - expected).mean() < 0.7 * np.abs(as_zeros - expected).mean()


@every_form
def test_another_mask_on_the_same_slide(make, slide, draw, name, fitted):
    """What is cached for a slide must not remember its prompts."""
    model = make(name, fitted)
    _predict(model, slide.arrays, draw(slide, 60, seed=5))
    after = _predict(model, slide.arrays, draw(slide, 25, seed=6)).mean
    np.testing.assert_array_equal(
        after, _predict(make(name, fitted), replace(slide.arrays), draw(slide, 25, seed=6)).mean
    )


@every_form
def test_inputs_are_left_alone(make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    kept = [a.copy() for a in (slide.arrays.positions, slide.arrays.features, prompts.counts, prompts.totals)]
    _predict(make(name, fitted), slide.arrays, prompts)
    for now, before in zip(
        (slide.arrays.positions, slide.arrays.features, prompts.counts, prompts.totals), kept, strict=True
    ):
        np.testing.assert_array_equal(now, before)


@every_form
def test_measurements_are_not_echoed(make, make_slide, draw, name, fitted):
    """On genes that are pure noise, a prompt's own value may hardly return in the prediction of its place."""
    slide = make_slide(7, depth=400.0)
    prompts = draw(slide, 60)
    prediction = _predict(make(name, fitted), slide.arrays, prompts)
    share = prompts.counts / prompts.counts.sum(axis=1, keepdims=True)
    guess = np.expm1(prediction.mean[prompts.index].astype(float))
    guess /= guess.sum(axis=1, keepdims=True)
    noise = slice(16, 24)
    own = (share[:, noise] - share[:, noise].mean(axis=0)).ravel()
    back = (guess[:, noise] - guess[:, noise].mean(axis=0)).ravel()
    assert float(own @ back / (own @ own)) < 0.6
    assert not np.isclose(guess, share, rtol=1e-3).all(axis=1).any()


@every_form
def test_gene_order_does_not_matter(make, slide, draw, cohort, name, fitted):
    if fitted and name != "prompt_mean" and name != "kriging":
        pytest.skip("the panel of a fitted method is fixed in its order")
    if issubclass(_class(name), NetworkMethod):
        pytest.skip("the output of each gene starts at random")
    prompts = draw(slide, 30)
    order = np.random.default_rng(3).permutation(prompts.n_genes)
    turned = replace(prompts, counts=prompts.counts[:, order], genes=tuple(prompts.genes[i] for i in order))
    model = make(name, False)
    np.testing.assert_allclose(
        _predict(model, slide.arrays, turned).mean,
        _predict(model, slide.arrays, prompts).mean[:, order],
        rtol=1e-4,
        atol=1e-5,
    )


@every_form
def test_target_sum_only_scales(make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    model = make(name, fitted)
    one = np.expm1(_predict(model, slide.arrays, prompts).mean.astype(float))
    ten = np.expm1(_predict(model, slide.arrays, replace(prompts, target_sum=1e5)).mean.astype(float))
    np.testing.assert_allclose(ten, 10 * one, rtol=1e-4, atol=1e-3)


@every_form
def test_saved_and_loaded(make, slide, draw, tmp_path, name, fitted):
    prompts = draw(slide, 30)
    model = make(name, fitted)
    folder = model.save(tmp_path / "model")
    loaded = models.load(folder)
    assert type(loaded) is type(model)
    assert loaded.genes == model.genes
    assert models._store.parameters(loaded) == models._store.parameters(model)
    np.testing.assert_array_equal(
        _predict(loaded, slide.arrays, prompts).mean, _predict(model, slide.arrays, prompts).mean
    )
    json.loads((folder / "model.json").read_text())
    assert sorted(p.name for p in folder.iterdir()) == ["arrays.safetensors", "model.json"]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(folder)
    model.save(folder, overwrite=True)
    assert type(type(model).load(folder)) is type(model)


def test_saving_spares_what_is_no_model(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not replaced"):
        models.create("idw").save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(FileNotFoundError, match="holds no saved model"):
        models.load(tmp_path / "mine")


def test_loading_as_another_method(tmp_path):
    folder = models.create("idw", n_neighbors=3).save(tmp_path / "model")
    assert models.load(folder).n_neighbors == 3
    with pytest.raises(TypeError, match="'idw', not 'kriging'"):
        models.Kriging.load(folder)


def test_loading_what_a_later_version_wrote(tmp_path):
    folder = models.create("idw").save(tmp_path / "model")
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**record, "schema": 99}))
    with pytest.raises(ValueError, match="schema 99.*update phg2st-sc"):
        models.load(folder)


# --- edges ------------------------------------------------------------------------------------------------------------
@every_form
@pytest.mark.parametrize("n_prompts", [1, 2, 3, 4, 5, 6, 7, 11])
def test_few_prompts(make, slide, draw, name, fitted, n_prompts):
    if not fitted and n_prompts < _class(name).min_prompts:
        pytest.skip("refused before the method is asked")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = _predict(make(name, fitted), slide.arrays, draw(slide, n_prompts)).mean
    assert np.isfinite(mean).all()


@pytest.mark.parametrize("name", COHORT)
def test_no_prompts_with_a_model(fitted_models, cohort, slide, draw, name):
    prompts = draw(slide, 0)
    mean = _predict(fitted_models[name], slide.arrays, prompts).mean
    assert np.isfinite(mean).all()
    level = np.mean([s.counts.sum(0) / s.counts.sum() for s in cohort], axis=0)
    # at the level of the cohort, on all counts of the panel, since the share of the panel is unknown
    np.testing.assert_allclose(np.expm1(mean.astype(float)).mean(axis=0) / 1e4, level, rtol=0.35)


@every_form
def test_all_spots_are_prompts(make, slide, draw, name, fitted):
    mean = _predict(make(name, fitted), slide.arrays, draw(slide, slide.arrays.n_spots)).mean
    assert np.isfinite(mean).all()


def _genes(slide: TrainingSlide, n: int) -> TrainingSlide:
    counts = slide.counts[:, :n]
    return TrainingSlide(slide.arrays, counts, counts.sum(axis=1, dtype=np.float64) + 1, slide.genes[:n])


@every_form
def test_two_genes(cohort, slide, draw, name, fitted):
    model = _create(name)
    if fitted:
        model.fit([_genes(s, 2) for s in cohort])
    mean = _predict(model, slide.arrays, draw(_genes(slide, 2), 20)).mean
    assert mean.shape == (slide.arrays.n_spots, 2)
    assert np.isfinite(mean).all()


@every_form
def test_hard_prompts(make, slide, draw, name, fitted):
    """One empty prompt, one gene that no prompt saw, one count in all, one spot a thousand times deeper."""
    prompts = draw(slide, 20)
    counts, totals = prompts.counts.copy(), prompts.totals.copy()
    counts[0], totals[0] = 0, 5
    counts[:, 3] = 0
    counts[1], totals[1] = 0, 1
    counts[1, 5] = 1
    counts[2], totals[2] = counts[2] * 1000, totals[2] * 1000
    mean = _predict(make(name, fitted), slide.arrays, replace(prompts, counts=counts, totals=totals)).mean
    assert np.isfinite(mean).all()
    assert mean.max() < np.log1p(1e4) + 1


@every_form
def test_prompts_without_a_count_in_the_panel(make, slide, draw, name, fitted):
    prompts = draw(slide, 12)
    empty = replace(prompts, counts=np.zeros_like(prompts.counts))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = _predict(make(name, fitted), slide.arrays, empty).mean
    assert np.isfinite(mean).all()


@every_form
def test_features_that_say_nothing(make, slide, draw, name, fitted):
    """A white image: every spot looks the same."""
    flat = replace(slide.arrays, features=np.ones_like(slide.arrays.features))
    mean = _predict(make(name, fitted), flat, draw(slide, 20)).mean
    assert np.isfinite(mean).all()


@every_form
def test_two_spots_at_one_place(make, slide, draw, name, fitted):
    positions = slide.arrays.positions.copy()
    positions[1::2] = positions[0::2]
    mean = _predict(make(name, fitted), replace(slide.arrays, positions=positions), draw(slide, 20)).mean
    assert np.isfinite(mean).all()


@pytest.mark.parametrize("name", [n for n in NAMES if models.get_method(n).needs_image])
def test_slide_without_an_image(slide, cohort, draw, fitted_models, name):
    blind = replace(slide.arrays, features=None)
    for model in (_create(name), fitted_models[name]):
        with pytest.raises(ValueError, match=r"'s0' has none.*extract_embeddings"):
            _predict(model, blind, draw(slide, 20))


@pytest.mark.parametrize("name", ["image_ridge", "regression_kriging"])
def test_cohort_without_any_image(cohort, name):
    with pytest.raises(ValueError, match="none of the training slides has any"):
        _create(name).fit([replace(s, arrays=replace(s.arrays, features=None)) for s in cohort])


@pytest.mark.parametrize("name", COHORT)
def test_training_slides_must_agree(cohort, name):
    with pytest.raises(ValueError, match="no training slide"):
        _create(name).fit([])
    other = replace(cohort[1], genes=cohort[1].genes[::-1])
    with pytest.raises(ValueError, match="'s1' and 's2' have different gene panels"):
        _create(name).fit([cohort[0], other])


@pytest.mark.parametrize("name", COHORT)
def test_one_training_slide(cohort, slide, draw, name):
    mean = _predict(_create(name).fit(cohort[:1]), slide.arrays, draw(slide, 10)).mean
    assert np.isfinite(mean).all()


@pytest.mark.parametrize("name", COHORT)
def test_slides_without_an_image_may_teach(cohort, slide, draw, name):
    mixed = [cohort[0], cohort[1], replace(cohort[2], arrays=replace(cohort[2].arrays, features=None))]
    mean = _predict(_create(name).fit(mixed), slide.arrays, draw(slide, 10)).mean
    assert np.isfinite(mean).all()


def test_methods_without_a_cohort_form_say_so(cohort):
    for name in set(NAMES) - set(COHORT):
        with pytest.raises(TypeError, match="no cohort form"):
            _create(name).fit(cohort)


def test_unknown_method():
    with pytest.raises(KeyError, match="did you mean 'kriging'. available: best_simple"):
        models.create("krigging")


def test_prompts_subset(slide):
    prompts = slide.prompts(np.array([9, 2, 5]), target_sum=10.0)
    assert isinstance(prompts, Prompts)
    assert prompts.index.tolist() == [2, 5, 9]
    assert prompts.subset(np.array([2])).index.tolist() == [9]
    np.testing.assert_array_equal(prompts.subset(np.array([2])).counts[0], slide.counts[9])
    assert SlideArrays("a", np.zeros((3, 2))).n_spots == 3


def test_a_damaged_or_foreign_model_file_is_named(tmp_path):
    folder = models.create("idw").save(tmp_path / "model")
    (folder / "model.json").write_text('{"name": "another tool"}')
    with pytest.raises(ValueError, match=r"model\.json was not written by `model.save"):
        models.load(folder)
    (folder / "model.json").write_text('{"schema": 1,')
    with pytest.raises(ValueError, match=r"model\.json is not readable JSON"):
        models.load(folder)


def test_saving_over_a_model_leaves_one_folder(tmp_path):
    models.create("idw", n_neighbors=3).save(tmp_path / "model")
    models.create("idw", n_neighbors=4).save(tmp_path / "model", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert models.load(tmp_path / "model").n_neighbors == 4
