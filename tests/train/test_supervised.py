import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.train.strategies.supervised import balanced_cross_entropy

MODES = ("none", "instance", "minibatch")


def test_unannotated_pixels_have_exactly_zero_gradient():
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[0, 2, 3], labels[0, 4, 4], labels[1, 0, 7] = 1, 2, 3
    for mode in MODES:
        (gradient,) = torch.autograd.grad(balanced_cross_entropy(logits, labels, (1, 2, 3), mode), logits)
        touched = gradient.abs().sum(dim=1) > 0
        assert torch.equal(touched, labels != 0)


def test_nothing_annotated_gives_zero_loss_and_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = balanced_cross_entropy(logits, torch.zeros(1, 4, 4, dtype=torch.long), (1, 2), "minibatch")
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss == 0 and not gradient.any()


def test_value_by_hand():
    # Uniform logits: every pixel costs log 2. Weights 4/(2*3) and 4/(2*1) sum to 4 over 4 pixels: the mean is log 2.
    labels = torch.tensor([[[1, 1, 1, 5]]])
    for mode in MODES:
        assert balanced_cross_entropy(torch.zeros(1, 2, 1, 4), labels, (1, 5), mode).item() == pytest.approx(
            math.log(2)
        )


def test_balancing_counts_classes_not_pixels():
    # Three pixels of class 1 cost a each, one of class 2 costs b: plain (3a + b)/4, balanced (a + b)/2.
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0] = 1.0
    a, b = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    labels = torch.tensor([[[1, 1, 1, 2]]])
    assert balanced_cross_entropy(logits, labels, (1, 2), "none").item() == pytest.approx((3 * a + b) / 4)
    assert balanced_cross_entropy(logits, labels, (1, 2), "minibatch").item() == pytest.approx((a + b) / 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from(MODES))
def test_against_plain_loops(seed, mode):
    """Second implementation, pixel by pixel, of the paper's formulas."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, 5, generator=rng)
    labels = torch.randint(0, 4, (2, 4, 5), generator=rng)
    if not labels.any():
        return
    logs = torch.log_softmax(logits, dim=1)
    total = 0.0
    for n in range(2):
        scope = labels[n] if mode == "instance" else labels
        present = [k for k in (1, 2, 3) if (scope == k).any()]
        annotated = int((scope != 0).sum())
        for y in range(4):
            for x in range(5):
                k = int(labels[n, y, x])
                if k == 0:
                    continue
                weight = 1.0 if mode == "none" else annotated / (len(present) * int((scope == k).sum()))
                total -= weight * logs[n, k - 1, y, x].item()
    expected = total / int((labels != 0).sum())
    assert balanced_cross_entropy(logits, labels, (1, 2, 3), mode).item() == pytest.approx(expected, rel=1e-4)
