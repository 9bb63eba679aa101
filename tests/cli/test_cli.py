"""The command line: what it reads and writes, what it prints where, how it ends."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import click
import h5py
import numpy as np
import pytest
from scipy import sparse
from spatialdata import read_zarr

import phg2st_sc as phg2st
from phg2st_sc.cli import main
from phg2st_sc.cli import phg2st as group

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"n_spots": 60, "n_genes": 15, "progress": False}
FUNCTIONS = {
    "embed": phg2st.pp.extract_embeddings,
    "train": phg2st.tl.train,
    "impute": phg2st.tl.impute,
    "evaluate": phg2st.tl.evaluate,
    "estimate": phg2st.tl.estimate,
}
OF_THE_COMMAND = {"store", "stores", "out", "in_place", "overwrite", "given", "summary", "form", "fraction", "strategy"}
SETTINGS = {"device", "precision", "threads", "progress", "verbosity"}


@pytest.fixture
def run(capsys):
    """Exit status, standard output and standard error of a command."""

    def call(*words):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return call


@pytest.fixture(scope="module")
def section():
    adata = phg2st.datasets.simulate(**QUICK, image=False)
    phg2st.pp.sample_prompts(adata, fraction=0.4, key_added="measured")
    return adata


@pytest.fixture
def store(section, tmp_path):
    path = tmp_path / "section.h5ad"
    section.write_h5ad(path)
    return path


def content(path):
    return {one: one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()} or path.read_bytes()


def test_names_are_those_of_functions_and_parameters():
    assert set(group.commands) == {*FUNCTIONS, "info"}
    for name, function in FUNCTIONS.items():
        options = {one.name for one in group.commands[name].params} - OF_THE_COMMAND - SETTINGS
        assert options <= set(inspect.signature(function).parameters), name
        assert {one.name for one in group.commands[name].params} >= SETTINGS


@pytest.mark.parametrize("name", [None, *FUNCTIONS, "info"])
def test_help_has_examples(run, name):
    code, out, err = run(*([] if name is None else [name]), "--help")
    assert (code, err) == (0, "")
    assert f"Examples:\n    phg2st {name or 'embed'}" in out
    command = group if name is None else group.commands[name]
    assert [one.name for one in command.params if isinstance(one, click.Option) and not one.help] == []


def test_impute_writes_what_the_function_does_and_leaves_the_input(run, store, section, tmp_path):
    before, out = content(store), tmp_path / "new" / "imputed.h5ad"
    said = (
        "impute",
        store,
        "--prompt-mask",
        "measured",
        "--method",
        "kriging",
        "--set",
        "length_scale=4",
        "--out",
        out,
    )
    code, told, err = run(*said)
    assert (code, json.loads(told)) == (0, {"out": str(out)}), err
    assert content(store) == before
    expected = section.copy()
    phg2st.tl.impute(expected, prompt_mask="measured", method="kriging", length_scale=4.0)
    np.testing.assert_array_equal(ad.read_h5ad(out).layers["kriging"], expected.layers["kriging"])
    code, told, err = run(*said)
    assert (code, told) == (1, "")
    assert err == f"Error: {out} is there already: name another --out, or say --overwrite.\n"
    assert run(*said, "--overwrite")[0] == 0


def test_scores_are_told_as_csv_json_and_summary(run, store, tmp_path):
    drawn = tmp_path / "drawn.zarr"
    code, _, err = run("impute", store, "--fraction", "0.3", "--method", "idw", "--key-added", "near", "--out", drawn)
    assert (code, err) == (0, "")
    expected = phg2st.tl.evaluate(ad.read_zarr(drawn), layer="near", compare=["prompt_mean"], n_splits=0)
    asked = ("evaluate", drawn, "--layer", "near", "--compare", "prompt_mean", "--n-splits", "0")
    code, told, err = run(*asked)
    rows = list(csv.DictReader(io.StringIO(told)))
    assert (code, len(rows)) == (0, len(expected)), err
    np.testing.assert_allclose([float(row["pcc"]) for row in rows], expected["pcc"])
    file = tmp_path / "scores.json"
    assert run(*asked, "--summary", "--out", file)[:2] == (0, "")
    found = json.loads(file.read_text())
    assert (found["protocol"], [row["method"] for row in found["rows"]]) == ("honest", ["near", "prompt_mean"])
    assert found["rows"][0]["pcc"] == pytest.approx(expected.attrs["means"]["near"]["pcc"])
    assert run(*asked, "--out", tmp_path / "scores.xlsx")[0] == 2


def test_embed_train_and_impute_go_together(run, tmp_path):
    slides = phg2st.datasets.simulate(n_slides=3, n_patients=3, **QUICK)
    paths = {name: tmp_path / f"{name}.h5ad" for name in slides}
    for name, one in slides.items():
        phg2st.pp.sample_prompts(one, fraction=0.4)
        one.write_h5ad(paths[name])
        code, _, err = run(
            "embed", paths[name], "--encoder", "texture", "--image", "hires", "--in-place", "--no-progress"
        )
        assert code == 0, err
        assert "X_texture" in ad.read_h5ad(paths[name]).obsm
    *training, new = paths.values()
    model = tmp_path / "model"
    code, told, err = run("train", *training, "--method", "image_ridge", "--genes", "gene0,gene1", "--out", model)
    assert code == 1
    assert "genes" in err
    code, told, err = run("train", *training, "--method", "image_ridge", "--out", model, "--progress")
    assert code == 0, err
    assert json.loads(told) == {
        "out": str(model),
        "method": "image_ridge",
        "n_genes": 15,
        "slides": [path.stem for path in training],
        "patients": ["P1", "P2"],
        "n_spots": 120,
    }
    assert "read:" in err  # the bar is no part of the result
    assert json.loads(run("info", model)[1])["card"]["slides"] == [path.stem for path in training]
    code, _, err = run("impute", new, "--model", model, "--in-place")
    assert code == 0, err
    expected = ad.read_h5ad(new)
    phg2st.tl.impute(expected, model=model, key_added="again")
    np.testing.assert_array_equal(expected.layers["image_ridge"], expected.layers["again"])


def test_a_spatialdata_gets_new_slots_in_place_or_in_a_copy(run, tmp_path):
    path, copy = tmp_path / "section.zarr", tmp_path / "copy.zarr"
    sdata = phg2st.datasets.simulate(**QUICK, image=False, container="spatialdata")
    phg2st.pp.sample_prompts(sdata, fraction=0.4)
    sdata.write(path)
    before = content(path)
    code, _, err = run("impute", path, "--method", "idw", "--out", copy)
    assert code == 0, err
    assert content(path) == before
    assert run("impute", path, "--method", "idw", "--in-place")[0] == 0
    found = [next(iter(read_zarr(one).tables.values())).layers["idw"] for one in (path, copy)]
    np.testing.assert_array_equal(*found)
    kept = {file: bytes_ for file, bytes_ in content(path).items() if "shapes" in file.parts}
    assert kept == {file: bytes_ for file, bytes_ in before.items() if "shapes" in file.parts}
    assert run("impute", path, "--method", "kriging", "--out", copy, "--overwrite")[0] == 0
    assert "kriging" in next(iter(read_zarr(copy).tables.values())).layers
    assert sorted(one.name for one in tmp_path.iterdir()) == ["copy.zarr", "section.zarr"]
    described = json.loads(run("info", copy)[1])
    assert described["n_spots"] == 60
    assert described["predictions"]["kriging"]["method"] == "kriging"
    assert described["marked_spots"]["prompt"] == 24
    code, _, err = run("impute", path, "--out", tmp_path / "section.h5ad")
    assert code == 2
    assert "--out ends in .zarr" in err


def test_prompts_are_stored_with_the_prediction_or_not_at_all(run, tmp_path):
    path = tmp_path / "section.zarr"
    phg2st.datasets.simulate(**QUICK, image=False, container="spatialdata").write(path)
    before = content(path)
    words = ("impute", path, "--fraction", "0.3", "--method", "kriging", "--in-place")
    assert run(*words, "--set", "a=1")[0] == 1
    assert content(path) == before
    code, _, err = run(*words)
    assert code == 0, err
    table = next(iter(read_zarr(path).tables.values()))
    assert table.obs["prompt"].sum() == 18
    assert "kriging" in table.layers


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("impute", "{store}"), 2, "either --out PATH or --in-place"),
        (("impute", "{store}", "--in-place", "--out", "{folder}/a.h5ad"), 2, "either --out PATH or --in-place"),
        (("impute", "{store}", "--out", "{store}"), 2, "say --in-place to change it"),
        (("impute", "{store}", "--out", "{folder}/a.csv"), 2, "--out ends in .h5ad or .zarr"),
        (("impute", "{store}", "--fraction", "0.1", "--prompt-mask", "measured", "--in-place"), 2, "say one of them"),
        (("impute", "{store}", "--set", "a", "--in-place"), 2, "--set NAME=VALUE"),
        (("impute", "nowhere.h5ad", "--in-place"), 2, "does not exist"),
        (("imput", "{store}"), 2, "No such command"),
        (("impute", "{store}", "--prompt-mask", "nothing", "--in-place"), 1, "'nothing'"),
        (("impute", "{store}", "--method", "krigin", "--in-place"), 1, "did you mean 'kriging'"),
        (("impute", "{store}", "--prompt-mask", "measured", "--set", "a=1", "--in-place"), 1, "has no setting 'a'"),
        (
            ("impute", "{store}", "--prompt-mask", "measured", "--threads", "0", "--in-place"),
            1,
            "`settings.threads` is",
        ),
        (("info", "{folder}"), 1, "is neither an .h5ad file nor the .zarr folder"),
        (("evaluate", "{store}"), 1, "impute"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback_and_changes_nothing(run, store, words, code, message):
    before = content(store)
    ended, told, err = run(*(word.format(store=store, folder=store.parent) for word in words))
    assert (ended, told) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert content(store) == before
    assert [one.name for one in store.parent.iterdir()] == [store.name]


def test_debug_shows_where_an_error_came_from(store, monkeypatch):
    monkeypatch.setenv("PHG2ST_VERBOSITY", "debug")
    with pytest.raises(KeyError, match="nothing"):
        main(["impute", str(store), "--prompt-mask", "nothing", "--in-place"])


def test_an_interrupt_ends_with_130_and_leaves_the_input(run, store, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(phg2st.tl, "impute", interrupted)
    before = content(store)
    code, told, err = run("impute", store, "--prompt-mask", "measured", "--in-place")
    assert (code, told, err.strip()) == (130, "", "Interrupted.")
    assert content(store) == before


def test_estimate_and_choices(run, store):
    code, told, err = run("estimate", store, "--prompt-mask", "measured", "--method", "kriging")
    assert code == 0, err
    (row,) = csv.DictReader(io.StringIO(told))
    assert (row["n_spots"], row["n_prompts"], row["fits"]) == ("60", "24", "True")
    choices = json.loads(run("info", "--threads", "2")[1])
    assert {"phg2st", "kriging"} <= set(choices["methods"])
    assert "texture" in choices["encoders"]
    assert choices["settings"]["threads"] == 2
    assert phg2st.settings.threads is None


def test_warnings_are_told_plainly(run, store):
    code, told, err = run("impute", store, "--prompt-mask", "measured", "--model", "kriging-model", "--in-place")
    assert (code, told) == (1, "")
    adata = ad.read_h5ad(store)
    adata.obs["prompt"] = adata.obs["measured"]
    adata.write_h5ad(store)
    model = store.with_name("model")
    code, _, err = run("train", store, "--method", "gene_kriging", "--no-progress", "--out", model)
    assert code == 0
    assert err.startswith("Warning: Every spot of ")
    assert ".py" not in err


def test_folders_of_space_ranger_are_read(run, section, tmp_path):
    pytest.importorskip("squidpy")
    folder = tmp_path / "outs"
    visium_folder(folder, section)
    described = json.loads(run("info", folder)[1])
    assert (described["n_spots"], described["n_genes"]) == section.shape
    (slide,) = described["slides"].values()
    assert slide["has_image"] or slide["n_spots"] == 60
    out = tmp_path / "imputed.h5ad"
    code, _, err = run("impute", folder, "--fraction", "0.3", "--method", "idw", "--out", out)
    assert code == 0, err
    assert "idw" in ad.read_h5ad(out).layers
    assert run("impute", folder, "--fraction", "0.3", "--method", "idw", "--in-place")[0] == 2


def visium_folder(folder, section):
    """What Space Ranger writes, as far as it is read."""
    from PIL import Image

    (folder / "spatial").mkdir(parents=True)
    counts = sparse.csc_matrix(sparse.csr_matrix(section.X).T.astype(np.int32))
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        file.attrs["library_ids"] = np.array([b"one"])
        matrix = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            matrix[name] = getattr(counts, name)
        matrix["shape"] = counts.shape
        matrix["barcodes"] = np.array(section.obs_names, dtype="S")
        features = matrix.create_group("features")
        for name in ("id", "name"):
            features[name] = np.array(section.var_names, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * section.n_vars, dtype="S")
        features["genome"] = np.array(["GRCh38"] * section.n_vars, dtype="S")
    scales = {"spot_diameter_fullres": 10.0, "tissue_hires_scalef": 0.1, "tissue_lowres_scalef": 0.03}
    (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(scales))
    x, y = section.obsm["spatial"].T
    lines = [f"{name},1,{i},{i},{y[i]},{x[i]}" for i, name in enumerate(section.obs_names)]
    (folder / "spatial" / "tissue_positions_list.csv").write_text("\n".join(lines) + "\n")
    for name in ("hires", "lowres"):
        Image.new("RGB", (60, 60), "white").save(folder / "spatial" / f"tissue_{name}_image.png")


def test_the_entry_point_runs_in_a_process_of_its_own(store, tmp_path):
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["phg2st"]
    module, _, function = script.partition(":")
    start = [sys.executable, "-c", f"import sys; from {module} import {function}; sys.exit({function}())"]

    def process(*words):
        return subprocess.run([*start, *words], capture_output=True, text=True, check=False, env=dict(os.environ))

    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"phg2st {version('phg2st-sc')}\n")
    out = str(tmp_path / "imputed.h5ad")
    done = process("impute", str(store), "--prompt-mask", "measured", "--out", out)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"out": out}), done.stderr
    assert "phg2st" in ad.read_h5ad(out).layers


def test_help_loads_nothing_heavy():
    code = "import sys, phg2st_sc.cli; print(sorted({'anndata', 'numpy', 'torch', 'spatialdata'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
