"""Training slides: how many, which with an image, and what must agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from forms import COHORT, NAMES, NETWORKS, create, predict
from small_networks import SMALL

from phg2st_sc import models


@pytest.mark.parametrize("name", COHORT)
def test_no_prompts_with_a_model(fitted_models, cohort, slide, draw, name):
    prompts = draw(slide, 0)
    mean = predict(fitted_models[name], slide.arrays, prompts).mean
    assert np.isfinite(mean).all()
    level = np.mean([s.counts.sum(0) / s.counts.sum() for s in cohort], axis=0)
    # at the level of the cohort; not every method has learned the share of the panel in all counts
    told = np.expm1(mean.astype(float)).mean(axis=0)
    np.testing.assert_allclose(told / told.sum(), level, rtol=0.35)


@pytest.mark.parametrize("name", [n for n in NAMES if models.get_method(n).needs_image])
def test_slide_without_an_image(slide, cohort, draw, fitted_models, name):
    blind = replace(slide.arrays, features=None)
    for model in (create(name), fitted_models[name]):
        with pytest.raises(ValueError, match=r"'s0' has none.*extract_embeddings"):
            predict(model, blind, draw(slide, 20))


@pytest.mark.parametrize("name", ["image_ridge", "regression_kriging"])
def test_cohort_without_any_image(cohort, name):
    with pytest.raises(ValueError, match="none of the training slides has any"):
        create(name).fit([replace(s, arrays=replace(s.arrays, features=None)) for s in cohort])


@pytest.mark.parametrize("name", COHORT)
def test_training_slides_must_agree(cohort, name):
    with pytest.raises(ValueError, match="no training slide"):
        create(name).fit([])
    other = replace(cohort[1], genes=cohort[1].genes[::-1])
    with pytest.raises(ValueError, match="'s1' and 's2' have different gene panels"):
        create(name).fit([cohort[0], other])


@pytest.mark.parametrize("name", COHORT)
def test_one_training_slide_gives_its_levels(cohort, slide, draw, name):
    model, prompts = create(name).fit(cohort[:1]), draw(slide, 10)
    told = np.expm1(predict(model, slide.arrays, draw(slide, 0)).mean.astype(float))
    told = told.mean(axis=0)
    np.testing.assert_allclose(told / told.sum(), cohort[0].counts.sum(0) / cohort[0].counts.sum(), rtol=0.5)
    panel = 1e4 * prompts.counts.sum() / prompts.totals.sum()
    asked = np.expm1(predict(model, slide.arrays, prompts).mean.astype(float)).sum(axis=1)
    np.testing.assert_allclose(asked, panel, rtol=0.5 if name in SMALL else 1e-5)


@pytest.mark.parametrize("name", COHORT)
@pytest.mark.filterwarnings("ignore:.*learns nothing from slides without an image")
def test_slides_without_an_image_teach_what_they_can(cohort, slide, draw, name):
    """All of it to methods that look at no image; nothing to networks of images; all but the image to the others."""
    blind = replace(cohort[2], arrays=replace(cohort[2].arrays, features=None))
    prompts = draw(slide, 10)

    def trained_on(slides):
        return predict(create(name).fit(slides), slide.arrays, prompts).mean

    taught = trained_on([*cohort[:2], blind])
    if name in NETWORKS:
        np.testing.assert_array_equal(taught, trained_on(cohort[:2]))
    elif not models.get_method(name).uses_image and not models.get_method(name).needs_image:
        np.testing.assert_array_equal(taught, trained_on(cohort[:3]))
    else:
        assert np.abs(taught - trained_on(cohort[:3])).mean() < 0.5
