"""Old names work for one release, and warn once, at the line that uses them."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from importlib import import_module

import pytest

import phg2st_sc as phg2st
from phg2st_sc._deprecated import renamed_parameters
from phg2st_sc.encoders import EncoderCard

NAMES = {
    "pp.sample_mask": "prompts.sample_mask",
    "pp.nested_masks": "prompts.nested_masks",
    "pp.register_strategy": "prompts.register_strategy",
    "metrics.neighbour_mean": "metrics.neighbor_mean",
    "metrics.neighbour_operator": "metrics.neighbor_operator",
    "metrics.summarise": "metrics.summarize",
    "tl.summarise_benchmark": "tl.summarize_benchmark",
}


def _look_up(name):
    room, _, attribute = name.partition(".")
    return getattr(import_module(f"phg2st_sc.{room}"), attribute)


@pytest.mark.parametrize("old", NAMES)
def test_an_old_name_is_the_new_one_and_warns_once(old):
    words = f"`phg2st_sc.{old}` is `phg2st_sc.{NAMES[old]}` now"
    with pytest.warns(FutureWarning, match=words) as caught:
        found = _look_up(old)
    assert found is _look_up(NAMES[old])
    assert [one.filename for one in caught] == [__file__]


@pytest.mark.parametrize("old", NAMES)
def test_importing_an_old_name_warns_once(old):
    room, _, attribute = old.partition(".")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(f"\nfrom phg2st_sc.{room} import {attribute}", "user.py", "exec"), {})
    assert [(one.category, one.filename, one.lineno) for one in caught] == [(FutureWarning, "user.py", 2)]


@pytest.mark.parametrize("old", NAMES)
def test_old_names_are_not_offered(old):
    room, _, attribute = old.partition(".")
    assert attribute not in import_module(f"phg2st_sc.{room}").__all__


@pytest.mark.parametrize("room", ["pp", "metrics", "tl"])
def test_a_name_that_never_was_is_no_attribute(room):
    with pytest.raises(AttributeError, match=f"module 'phg2st_sc.{room}' has no attribute 'nothing'"):
        getattr(phg2st, room).nothing  # noqa: B018


def test_the_package_uses_none_of_them():
    rooms = ", ".join(f"phg2st_sc.{room}" for room in ("pp", "metrics", "tl", "prompts", "models"))
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning:__main__", "-c", f"import {rooms}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_licence_of_a_card_is_its_license():
    card = EncoderCard("mine", dim=3, input_px=32, tile_um=112.0, license="MIT")
    with pytest.warns(FutureWarning, match="`licence` .* is `license` now") as caught:
        assert card.licence == "MIT"
    assert [one.filename for one in caught] == [__file__]


@renamed_parameters(table="scores")
def _first(scores: list[int], *, times: int = 1) -> int:
    """Return the first score."""
    return scores[0] * times


def test_the_old_name_works_with_one_warning_that_names_the_new():
    with pytest.warns(FutureWarning, match="`table=` of `_first` is now `scores=`") as caught:
        assert _first(table=[3], times=2) == 6
    assert [one.filename for one in caught] == [__file__]


def test_the_new_name_works_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _first([3]) == _first(scores=[3]) == 3


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match="pass `scores=` alone"):
        _first(scores=[3], table=[4])


def test_the_function_still_says_what_it_takes():
    assert list(inspect.signature(_first).parameters) == ["scores", "times"]
    assert inspect.getdoc(_first) == "Return the first score."


@pytest.mark.parametrize("room", ["datasets", "metrics", "pl", "pp", "prompts", "tl"])
def test_no_public_function_takes_a_former_name(room):
    module = getattr(phg2st, room)
    for name in module.__all__:
        if inspect.isfunction(getattr(module, name)):
            assert not {"table", "datas", "n_top"} & set(inspect.signature(getattr(module, name)).parameters), name
