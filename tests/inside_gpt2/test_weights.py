"""What weights look like, and damage of equal size, against independent computations."""

import numpy as np
import pytest
import torch

from course_utils.gpt2.model import GPT, GPTConfig
from course_utils.inside_gpt2 import weights


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    config = GPTConfig(n_layer=3, n_head=2, n_embd=8, vocab_size=20, n_positions=16)
    made = GPT(config, seeded(0)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=seeded(1)))
    return made


def test_a_random_matrix_uses_as_many_directions_as_the_theory_says():
    w = torch.randn(300, 100, generator=seeded(2))
    assert weights.participation_ratio(w) == pytest.approx(300 * 100 / 400, rel=0.02)
    assert weights.participation_ratio(torch.ones(5, 7)) == pytest.approx(1, abs=1e-5)


def test_neighbours_are_those_of_numpy():
    table = torch.randn(40, 6, generator=seeded(3))
    unit = table.numpy() / np.linalg.norm(table.numpy(), axis=1, keepdims=True)
    ranked = [j for j in np.argsort(-(unit @ unit[7])) if j != 7]
    assert weights.neighbours(table, 7, 10).tolist() == ranked[:10]


def test_exactly_n_numbers_are_hit_and_the_matrix_stays():
    w = torch.zeros(6, 5)
    order = torch.randperm(30, generator=seeded(4))
    broken = weights.lesion(w, torch.ones(6, 5), order, 11)
    assert broken.sum() == 11 and w.sum() == 0
    assert set(broken.flatten().nonzero().flatten().tolist()) == set(order[:11].tolist())
    turned = weights.lesion(torch.zeros(5, 6).T, torch.ones(6, 5), order, 11)  # not contiguous
    assert torch.equal(turned, broken)


@pytest.mark.parametrize("kind", weights.KINDS)
@pytest.mark.parametrize("block", [0, 2])
def test_the_first_change_is_where_the_fault_began(model, block, kind):
    ids = torch.randint(20, (1, 9), generator=seeded(5))
    before = weights.readings(model, ids)
    assert weights.first_broken(before, weights.readings(model, ids)) is None
    weights.six(model, block)[kind].mul_(-1)
    assert weights.first_broken(before, weights.readings(model, ids)) == (block, kind)
    assert not any(m._forward_hooks for m in model.modules())
