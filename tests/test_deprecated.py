"""Old names of parameters and functions: they work for one release, with one warning at the user's line."""

from __future__ import annotations

import inspect
import warnings

import pytest

import phg2st_sc as phg2st
from phg2st_sc._deprecated import renamed_parameters


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
