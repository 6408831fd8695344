import numpy as np
import pytest
import torch

from napari_medseg.nn.filters import feature_count, filter_maps
from napari_medseg.nn.linear_head import fit


def test_separates_what_is_separable():
    x = torch.tensor([[-2.0, 0.0], [-1.0, 5.0], [1.0, 5.0], [2.0, 0.0]])
    head = fit(x, np.array([0, 0, 1, 1]), np.ones(4), 2)
    logits = x @ head.weight.T + head.bias
    assert logits.argmax(dim=1).tolist() == [0, 0, 1, 1]


def test_the_optimum_has_no_slope():
    """Second implementation: the gradient of the objective by autograd vanishes at the solution."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(200, 5, generator=rng).double()
    labels = torch.randint(0, 3, (200,), generator=rng)
    weights = torch.rand(200, generator=rng).double()
    head = fit(x, labels.numpy(), weights.numpy(), 3, ridge=0.1, steps=50)
    share = weights / weights.sum()
    mean = share @ x
    spread = torch.sqrt(share @ (x - mean) ** 2)
    weight = (head.weight.double() * spread).requires_grad_()
    bias = (head.bias.double() + head.weight.double() @ mean).requires_grad_()
    logits = (x - mean) / spread @ weight.T + bias
    loss = (share * torch.nn.functional.cross_entropy(logits, labels, reduction="none")).sum()
    (loss + 0.05 * (weight**2).sum()).backward()
    assert weight.grad is not None and weight.grad.abs().max() < 1e-4
    assert bias.grad is not None and bias.grad.abs().max() < 1e-4


def test_weights_move_the_border():
    x = torch.linspace(-1, 1, 101)[:, None]
    labels = (np.linspace(-1, 1, 101) + np.random.default_rng(0).normal(0, 0.5, 101) > 0).astype(np.int64)
    even = fit(x, labels, np.ones(101), 2)
    second = fit(x, labels, np.where(labels == 1, 10.0, 1.0), 2)

    def border(head):
        return float((head.bias[0] - head.bias[1]) / (head.weight[1] - head.weight[0])[0])

    assert border(second) < border(even) - 0.1


def test_constant_features_do_not_break_it():
    x = torch.cat([torch.ones(20, 1), torch.arange(20.0)[:, None]], dim=1)
    head = fit(x, (np.arange(20) > 9).astype(np.int64), np.ones(20), 2)
    assert torch.isfinite(head.weight).all() and torch.isfinite(head.bias).all()


def test_on_an_image():
    maps = filter_maps(torch.rand(1, 1, 20, 30))
    head = fit(torch.randn(30, feature_count(1)), np.arange(30) % 3, np.ones(30), 3)
    expected = torch.einsum("kf,nfhw->nkhw", head.weight, maps.dense()) + head.bias[None, :, None, None]
    torch.testing.assert_close(head(maps), expected, rtol=1e-4, atol=1e-4)


def test_seventy_features_and_ten_classes_take_few_steps():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    x = torch.from_numpy(rng.normal(size=(2000, 70)) + labels[:, None] * rng.normal(size=70))
    head = fit(x, labels, np.ones(2000), 10)
    accuracy = ((x.float() @ head.weight.T + head.bias).argmax(dim=1).numpy() == labels).mean()
    assert accuracy == pytest.approx(1.0, abs=0.05)
