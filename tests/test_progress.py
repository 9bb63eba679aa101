"""Bars are shown where the user wants them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

import phg2st_sc as phg2st
from phg2st_sc._progress import bar, is_shown, part, parts

PACKAGE = Path(phg2st.__file__).parent


@pytest.fixture(scope="module")
def slides():
    return phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=12, image=False, progress=False)


@pytest.mark.parametrize("value", ["1", "true", "True", "yes"])
def test_the_environment_forbids_bars(monkeypatch, value):
    monkeypatch.setenv("TQDM_DISABLE", value)
    assert not is_shown(True)


@pytest.mark.parametrize("value", [None, "", "0", "false"])
def test_the_environment_forbids_nothing(monkeypatch, value):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if value is not None:
        monkeypatch.setenv("TQDM_DISABLE", value)
    assert is_shown(True)
    assert not is_shown(False)


def prompted(slides):
    made = {name: one.copy() for name, one in slides.items()}
    for one in made.values():
        phg2st.pp.sample_prompts(one, fraction=0.3)
    return made


def predicted(slides):
    made = prompted(slides)
    phg2st.tl.impute(made, method="kriging", key_added="phg2st", progress=False)
    return made


CALLS = {
    "simulate": lambda slides: phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=12, image=False),
    "train": lambda slides: phg2st.tl.train(slides, method="gene_kriging"),
    "train the default": lambda slides: phg2st.tl.train(slides),
    "train a network": lambda slides: phg2st.tl.train(
        slides, method="phg2st", use_network=True, max_epochs=1, accelerator="cpu"
    ),
    "impute": lambda slides: phg2st.tl.impute(prompted(slides), method="kriging"),
    "predict": lambda slides: phg2st.tl.predict(prompted(slides)["P1_S1"], method="kriging"),
    "evaluate": lambda slides: phg2st.tl.evaluate(predicted(slides)["P1_S1"], n_splits=1, compare="idw"),
    "benchmark": lambda slides: phg2st.tl.benchmark(slides, methods=["idw"], folds=None, n_masks=1, n_splits=0),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_shows_a_bar_where_the_environment_forbids_it(slides, capfd, monkeypatch, name):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    CALLS[name](slides)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["train", "benchmark", "simulate", "impute", "evaluate"])
def test_calls_show_a_bar(slides, capfd, monkeypatch, name):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("phg2st_sc._progress._SECONDS", 0.0)
    CALLS[name](slides)
    assert "%" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["impute", "predict", "evaluate"])
def test_progress_is_the_callers_choice(slides, capfd, monkeypatch, name):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("phg2st_sc._progress._SECONDS", 0.0)
    made = predicted(slides)
    data = made if name == "impute" else made["P1_S1"]
    capfd.readouterr()
    getattr(phg2st.tl, name)(data, progress=False)
    assert capfd.readouterr() == ("", "")


def test_parts_of_a_call_show_where_the_call_does(monkeypatch, capfd):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("phg2st_sc._progress._SECONDS", 0.0)
    assert list(part(range(3), desc="outside")) == [0, 1, 2]
    with parts(False):
        assert list(part(range(3), desc="silent")) == [0, 1, 2]
    assert capfd.readouterr().err == ""
    with parts(True):
        assert list(part(range(3), desc="shown")) == [0, 1, 2]
    assert "shown" in capfd.readouterr().err
    assert list(part(range(3), desc="over")) == [0, 1, 2]
    assert capfd.readouterr().err == ""


def test_a_bar_is_advanced_by_hand(capfd, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    with bar(progress=True, total=2, desc="tiles") as shown:
        shown.update(2)
    assert "tiles" in capfd.readouterr().err


def test_tqdm_is_used_in_one_place():
    users = [path.name for path in PACKAGE.rglob("*.py") if "from tqdm" in path.read_text(encoding="utf-8")]
    assert users == ["_progress.py"]
