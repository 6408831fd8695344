"""Proximal policy optimisation with an asymmetric critic, in one file to be read from top to bottom.

Networks and constants: Dai et al., MIDL 2019. Algorithm: Schulman et al., Proximal Policy Optimization Algorithms,
2017; advantages: Schulman et al., High-Dimensional Continuous Control Using Generalized Advantage Estimation, 2016;
beta policy: Chou et al., Improving Stochastic Policy Gradients with the Beta Distribution, ICML 2017. Written in the
manner of CleanRL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.distributions import Beta

from napari_medseg.nn.device import Device
from napari_medseg.rl.tracing_env import REACH_PX, TracingEnv
from napari_medseg.rl.views import SIZE, TIMES

ACTOR_CHANNELS, CRITIC_CHANNELS = 3 * TIMES, 4 * TIMES
LIKELIHOOD = 0.1
"""Weight of the log density beside the squared error in px when imitating."""
_CHUNK = 2048
"""States that go through a network at once where no gradient is needed."""


@dataclass(frozen=True)
class Constants:
    """The constants of the method; the published ones unless said otherwise.

    ``minibatch``, ``max_gradient`` and ``entropy_bonus`` are not published; the first two are usual values.
    """

    gamma: float = 0.99
    trace_decay: float = 0.95
    clip: float = 0.2
    epochs: int = 10
    minibatch: int = 512
    rate: float = 5e-4
    weight_decay: float = 3e-4
    max_gradient: float = 0.5
    entropy_bonus: float = 0.0


# Networks -------------------------------------------------------------------------------------------------------------


def network(channels: int, outputs: int) -> nn.Sequential:
    """Views (N, channels, 11, 11) in, (N, outputs) out; actor and critic share the form, not the weights."""
    inner = SIZE + 2
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * inner * inner, 512),
        nn.ReLU(),
        nn.Linear(512, outputs),
    )


class Actor(nn.Module):
    """The policy: from what is seen to a beta distribution of the step along y and along x."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(ACTOR_CHANNELS, 4)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Concentrations (N, 2, 2): alpha and beta (axis 1) of y and x (axis 2), all above 1, so unimodal."""
        raw = self.net(views[:, :ACTOR_CHANNELS]).float()
        return (nn.functional.softplus(raw) + 1).unflatten(1, (2, 2))


class Critic(nn.Module):
    """The value of a state; it sees the centreline too, which exists in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(CRITIC_CHANNELS, 1)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return self.net(views).float()[:, 0]


# The policy -----------------------------------------------------------------------------------------------------------


def policy(concentrations: torch.Tensor) -> Beta:
    """The two beta distributions on [0, 1], (N, 2)."""
    return Beta(concentrations[:, 0], concentrations[:, 1], validate_args=False)


def to_action(unit: torch.Tensor) -> torch.Tensor:
    """From [0, 1] linearly to a step in [-4, 4]."""
    return (2 * unit - 1) * REACH_PX


def mean_action(concentrations: torch.Tensor) -> torch.Tensor:
    """The expected step, (N, 2): what the tracer does."""
    return to_action(concentrations[:, 0] / concentrations.sum(dim=1))


def entropy(concentrations: torch.Tensor) -> torch.Tensor:
    """Sum of the entropies of both distributions, (N); at most 0, and the higher, the less sure the step."""
    return policy(concentrations).entropy().sum(dim=1)


# Experience -----------------------------------------------------------------------------------------------------------


class Rollout(NamedTuple):
    """Steps of all episodes of a batch, S in number."""

    states: torch.Tensor
    """(S, 16, 11, 11)"""
    units: torch.Tensor
    """(S, 2), the actions as drawn on [0, 1]"""
    log_probs: torch.Tensor
    """(S), of the actions when they were drawn"""
    advantages: torch.Tensor
    """(S)"""
    returns: torch.Tensor
    """(S)"""
    episode_rewards: torch.Tensor
    """(N), sum over each episode"""


@torch.no_grad()
def collect(env: TracingEnv, actor: Actor, critic: Critic, constants: Constants, device: Device) -> Rollout:
    """Play all episodes to their ends; randomness comes from torch's global generator, which the caller seeds."""
    with device.precision():
        return _collected(env, actor, critic, constants)


def _collected(env: TracingEnv, actor: Actor, critic: Critic, constants: Constants) -> Rollout:
    count = len(env.scenes)
    states, units, log_probs, agents = [], [], [], []
    rewards: list[torch.Tensor] = []
    overs: list[torch.Tensor] = []
    stopped: list[tuple[torch.Tensor, torch.Tensor]] = []
    while len(env.which):
        state, which = env.state, env.which
        beta = policy(_through(actor, state))
        unit = beta.sample().clamp(1e-4, 1 - 1e-4)
        outcome = env.step(to_action(unit))
        states.append(state)
        units.append(unit)
        log_probs.append(beta.log_prob(unit).sum(dim=1))
        agents.append(which)
        rewards.append(_spread(outcome.rewards, which, count))
        overs.append(_spread(outcome.over, which, count))
        if outcome.stopped.any():
            stopped.append((which[outcome.stopped], env.state[outcome.stopped]))
        env.drop(outcome.over)
    seen = torch.cat(states)
    flat_values = _through(critic, seen)
    lengths = [len(which) for which in agents]
    values = torch.stack([_spread(v, w, count) for v, w in zip(flat_values.split(lengths), agents, strict=True)])
    after = torch.zeros(count, device=seen.device)
    for which, final in stopped:
        after[which] = _through(critic, final)
    reward, over = torch.stack(rewards), torch.stack(overs)
    gains = advantages(reward, values, over, after, constants.gamma, constants.trace_decay)
    advantage = torch.cat([row[which] for row, which in zip(gains, agents, strict=True)])
    return Rollout(seen, torch.cat(units), torch.cat(log_probs), advantage, advantage + flat_values, reward.sum(dim=0))


def advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    over: torch.Tensor,
    after: torch.Tensor,
    gamma: float,
    decay: float,
) -> torch.Tensor:
    """Generalised advantage estimation, equations 11 and 16 of Schulman et al. 2016.

    Parameters
    ----------
    rewards, values
        (T, N); 0 after an episode's end.
    over
        bool (T, N): the episode ended with this step.
    after
        (N): value of the state after the last step; 0 where the end was reached, the critic's where time ran out.
    gamma, decay
        Discount of rewards, and lambda.

    Returns
    -------
    (T, N); 0 after an episode's end
    """
    following = torch.cat([values[1:], torch.zeros_like(values[:1])])
    following = torch.where(over, after, following)
    surprise = rewards + gamma * following - values
    gains = torch.zeros_like(rewards)
    gain = torch.zeros_like(after)
    for t in range(len(rewards) - 1, -1, -1):
        gain = surprise[t] + gamma * decay * gain
        gains[t] = gain
    return gains


def _spread(values: torch.Tensor, which: torch.Tensor, count: int) -> torch.Tensor:
    """Values of the agents under way in a row with a place for every agent, 0 elsewhere."""
    row = torch.zeros(count, dtype=values.dtype, device=values.device)
    row[which] = values
    return row


def _through(net: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    """All states through a network, some at a time."""
    return torch.cat([net(part) for part in states.split(_CHUNK)])


# Learning -------------------------------------------------------------------------------------------------------------


def clipped_loss(
    log_probs: torch.Tensor, old_log_probs: torch.Tensor, advantages: torch.Tensor, clip: float
) -> torch.Tensor:
    """The clipped surrogate objective to be minimised, equation 7 of Schulman et al. 2017."""
    ratio = (log_probs - old_log_probs).exp()
    return -torch.min(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


class Learner:
    """Actor, critic and their optimiser."""

    def __init__(self, actor: Actor, critic: Critic, constants: Constants, device: Device) -> None:
        self.actor, self.critic, self.constants, self.device = actor, critic, constants, device
        parameters = [*actor.parameters(), *critic.parameters()]
        self.optimizer = torch.optim.Adam(
            parameters, lr=constants.rate, weight_decay=constants.weight_decay, fused=device.name != "mps"
        )

    def set_rate(self, share: float) -> None:
        """Learn at this share of the rate from now on."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.constants.rate * share

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Learn from one batch of episodes; returns the mean losses of the last epoch."""
        figures: list[torch.Tensor] = []
        for _ in range(self.constants.epochs):
            order = torch.randperm(len(rollout.states)).to(rollout.states.device)
            figures = [self._step(rollout, part) for part in order.split(self.constants.minibatch)]
        policy_loss, value_loss, spread, moved = torch.stack(figures).mean(dim=0).tolist()
        return {"policy loss": policy_loss, "value loss": value_loss, "entropy": spread, "policy change": moved}

    def imitate(self, states: torch.Tensor, units: torch.Tensor) -> dict[str, float]:
        """Bring the policy to steps ``units`` (S, 2) on [0, 1] in ``states``, one pass; returns the mean losses.

        Likelihood alone would flatten the policy for good while it knows no direction yet: the best unimodal density
        for steps in all directions is the even one, where softplus has no gradient. So the mean is taught first of all.
        """
        order = torch.randperm(len(states)).to(states.device)
        figures = []
        for part in order.split(self.constants.minibatch):
            with self.device.precision():
                concentrations = self.actor(states[part])
            off = (mean_action(concentrations) - to_action(units[part])).square().sum(dim=1).mean()
            density = policy(concentrations).log_prob(units[part]).sum(dim=1).mean()
            self._descend(off - LIKELIHOOD * density)
            figures.append(torch.stack([off, density]).detach())
        off_px, density = torch.stack(figures).mean(dim=0).tolist()
        return {"imitation error": off_px**0.5, "imitation log density": density}

    def _step(self, rollout: Rollout, part: torch.Tensor) -> torch.Tensor:
        constants, states = self.constants, rollout.states[part]
        with self.device.precision():
            concentrations, values = self.actor(states), self.critic(states)
        beta = policy(concentrations)
        log_probs = beta.log_prob(rollout.units[part]).sum(dim=1)
        old = rollout.log_probs[part]
        policy_loss = clipped_loss(log_probs, old, normalised(rollout.advantages[part]), constants.clip)
        value_loss = nn.functional.mse_loss(values, rollout.returns[part])
        spread = beta.entropy().sum(dim=1).mean()
        loss = policy_loss + 0.5 * value_loss - constants.entropy_bonus * spread
        self._descend(loss)
        moved = (old - log_probs).mean()
        return torch.stack([policy_loss, value_loss, spread, moved]).detach()

    def _descend(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for net in (self.actor, self.critic):
            nn.utils.clip_grad_norm_(net.parameters(), self.constants.max_gradient)
        self.optimizer.step()


def normalised(values: torch.Tensor) -> torch.Tensor:
    """Mean 0 and standard deviation 1; a single value becomes 0."""
    return (values - values.mean()) / (values.std(correction=0) + 1e-8)
