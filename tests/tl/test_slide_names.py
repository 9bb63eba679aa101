"""Records by slide survive names that are no keys."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st
from phg2st_sc import _keys


def test_slide_entries_are_keys_and_stay_apart():
    names = ["a/b", "a%2Fb", "a", "", "%", "a%b"]
    entries = [_keys.slide_entry(name) for name in names]
    assert len(set(entries)) == len(names)
    assert not any("/" in entry or not entry for entry in entries)
    assert _keys.slide_entry("P1_S1") == "P1_S1"


@pytest.fixture
def slashed(make_section):
    slides = {f"run/{name}": make_section(seed, image=False) for seed, name in enumerate("ab")}
    return ad.concat(slides, label="slide", index_unique="-")


def test_names_with_a_slash(slashed, tmp_path):
    phg2st.tl.impute(slashed, slide_key="slide", method="kriging")
    slashed.write_h5ad(tmp_path / "out.h5ad")
    back = ad.read_h5ad(tmp_path / "out.h5ad")
    assert set(back.uns["kriging"]["n_prompts"]) == {"run%2Fa", "run%2Fb"}
    scores = phg2st.tl.evaluate(back, layer="kriging", slide_key="slide", n_splits=0)
    assert set(scores["section"]) == {"run/a", "run/b"}


def test_slide_key_on_joined_spatialdata(make_section):
    sd = pytest.importorskip("spatialdata")
    parts = {}
    for seed, name in enumerate("ab"):
        table = make_section(seed, image=False)
        centers = table.obsm.pop("spatial")
        for key in ("spatial", "simulation"):
            table.uns.pop(key, None)
        table.obs["region"] = pd.Categorical(["spots"] * table.n_obs)
        table.obs["spot"] = np.arange(table.n_obs)
        table.obs["half"] = np.where(np.arange(table.n_obs) < table.n_obs // 2, "left", "right")
        table = sd.models.TableModel.parse(table, region="spots", region_key="region", instance_key="spot")
        shapes = sd.models.ShapesModel.parse(centers, geometry=0, radius=20.0)
        parts[name] = sd.SpatialData(shapes={"spots": shapes}, tables={"table": table})
    joined = sd.concatenate(parts, concatenate_tables=True)
    joined["table"].obs_names_make_unique()
    phg2st.tl.impute(joined, slide_key="half", method="idw")
    scores = phg2st.tl.evaluate(joined, layer="idw", slide_key="half", n_splits=0)
    assert scores["section"].nunique() == 4
    assert len(joined["table"].uns["idw"]["n_prompts"]) == 4
