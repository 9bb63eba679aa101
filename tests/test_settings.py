"""Settings: what a call says wins, then what was assigned, then the environment, then the default."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._progress import is_shown
from phg2st_sc._threads import limit_torch, limited_threads, n_threads

NAMES = ("cache", "device", "precision", "progress", "threads", "verbosity")


@pytest.fixture
def settings(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(f"PHG2ST_{name.upper()}", raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    with phg2st.settings.override():
        phg2st.settings.reset()
        yield phg2st.settings


def test_defaults(settings):
    assert {*NAMES, "override", "reset"} == set(dir(settings))
    found = {name: getattr(settings, name) for name in NAMES if name != "cache"}
    assert found == {"device": "auto", "precision": None, "progress": True, "threads": None, "verbosity": None}
    assert settings.cache.is_absolute()
    assert "phg2st-sc" in settings.cache.parts
    assert all(name in repr(settings) and f"PHG2ST_{name.upper()}" in repr(settings) for name in NAMES)
    assert all(type(settings).__dict__[name].__doc__ for name in NAMES)


def test_what_was_assigned_wins_over_the_environment_and_is_forgotten_by_reset(settings, monkeypatch):
    monkeypatch.setenv("PHG2ST_THREADS", "3")
    monkeypatch.setenv("PHG2ST_PROGRESS", "no")
    assert (settings.threads, settings.progress) == (3, False)
    settings.threads = np.int64(2)
    settings.progress = True
    assert (settings.threads, settings.progress) == (2, True)
    settings.reset("threads")
    assert (settings.threads, settings.progress) == (3, True)
    settings.reset()
    assert settings.progress is False


def test_override_gives_back_what_was_there_and_leaves_the_rest_to_the_environment(settings, monkeypatch):
    settings.device = "cpu"
    with (
        pytest.raises(RuntimeError, match="in between"),
        settings.override(device="cuda:1", threads=1, cache="~/there"),
    ):
        assert (settings.device, settings.threads, settings.cache) == ("cuda:1", 1, Path.home() / "there")
        raise RuntimeError("in between")
    assert settings.device == "cpu"
    monkeypatch.setenv("PHG2ST_THREADS", "4")
    assert settings.threads == 4


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("device", "gpu", r"`settings.device` is 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', not 'gpu'"),
        ("precision", "half", "'float32', 'bfloat16', 'float16' or None"),
        ("threads", 0, "a whole number of at least 1, or None, not 0"),
        ("threads", True, "a whole number of at least 1"),
        ("progress", "maybe", "True or False"),
        ("progress", 1, "True or False"),
        ("cache", 3, "the path of a folder"),
        ("verbosity", "loud", "'error', 'warning', 'info', 'debug' or None"),
    ],
)
def test_what_is_no_value_is_refused_and_changes_nothing(settings, name, value, message):
    before = getattr(settings, name)
    with pytest.raises(ValueError, match=message):
        setattr(settings, name, value)
    with pytest.raises(ValueError, match=message), settings.override(**{"progress": False, "threads": 5, name: value}):
        pass
    assert (getattr(settings, name), settings.progress, settings.threads) == (before, True, None)


def test_names_and_values_of_the_environment_are_told_of(settings, monkeypatch):
    with pytest.raises(AttributeError, match=r"no setting 'thread'; there are: device, precision, threads"):
        settings.thread = 2
    with pytest.raises(AttributeError, match="no setting 'jobs'"), settings.override(jobs=2):
        pass
    with pytest.raises(AttributeError, match="no setting 'jobs'"):
        settings.reset("jobs")
    monkeypatch.setenv("PHG2ST_THREADS", "many")
    with pytest.raises(ValueError, match="The environment variable PHG2ST_THREADS is a whole number"):
        _ = settings.threads


def test_bars_follow_the_settings_where_the_call_says_nothing(settings, monkeypatch, capfd):
    assert is_shown(None)
    with settings.override(progress=False):
        assert not is_shown(None)
        assert is_shown(True)
        simulated = {"n_slides": 2, "n_spots": 60, "n_genes": 12, "image": False}
        phg2st.datasets.simulate(**simulated)
        assert capfd.readouterr().err == ""
        slides = phg2st.datasets.simulate(**simulated, progress=True)
        assert "simulate" in capfd.readouterr().err
        assert phg2st.tl.train(slides, method="gene_kriging", genes=None) is not None
        assert capfd.readouterr().err == ""
    phg2st.datasets.simulate(**simulated)
    assert "simulate" in capfd.readouterr().err
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert not is_shown(None)


def test_threads_are_limited_within_calls_alone(settings):
    torch = pytest.importorskip("torch")
    from threadpoolctl import threadpool_info

    def most() -> int:
        return max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")

    outside, torch_outside = most(), torch.get_num_threads()
    other = torch_outside + 1
    with limited_threads():
        assert (most(), torch.get_num_threads()) == (outside, torch_outside)
    with settings.override(threads=1):
        assert n_threads() == 1
        with limited_threads(), settings.override(threads=other), limited_threads():  # a call within a call
            limit_torch()
            assert (most(), torch.get_num_threads()) == (1, 1)
    with settings.override(threads=other), limited_threads():
        assert torch.get_num_threads() == other
    assert (most(), torch.get_num_threads()) == (outside, torch_outside)


def test_a_call_computes_with_as_many_threads_as_settled(settings, monkeypatch):
    torch = pytest.importorskip("torch")
    from phg2st_sc.models.simple import kriging

    seen = []
    predict = kriging.Kriging.predict
    monkeypatch.setattr(
        kriging.Kriging, "predict", lambda *args: seen.append(torch.get_num_threads()) or predict(*args)
    )
    adata = phg2st.datasets.simulate(n_spots=60, n_genes=12, image=False, progress=False)
    phg2st.pp.sample_prompts(adata, fraction=0.3)
    n = torch.get_num_threads() + 1
    with settings.override(threads=n):
        phg2st.tl.impute(adata, method="kriging")
    assert seen == [n]


def test_networks_run_where_and_in_what_the_settings_say(settings, monkeypatch):
    torch = pytest.importorskip("torch")
    from phg2st_sc.encoders import _torch
    from phg2st_sc.training import _run, device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(_run.L, "Trainer", lambda **given: given)
    config = type("Config", (), {"max_epochs": 1, "gradient_clip": None})

    def asked(**machine):
        made = _run._new_trainer(config, _run.Machine(progress=False, **machine), [])
        return made["accelerator"], made["devices"], made["precision"]

    assert (asked(), device_of("auto"), _torch.check_precision(None)) == (("auto", 1, "32-true"), "cuda:0", "float32")
    with settings.override(device="cuda:2", precision="bfloat16"):
        assert asked() == ("cuda", [2], "bf16-mixed")
        assert asked(accelerator="cpu", precision="32-true") == ("cpu", 1, "32-true")
        assert asked(devices=4) == ("auto", 4, "bf16-mixed")
        assert (device_of("auto"), device_of("auto", [1]), device_of("cpu")) == ("cuda:2", "cuda:1", "cpu")
        assert (_torch.check_precision(None), _torch.check_precision("float32")) == ("bfloat16", "float32")
    with settings.override(device="cpu"):
        assert (asked(), device_of("auto")) == (("cpu", 1, "32-true"), "cpu")
        assert _torch.resolve_device() == _torch.resolve_device("cpu") == torch.device("cpu")
        assert device_of("gpu") == "cuda:0"


def test_a_worker_is_told_of_the_precision_alone(settings):
    from distributed.protocol.pickle import dumps

    from phg2st_sc._cluster._worker import Order, work

    with settings.override(precision="bfloat16", threads=3):
        order = Order(dumps((_seen, ())), "stop")
    answer = work(order, None)
    assert answer.value == ("bfloat16", None)
    assert settings.precision is None


def _seen():
    return phg2st.settings.precision, phg2st.settings.threads


def test_the_logger_is_left_alone_until_it_is_to_talk(settings, monkeypatch, capsys):
    logger = logging.getLogger("phg2st_sc")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    assert (logger.level, logger.handlers) == (logging.NOTSET, [])
    with settings.override(verbosity="INFO"):
        assert settings.verbosity == "info"
        logger.info("one of %d", 2)
        logger.debug("not told")
        assert capsys.readouterr() == ("", "info: one of 2\n")
        monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
        logger.info("once, by the user's own handler")
        assert capsys.readouterr().err == ""
    assert (logger.level, logger.handlers) == (logging.NOTSET, [])


def test_the_environment_makes_the_logger_talk():
    code = "import phg2st_sc, logging; phg2st_sc.settings; logging.getLogger('phg2st_sc').info('heard')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PHG2ST_VERBOSITY": "info"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "info: heard\n")


def test_loggers_and_callbacks_of_lightning_are_handed_on_and_not_saved(settings, tmp_path):
    pytest.importorskip("torch")
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    class Counted(Callback):
        epochs = 0

        def on_train_epoch_end(self, trainer, pl_module):
            self.epochs += 1

    slides = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=12, image=False, progress=False)
    counted, logger = Counted(), CSVLogger(tmp_path, name="log", version=0)
    training = {
        "logger": logger,
        "callbacks": [counted, ModelCheckpoint(tmp_path / "kept")],
        "gradient_clip": 1.0,
    }
    asked = {"branches": "spot", "max_epochs": 2, "accelerator": "cpu", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = phg2st.tl.train(slides, method="phg2st_paper", training=training, **asked)
    assert (counted.epochs, model.training) == (2, {"gradient_clip": 1.0})
    assert "train_loss" in (tmp_path / "log" / "version_0" / "metrics.csv").read_text()
    assert list((tmp_path / "kept").iterdir())
    loaded = phg2st.models.load(model.save(tmp_path / "model"))
    assert loaded.training == {"gradient_clip": 1.0}
    plain = phg2st.tl.train(slides, method="phg2st_paper", training={"gradient_clip": 1.0}, **asked)
    assert plain.card["training"]["losses"] == model.card["training"]["losses"]
    with pytest.raises(ValueError, match=r"`training` of method 'phg2st_paper' has no setting 'loggers'"):
        phg2st.tl.train(slides, method="phg2st_paper", training={"loggers": logger}, **asked)
