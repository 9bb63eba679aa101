"""Warnings point at the line of the user, however deep they arise and whoever calls the package back."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import warnings
from pathlib import Path

import pytest

import phg2st_sc
from phg2st_sc._warn import warn_user

_SOURCE = """
import functools
from phg2st_sc._warn import warn_user

def plain(): warn_user("hot")

def deep(depth): return plain() if depth == 0 else deep(depth - 1)

def in_comprehension(): return [warn_user("hot") for _ in range(1)]

def in_generator(): return list(warn_user("hot") for _ in range(1))

def in_lambda(): return (lambda: warn_user("hot"))()

def by_sorted(): return sorted([1, 2], key=lambda value: (warn_user("hot") if value == 1 else None, value)[1])

def by_reduce(): return functools.reduce(lambda one, other: warn_user("hot"), [1, 2])

def by_another_library(call): return call(plain)

class Thing:
    @property
    def value(self): return warn_user("hot")
    @functools.lru_cache
    def kept(self): return warn_user("hot")
"""


@pytest.fixture(scope="module")
def inside():
    """A module that passes for one of the package."""
    module = types.ModuleType("phg2st_sc._inside")
    path = Path(phg2st_sc.__file__).parent / "_inside.py"
    exec(compile(_SOURCE, str(path), "exec"), module.__dict__)
    return module


def _library():
    """A function of a library that calls back, with a frame of its own."""
    code = "def through(call):\n    return [call() for _ in range(1)]"
    names: dict = {}
    exec(compile(code, str(Path(sys.prefix) / "site-packages" / "lib.py"), "exec"), names)
    return names["through"]


CALLS = {
    "plain": lambda inside: inside.plain(),
    "deep": lambda inside: inside.deep(20),
    "comprehension": lambda inside: inside.in_comprehension(),
    "generator": lambda inside: inside.in_generator(),
    "lambda": lambda inside: inside.in_lambda(),
    "sorted": lambda inside: inside.by_sorted(),
    "reduce": lambda inside: inside.by_reduce(),
    "library": lambda inside: inside.by_another_library(_library()),
    "property": lambda inside: inside.Thing().value,
    "cached": lambda inside: inside.Thing().kept(),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_points_at_the_line_that_called_the_package(inside, name):
    call = CALLS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(inside)
    assert [(one.filename, one.lineno) for one in caught] == [(__file__, call.__code__.co_firstlineno)]


def test_the_users_own_comprehension_is_the_users_line(inside):
    here = inspect.currentframe().f_lineno + 2
    with pytest.warns(UserWarning, match="hot") as caught:
        [inside.plain() for _ in range(1)]
    assert (caught[0].filename, caught[0].lineno) == (__file__, here)


def test_the_users_callback_within_the_package_is_no_users_line(inside):
    """What the user handed in and the package calls lies within the call of the package: the call is what counts."""
    here = inspect.currentframe().f_lineno + 2
    with pytest.warns(UserWarning, match="hot") as caught:
        inside.by_another_library(functools.partial(lambda warn: warn()))
    assert (caught[0].filename, caught[0].lineno) == (__file__, here)


def test_the_kind_of_warning_is_the_callers():
    with pytest.warns(FutureWarning, match="soon") as caught:
        warn_user("soon", FutureWarning)
    assert caught[0].filename == __file__


def test_a_public_function_points_at_its_caller():
    with pytest.warns(FutureWarning, match="`standardise`") as caught:
        phg2st_sc.models.create("stnet", standardise="cohort")
    assert [one.filename for one in caught] == [__file__]
