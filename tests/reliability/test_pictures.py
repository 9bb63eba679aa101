"""Which picture each slide is embedded from, in every way in which it is given: a small part with a fixed seed."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "reliability"))
pictures = pytest.importorskip("pictures", reason="the campaign is in a clone, not in the package")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("spatialdata", [False, True])
@pytest.mark.parametrize(("records", "images"), itertools.product(pictures.RECORDS, pictures.IMAGES))
def test_every_slide_has_its_own_picture_or_none(records, images, spatialdata):
    for beside in (False, True):
        data, image, wanted = pictures.made(np.random.default_rng(0), beside=beside, records=records, images=images)
        if spatialdata and image is None:
            return
        if spatialdata:
            data, image = pictures.as_spatialdata(data, image)
        came, word = pictures.judge(data, image, wanted, spatialdata=spatialdata)
        assert came in ("right", "told"), word
        assert came == "right" or not beside or images == "records"
