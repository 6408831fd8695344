import numpy as np
import pytest
import torch

from napari_medseg.nn.device import Device
from napari_medseg.rl.imitation import AHEAD_PX, Teacher, lesson
from napari_medseg.rl.ppo import Actor, Constants, Critic, Learner, mean_action, to_action
from napari_medseg.rl.tracing_env import Scenes, TracingEnv

CPU = Device("cpu", bf16=False)


def straight(length=40.0):
    x = np.arange(5, 5 + length, 0.25)
    return np.stack([np.full(len(x), 20.0), x], axis=1)


def test_the_taught_step_goes_to_the_line_ahead_of_the_nearest_place():
    teacher = Teacher([straight(), straight(10)], 0.25, torch.device("cpu"))
    steps = teacher.steps(torch.tensor([0, 1]), torch.tensor([[21.0, 8.0], [20.0, 13.0]]))
    # Along the first line 3.5 px on and 1 px back to it; the second ends at 14.75.
    torch.testing.assert_close(steps, torch.tensor([[-1.0, AHEAD_PX], [0, 1.75]]))
    far = teacher.steps(torch.tensor([0]), torch.tensor([[35.0, 10.0]]))
    torch.testing.assert_close(far, torch.tensor([[-4.0, 3.5]]))


def test_the_nearest_place_is_on_the_same_turn_of_the_line():
    there = straight(40)
    back = there[::-1] + [3.0, 0]
    teacher = Teacher([np.concatenate([there, back])], 0.25, torch.device("cpu"))
    # Nearer to the way back, but only the way there is within 30 px of where the agent was.
    step = teacher.steps(torch.tensor([0]), torch.tensor([[22.0, 8.0]]))
    assert step[0, 1] > 3


def scenes(count):
    truth = np.zeros((count, 40, 60), np.float32)
    truth[:, 20] = 1
    history = np.tile(np.array([20, 5], np.float32), (count, 4, 1))
    return Scenes.of(truth * 2, truth, history, np.tile(np.array([20, 44], np.float32), (count, 1)))


def test_an_actor_learns_the_steps_and_how_sure_they_are():
    torch.manual_seed(0)
    actor, critic = Actor(), Critic()
    learner = Learner(actor, critic, Constants(minibatch=64), CPU)
    figures = []
    for _ in range(6):
        env = TracingEnv(scenes(8), give_up=True)
        states, units = lesson(env, actor, Teacher([straight()] * 8, 0.25, torch.device("cpu")), CPU)
        assert states.shape[1:] == (16, 11, 11) and len(states) == len(units)
        figures.append(learner.imitate(states, units))
    assert figures[-1]["imitation error"] < 0.5 * figures[0]["imitation error"]
    assert figures[-1]["imitation log density"] > figures[0]["imitation log density"] + 0.5
    env = TracingEnv(scenes(1))
    with torch.no_grad():
        step = mean_action(actor(env.state))[0]
    assert step[1] > 2 and abs(step[0]) < 1


def test_taught_steps_stay_off_the_ends_of_the_span():
    lines = [straight() + [9.0, 0]] * 2
    env = TracingEnv(scenes(2), max_steps=3)
    _, units = lesson(env, Actor(), Teacher(lines, 0.25, torch.device("cpu")), CPU)
    assert units.min() >= 0.02 and units.max() <= 0.98
    assert to_action(units).max().item() == pytest.approx(3.84)
