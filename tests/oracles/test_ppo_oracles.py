"""Our advantages and clipped loss beside those of stable-baselines3."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medseg.rl import ppo

spaces = pytest.importorskip("gymnasium.spaces")
buffers = pytest.importorskip("stable_baselines3.common.buffers")

STEPS, AGENTS, GAMMA, DECAY = 30, 4, 0.97, 0.9


def test_advantages_and_returns_equal_the_rollout_buffer() -> None:
    rng = np.random.default_rng(0)
    box = spaces.Box(-1, 1, (2,))
    buffer = buffers.RolloutBuffer(STEPS, box, box, device="cpu", gae_lambda=DECAY, gamma=GAMMA, n_envs=AGENTS)
    over = np.zeros((STEPS, AGENTS), bool)
    over[7, 0] = over[20, 0] = over[29, 1] = over[0, 2] = True
    rewards, values = rng.normal(size=(2, STEPS, AGENTS)).astype(np.float32)
    starts = np.concatenate([np.ones((1, AGENTS), bool), over[:-1]])
    for t in range(STEPS):
        zeros = np.zeros((AGENTS, 2))
        value, log_prob = torch.from_numpy(values[t]), torch.zeros(AGENTS)
        buffer.add(zeros, zeros, rewards[t], starts[t], value, log_prob)
    last = torch.from_numpy(rng.normal(size=AGENTS).astype(np.float32))
    buffer.compute_returns_and_advantage(last, over[-1])
    # The buffer goes on with a new episode where one is over; the last row goes on with ``last`` where none is.
    after = torch.where(torch.from_numpy(over[-1]), 0.0, last)
    ours = []
    for agent in range(AGENTS):
        ends = [*np.flatnonzero(over[:-1, agent]), STEPS - 1]
        pieces, first = [], 0
        for end in ends:
            piece = slice(first, end + 1)
            closed = torch.zeros(end + 1 - first, 1, dtype=torch.bool)
            closed[-1] = True
            beyond = after[agent] if end == STEPS - 1 else torch.tensor(0.0)
            tables = (torch.from_numpy(table[piece, agent : agent + 1].copy()) for table in (rewards, values))
            pieces.append(ppo.advantages(*tables, closed, beyond[None], GAMMA, DECAY)[:, 0])
            first = end + 1
        ours.append(torch.cat(pieces))
    advantage = torch.stack(ours, dim=1)
    np.testing.assert_allclose(advantage, buffer.advantages, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(advantage + torch.from_numpy(values), buffer.returns, rtol=1e-4, atol=1e-5)


def test_the_clipped_loss_equals_the_one_that_is_logged() -> None:
    baselines = pytest.importorskip("stable_baselines3")
    gymnasium = pytest.importorskip("gymnasium")

    class Still(gymnasium.Env):
        observation_space = spaces.Box(-1, 1, (3,))
        action_space = spaces.Box(-1, 1, (2,))

        def reset(self, *, seed=None, options=None):
            return np.zeros(3, np.float32), {}

        def step(self, action):
            return np.zeros(3, np.float32), 0.0, False, False, {}

    count = 64
    theirs = baselines.PPO(
        "MlpPolicy", Still(), n_steps=count, batch_size=count, n_epochs=1, clip_range=0.2, seed=0, device="cpu"
    )
    rng = np.random.default_rng(1)
    seen = torch.from_numpy(rng.normal(size=(count, 3)).astype(np.float32))
    done = torch.from_numpy(rng.normal(size=(count, 2)).astype(np.float32))
    gains = torch.from_numpy(rng.normal(size=count).astype(np.float32))
    with torch.no_grad():
        _, now, _ = theirs.policy.evaluate_actions(seen, done)
    old = now + torch.from_numpy(rng.normal(0, 0.4, count).astype(np.float32))
    buffer = theirs.rollout_buffer
    for i in range(count):
        buffer.add(
            seen[i : i + 1].numpy(), done[i : i + 1].numpy(), np.zeros(1), np.zeros(1), torch.zeros(1), old[i : i + 1]
        )
    buffer.advantages[:] = gains[:, None].numpy()
    theirs._setup_learn(count)
    theirs.train()
    logged = theirs.logger.name_to_value["train/policy_gradient_loss"]
    # They divide by the deviation of a sample, n - 1; ours by that of the whole, n.
    scale = np.sqrt((count - 1) / count)
    ours = ppo.clipped_loss(now, old, ppo.normalised(gains) * scale, 0.2)
    assert ours.item() == pytest.approx(logged, rel=1e-4)
