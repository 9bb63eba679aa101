"""ST-Net."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phg2st_sc.models import STNet
from phg2st_sc.models.published._network import SpotInputs
from phg2st_sc.models.published.stnet.network import STNetConfig, STNetwork


def inputs(n=6, width=4, rows=None):
    torch.manual_seed(1)
    return SpotInputs(
        rows=torch.arange(n) if rows is None else torch.tensor(rows),
        positions=torch.rand(n, 2),
        grid=torch.zeros(n, 2, dtype=torch.long),
        features=torch.randn(n, width),
    )


def test_untrained_it_predicts_the_mean_expression_everywhere():
    network = STNetwork(STNetConfig(n_genes=3, n_features=4)).eval()
    network.initialize(torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(network(inputs()), torch.tensor([[1.0, 2.0, 3.0]]).expand(6, 3))


def test_linear_in_the_embedding_at_the_rows_asked_for():
    network = STNetwork(STNetConfig(n_genes=3, n_features=4, dropout=0.5)).eval()
    torch.nn.init.normal_(network.head.weight)
    shown = inputs(rows=[4, 1])
    expected = shown.features.numpy()[[4, 1]] @ network.head.weight.detach().numpy().T
    np.testing.assert_allclose(
        network(shown).detach().numpy(), expected + network.head.bias.detach().numpy(), rtol=1e-5
    )


def test_prediction_does_not_depend_on_how_the_slide_was_laid(timm):
    torch.manual_seed(0)
    network = STNetwork(STNetConfig(n_genes=3, backbone="resnet18", patch_px=32)).eval()
    torch.nn.init.normal_(network.head.weight)
    picture = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)

    def predicted(patches):
        places = torch.zeros(2, 2)
        return network(SpotInputs(torch.arange(2), places, places.long(), patches=patches))

    with torch.no_grad():
        one, turned, mirrored = (predicted(p) for p in (picture, picture.rot90(1, (2, 3)), picture.flip(3)))
    assert one.std() > 1e-3
    torch.testing.assert_close(one, turned, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(one, mirrored, rtol=1e-4, atol=1e-4)


def test_target_does_not_move_with_depth():
    counts = np.array([[3.0, 0.0, 1.0], [30.0, 0.0, 10.0]])
    method = STNet()
    target = method.target.expression(counts)
    np.testing.assert_allclose(target, np.log1p([[7500.0, 0.0, 2500.0]] * 2), rtol=1e-6)
    np.testing.assert_allclose(method.target.share(target)[0], [0.75, 0.0, 0.25], rtol=1e-5)


def test_a_wrong_width_is_said():
    with pytest.raises(ValueError, match="width 4, and these have width 5"):
        STNetwork(STNetConfig(n_genes=3, n_features=4))(inputs(width=5))
