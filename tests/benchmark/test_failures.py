"""A method, a section or a protocol that fails loses the others nothing."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from spies import QUICK, Spy, copies

import phg2st_sc as phg2st


def test_a_failing_method_loses_no_other(slides):
    with pytest.warns(UserWarning, match="'broken' failed in folds 'P1'.*RuntimeError: no such luck"):
        table = phg2st.tl.benchmark(slides, methods=["broken", "idw"], **QUICK)
    errors = table[table["metric"] == "error"]
    assert set(errors["method"]) == {"broken"}
    assert errors["error"].str.contains("no such luck").all()
    assert (table.query("metric == 'pcc'")["method"] == "idw").any()


def test_a_section_without_features_loses_the_others_nothing(slides, give_features, tmp_path):
    slides = copies(slides)
    for name, one in slides.items():
        if name != "P3_S1":
            give_features(one)
    two = {"first": ["P1_S1", "P3_S1"]}
    call = partial(
        phg2st.tl.benchmark, slides, methods=["image_ridge", "kriging"], folds=two, out=tmp_path / "b", **QUICK
    )
    with pytest.warns(UserWarning, match="'image_ridge' has no scores on section 'P3_S1': ValueError"):
        table = call()
    errors = table[table["metric"] == "error"]
    assert errors[["method", "section"]].drop_duplicates().to_numpy().tolist() == [["image_ridge", "P3_S1"]]
    scored = table[table["metric"] == "pcc"].groupby("method")["section"].unique()
    assert set(scored["image_ridge"]) == {"P1_S1"}
    assert set(scored["kriging"]) == {"P1_S1", "P3_S1"}
    pd.testing.assert_frame_equal(call(), table)
    with pytest.warns(UserWarning, match="no score on some of the 2 sections"):
        phg2st.tl.summarize_benchmark(table)


def test_one_protocol_that_fails_leaves_the_other(slides, monkeypatch):
    def predict(self, slide, prompts):
        if np.ptp(prompts.totals) == 0:  # smoothed labels all have the same total
            raise RuntimeError("leaks")
        return whole(self, slide, prompts)

    whole = Spy.predict
    monkeypatch.setattr(Spy, "predict", predict)
    call = partial(phg2st.tl.benchmark, slides, methods=["spy"], folds={"a": ["P1_S1"]}, **QUICK)
    with pytest.warns(UserWarning, match="on section 'P1_S1': RuntimeError: leaks"):
        table = call(protocol=["honest", "published"])
    spy = table[table["method"] == "spy"]
    assert set(spy.loc[spy["metric"] == "error", "protocol"]) == {"published"}
    assert (spy.loc[spy["metric"] == "pcc", "protocol"] == "honest").all()


def test_a_section_that_breaks_a_method_is_tried_again(slides, tmp_path, monkeypatch):
    def predict(self, slide, prompts):
        if slide.name == "P3_S1":
            raise OSError("disk")
        return whole(self, slide, prompts)

    whole = Spy.predict
    call = partial(
        phg2st.tl.benchmark, slides, methods=["spy"], folds={"a": ["P1_S1", "P3_S1"]}, out=tmp_path / "b", **QUICK
    )
    monkeypatch.setattr(Spy, "predict", predict)
    with pytest.warns(UserWarning, match="on section 'P3_S1': OSError: disk"):
        table = call()
    monkeypatch.setattr(Spy, "predict", whole)
    assert set(table.query("metric == 'pcc' and method == 'spy'")["section"]) == {"P1_S1"}
    table = call()
    assert set(table.query("metric == 'pcc' and method == 'spy'")["section"]) == {"P1_S1", "P3_S1"}
    assert "error" not in set(table["metric"])
