"""Measured, prompts and predicted stand side by side, each spot once, in one scale of colors."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

import phg2st_sc as phg2st
from phg2st_sc import pl


def _values(ax):
    return np.ma.filled(ax.collections[-1].get_array(), np.nan)


def _limits(ax):
    return ax.collections[-1].get_clim()


def test_a_row_a_gene_and_every_spot_once(predicted, places, tmp_path):
    axes = pl.prediction(predicted, ["g0", "g7"], key="kriging", save=tmp_path / "a.png")
    assert axes.shape == (2, 3)
    assert [ax.get_title() for ax in axes[0]] == ["measured", "prompts", "predicted"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["g0", "g7"]
    assert axes[1, 2].get_xlabel() == f"log1p({predicted.uns['kriging']['target_sum']:,.0f} · share)"
    mask = predicted.obs["kriging_prompt"].to_numpy()
    assert [len(places(ax)) for ax in axes[1]] == [120, 24, 120]
    assert {tuple(one) for one in places(axes[0, 1])} == {tuple(one) for one in predicted.obsm["spatial"][mask]}
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_what_is_drawn_is_depth_free(predicted, places):
    (measured, prompts, done) = pl.prediction(predicted, "g3", key="kriging")[0]
    counts, scale = predicted.X.toarray(), predicted.uns["kriging"]["target_sum"]
    wanted = np.log1p(scale * counts[:, 3] / counts.sum(axis=1))
    by_place = {tuple(place): i for i, place in enumerate(predicted.obsm["spatial"])}
    for ax, values in ((measured, wanted), (prompts, wanted), (done, predicted.layers["kriging"][:, 3])):
        rows = [by_place[tuple(place)] for place in places(ax)]
        np.testing.assert_allclose(_values(ax), values[rows], rtol=1e-5)


def test_one_scale_for_what_is_compared_and_another_for_its_spread(predicted):
    predicted.layers["kriging_std"] = np.full(predicted.shape, 0.25, dtype=np.float32)
    axes = pl.prediction(predicted, ["g0", "g20"], key="kriging")
    assert axes[0, 3].get_title() == "std"
    for line in axes:
        assert _limits(line[0]) == _limits(line[1]) == _limits(line[2]) != _limits(line[3])
    assert _limits(axes[0, 0]) != _limits(axes[1, 0])
    (spread,) = pl.prediction(predicted, "g0", key="kriging", columns="std")[0]
    assert len(spread.collections[-1].get_offsets()) == 120
    axes = pl.prediction(predicted, "g0", key="kriging", vmin=0.0, vmax=7.0)
    assert _limits(axes[0, 0]) == (0.0, 7.0)


def test_a_map_that_says_nothing_does_not_have_all_colors(predicted):
    predicted.layers["kriging"][:, 0] = np.linspace(2.0, 2.002, 120)
    (ax,) = pl.prediction(predicted, "g0", key="kriging", columns="predicted")[0]
    low, high = _limits(ax)
    assert high - low == pytest.approx(0.2, rel=0.01)


def test_how_far_a_gene_can_be_believed_stands_beside_it(predicted):
    predicted.var["kriging_trust"] = np.where(predicted.var_names == "g1", np.nan, 0.314)
    assert pl.prediction(predicted, "g0", key="kriging")[0, 0].get_ylabel() == "g0"  # the user's own column
    predicted.uns["kriging"]["trust"] = {}
    axes = pl.prediction(predicted, ["g0", "g1"], key="kriging")
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["g0\ntrust 0.31", "g1"]


def test_the_spots_lie_on_the_thumbnail(predicted):
    (ax,) = pl.prediction(predicted, "g0", key="kriging", columns="predicted")[0]
    assert ax.images[0].get_extent() == [0, 560, 480, 0]
    assert ax.get_xlim() == (20, 540)
    assert ax.get_ylim() == (460, 20)
    (ax,) = pl.prediction(predicted, "g0", key="kriging", columns="predicted", image=False)[0]
    assert not ax.images


def test_spots_without_a_value_are_gray(predicted):
    predicted.layers["kriging"][:5, 2] = np.nan
    (ax,) = pl.prediction(predicted, "g2", key="kriging", columns=["predicted"])[0]
    ax.get_figure().draw_without_rendering()
    gray = (np.abs(ax.collections[-1].get_facecolors() - to_rgba("#d0d0d0")) < 1e-6).all(axis=1)
    assert gray.sum() == 5
    assert np.isfinite(_limits(ax)).all()


def test_unmeasured_spots_are_not_drawn_as_measured(predicted):
    held = np.flatnonzero(~predicted.obs["kriging_prompt"].to_numpy())
    counts = predicted.X.toarray()
    counts[held[:10]], counts[held[10:20]] = np.nan, 0
    predicted.X = counts
    axes = pl.prediction(predicted, "g0", key="kriging")
    assert len(axes[0, 0].collections[-1].get_offsets()) == 100
    counts[held] = np.nan
    predicted.X = counts
    axes = pl.prediction(predicted, "g0", key="kriging")
    assert [ax.get_title() for ax in axes[0]] == ["prompts", "predicted"]
    with pytest.raises(ValueError, match="no spot but the prompts was measured"):
        pl.prediction(predicted, "g0", key="kriging", columns="measured")


def test_measured_spots_may_be_drawn_together(predicted):
    alone = _values(pl.prediction(predicted, "g0", key="kriging")[0, 0])
    together = _values(pl.prediction(predicted, "g0", key="kriging", radius=1.5)[0, 0])
    assert together.std() < 0.8 * alone.std()
    counts = predicted.X.toarray()
    first = np.flatnonzero(np.linalg.norm(predicted.obsm["spatial"] - [60, 60], axis=1) < 60)
    wanted = np.log1p(predicted.uns["kriging"]["target_sum"] * counts[first, 0].sum() / counts[first].sum())
    assert together[0] == pytest.approx(wanted)


@pytest.mark.filterwarnings("ignore:No image features")
def test_spatialdata_and_one_of_several_slides():
    sdata = phg2st.datasets.simulate(n_spots=60, n_genes=20, container="spatialdata", seed=0, progress=False)
    phg2st.pp.sample_prompts(sdata, fraction=0.3)
    phg2st.tl.impute(sdata, method="kriging", progress=False)
    (name,) = sdata.tables
    gene = sdata.tables[name].var_names[0]
    axes = pl.prediction(sdata, gene, key="kriging")
    assert [len(ax.collections[-1].get_offsets()) for ax in axes[0]] == [60, 18, 60]
    left, right, bottom, top = axes[0, 0].images[0].get_extent()
    assert left < axes[0, 0].get_xlim()[1] < right + 200
    assert top < axes[0, 0].get_ylim()[0] < bottom + 200
    with pytest.raises(KeyError, match="No slide named 'x'"):
        pl.prediction(sdata, gene, key="kriging", slide="x")


def test_own_axes(predicted):
    figure, axes = plt.subplots(1, 3)
    assert pl.prediction(predicted, "g0", key="kriging", ax=axes)[0, 2] is axes[2]
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="`ax` holds 3 axes, and 2 genes in 3 columns take 6"):
        pl.prediction(predicted, ["g0", "g1"], key="kriging", ax=axes)


def test_what_is_missing_is_named_with_the_call(predicted):
    with pytest.raises(KeyError, match=r"predictions there are: 'kriging'.*tl\.impute\(data, key_added='phg2st'\)"):
        pl.prediction(predicted, "g0")
    with pytest.raises(ValueError, match="1 of the 2 genes were not predicted in layers.*'nothing'"):
        pl.prediction(predicted, ["g0", "nothing"], key="kriging")
    with pytest.raises(
        ValueError, match=r"'kriging' was predicted without a standard deviation: call .*uncertainty=True"
    ):
        pl.prediction(predicted, "g0", key="kriging", columns="std")
    with pytest.raises(ValueError, match="not 'truth'"):
        pl.prediction(predicted, "g0", key="kriging", columns="truth")
    del predicted.obs["kriging_prompt"]
    with pytest.raises(KeyError, match=r"obs\['kriging_prompt'\] of `phg2st_sc.tl.impute` are missing"):
        pl.prediction(predicted, "g0", key="kriging")


def test_the_object_stays_as_it_was(predicted, snapshot, unchanged):
    before = snapshot(predicted)
    pl.prediction(predicted, "g0", key="kriging")
    unchanged(before, snapshot(predicted))
