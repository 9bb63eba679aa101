"""One registry for everything that is found by name."""

from __future__ import annotations

import pickle

import pytest

from phg2st_sc._registry import Registry, UnknownNameError


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
