"""One registry for everything that is found by name."""

from __future__ import annotations

import pickle
import sys

import pytest

import phg2st_sc as phg2st
from phg2st_sc._registry import Registry, UnknownNameError, open_rooms


@pytest.fixture
def colors():
    made = Registry("color", otherwise=", or a number")

    @made.register("red")
    def red():
        """The color of eosin. Hue 0."""

    @made.register("Blue")
    def blue():
        """The color of <hematoxylin>."""

    return made


def test_it_is_a_mapping_in_the_order_of_registration(colors):
    assert list(colors) == ["red", "Blue"]
    assert colors.names() == ("Blue", "red")
    assert "red" in colors
    assert "green" not in colors
    assert colors.get("green") is None
    colors["green"] = len
    assert len(colors) == 3
    del colors["green"]
    assert len(colors) == 2


def test_registering_hands_back_what_was_registered(colors):
    assert colors.register("size")(len) is len
    assert colors["size"] is len


@pytest.mark.parametrize("error", [KeyError, ValueError, UnknownNameError])
def test_an_unknown_name_is_both_errors_and_one_sentence(colors, error):
    with pytest.raises(error) as caught:
        colors["blu"]
    sentence = "There is no color 'blu': did you mean 'Blue'? Available: 'Blue', 'red', or a number."
    assert str(caught.value) == sentence
    assert str(pickle.loads(pickle.dumps(caught.value))) == sentence


def test_nothing_is_suggested_where_nothing_is_close(colors):
    with pytest.raises(UnknownNameError, match=r"^There is no color 'wood'\. Available"):
        colors["wood"]


def test_it_shows_itself_as_a_table_of_cards(colors):
    assert repr(colors).splitlines() == [
        "name  what it is",
        "red   The color of eosin",
        "Blue  The color of <hematoxylin>",
    ]
    shown = colors._repr_html_()
    assert "<th>what it is</th>" in shown
    assert "<td>The color of &lt;hematoxylin&gt;</td>" in shown
    assert repr(Registry("thing")) == "name"


def test_files_and_rooms_of_a_package_are_opened(tmp_path, monkeypatch):
    (tmp_path / "house" / "room").mkdir(parents=True)
    for path in ("house/__init__.py", "house/room/__init__.py", "house/_file.py"):
        (tmp_path / path).write_text("OPENED = True")
    monkeypatch.syspath_prepend(tmp_path)
    open_rooms("house", [str(tmp_path / "house")])
    assert sys.modules["house.room"].OPENED
    assert sys.modules["house._file"].OPENED


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (phg2st.models.METHODS, "kind"),
        (phg2st.encoders.ENCODERS, "license"),
        (phg2st.graph.BUILDERS, "what it is"),
        (phg2st.prompts.STRATEGIES, "what it is"),
        (phg2st.metrics.EXTRAS, "what it is"),
    ],
    ids=["methods", "encoders", "builders", "strategies", "scores"],
)
def test_every_registry_of_the_package_has_whole_cards(table, column):
    header, *rows = table._rows()
    assert column in header
    assert len(rows) == len(table)
    assert all(row[header.index(column)] != "-" for row in rows)
    assert repr(table).count("\n") == len(table)
    with pytest.raises(
        UnknownNameError, match="There is no .* 'no such': did you mean|There is no .* 'no such'\\. Avail"
    ):
        table["no such"]


def test_a_name_that_is_taken_is_refused_and_a_cell_may_run_again(colors):
    def made_in(module):
        def red():
            """Another red."""

        red.__module__ = module
        return red

    first = made_in("mine")
    registry = Registry("color")
    registry.register("red")(first)
    registry.register("red")(made_in("mine"))
    with pytest.raises(ValueError, match="'red' is the color .* of mine already: give yours another name"):
        registry.register("red")(made_in("yours"))
    registry["red"] = made_in("yours")
    assert registry["red"].__module__ == "yours"
