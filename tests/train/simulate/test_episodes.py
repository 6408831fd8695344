import numpy as np
import pytest

from napari_medseg.core.errors import InputError
from napari_medseg.train.simulate.axons import PUBLISHED, simulate
from napari_medseg.train.simulate.episodes import MIXTURES, draw, episodes


def test_a_start_at_an_end_has_no_past_and_the_other_end_is_the_goal():
    batch = draw("standard", (0,), 6)
    assert batch.images.shape == batch.truth.shape == (6, 128, 128)
    assert batch.images.dtype == batch.truth.dtype == batch.history.dtype == np.float32
    for history, end, line in zip(batch.history, batch.ends, batch.lines):
        np.testing.assert_allclose(history, np.repeat(line[:1], 4, axis=0), atol=1e-4)
        np.testing.assert_allclose(end, line[-1], atol=1e-4)
        assert len(line) > 200


def test_both_ends_are_starts():
    scene = simulate("standard", 0)
    batch = episodes([scene] * 30, np.random.default_rng(0))
    firsts = {tuple(np.round(line[0], 3)) for line in batch.lines}
    assert firsts == {tuple(np.round(scene.centreline[i], 3)) for i in (0, -1)}


def test_a_start_midway_comes_along_the_axon():
    batch = draw("standard", (1,), 40, midway=1.0)
    for history, line in zip(batch.history, batch.lines):
        steps = np.diff(history, axis=0)
        assert 0.3 < np.hypot(*steps.T).mean() < 5.5
        onwards = line[min(16, len(line) - 1)] - line[0]
        assert (history[-1] - history[0]) @ onwards > 0
        assert np.hypot(*(history[-1] - line[0])) < 2.5
    assert np.std([len(line) for line in batch.lines]) > 30


def test_the_truth_is_on_the_line_and_the_background_is_zero():
    batch = draw("noisy", (2,), 3)
    for image, truth, line in zip(batch.images, batch.truth, batch.lines):
        rows, columns = np.round(line).astype(int).T
        assert truth[rows, columns].min() > 0.5
        assert np.median(image) == pytest.approx(0, abs=0.05)
        assert image[rows, columns].mean() > 0.3


def test_mixtures_take_turns():
    assert MIXTURES["published"] == PUBLISHED
    batch = draw("published", (3,), 5)
    alone = simulate("wide", (3, 2))
    np.testing.assert_allclose(sorted(batch.lines[2].tolist()), sorted(alone.centreline.tolist()))


def test_an_unknown_mixture_is_named():
    with pytest.raises(InputError, match="no condition 'x'"):
        draw("x", (0,), 1)
