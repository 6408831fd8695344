"""Shows an untrained actor how to follow a centreline, before it learns from rewards.

Not part of the published method. From random steps alone, most of the time of a training goes by before agents stay
on an axon at all; after some batches of imitation they do, and rewards refine what they do.

Strategy: agents walk by their own policy half of the time and by the teacher's noisy steps otherwise, so that they get
off the line in their own way (Ross et al., A Reduction of Imitation Learning to No-Regret Online Learning, AISTATS
2011). Wherever they are, the teacher's step goes to the place on the line that is 3.5 px further on than the nearest
one. The actor learns the likelihood of that step, and so its spread too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_medseg.nn.device import Device
from napari_medseg.rl.ppo import Actor, policy, to_action
from napari_medseg.rl.tracing_env import REACH_PX, TracingEnv

AHEAD_PX = 3.5
NOISE_PX = 0.8
"""Standard deviation of what is added to the teacher's steps."""
OWN_SHARE = 0.5
"""Share of the steps that the actor's own policy draws."""
_BACK_PX, _ON_PX = 10.0, 30.0
"""The nearest place is looked for so far behind and ahead of the last: never on another turn of the line."""
_EDGE = 0.02
"""A taught step keeps this share of the span off the ends of [0, 1], where densities are 0 or infinite."""


class Teacher:
    """Knows the lines, and how far each agent has come on its own.

    Parameters
    ----------
    lines
        Centreline (n, 2) of each scene from the agent's start on, evenly spaced.
    spacing_px
        Between two points of the lines.
    """

    def __init__(self, lines: Sequence[np.ndarray], spacing_px: float, device: torch.device) -> None:
        longest = max(len(line) for line in lines)
        padded = [np.concatenate([line, np.repeat(line[-1:], longest - len(line), axis=0)]) for line in lines]
        self._lines = torch.from_numpy(np.stack(padded)).to(device=device, dtype=torch.float32)
        self._at = torch.zeros(len(lines), dtype=torch.long, device=device)
        self._window = torch.arange(-round(_BACK_PX / spacing_px), round(_ON_PX / spacing_px), device=device)
        self._ahead = round(AHEAD_PX / spacing_px)

    def steps(self, which: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """The steps (n, 2) to be taken by agents ``which`` at ``positions`` (n, 2)."""
        last = self._lines.shape[1] - 1
        near = (self._at[which][:, None] + self._window).clamp(0, last)
        away = (self._lines[which[:, None], near] - positions[:, None]).norm(dim=2)
        found = near.gather(1, away.argmin(dim=1, keepdim=True))[:, 0]
        self._at[which] = found
        goal = self._lines[which, (found + self._ahead).clamp(max=last)]
        return (goal - positions).clamp(-REACH_PX, REACH_PX)


@torch.no_grad()
def lesson(env: TracingEnv, actor: Actor, teacher: Teacher, device: Device) -> tuple[torch.Tensor, torch.Tensor]:
    """Walk all scenes; the states (S, 16, 11, 11) on the way, and the taught steps there on [0, 1], (S, 2)."""
    states, units = [], []
    while len(env.which):
        steps = teacher.steps(env.which, env.walkers.positions)
        states.append(env.state)
        units.append((steps / (2 * REACH_PX) + 0.5).clamp(_EDGE, 1 - _EDGE))
        with device.precision():
            own = to_action(policy(actor(env.state)).sample())
        taught = (steps + torch.randn_like(steps) * NOISE_PX).clamp(-REACH_PX, REACH_PX)
        mine = torch.rand(len(steps), 1, device=steps.device) < OWN_SHARE
        env.drop(env.step(torch.where(mine, own, taught)).over)
    return torch.cat(states), torch.cat(units)
