"""tl.benchmark: who learns from what, what is read, what is kept."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref
from functools import partial

import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st
from phg2st_sc.metrics import EXTRAS, score_section
from phg2st_sc.models import Estimator, Prediction, _registry

QUICK = {"n_masks": 1, "n_splits": 0, "progress": False}


@pytest.fixture(scope="module")
def slides():
    return phg2st.datasets.simulate(
        n_slides=4, n_patients=3, n_spots=90, n_genes=40, depth=800.0, image=False, progress=False, seed=2
    )


def copies(slides):
    return {name: adata.copy() for name, adata in slides.items()}


def embed(adata, key, *, tile_um):
    adata.obsm[key] = np.random.default_rng(0).normal(size=(adata.n_obs, 3)).astype(np.float32)
    record = {"source": "image", "encoder": "made up", "revision": "1", "transform": "none", "tile_um": tile_um}
    adata.uns.setdefault("phg2st_embeddings", {})[key] = record


class Spy(Estimator):
    """Predicts 0 and writes down what it was given."""

    name = "spy"
    trained: list = []  # noqa: RUF012
    asked: list = []  # noqa: RUF012

    def fit(self, slides):
        type(self).trained.append([(s.arrays.name, s.arrays.patient, s.genes) for s in slides])
        self.genes = slides[0].genes
        return self

    def predict(self, slide, prompts):
        type(self).asked.append((slide.name, prompts))
        return Prediction(np.zeros((slide.n_spots, prompts.n_genes), np.float32))


class Broken(Spy):
    name = "broken"

    def predict(self, slide, prompts):
        raise RuntimeError("no such luck")


class Looks(Spy):
    """Writes down how wide the features are that it was given."""

    name = "looks"
    uses_image = True
    asked: list = []  # noqa: RUF012

    def predict(self, slide, prompts):
        width = None if slide.features is None else slide.features.shape[1]
        type(self).asked.append((slide.name, width))
        return Prediction(np.zeros((slide.n_spots, prompts.n_genes), np.float32))


class Holder(Spy):
    """Counts the training slides of earlier folds that are still in memory."""

    name = "holder"
    seen: list = []  # noqa: RUF012
    alive: list = []  # noqa: RUF012

    def fit(self, slides):
        gc.collect()
        Holder.alive.append(sum(one() is not None for one in Holder.seen))
        Holder.seen += [weakref.ref(one) for one in slides]
        self.genes = slides[0].genes
        return self


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    _registry.methods()
    for made in (Spy, Broken, Looks, Holder):
        monkeypatch.setitem(_registry._METHODS, made.name, made)
    Spy.trained, Spy.asked, Looks.asked = [], [], []
    Holder.seen, Holder.alive = [], []


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
    chosen = phg2st.pp.select_genes({k: v for k, v in copies(slides).items() if k != "P1_S1"}, n_top=15)
    assert list(before) == chosen


def test_expression_that_is_not_prompted_reaches_no_method(slides):
    noisy = copies(slides)
    for name, adata in noisy.items():
        phg2st.pp.sample_prompts(adata, fraction=0.1, seed=0)
        hidden = ~adata.obs["prompt"].to_numpy()
        del adata.obs["prompt"]
        if name == "P1_S1":
            adata.X = adata.X.toarray()
            adata.X[hidden] = np.random.default_rng(1).poisson(9.0, (hidden.sum(), adata.n_vars))
    for data in (slides, noisy):
        phg2st.tl.benchmark(data, methods=["spy"], folds={"a": ["P1_S1"]}, strategies="random", **QUICK)
    (_, one), (_, other) = Spy.asked
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.totals, other.totals)


def test_the_same_scores_as_by_hand(slides):
    data = copies(slides)
    table = phg2st.tl.benchmark(data, methods=["gene_kriging", "kriging"], genes=None, strategies="block", **QUICK)
    new = data.pop("P2_S1")
    train = {name: adata for name, adata in data.items() if adata.obs["patient"].iloc[0] != "P2"}
    model = phg2st.tl.train(train, method="gene_kriging", progress=False)
    phg2st.pp.sample_prompts(new, fraction=0.1, strategy="block", seed=0)
    phg2st.tl.impute(new, model=model)
    by_hand = phg2st.tl.evaluate(new, n_splits=0).attrs["means"]["gene_kriging"]
    found = table.query("section == 'P2_S1' and method == 'gene_kriging' and learned == 'cohort'")
    found = found.set_index("metric")["value"]
    for metric in ("pcc", "pcc_unsmoothed", "ccc", "mae", "pcc_lognorm"):
        assert found[metric] == pytest.approx(by_hand[metric], rel=1e-5)


def test_forms_of_a_method_and_settings_by_label(slides):
    methods = {"all": "kriging", "alone": "kriging:section", "far": {"method": "kriging", "length_scale": 30.0}}
    table = phg2st.tl.benchmark(slides, methods=methods, folds={"a": ["P1_S1"]}, strategies="random", **QUICK)
    pcc = table.query("metric == 'pcc' and learned != 'reference'").set_index(["method", "learned"])["value"]
    assert set(pcc.index) == {("all", "cohort"), ("alone", "section"), ("far", "cohort")}
    assert pcc.nunique() == 3
    with pytest.raises(ValueError, match="must be trained on other sections"):
        phg2st.tl.benchmark(slides, methods={"p": {"method": "phg2st", "fusion": "paper"}}, folds=None, **QUICK)


def test_references_are_those_of_score_section(slides):
    table = phg2st.tl.benchmark(
        slides, methods=["spy"], genes=None, folds={"a": ["P1_S1"]}, strategies="random", n_masks=1, progress=False
    )
    new = slides["P1_S1"].copy()
    phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    hidden = ~new.obs["prompt"].to_numpy()
    counts = new.X.toarray()[hidden]
    scores = score_section(
        counts, counts.sum(axis=1), new.obsm["spatial"][hidden] / 100.0, np.zeros(counts.shape), 1e4, n_splits=5, seed=0
    )
    value = table.query("metric == 'pcc'").set_index("method")["value"]
    assert value["noise_ceiling"] == pytest.approx(
        scores.attrs["means"]["ceiling"], abs=0.05
    )  # halves are drawn by order
    assert value["depth_only"] == pytest.approx(scores.attrs["means"]["pcc_depth_only"], rel=1e-4)
    assert value["spy"] == 0.0


def test_depth_alone_stands_on_the_scale_of_the_methods(slides):
    table = phg2st.tl.benchmark(
        slides, methods=["idw"], genes=None, folds={"a": ["P1_S1"]}, strategies="random", **QUICK
    )
    new = slides["P1_S1"].copy()
    phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    phg2st.tl.impute(new, prompt_mask="prompt", method="idw", genes=list(new.var_names))
    means = phg2st.tl.evaluate(new, layer="idw", n_splits=0).mean(numeric_only=True)
    value = table.query("metric == 'pcc_lognorm'").set_index("method")["value"]
    assert value["depth_only"] == pytest.approx(means["pcc_lognorm_depth_only"], rel=1e-4)
    assert value["idw"] == pytest.approx(means["pcc_lognorm"], rel=1e-4)


def test_further_scores_are_numbers(slides):
    call = partial(phg2st.tl.benchmark, slides, methods=["kriging"], folds=None, genes=None, strategies="random")
    settings = {
        "n_masks": 1,
        "n_splits": 2,
        "progress": False,
        "extra": "all",
        "markers": ["GENE0000", "GENE0001", "GENE0002"],
    }
    table = call(**settings)
    assert np.isfinite(table["value"]).all()
    of = {name: rows.groupby("metric")["value"].mean() for name, rows in table.groupby("method")}
    assert of["kriging"]["n_markers"] == 3
    assert of["kriging"]["gene_correlation_error_attenuated"] != of["kriging"]["gene_correlation_error"]
    assert not any("halves" in metric for metric in table["metric"])
    assert set(of["half_of_counts"].index) == {
        "ssim", "hotspot_kappa", "gene_correlation_error", "gene_correlation_agreement"
    }  # fmt: skip
    with pytest.raises(ValueError, match="none of the 1 `markers`"):
        call(**{**settings, "markers": ["nope"]})


def test_a_failing_method_loses_no_other(slides):
    with pytest.warns(UserWarning, match="'broken' failed in fold 'P1'.*RuntimeError: no such luck"):
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


class TestTakingUpAgain:
    def test_finished_units_are_not_run_again(self, slides, tmp_path):
        first = phg2st.tl.benchmark(slides, methods=["spy", "idw"], out=tmp_path / "b", **QUICK)
        n = len(Spy.asked)
        again = phg2st.tl.benchmark(slides, methods=["spy", "idw"], out=tmp_path / "b", **QUICK)
        assert len(Spy.asked) == n
        pd.testing.assert_frame_equal(first, again)
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / "b" / "benchmark.csv", keep_default_na=False)[["method", "metric"]],
            first[["method", "metric"]],
        )
        more = phg2st.tl.benchmark(slides, methods=["spy", "prompt_mean"], seeds=[0, 1], out=tmp_path / "b", **QUICK)
        assert len(Spy.asked) == 2 * n
        assert set(more["method"]) >= {"spy", "prompt_mean"}

    def test_what_was_interrupted_goes_on(self, slides, tmp_path, monkeypatch):
        def interrupted(self, slide, prompts):
            if len(Spy.asked) >= 4:
                raise KeyboardInterrupt
            return whole(self, slide, prompts)

        whole = Spy.predict
        with monkeypatch.context() as patched:
            patched.setattr(Spy, "predict", interrupted)
            with pytest.raises(KeyboardInterrupt):
                phg2st.tl.benchmark(slides, methods=["spy"], out=tmp_path / "b", **QUICK)
        done = len(list((tmp_path / "b" / "units").iterdir()))
        assert done >= 2
        Spy.asked.clear()
        table = phg2st.tl.benchmark(slides, methods=["spy"], out=tmp_path / "b", **QUICK)
        assert 0 < len(Spy.asked) < 8
        assert table.query("method == 'spy' and metric == 'pcc'")["section"].nunique() == 4

    def test_failed_units_are_tried_again(self, slides, tmp_path, monkeypatch):
        with pytest.warns(UserWarning, match="failed"):
            phg2st.tl.benchmark(slides, methods=["broken"], out=tmp_path / "b", **QUICK)
        monkeypatch.setattr(Broken, "predict", Spy.predict)
        table = phg2st.tl.benchmark(slides, methods=["broken"], out=tmp_path / "b", **QUICK)
        assert not (table["metric"] == "error").any()

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"fraction": 0.2}, "another `prompts`"),
            ({"genes": 12}, "another `folds`"),
            ({"methods": {"idw": {"method": "idw", "power": 3.0}}}, "'idw .section.' with power=1"),
        ],
    )
    def test_another_benchmark_is_refused(self, slides, tmp_path, changes, says):
        settings = {"methods": ["idw"], "genes": 10, "out": tmp_path / "b", **QUICK}
        phg2st.tl.benchmark(slides, **settings)
        with pytest.raises(ValueError, match=says):
            phg2st.tl.benchmark(slides, **{**settings, **changes})

    def test_other_data_is_refused(self, slides, tmp_path):
        phg2st.tl.benchmark(slides, methods=["idw"], out=tmp_path / "b", **QUICK)
        other = copies(slides)
        other["P1_S1"].X = other["P1_S1"].X * 2
        with pytest.raises(ValueError, match="another `sections`"):
            phg2st.tl.benchmark(other, methods=["idw"], out=tmp_path / "b", **QUICK)
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "mine.txt").write_text("x")
        with pytest.raises(FileExistsError, match="holds no benchmark"):
            phg2st.tl.benchmark(slides, methods=["idw"], out=tmp_path / "c", **QUICK)
        assert json.loads((tmp_path / "b" / "benchmark.json").read_text())["prompts"]["fraction"] == 0.1

    def test_taken_up_again_to_the_last_bit_whatever_things_are_called(self, slides, tmp_path):
        named = copies(slides)
        for number, one in enumerate(named.values()):
            one.obs["patient"] = ["NA", "None", "1", "1"][number]
        settings = {"methods": {"7": "idw", "null": "kriging"}, "out": tmp_path / "b", **QUICK}
        first, again = (phg2st.tl.benchmark(named, **settings) for _ in range(2))
        pd.testing.assert_frame_equal(first, again, check_exact=True)
        assert set(again["patient"]) == {"NA", "None", "1", ""}
        assert set(again["method"]) >= {"7", "null"}


class TestEmbeddings:
    @pytest.fixture
    def embedded(self, slides):
        found = copies(slides)
        for one in found.values():
            embed(one, "X_plain", tile_um=112.0)
        return found

    def test_a_name_that_no_section_has_is_an_error(self, embedded):
        with pytest.raises(KeyError, match="X_plian"):
            phg2st.tl.benchmark(embedded, methods=["spy"], use_rep="X_plian", **QUICK)
        assert not Spy.trained

    def test_no_other_embedding_stands_in_for_the_one_asked_for(self, embedded):
        first = next(iter(embedded.values()))
        embed(first, "X_asked", tile_um=224.0)
        table = phg2st.tl.benchmark(embedded, methods=["looks"], use_rep="X_asked", **QUICK)
        seen = {name: width for name, width in Looks.asked if name is not None}
        assert {name for name, width in seen.items() if width is not None} == {"P1_S1"}
        assert not (table["metric"] == "error").any()

    def test_sections_with_embeddings_of_two_kinds_are_refused(self, embedded):
        embed(next(iter(embedded.values())), "X_plain", tile_um=224.0)
        with pytest.raises(ValueError, match="embeddings of different kinds"):
            phg2st.tl.benchmark(embedded, methods=["spy"], **QUICK)
        assert not Spy.trained

    def test_other_embeddings_under_the_same_name_are_refused(self, embedded, tmp_path):
        phg2st.tl.benchmark(embedded, methods=["spy"], out=tmp_path / "b", **QUICK)
        for one in embedded.values():
            embed(one, "X_plain", tile_um=224.0)
        with pytest.raises(ValueError, match="another `embeddings`"):
            phg2st.tl.benchmark(embedded, methods=["spy"], out=tmp_path / "b", **QUICK)


def test_all_further_scores_in_either_spelling(slides):
    tables = [
        phg2st.tl.benchmark(slides, methods=["idw"], folds=None, genes=None, strategies="random", extra=extra, **QUICK)
        for extra in ("all", ["all"], EXTRAS)
    ]
    assert not (tables[0]["metric"] == "error").any()
    assert [set(table["metric"]) for table in tables] == [set(tables[0]["metric"])] * 3
    assert "ssim" in set(tables[0]["metric"])


def test_imports_are_not_charged_to_the_first_method_that_needs_them(slides, tmp_path, monkeypatch):
    (tmp_path / "takes_long.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(Spy, "slow_imports", ("takes_long",))
    monkeypatch.setattr(Spy, "fit", lambda self, slides: Spy.trained.append("takes_long" in sys.modules) or self)
    phg2st.tl.benchmark(slides, methods=["spy"], **QUICK)
    assert Spy.trained == [True] * 3


def test_a_fold_lets_go_of_what_it_read(slides):
    phg2st.tl.benchmark(slides, methods=["holder"], **QUICK)
    assert len(Holder.alive) == 3
    assert Holder.alive == [0, 0, 0]


def test_published_protocol_flatters_pure_noise():
    rng = np.random.default_rng(0)
    noise = phg2st.datasets.simulate(n_slides=1, n_spots=200, n_genes=30, image=False, progress=False)
    noise.X = rng.poisson(3.0, noise.shape).astype(np.float32)
    with pytest.warns(UserWarning, match="never to report accuracy"):
        table = phg2st.tl.benchmark(
            noise, methods=["idw"], folds=None, protocol=["honest", "published"], strategies="random", **QUICK
        )
    pcc = table.query("metric == 'pcc' and method == 'idw'").set_index("protocol")["value"]
    assert abs(pcc["honest"]) < 0.05
    assert pcc["published"] > 0.3


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"methods": []}, ValueError, "name at least one"),
        ({"methods": ["krigging"]}, KeyError, "did you mean 'kriging'"),
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


def test_summary_weighs_patients_alike_and_pairs_by_section():
    rows = []
    values = {("A", "A1"): (0.2, 0.1), ("A", "A2"): (0.4, 0.1), ("B", "B1"): (0.9, 1.0)}
    for (patient, section), pair in values.items():
        for method, value in zip(("x", "y"), pair, strict=True):
            for mask, shift in enumerate((-0.05, 0.05)):
                rows.append((patient, section, method, mask, value + shift))
    table = pd.DataFrame(rows, columns=["patient", "section", "method", "mask", "value"])
    table = table.assign(learned="section", seed=0, regime="random", metric="pcc", protocol="honest", fold="f")
    found = phg2st.tl.summarize_benchmark(table, reference="y").xs("random")
    assert found.loc[("x", "section"), "mean"] == pytest.approx((0.3 + 0.9) / 2)
    assert found.loc[("x", "section"), "difference"] == pytest.approx((0.1 + 0.3 - 0.1) / 3)
    assert found.loc[("x", "section"), "ahead"] == 2
    assert found.loc[("y", "section"), "difference"] == 0.0
    with pytest.raises(ValueError, match="0 methods are called .z.: pass one of"):
        phg2st.tl.summarize_benchmark(table, reference="z")
    with pytest.raises(ValueError, match="metrics are: pcc"):
        phg2st.tl.summarize_benchmark(table, metric="ssim")


_HOLDS_60_MB = """
import json, time
import numpy as np
from phg2st_sc._benchmark._meter import Meter
with Meter() as meter:
    block = np.ones(60_000_000 // 8)
    block.sum()
    time.sleep(0.1)
    del block
print(json.dumps(meter.record("x")))
"""


def test_meter_sees_memory_that_is_given_back():
    """In a process of its own: what other tests left in this one may be given back meanwhile."""
    done = subprocess.run([sys.executable, "-c", _HOLDS_60_MB], capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    assert record["x_peak_mb"] > 40
    assert record["x_gpu_mb"] == 0.0
    assert record["x_seconds"] >= 0.1
    assert record["x_cpu_seconds"] < record["x_seconds"] + 0.5


def test_a_method_that_failed_on_the_hard_section_does_not_lead():
    values = {"easy": (0.8, 0.9), "hard": (None, 0.2)}
    rows = [
        (section, section, method, value)
        for section, pair in values.items()
        for method, value in zip(("x", "y"), pair, strict=True)
        if value is not None
    ]
    table = pd.DataFrame(rows, columns=["patient", "section", "method", "value"])
    table = table.assign(learned="section", seed=0, mask=0, regime="random", metric="pcc", protocol="honest", fold="f")
    with pytest.warns(UserWarning, match="'x' have no score on some of the 2 sections, and stand last"):
        found = phg2st.tl.summarize_benchmark(table, reference="y")
    assert list(found.index.get_level_values("method")) == ["y", "x"]
    assert found.loc[("random", "x", "section"), "ratio"] == pytest.approx(0.8 / 0.9)
    assert found.loc[("random", "x", "section"), "difference"] == pytest.approx(-0.1)


@pytest.mark.parametrize("what", ["counts of genes", "places", "features", "patient"])
def test_whatever_is_read_must_be_the_same_to_go_on(slides, tmp_path, what):
    data = copies(slides)
    rng = np.random.default_rng(0)
    for adata in data.values():
        adata.obsm["X_own"] = rng.normal(size=(adata.n_obs, 3)).astype(np.float32)
    settings = {
        "methods": ["idw"],
        "genes": None,
        "use_rep": "X_own",
        "trust_rep": True,
        "out": tmp_path / "b",
        **QUICK,
    }
    phg2st.tl.benchmark(data, **settings)
    phg2st.tl.benchmark(data, **settings)
    one = data["P1_S1"]
    if what == "counts of genes":
        one.X = one.X.toarray()[:, ::-1].copy()
    elif what == "places":
        one.obsm["spatial"] = one.obsm["spatial"][::-1].copy()
    elif what == "features":
        one.obsm["X_own"] = one.obsm["X_own"][::-1].copy()
    else:
        one.obs["patient"] = "P9"
    with pytest.raises(ValueError, match="holds a benchmark with another"):
        phg2st.tl.benchmark(data, **settings)


@pytest.mark.parametrize("genes", [True, 0, -3, 1.5])
def test_numbers_of_genes_that_are_none(slides, genes):
    with pytest.raises(ValueError, match="how many to choose"):
        phg2st.tl.benchmark(slides, methods=["spy"], genes=genes, **QUICK)
    assert not phg2st.tl.benchmark(slides, methods=["spy"], genes=np.int64(9), **QUICK).empty


def test_missing_features_are_told_before_anything_runs(slides):
    with pytest.raises(ValueError, match="'image_ridge' needs image features, and no section has any"):
        phg2st.tl.benchmark(slides, methods=["spy", "image_ridge"], **QUICK)
    assert not Spy.trained


_TINY_PICTURES = {"network": {"width": 16, "depth": 1, "heads": 2}}


# --- what users ask for, and mistype ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def both_forms():
    slides = phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=80, n_genes=30, image=False, progress=False)
    table = phg2st.tl.benchmark(slides, methods=["kriging", "gene_kriging", "gene_kriging:section"], **QUICK)
    return slides, table


def test_a_form_can_be_named_as_it_was_asked_for(both_forms):
    _, table = both_forms
    found = phg2st.tl.summarize_benchmark(table, reference="gene_kriging:section")
    assert found.loc[("random", "gene_kriging", "section"), "difference"] == 0.0
    with pytest.raises(ValueError, match=r"2 methods are called 'gene_kriging'.*'cohort'.*'section'"):
        phg2st.tl.summarize_benchmark(table, reference="gene_kriging")
    with pytest.raises(ValueError, match=r"0 methods are called 'idw'.*\('kriging', "):
        phg2st.tl.summarize_benchmark(table, reference="idw")


def test_ahead_means_better_also_where_less_is_better(both_forms):
    _, table = both_forms
    found = phg2st.tl.summarize_benchmark(table, metric="mae", reference="gene_kriging:section")
    rows = found.loc[found.index.get_level_values("learned") != "reference"]
    better = rows["difference"] < -3 * rows["sd_difference"].fillna(np.inf)
    assert (rows.loc[better, "ahead"] == 3).all()
    assert (rows.loc[rows["ahead"] == 3, "difference"] < 0).all()


def test_another_protocol_is_named(both_forms):
    _, table = both_forms
    with pytest.raises(ValueError, match="no rows of protocol 'published', only of 'honest'"):
        phg2st.tl.summarize_benchmark(table, protocol="published")


def test_what_failed_everywhere_is_told_of(both_forms):
    _, table = both_forms
    broken = table[table["method"] == "kriging"].iloc[:1].assign(method="lost", metric="error", error="no tiles")
    with pytest.warns(UserWarning, match="'lost' failed everywhere and is left out: no tiles"):
        phg2st.tl.summarize_benchmark(pd.concat([table, broken]))


def test_a_patient_column_that_is_nowhere_is_refused(both_forms):
    slides, _ = both_forms
    with pytest.raises(KeyError, match="no object has a column 'patint'"):
        phg2st.tl.benchmark(slides, methods=["idw"], patient_key="patint", **QUICK)
    unknown = {name: one.copy() for name, one in slides.items()}
    del next(iter(unknown.values())).obs["patient"]
    with pytest.warns(UserWarning, match="the patient of 'P1_S1' is not known"):
        phg2st.tl.benchmark(unknown, methods=["idw"], **QUICK)


def test_tiles_that_no_section_has_are_asked_for_before_anything_runs(give_features, both_forms):
    slides = {name: one.copy() for name, one in both_forms[0].items()}
    for one in slides.values():
        give_features(one)
    with pytest.raises(ValueError, match=r"method 'triplex' needs the tiles around spots.*context=5"):
        phg2st.tl.benchmark(slides, methods=["idw", "triplex"], **QUICK)


def test_another_image_is_another_benchmark(tmp_path):
    slides = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=20, progress=False)
    methods = {"h": {"method": "histogene", "inputs": "patches", "max_epochs": 1, "fine_tune": 0, **_TINY_PICTURES}}
    phg2st.tl.benchmark(slides, methods=methods, out=tmp_path / "out", **QUICK)
    for one in slides.values():
        (record,) = one.uns["spatial"].values()
        record["images"] = {name: image[:, ::-1].copy() for name, image in record["images"].items()}
    with pytest.raises(ValueError, match="another `pictures`"):
        phg2st.tl.benchmark(slides, methods=methods, out=tmp_path / "out", **QUICK)


def _two_methods(metric, **values):
    shared = {"protocol": "honest", "fold": "a", "section": "s", "patient": "p", "learned": "cohort", "seed": 0}
    rows = [{"method": name, "regime": "random", "mask": 0, "metric": metric, "value": v} for name, v in values.items()]
    return pd.DataFrame([{**shared, **row, "error": ""} for row in rows])


@pytest.mark.parametrize(
    ("metric", "best"), [("pcc", "high"), ("gene_correlation_rmse", "low"), ("mae_unsmoothed", "low")]
)
def test_the_best_stands_first(metric, best):
    found = phg2st.tl.summarize_benchmark(_two_methods(metric, low=0.1, high=0.5), metric=metric, reference="low")
    assert found.index[0][1] == best
    assert found["ahead"].droplevel(["regime", "learned"]).to_dict() == {"low": 0, "high": int(best == "high")}


def test_a_score_that_is_best_in_between_ranks_nothing():
    table = _two_methods("morans_i_ratio", far=3.0, near=1.0, low=0.2)
    found = phg2st.tl.summarize_benchmark(table, metric="morans_i_ratio", reference="near")
    assert list(found.index.get_level_values("method")) == ["far", "near", "low"]
    assert "ahead" not in found


def test_every_score_is_known_to_be_best_high_or_low_or_neither(slides):
    call = partial(phg2st.tl.benchmark, slides, methods=["idw"], folds=None, genes=None, strategies="random")
    metrics = sorted(set(call(extra="all", n_masks=1, n_splits=2, progress=False)["metric"]))
    kinds = {
        metric: "ahead"
        in phg2st.tl.summarize_benchmark(_two_methods(metric, a=0.0, b=1.0), metric=metric, reference="a")
        for metric in metrics
    }
    assert {metric for metric, ranked in kinds.items() if not ranked} == {
        "hotspot_chance", "morans_i", "morans_i_measured", "morans_i_ratio", "morans_i_ratio_noise_free", "n_genes_correlated",
        "n_genes_morans_i", "n_markers", "n_markers_missing",
    }  # fmt: skip
