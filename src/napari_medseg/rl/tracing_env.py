"""The world in which agents learn to trace: many images at once, one agent on each (Dai et al., MIDL 2019).

An agent starts at one end of an axon, or on it with a direction, and is done at the other end or after 200 steps.
Positions, directions and actions are (y, x), see ``rl.views``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from napari_medseg.rl.views import TIMES, Stack, Walkers

REACH_PX = 4.0
"""A step goes at most so far along each axis."""
MAX_STEPS = 200
SAMPLES = 100
"""Samples of the centreline picture along one step."""
END_PX = 3.0
"""An axon's end is reached within this distance."""
STILL_PX = 0.01
"""A shorter step is no movement."""

Reward = Literal["step", "pixel"]
"""``step``: the mean along a step, as published. ``pixel``: that mean times the length of the step over 4 px, so that
the sum over an episode is the length of axon walked along, and small steps do not pay."""


@dataclass(frozen=True)
class Scenes:
    """Images with one axon to trace in each.

    Parameters
    ----------
    images
        float32 (N, H, W), brightness as ``nn.brightness`` gives it.
    truth
        float32 (N, H, W), 1 on the centreline and falling to 0 beside it.
    history
        float32 (N, 4, 2), where each agent comes from, the start last; all the same where it starts without a past.
    ends
        float32 (N, 2), the ends that are to be reached.
    """

    images: torch.Tensor
    truth: torch.Tensor
    history: torch.Tensor
    ends: torch.Tensor

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, images: np.ndarray, truth: np.ndarray, history: np.ndarray, ends: np.ndarray) -> Scenes:
        """The same from arrays."""
        return cls(*(torch.from_numpy(np.ascontiguousarray(part)) for part in (images, truth, history, ends)))

    def to(self, device: torch.device) -> Scenes:
        """The same on another device."""
        return Scenes(*(part.to(device) for part in (self.images, self.truth, self.history, self.ends)))


@dataclass(frozen=True)
class Outcome:
    """What one step brought to each of the agents that made it."""

    rewards: torch.Tensor
    arrived: torch.Tensor
    """At the other end: nothing comes after."""
    stopped: torch.Tensor
    """Out of steps: the axon goes on, but the episode does not."""

    lost: torch.Tensor
    """The centreline was not in sight for four views; only where episodes are given up for that."""

    @property
    def over(self) -> torch.Tensor:
        """Whether the episode has ended, for any reason."""
        return self.arrived | self.stopped | self.lost


class TracingEnv:
    """Episodes that run side by side; ``drop`` takes out those that are over.

    Parameters
    ----------
    scenes
        One image and axon an agent.
    spacing
        Pixels between two samples of a view (the published window scale).
    reward
        What a step is worth.
    give_up
        End an episode when the centreline has been out of sight for four views. Not published; it saves the many
        steps that an untrained agent makes where nothing can be learnt.
    """

    def __init__(
        self,
        scenes: Scenes,
        *,
        spacing: float = 1.0,
        max_steps: int = MAX_STEPS,
        reward: Reward = "step",
        give_up: bool = False,
    ) -> None:
        self.give_up = give_up
        self.scenes, self.spacing, self.max_steps, self.reward = scenes, spacing, max_steps, reward
        self.truth = Stack(scenes.truth)
        device = scenes.images.device
        self.walkers = Walkers(
            Stack(scenes.images), torch.arange(len(scenes), device=device), scenes.history, spacing, self.truth
        )
        self.steps = 0
        self.arrivals = 0
        self._last = scenes.history[:, -1] - scenes.history[:, -2]
        self._odd = torch.zeros(len(scenes), dtype=torch.bool, device=device)

    @property
    def state(self) -> torch.Tensor:
        """The views of the agents that are under way, (n, 16, 11, 11); the actor sees the first 12 channels."""
        return self.walkers.state

    @property
    def which(self) -> torch.Tensor:
        """The number of the scene of each agent under way."""
        return self.walkers.which

    def step(self, actions: torch.Tensor) -> Outcome:
        """Move every agent under way by its action (n, 2) in [-4, 4]."""
        before = self.walkers.positions
        moved = actions.norm(dim=1) >= STILL_PX
        self._odd = self._odd ^ (turned(actions, self._last) & moved)
        self._last = torch.where(moved[:, None], actions, self._last)
        self.walkers.move(actions)
        self.steps += 1
        after = self.walkers.positions
        along = mean_along(self.truth, self.which, before, after)
        if self.reward == "pixel":
            along = along * actions.norm(dim=1) / REACH_PX
        arrived = (after - self.scenes.ends[self.which]).norm(dim=1) < END_PX * self.spacing
        self.arrivals += int(arrived.sum())
        lost = self._out_of_sight() & ~arrived if self.give_up else torch.zeros_like(arrived)
        stopped = ~(arrived | lost) & (self.steps >= self.max_steps)
        return Outcome(rewards(along, moved, self._odd), arrived, stopped, lost)

    def _out_of_sight(self) -> torch.Tensor:
        return self.state[:, -TIMES:].amax(dim=(1, 2, 3)) == 0

    def drop(self, over: torch.Tensor) -> None:
        """Go on without the agents of the mask."""
        self.walkers.keep(~over)
        self._last, self._odd = self._last[~over], self._odd[~over]


def mean_along(truth: Stack, which: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Mean (N) of the centreline pictures at 100 bilinear samples along the segments before -> after, (N, 2) each."""
    shares = torch.linspace(0, 1, SAMPLES, device=before.device, dtype=before.dtype)
    points = torch.lerp(before[:, None], after[:, None], shares[:, None])
    return truth.at(which, points).mean(dim=1)


def turned(actions: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """Whether the angle between consecutive actions (N, 2) is above 90 degrees; never after no action."""
    return (actions * previous).sum(dim=1) < 0


def rewards(along: torch.Tensor, moved: torch.Tensor, odd: torch.Tensor) -> torch.Tensor:
    """Reward of a step: -1 without movement, else ``along``, negated while the number of sharp turns is odd.

    Dai et al., MIDL 2019, section 2.1: this makes going to and fro on the axon worthless.
    """
    signed = torch.where(odd, -along, along)
    return torch.where(moved, signed, torch.full_like(along, -1.0))
