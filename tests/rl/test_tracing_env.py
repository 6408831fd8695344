"""Rewards, turns and ends, worked by hand."""

import numpy as np
import pytest
import torch

from napari_medseg.rl.tracing_env import MAX_STEPS, Scenes, TracingEnv, mean_along, rewards, turned
from napari_medseg.rl.views import Stack


def row_of_ones(count=1, height=30, width=60, row=15):
    """Scenes whose centreline is one row of pixels, from column 5 to the end at column 45."""
    truth = np.zeros((count, height, width), np.float32)
    truth[:, row] = 1
    history = np.tile(np.array([row, 5], np.float32), (count, 4, 1))
    ends = np.tile(np.array([row, 45], np.float32), (count, 1))
    return Scenes.of(truth * 2, truth, history, ends)


def test_the_mean_along_a_step_is_of_100_bilinear_samples():
    truth = torch.zeros(1, 30, 60)
    truth[0, 15] = 1
    before, after = torch.tensor([[15.0, 5]]), torch.tensor([[17.0, 5]])
    # Leaving the row at right angles: the samples at 15 + 2 i / 99 have 1 - 2 i / 99 until that is 0.
    by_hand = np.maximum(0, 1 - 2 * np.arange(100) / 99).mean()
    value = mean_along(Stack(truth), torch.tensor([0]), before, after)
    assert value.item() == pytest.approx(by_hand, rel=1e-5)
    along = mean_along(Stack(truth), torch.tensor([0]), before, torch.tensor([[15.0, 8.5]]))
    assert along.item() == pytest.approx(1)


def test_a_turn_is_an_angle_above_90_degrees():
    before = torch.tensor([[0.0, 1], [0, 1], [0, 1], [0, 0], [0, 1]])
    now = torch.tensor([[1.0, 0.01], [1, 0], [1, -0.01], [0, -1], [0, -3]])
    assert turned(now, before).tolist() == [False, False, True, False, True]


def test_reward_is_negated_while_turns_are_odd_and_standing_costs_one():
    along = torch.tensor([0.4, 0.4, 0.4])
    moved = torch.tensor([True, True, False])
    odd = torch.tensor([False, True, True])
    torch.testing.assert_close(rewards(along, moved, odd), torch.tensor([0.4, -0.4, -1.0]))


def test_going_back_is_punished_until_the_agent_turns_again():
    env = TracingEnv(row_of_ones())
    steps = [(0.0, 3), (0, 3), (0, -2), (0, -2), (0, 0.001), (0, 1), (0, 2)]
    gained = [env.step(torch.tensor([step], dtype=torch.float32)).rewards.item() for step in steps]
    assert gained == pytest.approx([1, 1, -1, -1, -1, 1, 1])


def test_a_start_with_a_past_counts_a_first_turn():
    scenes = row_of_ones()
    scenes.history[0, :, 1] = torch.tensor([11.0, 9, 7, 5])
    env = TracingEnv(scenes)
    assert env.step(torch.tensor([[0.0, 3]])).rewards.item() == pytest.approx(-1)


def test_the_pixel_reward_adds_up_to_the_length_walked():
    env = TracingEnv(row_of_ones(), reward="pixel")
    total = sum(env.step(torch.tensor([[0.0, step]])).rewards.item() for step in (4, 1, 2))
    assert total == pytest.approx(7 / 4)


def test_an_episode_ends_within_three_px_of_the_other_end():
    env = TracingEnv(row_of_ones(2))
    move = torch.tensor([[0.0, 4], [0, 2]])
    for _ in range(9):
        assert not env.step(move).over.any()
    outcome = env.step(move)
    assert outcome.arrived.tolist() == [True, False]
    env.drop(outcome.over)
    assert env.which.tolist() == [1]
    assert env.state.shape == (1, 16, 11, 11)
    assert env.arrivals == 1
    assert env.step(move[1:]).rewards.item() == pytest.approx(1)


def test_an_episode_stops_after_200_steps_without_having_arrived():
    env = TracingEnv(row_of_ones())
    over = [bool(env.step(torch.tensor([[0.0, 0.1]])).stopped) for _ in range(MAX_STEPS)]
    assert over.index(True) == len(over) - 1 == 199


def test_what_is_out_of_sight_for_four_views_is_given_up_only_if_asked():
    ends = {}
    for give_up in (False, True):
        env = TracingEnv(row_of_ones(), give_up=give_up)
        ends[give_up] = [env.step(torch.tensor([[-4.0, 0]])).lost.item() for _ in range(6)]
    # Seen from 15 at most 5 rows up: out of sight at rows 7, 3, -1 and -5, after steps 2 to 5.
    assert ends == {False: [False] * 6, True: [False] * 4 + [True] * 2}


def test_hundreds_of_images_run_side_by_side_as_each_would_alone():
    rng = torch.Generator().manual_seed(0)
    truth = torch.rand(300, 20, 24, generator=rng)
    scenes = Scenes(truth * 3, truth, torch.full((300, 4, 2), 9.0), torch.full((300, 2), -50.0))
    moves = torch.rand(3, 300, 2, generator=rng) * 8 - 4
    together = TracingEnv(scenes)
    all_rewards = torch.stack([together.step(move).rewards for move in moves])
    for chosen in (0, 137, 299):
        one = slice(chosen, chosen + 1)
        alone = TracingEnv(Scenes(scenes.images[one], truth[one], scenes.history[one], scenes.ends[one]))
        torch.testing.assert_close(
            torch.stack([alone.step(m[one]).rewards for m in moves])[:, 0], all_rewards[:, chosen]
        )
        torch.testing.assert_close(alone.state[0], together.state[chosen])
