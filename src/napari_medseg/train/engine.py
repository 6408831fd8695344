"""The one fit loop: schedule, moving average, best checkpoint, early stop, resume.

It knows no task: a strategy computes losses, a callable draws batches, a callable scores the averaged network.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from napari_medseg.core.errors import ModelError
from napari_medseg.core.events import Scalar
from napari_medseg.nn.device import thread_choices
from napari_medseg.train.batches import Batch
from napari_medseg.train.strategies.base import Strategy

VALIDATION = "validation dice"
"""Name of the curve of scores."""


@dataclass(frozen=True)
class Schedule:
    """How a fit proceeds.

    Parameters
    ----------
    rate, weight_decay
        AdamW's.
    warmup
        Steps over which the rate rises from 0.
    average
        Decay of the moving average of weights; it starts short and grows to this.
    validate_every
        Steps between two scores.
    noise
        Scores that differ by no more count as equal, and of equals the later wins: an exam on a few strokes
        is not more exact than that.
    patience
        Scores without a gain before the rate is halved; 0 never halves.
    stop_after
        Halvings after which the fit ends by itself.
    """

    rate: float = 2e-3
    weight_decay: float = 1e-3
    warmup: int = 20
    average: float = 0.98
    validate_every: int = 25
    noise: float = 0.03
    patience: int = 0
    stop_after: int = 4


@dataclass
class Progress:
    """Where a fit stands; plain numbers, saved with a checkpoint."""

    step: int = 0
    best_score: float = -1.0
    best_step: int = 0
    since_best: int = 0
    halvings: int = 0
    seconds: float = 0.0
    smooth: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


class Fit:
    """A network being trained; can be left and taken up again, in memory or from a file.

    Parameters
    ----------
    strategy
        Computes the losses; its ``net`` is trained.
    draw
        Gives the next mini-batch.
    score
        Scores a network between 0 and 1 (higher is better); None: the last state is the best.
    """

    def __init__(
        self,
        strategy: Strategy,
        draw: Callable[[], Batch],
        score: Callable[[nn.Module], float] | None,
        schedule: Schedule,
    ) -> None:
        self.strategy, self.draw, self.score, self.schedule = strategy, draw, score, schedule
        self.progress = Progress()
        self.optimizer = torch.optim.AdamW(
            strategy.net.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay
        )
        self.averaged = copy.deepcopy(strategy.net).eval()
        self.best = _state(self.averaged)

    def run(self, *, seconds: float | None = None, steps: int | None = None) -> Generator[Scalar, None, None]:
        """Train for a time or a number of steps; yields the curves' points."""
        start, first = time.perf_counter(), self.progress.step
        spent_before = self.progress.seconds
        while not self.finished:
            spent = time.perf_counter() - start
            done = self.progress.step - first
            if (seconds is not None and spent >= seconds) or (steps is not None and done >= steps):
                return
            yield from self._step()
            self.progress.seconds = spent_before + time.perf_counter() - start

    def settle_threads(self) -> Generator[Scalar, None, None]:
        """Train two steps with each sensible number of threads and go on with the fastest."""
        seconds = {}
        for count in thread_choices():
            torch.set_num_threads(count)
            start = time.perf_counter()
            yield from self.run(steps=2)
            seconds[count] = time.perf_counter() - start
        torch.set_num_threads(min(seconds, key=seconds.__getitem__))

    def best_net(self) -> nn.Module:
        """A copy of the network with the best weights so far, ready to predict."""
        net = copy.deepcopy(self.averaged)
        net.load_state_dict(self.best)
        return net

    @property
    def finished(self) -> bool:
        """Whether the early stop was reached."""
        return self.schedule.patience > 0 and self.progress.halvings >= self.schedule.stop_after

    def examine(self, draw: Callable[[], Batch], score: Callable[[nn.Module], float] | None) -> None:
        """Go on with other batches and another exam; the old scores do not count there."""
        self.draw, self.score = draw, score
        self.progress.best_score, self.progress.since_best = -1.0, 0

    def _step(self) -> Generator[Scalar, None, None]:
        self.strategy.net.train()
        losses = self.strategy.step(self.draw())
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.strategy.net.parameters(), 1.0)
        self._set_rate()
        self.optimizer.step()
        self.progress.step += 1
        self._average()
        for name, value in losses.items():
            yield self._point(name, self._smoothed(name, float(value.detach())))
        if self.progress.step % self.schedule.validate_every == 0:
            yield from self.validate()

    def validate(self) -> Generator[Scalar, None, None]:
        """Score the averaged network and keep it if it is the best so far."""
        if self.score is None:
            self.best = _state(self.averaged)
            return
        value = self.score(self.averaged)
        progress = self.progress
        if value >= progress.best_score - self.schedule.noise:
            progress.best_score, progress.best_step = max(value, progress.best_score), progress.step
            progress.since_best = 0
            self.best = _state(self.averaged)
        else:
            progress.since_best += 1
            if self.schedule.patience and progress.since_best >= self.schedule.patience:
                progress.halvings, progress.since_best = progress.halvings + 1, 0
        yield self._point(VALIDATION, value)

    def _set_rate(self) -> None:
        warm = min(1.0, (self.progress.step + 1) / max(1, self.schedule.warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate * warm * 0.5**self.progress.halvings

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.schedule.average, self.progress.step / (self.progress.step + 10))
        current = self.strategy.net.state_dict()
        for name, tensor in self.averaged.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(current[name], 1 - decay)
            else:
                tensor.copy_(current[name])

    def _smoothed(self, name: str, value: float) -> float:
        """A loss averaged over about ten steps: single mini-batches differ too much to be read as a curve."""
        before = self.progress.smooth.get(name, value)
        self.progress.smooth[name] = before + (value - before) * 0.1
        return self.progress.smooth[name]

    def _point(self, name: str, value: float) -> Scalar:
        self.progress.curves.setdefault(name, []).append((self.progress.step, value))
        return Scalar(name, self.progress.step, value)

    def save(self, path: Path) -> None:
        """Write all that is needed to resume: two files, PATH.safetensors and PATH.json."""
        from safetensors.torch import save_file

        save_file(self._tensors(), path.with_suffix(".safetensors"))
        path.with_suffix(".json").write_text(json.dumps(self.progress.__dict__))

    def load(self, path: Path) -> None:
        """Go on from what ``save`` wrote."""
        from safetensors.torch import load_file

        tensors = load_file(path.with_suffix(".safetensors"))
        parts = {part: _part(tensors, part) for part in ("net", "averaged", "best", "exp_avg", "exp_avg_sq")}
        try:
            self.strategy.net.load_state_dict(parts["net"])
            self.averaged.load_state_dict(parts["averaged"])
        except RuntimeError as error:
            raise ModelError(f"{path} belongs to another network; start the training anew.") from error
        self.best = parts["best"]
        self.progress = Progress(**json.loads(path.with_suffix(".json").read_text()))
        curves = self.progress.curves
        self.progress.curves = {name: [(int(s), float(v)) for s, v in curves[name]] for name in curves}
        self._load_optimizer(parts["exp_avg"], parts["exp_avg_sq"])

    def _tensors(self) -> dict[str, torch.Tensor]:
        parts = {"net": self.strategy.net.state_dict(), "averaged": self.averaged.state_dict(), "best": self.best}
        out = {f"{part}.{name}": tensor.clone() for part, state in parts.items() for name, tensor in state.items()}
        for name, parameter in self.strategy.net.named_parameters():
            state = self.optimizer.state.get(parameter, {})
            for key in ("exp_avg", "exp_avg_sq"):
                if key in state:
                    out[f"{key}.{name}"] = state[key].clone().contiguous()
        return {name: tensor.contiguous() for name, tensor in out.items()}

    def _load_optimizer(self, first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
        for name, parameter in self.strategy.net.named_parameters():
            if name in first:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(self.progress.step)),
                    "exp_avg": first[name].clone(),
                    "exp_avg_sq": second[name].clone(),
                }


def _state(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def _part(tensors: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
