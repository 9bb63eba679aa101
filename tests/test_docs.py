"""Docstrings of everything public: whole, true to the signatures, and in one voice."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from phg2st_sc._docs import TEXTS, documented

ROOMS = ("datasets", "encoders", "graph", "io", "metrics", "models", "nn", "pl", "pp", "prompts", "tl", "training")


def _public(room: str) -> Iterator[Any]:
    module = import_module(f"phg2st_sc.{room}")
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield pytest.param(thing, id=f"{room}.{name}")


NEEDS_DATA = (
    "her2st",
    "cscc",
    "read_section",
    "als_spinal_cord",
    "mouse_colon_visium",
    "mouse_olfactory_bulb",
    "ra_synovium",
)
"""Their examples read files that a user has downloaded."""
PUBLIC = [one for room in ROOMS for one in _public(room)]
FUNCTIONS = [one for one in PUBLIC if inspect.isfunction(one.values[0])]


def _sections(thing: Any) -> dict[str, list[str]]:
    """Lines of each section of a docstring."""
    found: dict[str, list[str]] = {"": []}
    lines = (inspect.getdoc(thing) or "").split("\n")
    current = found[""]
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.strip() and re.fullmatch("-{3,}", below):
            current = found.setdefault(line, [])
        else:
            current.append(line)
    return found


def _entries(thing: Any, *headings: str) -> dict[str, str]:
    """Text of each entry of some sections."""
    entries: dict[str, str] = {}
    sections = _sections(thing)
    for heading in headings:
        names: list[str] = []
        for line in sections.get(heading, [])[1:]:
            if line and not line.startswith(" "):
                names = [name.strip().lstrip("*") for name in line.partition(" : ")[0].split(",")]
                entries |= dict.fromkeys(names, "")
            else:
                entries |= {name: f"{entries[name]} {line.strip()}".strip() for name in names}
    return entries


@pytest.mark.parametrize("thing", PUBLIC)
def test_every_parameter_is_explained(thing: Any) -> None:
    if getattr(thing, "_is_protocol", False):
        return
    taken = {name for name in inspect.signature(thing).parameters if not name.startswith("_")}
    explained = _entries(thing, "Parameters")
    if not explained:  # a record is explained by its attributes
        explained = _entries(thing, "Attributes")
    assert [name for name in taken if not explained.get(name)] == []
    assert set(explained) == taken


@pytest.mark.parametrize("thing", PUBLIC)
def test_a_shared_parameter_has_one_text(thing: Any) -> None:
    for name, text in _entries(thing, "Parameters").items():
        if name in TEXTS:
            texts = [" ".join(one.split()[1:]) for key, one in TEXTS.items() if key.partition(":")[0] == name]
            assert text.startswith(tuple(texts)), name


@pytest.mark.parametrize("thing", PUBLIC)
def test_a_docstring_is_whole(thing: Any) -> None:
    doc = inspect.getdoc(thing) or ""
    assert not re.search(r"^ *\{[\w:*]+\}", doc, re.MULTILINE)
    assert not re.search(r"\b[Aa]s (for|in) :(func|class)", doc)
    assert "Examples" in _sections(thing)
    assert "+SKIP" not in doc or thing.__name__ in NEEDS_DATA


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_says_what_it_raises_and_takes(function: Any) -> None:
    if re.search(r"^ +raise ", inspect.getsource(inspect.unwrap(function)), re.MULTILINE):
        assert "Raises" in _sections(function)
    untyped = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.annotation is inspect.Parameter.empty
    ]
    assert untyped == []
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_placeholders_become_entries() -> None:
    @documented
    def function() -> None:
        """Do nothing.

        Parameters
        ----------
        {copy} {seed}
            And more.
        """

    lines = [line.strip() for line in (function.__doc__ or "").split("\n")]
    assert lines[4:8] == ["copy", TEXTS["copy"].split("\n    ")[1], "seed", "Seed of all that is drawn at random."]
    assert lines[8] == "And more."
