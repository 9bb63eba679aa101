"""A figure that is there stays until the new one is complete."""

from __future__ import annotations

import io

import pytest
from matplotlib.figure import Figure

from phg2st_sc.pl._save import save_figure


def test_a_figure_is_there_as_a_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("the old one")

    class Interrupted(Figure):
        def savefig(self, fname, **_):
            fname.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_figure(Interrupted(), path)
    assert path.read_text() == "the old one"
    save_figure(Figure(), path, dpi=10)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]


def test_other_targets_are_matplotlibs(tmp_path):
    stream = io.BytesIO()
    save_figure(Figure(), stream, format="svg")
    assert stream.getvalue()
    save_figure(Figure(), tmp_path / "b")
    assert (tmp_path / "b.png").is_file()
