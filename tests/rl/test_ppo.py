"""The policy, the advantages and the loss, by hand and beside a second implementation in numpy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from napari_medseg.nn.device import Device
from napari_medseg.rl import ppo
from napari_medseg.rl.tracing_env import Scenes, TracingEnv

CPU = Device("cpu", bf16=False)


def test_networks_have_the_published_layers():
    actor, critic = ppo.Actor(), ppo.Critic()
    shapes = [tuple(p.shape) for p in actor.parameters() if p.ndim > 1]
    assert shapes == [(32, 12, 5, 5), (32, 32, 3, 3), (512, 5408), (4, 512)]
    assert [tuple(p.shape) for p in critic.parameters() if p.ndim > 1][0] == (32, 16, 5, 5)
    views = torch.randn(3, 16, 11, 11)
    assert actor(views).shape == (3, 2, 2)
    assert critic(views).shape == (3,)


def test_the_actor_does_not_see_the_truth_and_stays_unimodal():
    actor = ppo.Actor()
    views = torch.randn(2, 16, 11, 11) * 50
    other = views.clone()
    other[:, 12:] = 7
    torch.testing.assert_close(actor(views), actor(other))
    assert (actor(views) >= 1).all()
    with torch.no_grad():
        actor.net[-1].weight.zero_()
        actor.net[-1].bias.copy_(torch.tensor([0.0, 1, 2, 3]))
    softplus = [math.log(1 + math.exp(value)) + 1 for value in range(4)]
    assert actor(views)[0].flatten().tolist() == pytest.approx(softplus, rel=1e-6)


def test_actions_reach_from_minus_4_to_4_and_the_mean_is_alpha_over_the_sum():
    torch.testing.assert_close(ppo.to_action(torch.tensor([0.0, 0.25, 0.5, 1])), torch.tensor([-4.0, -2, 0, 4]))
    concentrations = torch.tensor([[[3.0, 2.0], [1.0, 6.0]]])
    torch.testing.assert_close(ppo.mean_action(concentrations), torch.tensor([[2.0, -2.0]]))


def test_probability_and_entropy_are_those_of_scipy():
    alpha, beta = np.array([2.5, 1.0]), np.array([4.0, 1.0])
    concentrations = torch.tensor(np.stack([alpha, beta])[None], dtype=torch.float32)
    unit = torch.tensor([[0.3, 0.8]])
    expected = stats.beta(alpha, beta).logpdf([0.3, 0.8])
    np.testing.assert_allclose(ppo.policy(concentrations).log_prob(unit)[0], expected, rtol=1e-5, atol=1e-6)
    assert ppo.entropy(concentrations).item() == pytest.approx(stats.beta(alpha, beta).entropy().sum(), rel=1e-5)
    assert ppo.entropy(torch.ones(1, 2, 2)).item() == pytest.approx(0, abs=1e-6)


def test_advantages_of_two_steps_by_hand():
    rewards, values = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [4.0]])
    over = torch.tensor([[False], [True]])
    arrived = ppo.advantages(rewards, values, over, torch.zeros(1), 0.9, 0.5)
    # Last: 2 - 4 = -2. First: 1 + 0.9 * 4 - 0.5 = 4.1, and 0.9 * 0.5 * -2 = -0.9.
    torch.testing.assert_close(arrived, torch.tensor([[3.2], [-2.0]]))
    stopped = ppo.advantages(rewards, values, over, torch.tensor([10.0]), 0.9, 0.5)
    # Out of time with a value of 10 to come: 2 + 9 - 4 = 7; 4.1 + 0.45 * 7 = 7.25.
    torch.testing.assert_close(stopped, torch.tensor([[7.25], [7.0]]))


def test_advantages_equal_a_plain_implementation_for_episodes_of_different_lengths():
    rng = np.random.default_rng(0)
    lengths = [1, 4, 9]
    shape = (9, 3)
    rewards, values, over = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    for n, length in enumerate(lengths):
        rewards[:length, n], values[:length, n] = rng.normal(size=(2, length))
        over[length - 1, n] = True
    after = np.array([0.0, 2.0, -1.0])
    ours = ppo.advantages(*map(torch.from_numpy, (rewards, values, over, after)), 0.99, 0.95)
    for n, length in enumerate(lengths):
        following = np.append(values[1:length, n], after[n])
        surprise = rewards[:length, n] + 0.99 * following - values[:length, n]
        # Equation 16 as it stands: a sum of discounted surprises.
        expected = [sum((0.99 * 0.95) ** k * surprise[t + k] for k in range(length - t)) for t in range(length)]
        np.testing.assert_allclose(ours[:length, n], expected, rtol=1e-9)
        assert not ours[length:, n].any()


def test_the_clipped_loss_by_hand():
    ratios, gains = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1]), torch.tensor([1.0, -1, 1, -1, 2])
    old = torch.tensor([-1.0, -2, 0, 1, 2])
    loss = ppo.clipped_loss(old + ratios.log(), old, gains, 0.2)
    # Clipped to 1.2; not clipped, 1.5; not clipped, 0.5; clipped to 0.8; inside.
    assert loss.item() == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8 + 2.2) / 5)


def test_a_clipped_step_has_no_gradient():
    log_probs = torch.tensor([1.5, 1.1]).log().requires_grad_()
    ppo.clipped_loss(log_probs, torch.zeros(2), torch.ones(2), 0.2).backward()
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == pytest.approx([0, -0.55])


def test_advantages_are_brought_to_mean_0_and_deviation_1():
    torch.testing.assert_close(ppo.normalised(torch.tensor([1.0, 3.0])), torch.tensor([-1.0, 1.0]))
    assert ppo.normalised(torch.tensor([5.0])).item() == 0


def scenes(count=6):
    truth = np.zeros((count, 40, 40), np.float32)
    truth[:, 20] = 1
    history = np.tile(np.array([20, 3], np.float32), (count, 4, 1))
    ends = np.tile(np.array([20, 9], np.float32), (count, 1))
    return Scenes.of(truth, truth, history, ends)


def test_a_rollout_holds_every_step_once_and_returns_are_value_plus_advantage():
    torch.manual_seed(0)
    actor, critic = ppo.Actor(), ppo.Critic()
    rollout = ppo.collect(TracingEnv(scenes(), max_steps=5), actor, critic, ppo.Constants(), CPU)
    count = len(rollout.states)
    assert 6 <= count <= 30
    assert all(len(part) == count for part in rollout[:-1])
    assert rollout.episode_rewards.shape == (6,)
    beta = ppo.policy(actor(rollout.states))
    torch.testing.assert_close(beta.log_prob(rollout.units).sum(dim=1), rollout.log_probs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(critic(rollout.states), rollout.returns - rollout.advantages, atol=1e-4, rtol=1e-4)


def test_time_running_out_is_worth_what_the_critic_expects():
    critic = ppo.Critic()
    with torch.no_grad():
        critic.net[-1].weight.zero_()
        critic.net[-1].bias.fill_(3.0)
    far = scenes(2)
    far.ends.fill_(-90)
    rollout = ppo.collect(TracingEnv(far, max_steps=1), ppo.Actor(), critic, ppo.Constants(gamma=0.5), CPU)
    torch.testing.assert_close(rollout.advantages, rollout.episode_rewards + 0.5 * 3 - 3)


def test_learning_makes_good_actions_more_likely():
    torch.manual_seed(0)
    actor, critic = ppo.Actor(), ppo.Critic()
    learner = ppo.Learner(actor, critic, ppo.Constants(epochs=3, minibatch=16), CPU)
    states, units = torch.randn(32, 16, 11, 11), torch.full((32, 2), 0.8)
    units[::2] = 0.2
    gains = torch.ones(32)
    gains[::2] = -1
    with torch.no_grad():
        before = ppo.policy(actor(states)).log_prob(units).sum(dim=1)
    figures = learner.update(ppo.Rollout(states, units, before, gains, torch.ones(32), torch.zeros(1)))
    with torch.no_grad():
        gained = ppo.policy(actor(states)).log_prob(units).sum(dim=1) - before
    assert gained[1::2].mean() > 0 > gained[::2].mean()
    assert set(figures) == {"policy loss", "value loss", "entropy", "policy change"}
