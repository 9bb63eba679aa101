"""Methods by name: their cards, their kinds, the limits of their settings, and settings that have a new name."""

from __future__ import annotations

import warnings

import pytest
from folders import change_settings

import phg2st_sc as phg2st
from phg2st_sc import models
from phg2st_sc.models import METHODS, AtLeast, Estimator, PromptMean
from phg2st_sc.models._limits import declared

SIMPLE = (
    "prompt_mean",
    "idw",
    "kriging",
    "gene_kriging",
    "image_ridge",
    "space_image_kriging",
    "regression_kriging",
)
"""The order in which `compare="simple"` lists them."""


class Tuned(PromptMean):
    """A method with a limit of its own on top of one that its base declares."""

    name = "tuned"
    limits = {"depth": AtLeast(2)}  # noqa: RUF012
    renamed = {"deep": "depth"}  # noqa: RUF012

    def __init__(self, *, depth: int = 2) -> None:
        super().__init__()
        self.depth = depth


@pytest.fixture
def tuned(monkeypatch):
    monkeypatch.setitem(METHODS, "tuned", Tuned)


def test_names_and_classes_are_those_of_the_registry():
    assert models.methods() == tuple(sorted(METHODS))
    assert all(METHODS[name].name == name and issubclass(METHODS[name], Estimator) for name in METHODS)


def test_simple_methods_keep_their_order():
    simple = [name for name, method in METHODS.items() if method.kind == "simple"]
    assert tuple(name for name in simple if name in SIMPLE) == SIMPLE


def test_every_method_of_the_package_says_what_it_is():
    assert {method.kind for method in METHODS.values()} <= {"simple", "choice", "default", "published", "other"}
    assert all(method.paper for method in METHODS.values() if method.kind in ("published", "default"))


def test_every_limit_and_new_name_is_of_a_setting_there_is():
    for method in METHODS.values():
        own = set(vars(method).get("limits", {})) | set(declared(method, "renamed").values())
        assert own <= set(method.parameter_names()), method.name


def test_cards_say_what_a_method_needs():
    header, *rows = repr(METHODS).splitlines()
    assert header.split()[:3] == ["name", "kind", "one"]
    assert [row.split()[0] for row in rows] == list(METHODS)
    assert "arXiv 2403.07592" in next(row for row in rows if row.startswith("triplex"))


def test_limits_of_a_class_are_its_own_and_those_of_its_bases():
    limits = declared(models.RegressionKriging, "limits")
    assert limits["n_image_components"] == AtLeast(1)
    assert "length_scale" in limits


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("kriging", {"length_scale": 0}, "length_scale=0 of method 'kriging' must be a finite number above 0"),
        ("kriging", {"ratio": float("inf")}, "ratio=inf of method 'kriging' must be a finite number above 0"),
        ("gene_kriging", {"n_prompt_components": -1}, "n_prompt_components=-1 .* must be at least 0"),
        ("regression_kriging", {"n_image_components": 0}, "n_image_components=0 .* must be at least 1"),
        ("stnet", {"fine_tune_lr": -1.0}, "fine_tune_lr=-1.0 .* above 0"),
        ("stnet", {"max_epochs": 0}, "max_epochs=0 .* at least 1"),
        ("stnet", {"validation_fraction": float("nan")}, "validation_fraction=nan .* a finite number"),
        ("phg2st_paper", {"n_neighbors": 0}, "n_neighbors=0 .* at least 1"),
        ("tuned", {"depth": 1}, "depth=1 of method 'tuned' must be at least 2"),
    ],
)
def test_a_number_out_of_range_is_named(tuned, name, setting, words):
    with pytest.raises(ValueError, match=words):
        models.create(name, **setting)


@pytest.mark.parametrize("value", ["3", None, True, 2.5])
def test_what_is_no_whole_number_is_named(tuned, value):
    with pytest.raises(TypeError, match="`depth` of method 'tuned' is a whole number, not"):
        models.create("tuned", depth=value)


def test_an_old_name_of_a_setting_warns_once(tuned):
    with pytest.warns(FutureWarning, match="Setting `deep` of method 'tuned' is called `depth` now") as caught:
        assert models.create("tuned", deep=3).depth == 3
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.raises(TypeError, match="`deep` and `depth` are one setting"):
        models.create("tuned", deep=3, depth=3)
    with pytest.raises(ValueError, match="depth=0"), pytest.warns(FutureWarning):
        models.create("tuned", deep=0)


def test_an_old_name_is_taken_by_every_call_that_takes_settings(tuned, monkeypatch):
    slides = phg2st.datasets.simulate(
        n_slides=3, n_patients=3, n_spots=60, n_genes=20, image=False, progress=False, seed=0
    )
    one = next(iter(slides.values())).copy()
    phg2st.pp.sample_prompts(one, fraction=0.3, seed=0)
    calls = [
        lambda: phg2st.tl.impute(one, method="tuned", deep=3),
        lambda: phg2st.tl.train(slides, method="tuned", deep=3, progress=False),
        lambda: phg2st.tl.benchmark(
            slides,
            methods={"mine": {"method": "tuned", "deep": 3}},
            n_masks=1,
            fraction=0.2,
            n_splits=0,
            progress=False,
        ),
    ]
    for call in calls:
        with pytest.warns(FutureWarning, match="`deep`") as caught:
            call()
        assert [one.filename for one in caught if one.category is FutureWarning] == [__file__]


def test_a_model_saved_under_an_old_name_loads_without_a_word(tuned, tmp_path):
    folder = models.create("tuned", depth=4).save(tmp_path / "model")
    change_settings(folder, lambda record: record.update(parameters={"deep": 4}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert models.load(folder).depth == 4


def test_published_networks_take_the_spelling_of_the_last_version():
    with pytest.warns(FutureWarning, match="`standardise` of method 'stnet' is called `standardize`"):
        assert models.create("stnet", standardise="cohort").standardize == "cohort"
