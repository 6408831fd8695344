"""The tracer with policies that are known by heart: how it starts, goes on and ends."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.core.errors import InputError
from napari_medseg.nn.device import Device
from napari_medseg.rl.ppo import Actor
from napari_medseg.rl.tiles import TiledImage
from napari_medseg.rl.tracer import Stop, Tracing, from_direction, trace

CPU = Device("cpu", bf16=False)


class Fixed(nn.Module):
    """Always the same step; ``sure`` is alpha + beta."""

    def __init__(self, dy, dx, sure=200.0):
        super().__init__()
        self.unit = torch.tensor([dy / 8 + 0.5, dx / 8 + 0.5])
        self.sure = sure

    def forward(self, views):
        return torch.stack([self.unit, 1 - self.unit]).expand(len(views), 2, 2) * self.sure


class Circling(nn.Module):
    """Turns by the same angle at each step: away from the path behind, that the views show."""

    def __init__(self, steps=20, length=3.0):
        super().__init__()
        self.turns, self.length, self.steps = 0, length, steps

    def forward(self, views):
        angle = 2 * np.pi * self.turns / self.steps
        self.turns += 1
        unit = torch.tensor([np.sin(angle), np.cos(angle)], dtype=torch.float32) * self.length / 8 + 0.5
        return torch.stack([unit, 1 - unit]).expand(len(views), 2, 2) * 100


def image(height=100, width=120):
    return TiledImage.of(np.random.default_rng(0).random((height, width)), CPU)


def test_many_traces_end_at_the_border_each_in_its_time():
    starts = [np.array([[50.0, x]]) for x in (10, 60, 115.5)]
    traces = trace(Fixed(0, 3), image(), starts, device=CPU)
    assert [found.reason for found in traces] == ["border"] * 3
    np.testing.assert_allclose(traces[1].points, [[50, x] for x in range(60, 120, 3)], atol=1e-4)
    assert len(traces[0].points) == 37
    assert len(traces[2].points) == 2
    for found in traces:
        assert found.entropies.shape == (len(found.points),)
        np.testing.assert_allclose(found.entropies, found.entropies[0])


def test_an_unsure_step_is_not_made():
    actor = Fixed(0, 3, sure=4.0)
    start = [np.array([[50.0, 10.0]])]
    sure = trace(actor, image(), start, device=CPU)[0]
    assert sure.reason == "border"
    threshold = float(sure.entropies[0]) - 0.01
    unsure = trace(actor, image(), start, device=CPU, stop=Stop(entropy=threshold))[0]
    assert unsure.reason == "unsure"
    np.testing.assert_allclose(unsure.points, start[0])
    assert unsure.entropies[0] == pytest.approx(sure.entropies[0])


def test_a_longest_length():
    found = trace(Fixed(0, 3), image(), [np.array([[50.0, 10.0]])], device=CPU, stop=Stop(length_px=20))[0]
    assert found.reason == "length"
    assert len(found.points) == 8


def test_a_circle_ends_where_it_closes():
    found = trace(Circling(), image(), [np.array([[30.0, 60.0]])], device=CPU)[0]
    assert found.reason == "loop"
    assert 20 <= len(found.points) <= 22
    assert len(found.entropies) == len(found.points)


@pytest.mark.parametrize("move", [(0, 0), (0, 0.2)])
def test_a_tracer_that_does_not_get_on_is_stopped(move):
    found = trace(Fixed(*move), image(), [np.array([[30.0, 60.0]])], device=CPU)[0]
    assert found.reason == "stuck"
    assert found.points.tolist() == [[30, 60]]
    assert len(found.entropies) == 1


def test_crossing_the_own_path_is_no_loop():
    steps = iter([(0, 4)] * 8 + [(4, 0)] * 4 + [(0, -4)] * 4 + [(-4, 0)] * 15)

    class Crossing(nn.Module):
        def forward(self, views):
            unit = torch.tensor(next(steps)) / 8 + 0.5
            return torch.stack([unit, 1 - unit]).expand(len(views), 2, 2) * 50

    found = trace(Crossing(), image(), [np.array([[40.0, 50.0]])], device=CPU)[0]
    assert found.reason == "border"


def test_a_direction_is_a_past_in_a_straight_line():
    path = from_direction((10, 20), (3, 4))
    np.testing.assert_allclose(path, [[6.4, 15.2], [7.6, 16.8], [8.8, 18.4], [10, 20]])
    with pytest.raises(InputError, match="has no length"):
        from_direction((1, 1), (0, 0))


def test_the_past_is_seen_but_not_part_of_the_trace():
    states = []

    class Watching(Fixed):
        def forward(self, views):
            states.append(views.clone())
            return super().forward(views)

    starts = [from_direction((50, 100), (0, 1)), np.array([[50.0, 100.0]])]
    traces = trace(Watching(0, 4), image(), starts, device=CPU)
    assert traces[0].points[0].tolist() == [50, 100]
    path = states[0][:, 8]
    assert path[0, 5, :5].min() > 0.9 and path[0, 5, 7:].max() == 0
    assert path[1].max() == 0


def test_progress_can_be_watched_step_by_step():
    seen = []
    starts = [np.array([[50.0, 110.0]]), np.array([[50.0, 100.0]])]
    trace(Fixed(0, 4), image(), starts, device=CPU, on_step=lambda numbers, places: seen.append((numbers, places)))
    assert [numbers.tolist() for numbers, _ in seen] == [[0, 1], [0, 1], [1], [1]]
    np.testing.assert_allclose(seen[-1][1], [[50, 116]], atol=1e-4)


def test_traces_under_way_can_be_read():
    tracing = Tracing(Fixed(0, 2), image(), [np.array([[50.0, 10.0]])], device=CPU)
    assert tracing.step() and tracing.step()
    assert len(tracing.traces()[0].points) == 3


def test_bf16_traces_as_fp32_does():
    torch.manual_seed(0)
    actor = Actor()
    with torch.no_grad():
        actor.net[-1].bias.copy_(torch.tensor([2.0, 6.0, 2.0, 2.0]))
    start = [np.array([[50.0, 10.0]])]
    exact, half = (trace(actor, image(), start, device=Device("cpu", bf16))[0] for bf16 in (False, True))
    np.testing.assert_allclose(exact.points[:10], half.points[:10], atol=0.5)


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ([[50.0, 120.0]], "Start 1 at y = 50, x = 120 is outside the image of 100 x 120 px"),
        ([[-0.1, 3.0]], "outside the image"),
        ([[np.nan, 3.0]], "one or more finite points"),
        (np.empty((0, 2)), "one or more finite points"),
        ([3.0, 4.0], r"Start 1 has shape \(2,\)"),
    ],
)
def test_bad_starts(start, sentence):
    with pytest.raises(InputError, match=sentence):
        trace(Fixed(0, 1), image(), [np.array(start)], device=CPU)


def test_no_starts_give_no_traces():
    assert trace(Fixed(0, 1), image(), [], device=CPU) == []


def test_an_image_smaller_than_a_view():
    small = TiledImage.of(np.random.default_rng(0).random((5, 7)), CPU)
    assert trace(Fixed(0, 1), small, [np.array([[2.0, 2.0]])], device=CPU)[0].reason == "border"
