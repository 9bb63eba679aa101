"""ShuffleNetV2 x0.5 against its published size and names, and a unit against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phg2st_sc.models.published.hggep.shufflenet import ShuffleNetV2, ShuffleUnit, shuffle

CLASSES = 1000 * 1024 + 1000  # of the published network
SHAPES = {
    "conv1.0.weight": (24, 3, 3, 3),
    "stage2.0.branch1.0.weight": (24, 1, 3, 3),
    "stage2.0.branch1.2.weight": (24, 24, 1, 1),
    "stage2.0.branch2.5.weight": (24, 24, 1, 1),
    "stage3.7.branch2.0.weight": (48, 48, 1, 1),
    "stage3.7.branch2.3.weight": (48, 1, 3, 3),
    "stage4.3.branch2.6.running_var": (96,),
    "conv5.0.weight": (1024, 192, 1, 1),
    "conv5.1.num_batches_tracked": (),
}


def test_the_published_size_and_names():
    network = ShuffleNetV2()
    assert sum(p.numel() for p in network.parameters()) + CLASSES == 1_366_792
    state = network.state_dict()
    # each convolution has one tensor, and five of batch normalisation after it
    assert len(state) == 6 * (1 + 3 * 5 + 13 * 3 + 1)
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES


@torch.no_grad()
def test_maps_have_a_sixteenth_of_the_side():
    stage4, conv5 = ShuffleNetV2().eval()(torch.rand(2, 3, 58, 58))
    assert stage4.shape == (2, 192, 4, 4)
    assert conv5.shape == (2, 1024, 4, 4)


def test_channels_of_the_halves_take_turns():
    channels = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert shuffle(channels).flatten().tolist() == [0, 3, 1, 4, 2, 5]


# --- a unit in numpy --------------------------------------------------------------------------------------------------
def batch_norm(x, module):
    at = (None, slice(None), None, None)
    mean, var = module.running_mean.numpy()[at], module.running_var.numpy()[at]
    return (x - mean) / np.sqrt(var + 1e-5) * module.weight.numpy()[at] + module.bias.numpy()[at]


def depthwise(x, module, stride):
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifts = [(i, j) for i in range(3) for j in range(3)]
    kernel = module.weight.numpy()[:, 0]
    full = sum(
        kernel[:, i, j][None, :, None, None] * around[:, :, i : i + x.shape[2], j : j + x.shape[3]] for i, j in shifts
    )
    return full[:, :, ::stride, ::stride]


def pointwise(x, convolution, norm):
    mixed = np.einsum("oc,nchw->nohw", convolution.weight.numpy()[:, :, 0, 0], x)
    return np.maximum(batch_norm(mixed, norm), 0.0)


def branch2(x, branch, stride):
    x = pointwise(x, branch[0], branch[1])
    x = batch_norm(depthwise(x, branch[3], stride), branch[4])
    return pointwise(x, branch[5], branch[6])


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_a_unit_is_the_written_formula(stride):
    torch.manual_seed(0)
    unit = ShuffleUnit(4, 4 if stride == 1 else 6, stride=stride)
    for value in unit.state_dict().values():
        if value.is_floating_point():
            value.add_(0.2 * torch.rand_like(value))
    unit.eval()
    x = torch.randn(2, 4, 5, 6)
    seen = x.numpy()
    if stride == 1:
        first, second = seen[:, :2], branch2(seen[:, 2:], unit.branch2, 1)
    else:
        branch1 = unit.branch1
        first = pointwise(batch_norm(depthwise(seen, branch1[0], 2), branch1[1]), branch1[2], branch1[3])
        second = branch2(seen, unit.branch2, 2)
    expected = np.stack([first, second], axis=2).reshape(2, -1, *first.shape[2:])  # channels in turn
    np.testing.assert_allclose(unit(x).numpy(), expected, rtol=1e-4, atol=1e-5)
