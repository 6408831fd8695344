"""The instant answer: a balanced softmax regression, fitted by Newton's method in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_medseg.nn.filters import Maps


@dataclass(frozen=True)
class LinearHead:
    """Class scores as a linear function of features.

    Parameters
    ----------
    weight
        (classes, features)
    bias
        (classes,)
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, maps: Maps) -> torch.Tensor:
        """Filter responses -> logits (batch, classes, h, w)."""
        return maps.weighted(self.weight, self.bias)

    def probabilities(self, features: torch.Tensor) -> np.ndarray:
        """Class probabilities of single pixels: (pixels, features) -> (pixels, classes)."""
        return torch.softmax(features @ self.weight.T + self.bias, dim=1).numpy()


def fit(
    features: torch.Tensor,
    labels: np.ndarray,
    weights: np.ndarray,
    classes: int,
    *,
    ridge: float = 3e-3,
    steps: int = 12,
) -> LinearHead:
    """Fit softmax regression with weighted pixels and a ridge on the standardised features.

    Parameters
    ----------
    features
        (pixels, features)
    labels
        (pixels,) integers 0 .. classes - 1
    weights
        (pixels,) weight in the loss, for example of ``core.balance``
    """
    x = features.double()
    share = torch.from_numpy(weights / weights.sum()).double()
    mean = share @ x
    spread = torch.sqrt(share @ (x - mean) ** 2).clamp_min(1e-6)
    x = torch.cat([(x - mean) / spread, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    solution = _newton(x, torch.from_numpy(labels), share, classes, ridge, steps)
    weight = solution[:, :-1] / spread
    bias = solution[:, -1] - weight @ mean
    return LinearHead(weight.float(), bias.float())


def _newton(
    x: torch.Tensor, labels: torch.Tensor, share: torch.Tensor, classes: int, ridge: float, steps: int
) -> torch.Tensor:
    """Minimise share . cross entropy + ridge/2 |w|^2; steps are halved until the loss falls."""
    width = x.shape[1]
    penalty = torch.full((width,), ridge, dtype=x.dtype)
    penalty[-1] = 1e-6
    target = torch.nn.functional.one_hot(labels, classes).to(x.dtype)
    solution = torch.zeros(classes, width, dtype=x.dtype)
    loss = _loss(solution, x, target, share, penalty)
    for _ in range(steps):
        probability = torch.softmax(x @ solution.T, dim=1)
        gradient = ((probability - target) * share[:, None]).T @ x + solution * penalty
        step = torch.linalg.solve(_hessian(x, probability, share, penalty), gradient.reshape(-1))
        solution, new = _line_search(solution, step.view_as(solution), loss, (x, target, share, penalty))
        if loss - new < 1e-6 * max(1.0, float(loss)):
            break
        loss = new
    return solution


def _line_search(
    solution: torch.Tensor, step: torch.Tensor, loss: torch.Tensor, problem: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    for halvings in range(8):
        trial = solution - step * 0.5**halvings
        new = _loss(trial, *problem)
        if new < loss:
            return trial, new
    return solution, loss


def _loss(
    solution: torch.Tensor, x: torch.Tensor, target: torch.Tensor, share: torch.Tensor, penalty: torch.Tensor
) -> torch.Tensor:
    fit = -(share * (target * torch.log_softmax(x @ solution.T, dim=1)).sum(dim=1)).sum()
    return fit + 0.5 * (penalty * solution**2).sum()


def _hessian(x: torch.Tensor, probability: torch.Tensor, share: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    """Blocks (i, j): X' diag(share * p_i * (1[i=j] - p_j)) X."""
    classes, width = probability.shape[1], x.shape[1]
    blocks = torch.empty(classes, width, classes, width, dtype=x.dtype)
    for i in range(classes):
        for j in range(i, classes):
            curve = share * probability[:, i] * (float(i == j) - probability[:, j])
            block = (x * curve[:, None]).T @ x
            blocks[i, :, j], blocks[j, :, i] = block, block.T
        blocks[i, :, i] += torch.diag(penalty)
    return blocks.reshape(classes * width, classes * width)
