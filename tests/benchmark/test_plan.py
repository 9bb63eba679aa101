"""What a benchmark is to run: who learns from what, in which form, and what is told before anything runs."""

from __future__ import annotations

import numpy as np
import pytest
from spies import QUICK, Spy, copies

import phg2st_sc as phg2st


def test_no_test_patient_is_trained_on_and_every_section_is_tested_once(slides):
    table = phg2st.tl.benchmark(slides, methods=["spy"], genes=15, **QUICK)
    patients = {name: str(adata.obs["patient"].iloc[0]) for name, adata in slides.items()}
    tested = table[table["method"] == "spy"].query("section != ''").groupby("fold")["section"].unique()
    assert sorted(name for fold in tested for name in fold) == sorted(slides)
    assert len(Spy.trained) == len(tested) == 3
    for seen, fold in zip(Spy.trained, tested.index, strict=True):
        assert {patient for _, patient, _ in seen} == set(patients.values()) - {fold}
        assert {patients[name] for name in tested[fold]} == {fold}


def test_genes_are_chosen_on_the_training_sections_alone(slides):
    changed = copies(slides)
    first = changed["P1_S1"]
    first.X = np.random.default_rng(0).poisson(np.where(np.arange(40) < 15, 50, 0.1), first.shape).astype(np.float32)
    for data in (slides, changed):
        phg2st.tl.benchmark(data, methods=["spy"], genes=15, folds={"a": ["P1_S1"]}, **QUICK)
    before, after = (run[0][2] for run in Spy.trained)
    assert before == after
    assert len(before) == 15
    chosen = phg2st.pp.select_genes({k: v for k, v in copies(slides).items() if k != "P1_S1"}, n_top_genes=15)
    assert list(before) == chosen


def test_forms_of_a_method_and_settings_by_label(slides):
    methods = {"all": "kriging", "alone": "kriging:section", "far": {"method": "kriging", "length_scale": 30.0}}
    table = phg2st.tl.benchmark(slides, methods=methods, folds={"a": ["P1_S1"]}, strategies="random", **QUICK)
    pcc = table.query("metric == 'pcc' and learned != 'reference'").set_index(["method", "learned"])["value"]
    assert set(pcc.index) == {("all", "cohort"), ("alone", "section"), ("far", "cohort")}
    assert pcc.nunique() == 3
    with pytest.raises(ValueError, match="must be trained on other sections"):
        phg2st.tl.benchmark(slides, methods=["phg2st_paper"], folds=None, **QUICK)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"methods": []}, ValueError, "name at least one"),
        ({"methods": ["krigging"]}, KeyError, "did you mean 'kriging'"),
        ({"methods": ["kriging:sect"]}, ValueError, "'kriging:sect' ends in 'sect': write 'kriging:section'"),
        ({"methods": phg2st.models.IDW}, TypeError, "Write its name, 'idw'"),
        ({"methods": {"near": phg2st.models.IDW()}}, TypeError, "Write its name, 'idw', and its settings"),
        ({"methods": {"near": {"method": phg2st.models.IDW}}}, TypeError, "Write its name, 'idw'"),
        ({"methods": [3]}, TypeError, "a name, or a dict of settings"),
        ({"methods": ["idw", "idw"]}, ValueError, "more than once"),
        ({"methods": {"a": {"method": "idw", "sigma": 1}}}, TypeError, "no setting 'sigma'"),
        ({"methods": {"a": {"method": "stnet", "max_epochs": 0}}}, ValueError, "max_epochs=0"),
        (
            {"methods": {"a": {"method": "stnet", "network": {"depht": 3}}}},
            ValueError,
            "'stnet' has no setting 'depht'",
        ),
        (
            {"methods": {"a": {"method": "phg2st", "training": {"speed": 1}}}},
            ValueError,
            "'phg2st' has no setting 'speed'",
        ),
        ({"folds": 5}, ValueError, "from 2 to as many patients as there are, which is 3"),
        ({"folds": {"a": ["P9_S1"]}}, KeyError, "P9_S1"),
        ({"folds": "sections"}, ValueError, "leave one patient out"),
        ({"genes": ["gene0", "nope"]}, KeyError, "nope"),
        ({"strategies": "blocks"}, ValueError, "block"),
        ({"n_masks": 0}, ValueError, "at least once"),
        ({"seeds": []}, ValueError, "seeds"),
        ({"protocol": "best"}, ValueError, "'honest', 'published' or both"),
        ({"extra": "simm"}, ValueError, "no further score 'simm'"),
        ({"fraction": 1.5}, ValueError, "fraction"),
    ],
)
def test_mistakes_are_told_before_anything_runs(slides, settings, error, says):
    with pytest.raises(error, match=says):
        phg2st.tl.benchmark(slides, **{"methods": ["spy"], **QUICK, **settings})
    assert not Spy.trained


def test_one_patient_needs_another_plan(slides):
    one = {"P1_S1": slides["P1_S1"]}
    with pytest.raises(ValueError, match="folds=None"):
        phg2st.tl.benchmark(one, methods=["idw"], **QUICK)
    assert not phg2st.tl.benchmark(one, methods=["idw"], folds=None, **QUICK).empty


@pytest.mark.parametrize("genes", [True, 0, -3, 1.5])
def test_numbers_of_genes_that_are_none(slides, genes):
    with pytest.raises(ValueError, match="how many to choose"):
        phg2st.tl.benchmark(slides, methods=["spy"], genes=genes, **QUICK)
    assert not phg2st.tl.benchmark(slides, methods=["spy"], genes=np.int64(9), **QUICK).empty


def test_missing_features_are_told_before_anything_runs(slides):
    with pytest.raises(ValueError, match="'image_ridge' needs image features, and no section has any"):
        phg2st.tl.benchmark(slides, methods=["spy", "image_ridge"], **QUICK)
    assert not Spy.trained


def test_a_patient_column_that_is_nowhere_is_refused(both_forms):
    slides, _ = both_forms
    with pytest.raises(KeyError, match="No object has a column 'patint'"):
        phg2st.tl.benchmark(slides, methods=["idw"], patient_key="patint", **QUICK)
    unknown = {name: one.copy() for name, one in slides.items()}
    del next(iter(unknown.values())).obs["patient"]
    with pytest.warns(UserWarning, match="The patient of 'P1_S1' is not known"):
        phg2st.tl.benchmark(unknown, methods=["idw"], **QUICK)


def test_tiles_that_no_section_has_are_asked_for_before_anything_runs(give_features, both_forms):
    slides = {name: one.copy() for name, one in both_forms[0].items()}
    for one in slides.values():
        give_features(one)
    for method in ("triplex", "phg2st_paper"):
        with pytest.raises(
            ValueError, match=rf"Method '{method}' needs the tiles around spots.*encoder='texture'.*context=5"
        ):
            phg2st.tl.benchmark(slides, methods=["idw", method], folds={"a": [next(iter(slides))]}, **QUICK)
