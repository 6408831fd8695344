"""Traces axons with a trained policy: many at once, on an image of any size, each step with its entropy.

A trace begins with a path: one point, a point with a direction (``from_direction``), or what was traced before; so
going on after a pause, or in another direction, is a new trace with a past. Positions are (y, x), see ``rl.views``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from napari_medseg.core.errors import InputError, ModelError
from napari_medseg.nn.device import Device, place
from napari_medseg.nn.store import find, load_tensors
from napari_medseg.rl.ppo import Actor, entropy, mean_action
from napari_medseg.rl.tiles import TiledImage
from napari_medseg.rl.views import TIMES, Walkers

ARCHITECTURE = "tracer"
"""How model cards call the actor's network."""
REVISIT_PX = 2.0
"""As near to the own path as this is on it."""
REVISIT_AFTER_PX = 15.0
"""The path so far behind counts as a part that can be visited again."""
REVISIT_STEPS = 3
"""So many steps in a row on the own path are a loop; fewer are a crossing."""
BACK_PX = 2.0
"""Length of one step of the past that a direction stands for."""

STUCK_STEPS, STUCK_PX = 12, 4.0
"""A trace that is no further than this from where it was so many steps ago has nowhere to go."""

Reason = Literal["border", "unsure", "loop", "stuck", "length"]
"""Why a trace ended: it left the image, entropy crossed the threshold, it came back to itself, it does not get on, or
it is long enough."""


@dataclass(frozen=True)
class Stop:
    """When a trace ends.

    Parameters
    ----------
    entropy
        A step with a higher entropy is not made; entropies are at most 0, so 0 never stops.
    length_px
        Longest trace.
    """

    entropy: float = 0.0
    length_px: float = 5000.0


@dataclass(frozen=True)
class Trace:
    """A traced line.

    Parameters
    ----------
    points
        float64 (n, 2), the start first.
    entropies
        float64 (n), of the policy at each point: of the step that leaves it.
    reason
        Why it ended at the last point.
    """

    points: np.ndarray
    entropies: np.ndarray
    reason: Reason


def load(model: str | Path, device: Device) -> Actor:
    """The policy of a model, by its name or file, on the device."""
    card = find(model)
    if card.architecture != ARCHITECTURE:
        raise ModelError(
            f"The model {card.name!r} is for {card.task}, not for tracing axons; choose one whose network is "
            f"{ARCHITECTURE!r}."
        )
    prefix = "actor."
    tensors = {name.removeprefix(prefix): tensor for name, tensor in load_tensors(card).items()}
    actor = Actor()
    try:
        actor.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"{card.weights} holds other weights than a tracer's; train or copy the model again."
        ) from error
    place(actor, device.torch)
    return actor.eval()


def from_direction(start: Sequence[float] | np.ndarray, direction: Sequence[float] | np.ndarray) -> np.ndarray:
    """A path (4, 2) that arrives at ``start`` in ``direction`` (dy, dx), of any length but 0."""
    along = np.asarray(direction, float)
    length = float(np.hypot(*along))
    if not length or not np.isfinite(length):
        raise InputError(f"The direction {list(direction)} has no length; give (dy, dx) that are not both 0.")
    return np.asarray(start, float) - along / length * BACK_PX * np.arange(TIMES - 1, -1, -1)[:, None]


def trace(
    actor: nn.Module,
    image: TiledImage,
    starts: Sequence[np.ndarray],
    *,
    device: Device,
    spacing: float = 1.0,
    stop: Stop | None = None,
    on_step: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> list[Trace]:
    """Trace from every start until each has a reason to end.

    Parameters
    ----------
    actor
        An ``Actor``, or another network from views to concentrations.
    starts
        Paths (k, 2), k at least 1; the last point of each is where the trace begins.
    spacing
        Pixels between two samples of a view: 1 where fibres are as wide in pixels as in training.
    on_step
        Is told after each step which traces go on (numbers) and where they are now, (n, 2); it may raise to stop.
    """
    tracing = Tracing(actor, image, starts, device=device, spacing=spacing, stop=stop)
    while tracing.step():
        if on_step is not None:
            on_step(*tracing.under_way)
    return tracing.traces()


def resting(actor: nn.Module, device: Device) -> Callable[[torch.Tensor], torch.Tensor]:
    """The policy for use without training: in bf16 its weights are converted once instead of at every step."""
    if not device.bf16:
        return actor
    half = copy.deepcopy(actor).to(torch.bfloat16)
    return lambda views: half(views.to(torch.bfloat16))


class Tracing:
    """Traces under way; ``step`` moves all of them, ``traces`` gives what there is so far. Parameters as ``trace``."""

    def __init__(
        self,
        actor: nn.Module,
        image: TiledImage,
        starts: Sequence[np.ndarray],
        *,
        device: Device,
        spacing: float = 1.0,
        stop: Stop | None = None,
    ) -> None:
        self._policy = resting(actor, device)
        self._device, self._stop, self._shape = device, stop or Stop(), image.shape
        paths = [_checked(path, number, image.shape) for number, path in enumerate(starts)]
        self._paths = [_Path(path) for path in paths]
        self._reasons: list[Reason | None] = [None] * len(paths)
        self._numbers = np.arange(len(paths))
        history = np.stack([_last_four(path) for path in paths]) if paths else np.empty((0, TIMES, 2))
        places = torch.from_numpy(history).to(device=device.torch, dtype=torch.float32)
        self._walkers = Walkers(image, torch.zeros(len(paths), dtype=torch.long, device=device.torch), places, spacing)

    @property
    def under_way(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the traces that go on, and where they are, (n, 2)."""
        return self._numbers, self._walkers.positions.cpu().numpy().astype(float)

    @torch.inference_mode()
    def step(self) -> bool:
        """Make one step of every trace under way; False when none is left."""
        if not len(self._numbers):
            return False
        concentrations = self._policy(self._walkers.state)
        spread = entropy(concentrations).cpu().numpy().astype(float)
        for number, value in zip(self._numbers, spread, strict=True):
            self._paths[number].entropies.append(float(value))
        sure = (spread <= self._stop.entropy) | (self._stop.entropy >= 0)
        self._keep(sure, "unsure")
        if len(self._numbers):
            chosen = torch.from_numpy(sure).to(self._device.torch)
            self._walkers.move(mean_action(concentrations)[chosen])
            self._arrive()
        return bool(len(self._numbers))

    def traces(self) -> list[Trace]:
        """All traces as they are now; one that is still under way ends here for its length."""
        return [path.trace(reason or "length") for path, reason in zip(self._paths, self._reasons, strict=True)]

    def _arrive(self) -> None:
        """Note the new positions, and end the traces that must not go on from there."""
        _, places = self.under_way
        self._keep(_inside(places, self._shape), "border")
        numbers, places = self.under_way
        looped = [self._paths[number].walk_to(place) for number, place in zip(numbers, places, strict=True)]
        self._keep(~np.array(looped, bool), "loop")
        self._keep(np.array([not self._paths[number].leave_if_stuck() for number in self._numbers], bool), "stuck")
        short = [self._paths[number].length < self._stop.length_px for number in self._numbers]
        self._keep(np.array(short, bool), "length")

    def _keep(self, kept: np.ndarray, reason: Reason) -> None:
        """End the traces that are not in the mask."""
        if kept.all():
            return
        for number in self._numbers[~kept]:
            self._reasons[number] = reason
        self._numbers = self._numbers[kept]
        self._walkers.keep(torch.from_numpy(kept).to(self._device.torch))


class _Path:
    """One trace and the cells that it has been to, each with the points in it and how far along the path they are.

    Cells are as wide as a visit is near, so that only the eight around a point need to be searched.
    """

    def __init__(self, start: np.ndarray) -> None:
        self.points = [start[-1]]
        self.entropies: list[float] = []
        self.length = 0.0
        self._on_itself = 0
        self._cells: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
        self._mark(start[-1], start[-1], 0.0)

    def walk_to(self, place: np.ndarray) -> bool:
        """Add a point; True if the path has run on itself for some steps, which are then taken back."""
        step = math.dist(self.points[-1], place)
        self._mark(self.points[-1], place, step)
        self.length += step
        self.points.append(place)
        self._on_itself = self._on_itself + 1 if self._been_at(place) else 0
        looped = self._on_itself >= REVISIT_STEPS
        if looped:
            self._take_back(REVISIT_STEPS)
        return looped

    def leave_if_stuck(self) -> bool:
        """True if the last steps led nowhere; they are then taken back."""
        stuck = len(self.points) > STUCK_STEPS and math.dist(self.points[-1], self.points[-1 - STUCK_STEPS]) < STUCK_PX
        if stuck:
            self._take_back(STUCK_STEPS)
        return stuck

    def _take_back(self, steps: int) -> None:
        del self.points[-steps:]
        del self.entropies[len(self.points) :]

    def trace(self, reason: Reason) -> Trace:
        """The trace so far; a last point that was not looked from has the entropy of the one before."""
        entropies = (self.entropies + self.entropies[-1:])[: len(self.points)]
        return Trace(np.array(self.points), np.array(entropies, float), reason)

    def _mark(self, before: np.ndarray, place: np.ndarray, step: float) -> None:
        count = max(1, math.ceil(step / REVISIT_PX))
        for part in range(1, count + 1):
            y, x = before + (place - before) * (part / count)
            cell = self._cells.setdefault((int(y // REVISIT_PX), int(x // REVISIT_PX)), [])
            cell.append((float(y), float(x), self.length + step * part / count))

    def _been_at(self, place: np.ndarray) -> bool:
        y, x = float(place[0]), float(place[1])
        row, column = int(y // REVISIT_PX), int(x // REVISIT_PX)
        return any(
            self.length - at > REVISIT_AFTER_PX and math.hypot(y - py, x - px) <= REVISIT_PX
            for i in (row - 1, row, row + 1)
            for j in (column - 1, column, column + 1)
            for py, px, at in self._cells.get((i, j), ())
        )


def _inside(places: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Whether each place (n, 2) is between the centres of the outermost pixels."""
    return np.asarray(((places >= 0) & (places <= np.array(shape) - 1)).all(axis=1))


def _last_four(path: np.ndarray) -> np.ndarray:
    """The last four points, (4, 2); a shorter path has been at its first point before."""
    return np.concatenate([np.repeat(path[:1], TIMES, axis=0), path])[-TIMES:]


def _checked(path: np.ndarray, number: int, shape: tuple[int, int]) -> np.ndarray:
    path = np.asarray(path, float)
    if path.ndim != 2 or path.shape[1] != 2 or not len(path) or not np.isfinite(path).all():
        raise InputError(f"Start {number + 1} has shape {path.shape}; give one or more finite points (y, x), (k, 2).")
    if not _inside(path[-1:], shape).all():
        y, x = path[-1]
        raise InputError(
            f"Start {number + 1} at y = {y:g}, x = {x:g} is outside the image of {shape[0]} x {shape[1]} px; "
            "choose a place inside."
        )
    return path
