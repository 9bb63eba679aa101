"""TRIPLEX as a method: what it learns, and what it says where something is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc import models
from phg2st_sc._arrays import TrainingSlide

TINY = {"width": 16, "fusion_heads": 2, "global_blocks": 1, "global_heads": 2, "neighbor_heads": 2}


def with_tiles(slide, seed=0):
    """Each spot has a tile that looks like it at the middle of its block; at the rim of the block some are missing."""
    rng = np.random.default_rng(seed)
    n = slide.arrays.n_spots
    tiles = np.concatenate([slide.arrays.features, rng.normal(size=(40, slide.arrays.features.shape[1]))])
    index = rng.integers(n, len(tiles), size=(n, 25)).astype(np.int32)
    index[rng.random((n, 25)) < 0.2] = -1
    index[:, 12] = np.arange(n)
    arrays = replace(slide.arrays, tiles=tiles.astype(np.float32), context_index=index)
    return TrainingSlide(arrays, slide.counts, slide.totals, slide.genes)


@pytest.fixture(scope="module")
def slides(cohort):
    return [with_tiles(one, seed) for seed, one in enumerate(cohort)]


@pytest.fixture(scope="module")
def new(slide):
    return with_tiles(slide, 9)


@pytest.fixture(scope="module")
def trained(slides):
    return models.TRIPLEX(network={**TINY, "width": 32}, max_epochs=12, lr=3e-3, fine_tune=0).fit(slides)


def test_it_beats_the_mean_of_the_prompts_where_the_image_tells(trained, new, draw, score):
    prompts = draw(new, 20)
    found = score(trained.predict(new.arrays, prompts).mean, new, prompts)
    assert found[8:16].mean() > 0.35  # genes that follow the image
    plain = models.create("prompt_mean").predict(new.arrays, prompts).mean
    assert score(plain, new, prompts).mean() < 0.05 < found.mean()


def test_expression_keeps_its_level(trained, new, draw):
    rate = np.expm1(trained.predict(new.arrays, draw(new, 20)).mean.astype(float)) / 1e4
    np.testing.assert_allclose(rate.mean(axis=0), (new.counts / new.totals[:, None]).mean(axis=0), rtol=0.35)


def test_kept_and_restored(trained, new, draw, tmp_path):
    prompts = draw(new, 20)
    again = models.load(trained.save(tmp_path / "model"))
    assert isinstance(again, models.TRIPLEX)
    np.testing.assert_array_equal(again.predict(new.arrays, prompts).mean, trained.predict(new.arrays, prompts).mean)


def test_prompts_tune_it(trained, new, draw):
    prompts = draw(new, 40)
    trained._trained = replace(trained._trained, fine_tune=10)
    try:
        tuned = trained.adapt(new.arrays, prompts)
    finally:
        trained._trained = replace(trained._trained, fine_tune=0)
    after = tuned.predict(new.arrays, prompts)
    assert after.details["fine_tuned"] == 10
    assert not np.array_equal(after.mean, trained.predict(new.arrays, prompts).mean)


def test_untrained_it_learns_from_the_prompts_alone(new, draw):
    model = models.TRIPLEX(network=TINY, max_epochs=5)
    assert np.isfinite(model.predict(new.arrays, draw(new, 20)).mean).all()


def test_slides_without_tiles_are_named(trained, cohort, slides, slide, draw):
    mends = r"'s0' has none: call `phg2st_sc.pp.extract_embeddings\(data, encoder='planted', context=5\)`\.$"  # too late to leave them out
    with pytest.raises(ValueError, match=mends):
        trained.predict(slide.arrays, draw(slide, 20))
    with pytest.raises(ValueError, match=r"tiles around each spot, and slide 's2' has none.*\"neighbors\": False"):
        models.TRIPLEX().fit([slides[0], cohort[1]])
    alone = models.TRIPLEX(network={**TINY, "neighbors": False}, max_epochs=2, fine_tune=0).fit(cohort)
    assert np.isfinite(alone.predict(slide.arrays, draw(slide, 20)).mean).all()


def test_embeddings_are_needed_beside_pictures(slide, draw):
    class Pictures:
        def read(self, rows, *, edge_um, size):
            raise AssertionError("nothing is to be read")

    blind = replace(slide.arrays, features=None, patches=Pictures())
    with pytest.raises(ValueError, match=r"beside the pictures, and slide 's0' has none.*context=5"):
        models.TRIPLEX(preset="paper").predict(blind, draw(slide, 20))
    with pytest.raises(ValueError, match=r"needs image features.*extract_embeddings\(data, context=5\)`\.$"):
        models.TRIPLEX().predict(blind, draw(slide, 20))


def test_pictures_and_embeddings_together(timm, slides, new, draw, tmp_path):
    class Pictures:
        def __init__(self, shade):
            self.shade = np.clip(128 + 50 * shade, 0, 255)

        def read(self, rows, *, edge_um, size):
            assert (edge_um, size) == (112.0, 32)
            return np.broadcast_to(self.shade[rows][:, None, None, None], (len(rows), size, size, 3)).astype(np.uint8)

    def pictured(one):
        arrays = replace(one.arrays, patches=Pictures(one.arrays.features[:, 0]))
        return TrainingSlide(arrays, one.counts, one.totals, one.genes)

    model = models.TRIPLEX(
        preset="paper", weights="random", network={**TINY, "patch_px": 32}, max_epochs=1, fine_tune=0
    )
    model.fit([pictured(one) for one in slides[:2]])
    here, prompts = pictured(new).arrays, draw(new, 10)
    found = model.predict(here, prompts)
    assert found.details["backbone_weights"] == "random initialisation"
    again = models.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(replace(here), prompts).mean, found.mean)
    other = replace(here, patches=Pictures(-new.arrays.features[:, 0]))
    assert not np.allclose(model.predict(other, prompts).mean, found.mean)
