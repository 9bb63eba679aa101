"""The networks: kriging at the start, no spot sees its own measurement, every prompt reaches every spot."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from phg2st_sc._arrays import SlideArrays
from phg2st_sc.models.phg2st.network import network as network_file
from phg2st_sc.models.phg2st.network import views
from phg2st_sc.models.phg2st.network.kriging_head import component_groups
from phg2st_sc.models.phg2st.network.network import ComponentNetwork
from phg2st_sc.models.phg2st.network.tensors import Evidence, SlideInput
from phg2st_sc.nn import MEMBER, NetworkConfig

K, N, F = 5, 30, 3


def arrays(*, image: bool = True) -> SlideArrays:
    rng = np.random.default_rng(2)
    where = np.stack(np.meshgrid(np.arange(6), np.arange(5)), axis=-1).reshape(-1, 2).astype(float)
    return SlideArrays("a", where, rng.normal(size=(N, F)).astype(np.float32) if image else None)


def slide(*, image: bool = True, tokens: bool = True) -> SlideInput:
    return SlideInput.of(arrays(image=image), image=image, tokens=tokens, engine="torch")


def make(*, rough: float = 0.1, n_features: int = 2 * F, **changes) -> ComponentNetwork:
    torch.manual_seed(0)
    sizes = {**MEMBER, "width": 16, "hypergraph_width": 8, **changes}
    network = ComponentNetwork(NetworkConfig(n_features=n_features, n_genes=K, **sizes), torch.linspace(1.0, 0.2, K))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(rough * torch.randn_like(parameter))
    return network.eval()


def evidence(prompts=(2, 9, 17, 25), seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    shape = (len(prompts), K)
    observed, noise = (torch.from_numpy(rng.normal(size=shape).astype(np.float32)) for _ in range(2))
    return Evidence(torch.tensor(prompts, dtype=torch.long), observed, noise.abs(), 500.0)


@pytest.mark.parametrize("image", [True, False])
def test_untrained_it_is_kriging(image):
    network, given, there = make(rough=0.0), evidence(), slide(image=image)
    with torch.no_grad():
        network.residual.project.weight.zero_()
        found, alone = (x.double().numpy() for x in network(there, given))
    share = 1 / (1 + given.noise.double().numpy())
    observed = given.observed.double().numpy()
    level = (share * observed).sum(0) / share.sum(0)
    np.testing.assert_allclose(alone, np.tile(level, (N, 1)), atol=1e-5)
    x, index = there.positions.double().numpy(), given.index.numpy()
    away = np.linalg.norm(x[:, None] - x[index], axis=2)
    parts = [np.exp(-away / 3), np.exp(-away / 8)]
    if image:
        looks = there.looks.double().numpy()
        parts.append(np.exp(-np.linalg.norm(looks[:, None] - looks[index], axis=2)))
    kernel, amplitude = np.mean(parts, axis=0) + 1, np.log1p(np.exp(-0.85))
    groups = component_groups(torch.linspace(1.0, 0.2, K)).numpy()
    for j in range(K):
        noise = given.noise.double().numpy()[:, groups == groups[j]].mean(axis=1) + 1e-3
        weights = np.linalg.solve(amplitude * kernel[index] + np.diag(noise), observed[:, j] - level[j])
        np.testing.assert_allclose(found[:, j], level[j] + amplitude * kernel @ weights, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("image", [True, False])
def test_every_prompt_reaches_every_spot_and_none_sees_itself(image):
    network, given, there = make(), evidence(), slide(image=image)
    observed = given.observed.clone()
    observed[1] += torch.tensor([1.0, -1.0, 0.5, 0.7, -2.0])
    moved = replace(given, observed=observed)
    before, after = network(there, given), network(there, moved)
    assert (before[0] != after[0]).any(dim=1).all()

    def head(given: Evidence) -> torch.Tensor:  # without the level, which all prompts share
        return network(there, given)[1] - network_file._level(given)

    # what is told of a prompt is relative to that level, so the others are told something else: hold it still
    rest = [row for row in range(N) if row != 9]
    network_level = network_file._level(given)
    held = pytest.MonkeyPatch()
    held.setattr(network_file, "_level", lambda _: network_level)
    try:
        one, two = head(given), head(moved)
    finally:
        held.undo()
    torch.testing.assert_close(one[9], two[9], rtol=0, atol=1e-5)
    assert (one[rest] != two[rest]).any(dim=1).all()


@pytest.mark.parametrize("n_features", [2 * F, 0])
@pytest.mark.parametrize("image", [True, False])
@pytest.mark.parametrize("prompts", [(2, 9, 17), tuple(range(29))])
def test_gradients_are_finite(prompts, image, n_features):
    network = make(n_features=n_features).train()
    whole, alone = network(slide(image=image, tokens=n_features > 0), evidence(prompts))
    (whole.square().mean() + alone.square().mean()).backward()
    grads = [value.grad for value in network.parameters() if value.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert len(grads) > 20


def test_order_of_spots_plays_no_role():
    network, given = make(), evidence()
    order = np.random.default_rng(3).permutation(N)
    there = SlideInput.of(arrays(), image=True, tokens=True, engine="torch")
    incidence = there.propagation.incidence[order][:, order]
    from phg2st_sc.graph import HypergraphOperator

    shuffled = SlideInput(
        there.positions[order],
        HypergraphOperator(incidence, engine="torch"),
        there.looks[order],
        there.features[order],
    )
    place = torch.from_numpy(np.argsort(order))[given.index]
    torch.testing.assert_close(
        network(shuffled, replace(given, index=place))[0], network(there, given)[0][order], rtol=1e-4, atol=1e-5
    )


def test_predicting_some_rows_at_a_time_changes_nothing(monkeypatch):
    network, given, there = make(), evidence(), slide()
    whole = network(there, given)
    monkeypatch.setattr(network_file, "_ROWS", 7)
    for one, two in zip(whole, network(there, given), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_engines_agree():
    pytest.importorskip("dgl")
    network, given = make(), evidence()
    by = [network(SlideInput.of(arrays(), image=True, tokens=True, engine=e), given)[0] for e in ("torch", "dgl")]
    torch.testing.assert_close(*by, rtol=1e-4, atol=1e-5)


def test_groups_are_quarters_by_scale():
    assert component_groups(torch.tensor([1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0])).tolist() == [3, 0, 3, 0, 2, 1, 2, 1]
    assert component_groups(torch.tensor([1.0, 2.0])).tolist() == [1, 0]


def test_records_of_older_networks_still_load():
    record = NetworkConfig(6, K).as_dict()
    before = {name: value for name, value in record.items() if name not in ("hypergraph", "kernel_width")}
    gone = {"propagation": True, "histology": False, "residual_head": True}
    for old in (before, {**record, **gone}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert NetworkConfig.of_record(old) == NetworkConfig(6, K)
            assert ComponentNetwork(NetworkConfig.of_record({**old, **MEMBER}), torch.ones(K)).state_dict()


def test_sizes_without_effect_are_taken_with_one_warning():
    for made in (NetworkConfig, partial(NetworkConfig.preset, "default")):
        with pytest.warns(FutureWarning, match="'residual_head' of `NetworkConfig` has no effect") as told:
            assert made(n_features=6, n_genes=K, residual_head=False) == NetworkConfig(6, K)
        assert [one.filename for one in told] == [__file__]


def test_a_large_slide_is_predicted_by_parts_of_its_image(monkeypatch):
    network, given, whole = make(), evidence(), slide()
    monkeypatch.setattr(views, "_HELD", 10)
    monkeypatch.setattr(views, "_SPOTS", 7)
    monkeypatch.setattr(network_file, "_ROWS", 8)
    parts = slide()
    assert isinstance(parts.features, views.Views)
    with torch.no_grad():
        for expected, found in zip(network(whole, given), network(parts, given), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    rows = torch.tensor([3, 9, 11])
    torch.testing.assert_close(parts.part(rows).features, whole.part(rows).features, rtol=0, atol=1e-6)
