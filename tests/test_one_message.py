"""One message per fault: it names all slides that have it, and comes at the line of the user."""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._warn import one_message_per_fault, warn_of_each, warn_user


@pytest.fixture
def slides():
    return phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=60, n_genes=20, image=False, progress=False)


def told(call, *args, **settings):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*args, **settings)
    caught = [one for one in caught if not issubclass(one.category, DeprecationWarning)]  # of libraries
    assert all(one.filename == __file__ for one in caught)
    return [str(one.message) for one in caught]


def faulty(name):
    warn_of_each(f"Slide {name!r} is odd.", each=repr(name), several="Slides {which} are odd.")


@one_message_per_fault
def outer(names):
    for name in names:
        faulty(name)
        warn_user("All are odd.")
    inner(names)


@one_message_per_fault
def inner(names):
    for name in names:
        faulty(name)


def test_slides_are_named_together_and_a_repetition_is_not_said():
    assert told(outer, "abc") == ["All are odd.", "Slides 'a', 'b', 'c' are odd."]
    assert told(outer, "a") == ["All are odd.", "Slide 'a' is odd."]
    assert told(outer, "abcdefg")[1] == "Slides 'a', 'b', 'c', 'd', 'e', ... are odd."
    assert told(faulty, "a") == ["Slide 'a' is odd."]


def test_the_error_that_ends_a_call_comes_first():
    @one_message_per_fault
    def failing():
        faulty("a")
        raise KeyError("the fault")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyError, match="the fault"):
            failing()
    with pytest.warns(UserWarning, match="is odd"), pytest.raises(KeyError, match="the fault"):
        failing()


def test_slides_without_prompts(slides):
    names = list(slides)
    model = phg2st.tl.train({names[2]: slides.pop(names[2])}, method="gene_kriging", progress=False)
    for one in slides.values():
        one.obs["prompt"] = False
    messages = told(phg2st.tl.impute, slides, model=model, progress=False)
    assert [one for one in messages if "no prompts" in one] == [
        f"Slides {names[0]!r}, {names[1]!r} have no prompts: predicted from the model alone, at the level of its cohort."
    ]


def test_slides_that_the_model_was_trained_on(slides):
    model = phg2st.tl.train(slides, method="gene_kriging", progress=False)
    for one in slides.values():
        phg2st.pp.sample_prompts(one, fraction=0.3)
    messages = [one for one in told(phg2st.tl.impute, slides, model=model, progress=False) if "trained on" in one]
    assert len(messages) == 1
    assert all(name in messages[0] for name in slides)


def test_prompts_without_counts(slides):
    for one in slides.values():
        phg2st.pp.sample_prompts(one, fraction=0.3)
        dense = one.X.toarray() if hasattr(one.X, "toarray") else np.array(one.X)
        dense[np.flatnonzero(one.obs["prompt"])[0]] = 0
        one.X = dense
    assert len([one for one in told(phg2st.tl.impute, slides, method="idw", progress=False) if "no counts" in one]) == 1
    first = next(iter(slides.values()))
    others = ["prompt_mean", "gene_kriging"]
    messages = told(phg2st.tl.evaluate, first, layer="idw", compare=others, n_splits=0, progress=False)
    assert len([one for one in messages if "no counts" in one]) == 1


def test_a_method_that_fails_in_every_fold(slides, monkeypatch):
    def broken(self, training):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(phg2st.models.GeneKriging, "fit", broken)
    messages = told(
        phg2st.tl.benchmark, slides, methods=["gene_kriging", "idw"], genes=10, n_masks=1, n_splits=0, progress=False
    )
    failed = [one for one in messages if "no such luck" in one]
    assert len(failed) == 1
    assert failed[0].startswith("Method 'gene_kriging' failed in folds 'P1', 'P2', 'P3' and has no scores there")


def test_slides_with_too_few_spots_to_choose_genes_by(slides):
    names = list(slides)
    for name in names[1:]:
        dense = np.zeros(slides[name].shape, dtype=np.float32)
        dense[:2] = 1
        slides[name].X = dense
    messages = told(phg2st.pp.select_genes, slides, n_top_genes=5)
    assert [one for one in messages if "to read" in one] == [
        f"Slides {names[1]!r} (2), {names[2]!r} (2) have too few spots with counts to read (their number in brackets): they do "
        "not count in the choice."
    ]


def test_slides_whose_spots_are_all_neighbors(slides):
    joined = anndata.concat(slides, label="piece", index_unique="-")
    settings = {"slide_key": "piece", "n_neighbors": 60, "builder": "position"}
    messages = [one for one in told(phg2st.pp.build_hypergraph, joined, **settings) if "n_neighbors=60" in one]
    assert len(messages) == 1
    assert all(name in messages[0] for name in slides)


def test_slides_without_a_free_place(slides):
    joined = anndata.concat(slides, label="piece", index_unique="-")
    settings = {"slide_key": "piece", "region": "capture", "min_distance": 1e6}
    messages = [one for one in told(phg2st.pp.add_targets, joined, **settings) if "no target" in one]
    assert len(messages) == 1
    assert all(name in messages[0] for name in slides)
