"""What Hist2ST and HGGEP share: the likelihood of counts, distillation over views, the LSTM over layers; and positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import nbinom

from phg2st_sc.models.published._layers import GridEmbedding, LayerLSTM
from phg2st_sc.models.published._network import SpotInputs, SpotTargets
from phg2st_sc.models.published._views import ZINB, ViewConfig, ViewMean, ViewNetwork, ZINBHead, changed_view, zinb_loss


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


# --- zero-inflated negative binomial ----------------------------------------------------------------------------------
def test_the_likelihood_is_that_of_scipy():
    rng = np.random.default_rng(0)
    log_mean, logits = rng.normal(1.0, 1.0, size=(6, 9)), rng.normal(size=(6, 9))
    dispersion, size = rng.gamma(2.0, 2.0, size=(6, 9)), rng.gamma(4.0, 0.25, size=6)
    counts = rng.poisson(2.0, size=(6, 9)) * rng.integers(0, 2, size=(6, 9))
    mean = np.exp(log_mean) * size[:, None]
    extra = sigmoid(logits)
    likelihood = (1 - extra) * nbinom.pmf(counts, dispersion, dispersion / (dispersion + mean)) + extra * (counts == 0)
    found = zinb_loss(
        ZINB(*(torch.from_numpy(a).float() for a in (log_mean, dispersion, logits))),
        torch.from_numpy(counts).float(),
        torch.from_numpy(size).float(),
    )
    assert found.item() == pytest.approx(-np.log(likelihood).mean(), rel=1e-5)


def test_the_head_keeps_its_parameters_within_bounds_and_its_gradient_finite():
    torch.manual_seed(0)
    head = ZINBHead(4, 3)
    tokens = (1e4 * torch.randn(50, 4)).requires_grad_()
    zinb = head(tokens)
    assert zinb.log_mean.exp().min() >= 0.99e-5
    assert zinb.log_mean.exp().max() <= 1.01e6
    assert zinb.dispersion.min() >= 1e-4
    assert zinb.dispersion.max() <= 1e4
    counts = torch.tensor([0.0, 3.0, 1e5]).repeat(50, 1)
    loss = zinb_loss(zinb, counts, torch.linspace(0.0, 50.0, 50))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(tokens.grad).all()


# --- views ------------------------------------------------------------------------------------------------------------
def test_the_mean_of_views_is_weighted_by_a_softmax_over_views():
    torch.manual_seed(0)
    module = ViewMean(5)
    tokens, predicted = torch.randn(3, 4, 5), torch.randn(3, 4, 2)
    first, _, last = module.score
    hidden = np.maximum(tokens.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0.0)
    score = np.exp(hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy())
    expected = (score / score.sum(0) * predicted.numpy()).sum(0)
    np.testing.assert_allclose(module(tokens, predicted).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def inputs(n: int = 6, *, patches: bool = False) -> SpotInputs:
    generator = torch.Generator().manual_seed(0)
    return SpotInputs(
        rows=torch.arange(n),
        positions=torch.zeros(n, 2),
        grid=torch.zeros(n, 2, dtype=torch.int64),
        patches=torch.randint(256, (n, 3, 4, 4), generator=generator).to(torch.uint8) if patches else None,
        features=None if patches else torch.randn(n, 8, generator=generator),
    )


def test_a_view_changes_pictures_or_leaves_out_features():
    torch.manual_seed(0)
    given = inputs(40)
    changed = changed_view(given, 0.25)
    left_out = changed.features == 0
    assert 0.15 < left_out.float().mean() < 0.35
    torch.testing.assert_close(changed.features[~left_out], given.features[~left_out] / 0.75)
    given = inputs(40, patches=True)
    changed = changed_view(given, 0.25)
    assert not torch.equal(changed.patches, given.patches)
    colored = (changed.patches != changed.patches[:, :1]).flatten(1).any(1)
    sums = [p.float().sum((1, 2, 3))[colored] for p in (changed.patches, given.patches)]
    assert torch.equal(*sums)  # turned, not altered


class Linear(ViewNetwork):
    """Tokens are the features."""

    def tokens(self, inputs):
        return inputs.features[inputs.rows]


def test_the_loss_is_the_sum_of_its_three_parts():
    torch.manual_seed(0)
    network = Linear(ViewConfig(n_genes=3, n_features=8, width=8, view_dropout=0.0))
    seen = inputs()
    targets = SpotTargets(torch.randn(6, 3), torch.ones(6, 3), torch.ones(6))
    tokens = network.tokens(seen)
    error = (network.head(tokens) - targets.expression).square().mean()
    likelihood = zinb_loss(network.counts(tokens), targets.counts, targets.size_factors)
    # views without any change agree with the prediction
    torch.testing.assert_close(network.training_loss(seen, targets), error + 0.25 * likelihood)
    network = Linear(ViewConfig(n_genes=3, n_features=8, width=8, view_dropout=0.5, count_weight=0.0))
    error = (network(seen) - targets.expression).square().mean()
    assert network.training_loss(seen, targets) > error + 1e-4


def test_it_starts_from_the_mean_expression():
    network = Linear(ViewConfig(n_genes=3, n_features=8, width=8, n_views=0))
    network.initialize(torch.tensor([1.0, 2.0, 3.0]))
    assert network.head[1].bias.tolist() == [1.0, 2.0, 3.0]
    assert network.views is None


# --- LSTM over layers -------------------------------------------------------------------------------------------------
def test_the_lstm_reads_layer_after_layer():
    torch.manual_seed(0)
    module = LayerLSTM(3, 1)
    layers = [torch.randn(5, 3) for _ in range(4)]
    weights = {name: value.detach().numpy() for name, value in module.lstm.named_parameters()}
    hidden, cell, said = np.zeros((5, 3)), np.zeros((5, 3)), []
    for x in layers:
        gates = x.numpy() @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        gates = gates + hidden @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        let_in, forget, new, out = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(let_in) * np.tanh(new)
        hidden = sigmoid(out) * np.tanh(cell)
        said.append(hidden)
    np.testing.assert_allclose(module(layers).detach().numpy(), np.mean(said, axis=0), rtol=1e-5, atol=1e-6)


# --- columns and rows -------------------------------------------------------------------------------------------------
def test_a_place_is_the_sum_of_its_column_and_its_row():
    module = GridEmbedding(4, 5)
    grid = torch.tensor([[0, 3], [2, 1]])
    expected = module.column.weight[grid[:, 0]] + module.row.weight[grid[:, 1]]
    assert torch.equal(module(grid), expected)


def test_a_larger_slide_is_stretched_onto_the_table():
    module = GridEmbedding(3, 5)
    grid = torch.tensor([[0, 0], [1, 0], [2, 0], [4, 0]])
    column, row = module.column.weight, module.row.weight[0]
    expected = torch.stack([column[0], (column[0] + column[1]) / 2, column[1], column[2]]) + row
    torch.testing.assert_close(module(grid), expected)
