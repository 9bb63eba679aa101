"""Training: it learns, it repeats, it resumes, it never sees what validates it."""

from __future__ import annotations

import traceback

import numpy as np
import pytest
import torch

from phg2st_sc.graph import HypergraphOperator, PositionKNN
from phg2st_sc.metrics import depth_free_target
from phg2st_sc.models.phg2st_paper.batch import SlideTargets, TrainingSet, ValidationSet
from phg2st_sc.models.phg2st_paper.data import EpochOrder
from phg2st_sc.models.phg2st_paper.module import SlideModule, predict_rows, train_network
from phg2st_sc.models.phg2st_paper.network import PHG2STNetwork
from phg2st_sc.nn import NetworkConfig, SlideTensors
from phg2st_sc.training import Machine, TrainingConfig, device_of

N_GENES, N_FEATURES, SIDE = 6, 5, 7
QUIET = Machine(accelerator="cpu", progress=False)


def planted(seed: int, *, validation: bool = False) -> SlideTargets:
    """A slide whose expression follows its features."""
    rng = np.random.default_rng(seed)
    where = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(np.float64)
    looks = rng.normal(size=(SIDE**2, N_FEATURES)).astype(np.float32)
    effect = np.random.default_rng(99).normal(size=(N_FEATURES, N_GENES))
    rate = np.exp(0.7 * looks @ effect)
    counts = rng.poisson(400 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    expression = np.log1p(1e2 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    slide = SlideTensors(
        torch.from_numpy(where.astype(np.float32)),
        HypergraphOperator(PositionKNN(n_neighbors=2).build(where), engine="torch"),
        torch.from_numpy(looks),
    )
    shown = rng.random(SIDE**2) < 0.1
    shown[0] = True
    truth = None
    if validation:
        truth = np.full(counts.shape, np.nan)
        truth[~shown] = depth_free_target(counts[~shown], where[~shown])
    prompts = torch.from_numpy(shown) if validation else None
    allowed = np.ones(SIDE**2, dtype=bool)
    return SlideTargets(slide, torch.from_numpy(expression), allowed, seed, truth=truth, prompts=prompts)


def network(seed: int = 0) -> PHG2STNetwork:
    torch.manual_seed(seed)
    config = NetworkConfig(N_FEATURES, N_GENES, branches="spot", width=16, hypergraph_width=8, spot_blocks=1)
    return PHG2STNetwork(config)


def sets() -> tuple[TrainingSet, ValidationSet]:
    return TrainingSet([planted(s) for s in (1, 2, 3)]), ValidationSet([planted(4, validation=True)])


def weights(net: PHG2STNetwork) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in net.state_dict().values()])


def fit(config: TrainingConfig, machine: Machine = QUIET, seed: int = 0):
    net = network(seed)
    result = train_network(net, *sets(), config, machine)
    return net, result


def test_loss_falls_and_the_validation_score_rises():
    _, result = fit(TrainingConfig(max_epochs=25, lr=3e-3))
    assert result.losses[-1] < 0.7 * result.losses[0]
    assert result.best_score > 0.3
    assert max(result.scores) == result.best_score == result.scores[result.best_epoch]


def test_same_seed_same_bits_whatever_the_global_state():
    config = TrainingConfig(max_epochs=3)
    torch.manual_seed(1)
    first, _ = fit(config)
    torch.manual_seed(2)
    torch.rand(5)
    second, _ = fit(config)
    assert torch.equal(weights(first), weights(second))
    other, _ = fit(TrainingConfig(max_epochs=3, seed=1))
    assert not torch.equal(weights(first), weights(other))


def test_training_leaves_the_callers_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    net = network()
    torch.manual_seed(5)
    train_network(net, *sets(), TrainingConfig(max_epochs=1), QUIET)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("schedule", ["step", "plateau"])
def test_resumed_training_equals_uninterrupted(tmp_path, schedule):
    settings = {"lr": 3e-3, "schedule": schedule, "optimizer": "adamw", "patience": 0}
    whole, straight = fit(TrainingConfig(max_epochs=6, **settings))
    folder = str(tmp_path / "checkpoints")
    fit(TrainingConfig(max_epochs=3, **settings), Machine("cpu", progress=False, checkpoint_dir=folder))
    again = Machine("cpu", progress=False, resume_from=f"{folder}/last.ckpt")
    resumed, joined = fit(TrainingConfig(max_epochs=6, **settings), again, seed=7)  # its start is overwritten
    assert torch.equal(weights(resumed), weights(whole))
    assert joined == straight


def test_a_missing_checkpoint_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere/last\.ckpt"):
        fit(TrainingConfig(max_epochs=1), Machine("cpu", resume_from="nowhere/last.ckpt"))


def test_training_ends_early_and_keeps_the_best_epoch():
    config = TrainingConfig(max_epochs=60, patience=2, lr=0.1)
    net, result = fit(config)
    assert len(result.scores) < 60
    one = planted(4, validation=True)
    predicted = predict_rows(net, one.slide, one.expression, one.prompts).numpy()
    held_out = np.isfinite(one.truth).all(axis=1)
    from phg2st_sc.metrics import pcc

    assert np.nanmean(pcc(one.truth[held_out], predicted[held_out])) == pytest.approx(result.best_score, abs=1e-5)


def test_without_validation_the_last_epoch_is_kept():
    net = network()
    result = train_network(
        net, sets()[0], ValidationSet([]), TrainingConfig(max_epochs=2, validation_fraction=0.0), QUIET
    )
    assert result.best_epoch is None
    assert len(result.losses) == 2
    assert not net.training


def test_prompts_are_a_share_of_the_allowed_spots_drawn_anew_each_step():
    module = SlideModule(network(), TrainingConfig(prompt_fraction=0.3, spots_per_step=10))
    one = planted(1)
    allowed = np.zeros(SIDE**2, dtype=bool)
    allowed[:20] = True
    batch = SlideTargets(one.slide, one.expression, allowed, 0)
    module.__class__.global_step = property(lambda self: self.step)
    try:
        draws = []
        for step in (0, 1, 0):
            module.step = step
            draws.append(module._draw(batch))
    finally:
        del module.__class__.global_step
    for prompts, rows in draws:
        assert prompts.sum() == 6
        assert not prompts[20:].any()
        assert rows.shape == (10,)
        assert allowed[rows].all()
    assert not torch.equal(draws[0][0], draws[1][0])
    assert torch.equal(draws[0][0], draws[2][0])


def test_order_of_slides_depends_on_seed_and_epoch():
    order = EpochOrder(20, seed=3)
    first = list(order)
    assert sorted(first) == list(range(20))
    assert list(order) == first
    order.set_epoch(1)
    assert list(order) != first
    order.set_epoch(0)
    assert list(order) == first


def test_spots_held_out_for_validation_never_train():
    """Noise in their expression changes no weight."""
    results = []
    for noise in (0.0, 5.0):
        one = planted(1)
        allowed = np.ones(SIDE**2, dtype=bool)
        allowed[40:] = False
        expression = one.expression.clone()
        expression[40:] += noise
        net = network()
        train_network(
            net,
            TrainingSet([SlideTargets(one.slide, expression, allowed, 0)]),
            ValidationSet([]),
            TrainingConfig(max_epochs=3, validation_fraction=0.0),
            QUIET,
        )
        results.append(weights(net))
    assert torch.equal(*results)


@pytest.mark.parametrize("weighted", [False, True])
def test_spots_without_weight_teach_nothing(weighted):
    results = []
    for noise in (0.0, 5.0):
        one = planted(1)
        expression = one.expression.clone()
        expression[40:] += noise
        weight = torch.ones(SIDE**2)
        weight[40:] = 0.0
        net = network()
        slides = TrainingSet([SlideTargets(one.slide, expression, one.allowed, 0, weight if weighted else None)])
        config = TrainingConfig(max_epochs=2, validation_fraction=0.0, prompt_fraction=0.0)
        train_network(net, slides, ValidationSet([]), config, QUIET)
        results.append(weights(net))
    assert torch.equal(*results) == weighted


def test_a_strategy_that_would_lose_the_best_weights_is_refused():
    with pytest.raises(ValueError, match="2 devices .* `devices=1`"):
        fit(TrainingConfig(max_epochs=1), Machine("cpu", devices=2, strategy="ddp_spawn", progress=False))


def test_settings_are_checked():
    for wrong, words in (
        ({"optimizer": "sgd"}, "optimizer='sgd'"),
        ({"max_epochs": 0}, "max_epochs=0"),
        ({"prompt_fraction": 1.0}, "prompt_fraction=1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            TrainingConfig(**wrong)
    with pytest.raises(ValueError, match="Unknown preset 'large'"):
        TrainingConfig.preset("large")


def test_presets_are_as_published():
    paper = TrainingConfig.preset("paper")
    assert (paper.lr, paper.optimizer, paper.schedule, paper.prompt_fraction) == (1e-4, "adam", "step", 0.3)
    assert (paper.max_epochs, paper.patience, paper.spots_per_step) == (200, 20, None)
    released = TrainingConfig.preset("released")
    assert (released.optimizer, released.schedule, released.prompt_fraction) == ("adamw", "plateau", 0.1)
    step = SlideModule(network(), paper).configure_optimizers()["lr_scheduler"]["scheduler"]
    assert (step.step_size, step.gamma) == (50, 0.9)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    fit(TrainingConfig(max_epochs=2), Machine("cpu", progress=False, checkpoint_dir=str(tmp_path)))
    again = Machine("cpu", progress=False, resume_from=str(tmp_path / "last.ckpt"))
    with pytest.raises(ValueError, match="another run: seed is 0 there and 1 here"):
        fit(TrainingConfig(max_epochs=4, seed=1), again)
    with pytest.raises(ValueError, match="another run: width is 16 there and 32 here"):
        train_network(
            PHG2STNetwork(
                NetworkConfig(N_FEATURES, N_GENES, branches="spot", width=32, hypergraph_width=8, spot_blocks=1)
            ),
            *sets(),
            TrainingConfig(max_epochs=4),
            again,
        )
    with pytest.raises(ValueError, match="another run: spots"):
        train_network(network(), TrainingSet([planted(1)]), sets()[1], TrainingConfig(max_epochs=4), again)
    (tmp_path / "last.ckpt").write_bytes(b"half of a file")
    with pytest.raises(ValueError, match="no checkpoint, or only part of one"):
        fit(TrainingConfig(max_epochs=4), again)


def test_a_checkpoint_with_other_objects_is_not_read(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"state_dict": Payload()}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="holds other objects than a checkpoint of this package") as told:
        fit(TrainingConfig(max_epochs=4), Machine("cpu", progress=False, resume_from=str(tmp_path / "last.ckpt")))
    assert "weights_only" not in "".join(traceback.format_exception(told.value))
    assert not (tmp_path / "owned").exists()


def test_a_second_run_replaces_the_checkpoint_of_the_first(tmp_path):
    machine = Machine("cpu", progress=False, checkpoint_dir=str(tmp_path))
    fit(TrainingConfig(max_epochs=1, seed=1), machine)
    fit(TrainingConfig(max_epochs=2, seed=2), machine)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    whole, _ = fit(TrainingConfig(max_epochs=3, seed=2))
    resumed, _ = fit(
        TrainingConfig(max_epochs=3, seed=2), Machine("cpu", progress=False, resume_from=f"{tmp_path}/last.ckpt")
    )
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize(
    ("accelerator", "devices", "expected"),
    [
        ("auto", 1, "cuda:0"),
        ("gpu", [1], "cuda:1"),
        ("cuda", "2,", "cuda:2"),
        ("auto", "auto", "cuda:0"),
        ("cpu", 1, "cpu"),
    ],
)
def test_predictions_are_made_where_training_was(monkeypatch, accelerator, devices, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of(accelerator, devices) == expected
