"""A folder holds the old model or the new one at every moment, whoever is killed, and whatever else is in it stays."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from phg2st_sc import models
from phg2st_sc._files import new_folder, write_whole

SAVE = """
import os, signal, sys
from phg2st_sc import models
import safetensors.numpy, psutil, phg2st_sc.models._read
step, folder = int(sys.argv[1]), sys.argv[2]
model = models.create("idw", n_neighbors=4)
seen = 0
def kill(event, arguments):
    global seen
    if event in ("os.rename", "os.mkdir", "os.remove") or (event == "open" and "model" in str(arguments[0])):
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
sys.addaudithook(kill)
model.save(folder, overwrite=True)
"""


def killed_at(step, folder):
    """Save in another process that is killed at a step; whether it was."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SAVE), str(step), str(folder)], check=False, timeout=120
    )
    return done.returncode != 0


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL and locks")
@pytest.mark.parametrize("there", [True, False], ids=["replaced", "new"])
def test_killed_at_every_step(tmp_path, there):
    steps = 0
    while True:
        folder = tmp_path / str(steps) / "model"
        folder.parent.mkdir()
        if there:
            models.create("idw", n_neighbors=3).save(folder)
            (folder / "notes.txt").write_text("mine")
        if not killed_at(steps, folder):
            break
        if there:
            assert models.load(folder).n_neighbors in (3, 4)
        elif folder.exists():
            assert models.load(folder).n_neighbors == 4
        models.create("idw", n_neighbors=5).save(folder, overwrite=True)
        assert models.load(folder).n_neighbors == 5
        files = {"arrays.safetensors", "model.json"} | ({"notes.txt"} if there else set())
        assert {path.name for path in folder.iterdir()} == files
        assert [path.name for path in folder.parent.iterdir()] == ["model"]
        steps += 1
    assert steps >= 4


def test_what_else_is_in_the_folder_stays(tmp_path):
    folder = models.create("idw").save(tmp_path / "model")
    (folder / "README.md").write_text("mine")
    (folder / ".git").mkdir()
    models.create("idw", n_neighbors=4).save(folder, overwrite=True)
    assert (folder / "README.md").read_text() == "mine"
    assert {path.name for path in folder.iterdir()} == {"README.md", ".git", "model.json", "arrays.safetensors"}


def test_a_link_to_a_folder_goes_on_being_one(tmp_path):
    folder = models.create("idw").save(tmp_path / "model")
    (tmp_path / "latest").symlink_to(folder)
    models.create("idw", n_neighbors=4).save(tmp_path / "latest", overwrite=True)
    assert (tmp_path / "latest").is_symlink()
    assert models.load(folder).n_neighbors == 4


def test_model_json_of_another_tool_is_spared(tmp_path):
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "model.json").write_text('{"format": "layers-model"}')
    with pytest.raises(FileExistsError, match="holds no saved model: it is not replaced"):
        models.create("idw").save(tmp_path / "tool", overwrite=True)


def test_home_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    models.create("idw").save("~/model")
    assert (tmp_path / "model" / "model.json").is_file()


def test_numbers_that_are_not_known_are_kept_as_none(tmp_path):
    model = models.create("idw")
    model.card = {"best_score": float("nan"), "losses": [1.0, float("inf")]}
    assert models.load(model.save(tmp_path / "model")).card == {"best_score": None, "losses": [1.0, None]}


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_what_a_live_run_is_writing_is_left_alone(tmp_path):
    def again(part: Path) -> None:
        def other(inner: Path) -> None:
            assert part.exists()
            inner.write_text("b")

        part.write_text("a")
        write_whole(tmp_path / "file.txt", other)

    write_whole(tmp_path / "file.txt", again)
    assert (tmp_path / "file.txt").read_text() == "a"
    (tmp_path / ".file.txt.0.part.txt").write_text("of a dead run")
    (tmp_path / ".other.txt.0.part.txt").write_text("of another file")
    write_whole(tmp_path / "file.txt", lambda part: part.write_text("c"))
    assert {path.name for path in tmp_path.iterdir()} == {"file.txt", ".other.txt.0.part.txt"}


def test_a_folder_that_somebody_else_made_meanwhile(tmp_path):
    def fill(part: Path) -> None:
        (part / "mine").touch()
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "theirs").touch()

    with pytest.raises(FileExistsError, match="made by another process in the meantime"):
        new_folder(tmp_path / "model", fill)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "theirs"]
