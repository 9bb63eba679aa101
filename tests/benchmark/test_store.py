"""What is kept: finished units are not run again, and another benchmark is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from spies import QUICK, Broken, Looks, Spy, copies, embed

import phg2st_sc as phg2st
from phg2st_sc._benchmark import UnitStore, describe_settings, method_specs


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

    @pytest.mark.parametrize(
        ("method", "before"),
        [
            ("stnet", {"standardise": "'slide'"}),
            ("phg2st", {"fusion": "'propagate'", "preset": "None", "prompt_fraction": "None"}),
        ],
    )
    def test_settings_of_the_last_version_are_known_again(self, tmp_path, method, before):
        (spec,) = method_specs([method], has_folds=True)
        now = describe_settings(spec)
        there = {name: value for name, value in now.items() if name != "standardize"} | before
        UnitStore(tmp_path / "b", {"methods": {"mine": there}})
        UnitStore(tmp_path / "b", {"methods": {"mine": now}})
        assert json.loads((tmp_path / "b" / "benchmark.json").read_text())["methods"]["mine"] == now

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


class TestDamagedUnits:
    DAMAGES = {  # noqa: RUF012
        "half": lambda content: content[: len(content) // 2],
        "whole lines": lambda content: b"\n".join(content.split(b"\n")[:5]) + b"\n",
        "zeros": lambda content: b"\0" * len(content),
        "a hole": lambda content: content[:100] + b"\0" * 100 + content[200:],
        "nothing": lambda content: b"",
        "a bit": lambda content: content[:-90] + bytes([content[-90] ^ 1]) + content[-89:],
        "no hash": lambda content: content[: content.rindex(b"#")],
        "no table": lambda content: b"root:x:0:0",
    }

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_they_are_run_again_with_one_message(self, slides, tmp_path, damage):
        settings = {"methods": ["spy", "idw"], "out": tmp_path / "b", **QUICK}
        first = phg2st.tl.benchmark(slides, **settings)
        units = sorted((tmp_path / "b" / "units").iterdir())
        for path in units[:3]:
            path.write_bytes(self.DAMAGES[damage](path.read_bytes()))
        with pytest.warns(UserWarning, match=rf"3 of {len(units)} finished units in .* are damaged") as told:
            again = phg2st.tl.benchmark(slides, **settings)
        assert sum("damaged" in str(one.message) for one in told) == 1
        timeless = first["metric"].isin(["pcc", "rmse", "ceiling"])
        pd.testing.assert_frame_equal(first[timeless], again[timeless])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            phg2st.tl.benchmark(slides, **settings)

    def test_a_unit_in_the_place_of_another(self, slides, tmp_path):
        settings = {"methods": ["idw", "kriging"], "out": tmp_path / "b", **QUICK}
        phg2st.tl.benchmark(slides, **settings)
        one, other, *_ = sorted((tmp_path / "b" / "units").iterdir())
        one.write_bytes(other.read_bytes())
        with pytest.warns(UserWarning, match="1 of .* finished units"):
            phg2st.tl.benchmark(slides, **settings)

    def test_units_of_the_last_version_are_taken_where_they_are_whole(self, slides, tmp_path):
        settings = {"methods": ["spy"], "out": tmp_path / "b", **QUICK}
        first = phg2st.tl.benchmark(slides, **settings)
        asked = len(Spy.asked)
        for path in (tmp_path / "b" / "units").iterdir():
            content = path.read_bytes()
            path.with_name(path.name.replace(".unit", "")).write_bytes(content[: content.rindex(b"#")])
            path.unlink()
        pd.testing.assert_frame_equal(phg2st.tl.benchmark(slides, **settings), first)
        assert len(Spy.asked) == asked
        path = next((tmp_path / "b" / "units").iterdir())
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.warns(UserWarning, match="1 of .* finished units"):
            phg2st.tl.benchmark(slides, **settings)

    def test_a_link_is_not_followed(self, slides, tmp_path):
        settings = {"methods": ["idw"], "out": tmp_path / "b", **QUICK}
        phg2st.tl.benchmark(slides, **settings)
        path = next((tmp_path / "b" / "units").iterdir())
        outside = path.replace(tmp_path / "mine.csv")
        path.symlink_to(outside)
        before = outside.read_bytes()
        with pytest.warns(UserWarning, match="1 of .* finished units"):
            phg2st.tl.benchmark(slides, **settings)
        assert not path.is_symlink()
        assert outside.read_bytes() == before
        (tmp_path / "b" / "units").rename(tmp_path / "units")
        (tmp_path / "b" / "units").symlink_to(tmp_path / "units")
        with pytest.raises(ValueError, match="units is a link, which is not followed"):
            phg2st.tl.benchmark(slides, **settings)

    @pytest.mark.parametrize(
        "content", [b"", b"\0" * 90, b'{"methods": 3}', b'{"methods": {"a": {}}}', b"[" * 9999, b'{"a": 1, "a": 2}']
    )
    def test_a_damaged_plan_is_named(self, slides, tmp_path, content):
        settings = {"methods": ["idw"], "out": tmp_path / "b", **QUICK}
        phg2st.tl.benchmark(slides, **settings)
        (tmp_path / "b" / "benchmark.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"benchmark\.json is damaged .*Restore the file from a copy, or choose"):
            phg2st.tl.benchmark(slides, **settings)


def test_results_of_the_published_network_under_its_former_name(tmp_path):
    (spec,) = method_specs({"mine": {"method": "phg2st_paper", "max_epochs": 3}}, has_folds=True)
    now = describe_settings(spec)
    phg2st_settings = {"fusion": "'paper'", "n_components": "30", "correction": "None", "without": "()"}
    there = {**now, "method": "phg2st", "preset": "None", **phg2st_settings}
    UnitStore(tmp_path / "b", {"methods": {"mine": there}})
    UnitStore(tmp_path / "b", {"methods": {"mine": now}})
    assert json.loads((tmp_path / "b" / "benchmark.json").read_text())["methods"]["mine"] == now
    UnitStore(tmp_path / "c", {"methods": {"mine": {**there, "max_epochs": "9"}}})
    with pytest.raises(ValueError, match="'mine' with max_epochs=9, now it is 3"):
        UnitStore(tmp_path / "c", {"methods": {"mine": now}})


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


_TINY_PICTURES = {"network": {"width": 16, "depth": 1, "heads": 2}}


def test_another_image_is_another_benchmark(tmp_path):
    slides = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=20, progress=False)
    methods = {"h": {"method": "histogene", "inputs": "patches", "max_epochs": 1, "fine_tune": 0, **_TINY_PICTURES}}
    phg2st.tl.benchmark(slides, methods=methods, out=tmp_path / "out", **QUICK)
    for one in slides.values():
        (record,) = one.uns["spatial"].values()
        record["images"] = {name: image[:, ::-1].copy() for name, image in record["images"].items()}
    with pytest.raises(ValueError, match="another `pictures`"):
        phg2st.tl.benchmark(slides, methods=methods, out=tmp_path / "out", **QUICK)


def test_a_folder_in_which_the_first_start_was_cut_off_is_taken_up(tmp_path):
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / ".benchmark.json.0a1b2c3d.part.json").write_text("{", encoding="utf-8")
    UnitStore(folder, {"methods": {}})
    assert (folder / "benchmark.json").is_file()
    assert (folder / "units").is_dir()
