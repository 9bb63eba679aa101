"""Pictures of a benchmark."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import phg2st_sc as phg2st


@pytest.fixture
def table():
    rows = [
        (method, learned, regime, section, value + 0.01 * number)
        for method, learned, value in (("a", "cohort", 0.3), ("b", "section", 0.5), ("noise_ceiling", "reference", 0.8))
        for regime in ("random", "block")
        for number, section in enumerate(("s1", "s2"))
    ]
    table = pd.DataFrame(rows, columns=["method", "learned", "regime", "section", "value"])
    return table.assign(patient="p", seed=0, mask=0, metric="pcc", protocol="honest", fold="f")


@pytest.mark.filterwarnings("error")
def test_a_dot_a_section_and_the_best_on_top(table, tmp_path):
    figure = phg2st.pl.benchmark(table, save=tmp_path / "b.png")
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("random", "block")
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]
    assert [bar.get_width() for bar in left.patches] == pytest.approx([0.305, 0.505])
    dots = [line.get_xdata() for line in left.lines if line.get_linestyle() == "None"]
    assert dots[1] == pytest.approx([0.5, 0.51])
    (ceiling,) = (line for line in left.lines if line.get_linestyle() == "--")
    assert ceiling.get_xdata()[0] == pytest.approx(0.805)
    assert (tmp_path / "b.png").stat().st_size > 1000
    plt.close(figure)


def test_the_least_error_on_top(table):
    errors = phg2st.pl.benchmark(table.assign(metric="mae"), metric="mae")
    assert [label.get_text() for label in errors.axes[0].get_yticklabels()] == ["b", "a"]
    plt.close(errors)


def test_only_some_methods(table):
    figure = phg2st.pl.benchmark(table, methods=["a"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a"]
    plt.close(figure)
    with pytest.raises(ValueError, match="The table has no method 'z'"):
        phg2st.pl.benchmark(table, methods=["z"])
    with pytest.raises(ValueError, match="Metrics there are: pcc"):
        phg2st.pl.benchmark(table, metric="mae")
