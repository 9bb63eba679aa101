"""Suggested spots, hyperedges and training."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba

import phg2st_sc as phg2st
from phg2st_sc import pl
from phg2st_sc.models import get_method


def _drawn(ax, color):
    found = [one for one in ax.collections if np.allclose(one.get_facecolor()[0], to_rgba(color))]
    return len(found[0].get_offsets()) if found else 0


def test_every_spot_is_suggested_measured_or_another(predicted):
    predicted.obs["suggested"] = False
    unmeasured = predicted.obs_names[~predicted.obs["prompt"]]
    predicted.obs.loc[unmeasured[:10], "suggested"] = True
    ax = pl.suggested(predicted)
    assert [_drawn(ax, color) for color in ("#D55E00", "#0072B2", "#d0d0d0")] == [10, 24, 86]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["10 suggested", "24 measured", "86 others"]
    assert ax.images[0].get_extent() == [0, 560, 480, 0]


@pytest.mark.filterwarnings("ignore:No image features")
def test_the_order_of_suggested_spots_is_written_into_them(predicted):
    phg2st.tl.suggest_spots(predicted, n=3, key_added="next", progress=False)
    ax = pl.suggested(predicted, key="next", image=False)
    where = {text.get_text(): text.get_position() for text in ax.texts}
    rank = predicted.obs["next_rank"].to_numpy()
    assert {number: where[number] for number in "123"} == {
        str(number): tuple(predicted.obsm["spatial"][rank == number][0]) for number in (1, 2, 3)
    }
    phg2st.tl.suggest_spots(predicted, n=9, region="block", key_added="area", progress=False)
    assert not pl.suggested(predicted, key="area", prompt_mask="next").texts


def test_without_suggestions_the_call_is_named(predicted):
    with pytest.raises(KeyError, match=r"tl.suggest_spots\(data\)"):
        pl.suggested(predicted)


@pytest.fixture
def built(predicted):
    phg2st.pp.build_hypergraph(predicted, builder="position", n_neighbors=4)
    return predicted


def test_a_line_to_every_member_of_every_hyperedge(built):
    ax = pl.hypergraph(built)
    (lines,) = (one for one in ax.collections if hasattr(one, "get_segments"))
    assert len(lines.get_segments()) == 120 * 4
    centers = {tuple(segment[1]) for segment in lines.get_segments()}
    assert centers == {tuple(place) for place in built.obsm["spatial"]}
    assert lines.get_colors()[:, 3].max() == 1.0


def test_some_hyperedges_have_colors_of_their_own(built):
    names = list(built.obs_names[[7, 60]])
    ax = pl.hypergraph(built, spots=names)
    lines = [one for one in ax.collections if hasattr(one, "get_segments")]
    assert [len(one.get_segments()) for one in lines] == [4, 4]
    assert not np.allclose(lines[0].get_colors()[0, :3], lines[1].get_colors()[0, :3])
    with pytest.raises(KeyError, match="has no spots 'x'"):
        pl.hypergraph(built, spots=["x"])


def test_without_a_hypergraph_the_call_is_named(predicted):
    with pytest.raises(KeyError, match=r"pp.build_hypergraph\(data, key_added='hypergraph'\)"):
        pl.hypergraph(predicted)


def test_a_training_has_its_losses_and_the_epoch_that_was_kept():
    model = get_method("stnet")()
    model.card = {"training": {"losses": [3.0, 2.0, 1.5], "scores": [0.1, 0.3, 0.2], "best_epoch": 1}}
    ax = pl.training(model)
    assert list(ax.lines[0].get_ydata()) == [3.0, 2.0, 1.5]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [2]
    assert list(ax.get_figure().axes[1].lines[0].get_ydata()) == [0.1, 0.3, 0.2]
    model.card = {"losses": [3.0, 2.0], "scores": []}  # the default keeps them there
    assert len(pl.training(model).get_figure().axes) == 1


def test_a_method_without_epochs_has_no_curve():
    with pytest.raises(ValueError, match="No network was trained in this 'kriging'"):
        pl.training(get_method("kriging")())
    with pytest.raises(TypeError, match="not int"):
        pl.training(3)
