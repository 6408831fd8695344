"""A policy being trained: batches of episodes in, curves and weights out; can be saved and taken up again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from napari_medseg.core.errors import ModelError
from napari_medseg.core.tracing_metrics import LOST_PX, mean_score, trace_score
from napari_medseg.nn.device import Device, place
from napari_medseg.rl.imitation import Teacher, lesson
from napari_medseg.rl.ppo import Actor, Constants, Critic, Learner, collect, mean_action
from napari_medseg.rl.tracing_env import MAX_STEPS, Reward, Scenes, TracingEnv

PRECISION_WEIGHT = 0.1
"""For choosing the best weights: what one pixel of error counts against a coverage of 0 to 1."""
LESSON_PASSES = 2
"""Passes over the states of one lesson."""
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """Where a training stands; plain numbers, saved with it."""

    updates: int = 0
    steps: int = 0
    seconds: float = 0.0
    best: float = -10.0
    best_update: int = 0
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def note(self, figures: dict[str, float]) -> None:
        """Add a point to each curve."""
        for name, value in figures.items():
            self.curves.setdefault(name, []).append((self.updates, value))


class Training:
    """Actor and critic with all that is needed to go on.

    Parameters
    ----------
    seed
        Of the weights, and with the number of the update of everything drawn in it, so that a training that was
        interrupted goes on as it would have.
    """

    def __init__(self, constants: Constants, device: Device, *, seed: int, reward: Reward, give_up: bool) -> None:
        self.device, self.seed, self.give_up = device, seed, give_up
        self.reward: Reward = reward
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.actor, self.critic = Actor(), Critic()
        for net in (self.actor, self.critic):
            place(net, device.torch)
        self.learner = Learner(self.actor, self.critic, constants, device)
        self.progress = Progress()
        self.best = _copy(self.actor)

    def update(self, scenes: Scenes) -> dict[str, float]:
        """Play the scenes to the end and learn from the rewards; returns the figures of the curves."""
        with self._drawing():
            begun = time.perf_counter()
            env = self._env(scenes)
            rollout = collect(env, self.actor, self.critic, self.learner.constants, self.device)
            played = time.perf_counter()
            figures = self.learner.update(rollout)
            learnt = time.perf_counter()
        steps = len(rollout.states)
        figures |= {
            "reward": float(rollout.episode_rewards.mean()),
            "arrived": env.arrivals / len(scenes),
            "steps an episode": steps / len(scenes),
            "steps/s played": steps / (played - begun),
            "steps/s learnt": steps / (learnt - played),
        }
        return self._done(steps, learnt - begun, figures)

    def imitate(self, scenes: Scenes, lines: Sequence[np.ndarray], spacing_px: float) -> dict[str, float]:
        """Learn from a teacher that follows ``lines`` (points ``spacing_px`` apart); returns the curves' figures."""
        with self._drawing():
            begun = time.perf_counter()
            teacher = Teacher(lines, spacing_px, self.device.torch)
            states, units = lesson(self._env(scenes), self.actor, teacher, self.device)
            figures = [self.learner.imitate(states, units) for _ in range(LESSON_PASSES)][-1]
            seconds = time.perf_counter() - begun
        return self._done(len(states), seconds, figures | {"steps/s imitated": len(states) / seconds})

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Draw from the seed of this update inside."""
        with torch.random.fork_rng():
            torch.manual_seed((self.seed << 24) + self.progress.updates)
            yield

    def _env(self, scenes: Scenes) -> TracingEnv:
        return TracingEnv(scenes.to(self.device.torch), reward=self.reward, give_up=self.give_up)

    def _done(self, steps: int, seconds: float, figures: dict[str, float]) -> dict[str, float]:
        self.progress.updates += 1
        self.progress.steps += steps
        self.progress.seconds += seconds
        self.progress.note(figures)
        return figures

    def examine(self, scenes: Scenes, lines: tuple[np.ndarray, ...]) -> dict[str, float]:
        """Trace with the mean action and score; keeps the weights if they are the best so far."""
        paths = walk(self.actor, scenes, self.device)
        means = mean_score([trace_score(line, path) for line, path in zip(lines, paths, strict=True)])
        step = float(np.mean([np.hypot(*np.diff(path, axis=0).T).mean() for path in paths if len(path) > 1]))
        figures = {f"validation {name.replace('_', ' ')}": value for name, value in means.items()}
        self.progress.note(figures | {"validation step": step})
        rank = means["coverage"] - PRECISION_WEIGHT * float(np.nan_to_num(means["error_on_track"], nan=LOST_PX))
        if rank >= self.progress.best:
            self.progress.best, self.progress.best_update = rank, self.progress.updates
            self.best = _copy(self.actor)
        return figures | {"validation step": step}

    def save(self, path: Path, facts: dict[str, object]) -> None:
        """Write PATH.safetensors and PATH.json; ``facts`` tell later what this training is."""
        tensors = {f"best.{name}": tensor for name, tensor in self.best.items()}
        for part, net in self._nets().items():
            tensors |= {f"{part}.{name}": tensor for name, tensor in net.state_dict().items()}
            for name, parameter in net.named_parameters():
                state = self.learner.optimizer.state.get(parameter, {})
                tensors |= {f"{key}.{part}.{name}": state[key] for key in ("step", *_MOMENTS) if key in state}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, _part(path, "safetensors"))
        content = {"facts": facts, "progress": self.progress.__dict__}
        _part(path, "json").write_text(json.dumps(content), encoding="utf-8")
        for suffix in ("safetensors", "json"):
            _part(path, suffix).replace(files(path)[suffix])

    @staticmethod
    def facts_of(path: Path) -> dict[str, object]:
        """What ``save`` was told of a training."""
        return json.loads(files(path)["json"].read_text(encoding="utf-8"))["facts"]

    def load(self, path: Path) -> None:
        """Go on from what ``save`` wrote."""
        content = json.loads(files(path)["json"].read_text(encoding="utf-8"))
        tensors = load_file(files(path)["safetensors"], device=self.device.name)
        try:
            for part, net in self._nets().items():
                net.load_state_dict(_of(tensors, part))
                self._load_moments(part, net, tensors)
        except RuntimeError as error:
            raise ModelError(f"{path} belongs to another network; start the training anew.") from error
        self.best = _of(tensors, "best")
        self.progress = Progress(**content["progress"])
        curves = self.progress.curves
        self.progress.curves = {name: [(int(u), float(v)) for u, v in points] for name, points in curves.items()}

    def _nets(self) -> dict[str, nn.Module]:
        return {"actor": self.actor, "critic": self.critic}

    def _load_moments(self, part: str, net: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
        for name, parameter in net.named_parameters():
            if f"step.{part}.{name}" not in tensors:
                continue
            # The fused Adam reads memory as it lies, so moments must lie as the (channels-last) weights do.
            state = {key: torch.empty_like(parameter).copy_(tensors[f"{key}.{part}.{name}"]) for key in _MOMENTS}
            self.learner.optimizer.state[parameter] = {"step": tensors[f"step.{part}.{name}"].clone(), **state}


@torch.no_grad()
def walk(
    actor: Actor, scenes: Scenes, device: Device, *, spacing: float = 1.0, max_steps: int = MAX_STEPS
) -> list[np.ndarray]:
    """Trace each scene with the mean action to its end or for 200 steps; the paths (n, 2), the start first."""
    env = TracingEnv(scenes.to(device.torch), spacing=spacing, max_steps=max_steps)
    paths = [[start] for start in env.walkers.positions.cpu().numpy().astype(float)]
    while len(env.which):
        with device.precision():
            concentrations = actor(env.state)
        outcome = env.step(mean_action(concentrations))
        for number, place_yx in zip(env.which.tolist(), env.walkers.positions.cpu().numpy(), strict=True):
            paths[number].append(place_yx.astype(float))
        env.drop(outcome.over)
    return [np.array(path) for path in paths]


def _copy(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def _of(tensors: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def files(path: Path) -> dict[str, Path]:
    """The two files of a checkpoint ``path``; its name may hold dots."""
    return {suffix: path.with_name(f"{path.name}.{suffix}") for suffix in ("safetensors", "json")}


def _part(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}.part")
