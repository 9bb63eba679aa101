"""Flips, turns and loss of colour."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phg2st_sc.models.published._pictures import dihedral, grayscale, random_turns


def pictures(n: int, *, side: int = 3) -> torch.Tensor:
    return torch.arange(3 * side * side, dtype=torch.uint8).reshape(1, 3, side, side).repeat(n, 1, 1, 1)


def test_the_eight_forms_are_those_of_a_square():
    one = pictures(1)
    array = one[0, 0].numpy()
    wanted = {a.tobytes() for k in range(4) for a in (np.rot90(array, k).copy(), np.rot90(array, k).T.copy())}
    assert {dihedral(one, form)[0, 0].contiguous().numpy().tobytes() for form in range(8)} == wanted


def test_each_picture_is_turned_by_itself_into_any_form():
    torch.manual_seed(0)
    patches = pictures(800)
    turned = random_turns(patches)
    assert turned.dtype == torch.uint8
    forms, counts = np.unique(turned[:, 0].reshape(800, -1).numpy(), axis=0, return_counts=True)
    assert len(forms) == 8
    assert counts.min() > 60
    assert torch.equal(turned[:, 1] - turned[:, 0], patches[:, 1] - patches[:, 0])  # channels turn together
    assert torch.equal(patches, pictures(800))  # a new tensor


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_some_pictures_lose_their_colors(dtype):
    torch.manual_seed(0)
    patches = torch.randint(256, (500, 3, 2, 2)).to(dtype)
    result = grayscale(patches, 0.3)
    gray = (result == result[:, :1]).flatten(1).all(1)
    assert 0.22 < gray.float().mean() < 0.38
    assert torch.equal(result[~gray], patches[~gray])
    luma = (patches[gray].double() * torch.tensor([0.299, 0.587, 0.114]).double()[:, None, None]).sum(1)
    torch.testing.assert_close(
        result[gray, 0].double(), luma.round() if dtype == torch.uint8 else luma, atol=1e-3, rtol=0
    )
    assert torch.equal(grayscale(patches, 0.0), patches)


def test_the_generator_of_torch_decides():
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        results.append(grayscale(random_turns(pictures(20)), 0.5))
    assert torch.equal(*results)
