"""BLEEP: projection, contrast and retrieval against plain formulas."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import erf, log_softmax, softmax

from phg2st_sc.models.published._network import SpotInputs, SpotTargets
from phg2st_sc.models.published.bleep.network import (
    BLEEPConfig,
    BLEEPNetwork,
    ProjectionHead,
    contrastive_loss,
    retrieve,
)


def test_projection():
    torch.manual_seed(0)
    head = ProjectionHead(5, 4, dropout=0.5).double().eval()
    x = np.random.default_rng(0).normal(size=(3, 5))
    w = {name: value.numpy() for name, value in head.state_dict().items()}
    u = x @ w["first.weight"].T + w["first.bias"]
    gelu = 0.5 * u * (1 + erf(u / np.sqrt(2)))
    y = gelu @ w["second.weight"].T + w["second.bias"] + u
    normed = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(head(torch.from_numpy(x)).detach().numpy(), normed * w["norm.weight"] + w["norm.bias"])


def test_contrastive_loss():
    rng = np.random.default_rng(1)
    image, expression = rng.normal(size=(2, 5, 3))
    logits = expression @ image.T / 0.7
    targets = softmax((image @ image.T + expression @ expression.T) / 1.4, axis=1)
    expected = -(targets * log_softmax(logits, axis=1)).sum(1).mean() / 2
    expected -= (targets.T * log_softmax(logits.T, axis=1)).sum(1).mean() / 2
    found = contrastive_loss(torch.from_numpy(image), torch.from_numpy(expression), temperature=0.7)
    np.testing.assert_allclose(found, expected)


def test_retrieval_takes_the_most_similar_by_weight():
    similarity = torch.tensor([[0.9, 0.8, 0.1, 0.7], [0.0, 0.1, 0.9, 0.5]])
    similarity = torch.cat([similarity, torch.full((2, 16), -1.0)], dim=1)  # a bank of 20: two are taken
    expression = torch.arange(20.0)[:, None]
    weight = torch.ones(20)
    weight[1] = 3.0
    torch.testing.assert_close(retrieve(similarity, expression, weight, top_k=50), torch.tensor([[0.75], [2.5]]))
    weight[0] = 0.0  # no longer in the bank
    torch.testing.assert_close(retrieve(similarity, expression, weight, top_k=50)[0], torch.tensor([1.5]))
    torch.testing.assert_close(retrieve(similarity, expression, weight, top_k=1), torch.tensor([[1.0], [2.0]]))


def test_pictures_are_projected_in_prediction():
    torch.manual_seed(0)
    network = BLEEPNetwork(BLEEPConfig(n_genes=4, n_features=3, width=8)).eval()
    bank = torch.rand(30, 4)
    network.set_bank(bank)
    features = torch.randn(7, 3)
    places = torch.zeros(7, 2)
    shown = SpotInputs(torch.tensor([5, 2]), places, places.long(), features=features)
    with torch.no_grad():
        picture, keys = network.image(features[[5, 2]]), network.expression(bank)
        cosine = torch.nn.functional.cosine_similarity(picture[:, None], keys[None], dim=2)
        expected = bank[cosine.topk(3, dim=1).indices].mean(dim=1)
        torch.testing.assert_close(network(shown), expected)


def test_training_brings_pictures_and_expression_of_a_spot_together():
    torch.manual_seed(0)
    expression = torch.randn(40, 6)
    features = expression @ torch.randn(6, 5)
    places = torch.zeros(40, 2)
    network = BLEEPNetwork(BLEEPConfig(n_genes=6, n_features=5, width=16))
    shown = SpotInputs(torch.arange(40), places, places.long(), features=features)
    measured = SpotTargets(expression, expression.exp(), torch.ones(40))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        network.training_loss(shown, measured).backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        cosine = torch.nn.functional.cosine_similarity(
            network.image(features)[:, None], network.expression(expression)[None], dim=2
        )
    assert (cosine.argmax(dim=1) == torch.arange(40)).float().mean() > 0.5
