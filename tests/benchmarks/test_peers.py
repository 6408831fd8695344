"""The peers on a picture that any method must learn, and the filters that stand in for fastfilters."""

import numpy as np
import pytest

from benchmarks.peers import convpaint, fastfilters_scipy, forest
from benchmarks.score import dice
from benchmarks.strokes import strokes


@pytest.fixture
def easy() -> tuple[np.ndarray, np.ndarray]:
    truth = np.ones((96, 96), np.uint8)
    truth[20:60, 30:80] = 2
    colours = np.array([[0, 0, 0], [200, 180, 190], [90, 40, 130]], float)[truth]
    noise = np.random.default_rng(0).normal(0, 8, colours.shape)
    return np.clip(colours + noise, 0, 255).astype(np.uint8), truth


def test_the_forest_learns_an_easy_picture_and_carries_it_over(easy):
    image, truth = easy
    painted = strokes(truth, 8, 0)
    outcome = forest.run(image, painted, image[::-1], threads=1)
    assert dice(outcome.same, truth, painted) > 0.95
    assert dice(outcome.other, truth[::-1]) > 0.9
    assert outcome.seconds_train > 0


@pytest.mark.skipif(not convpaint.PYTHON.exists(), reason="benchmarks/peers/setup.sh has not made .venv-peers")
def test_convpaint_learns_an_easy_picture_in_its_own_process(easy):
    image, truth = easy
    painted = strokes(truth, 8, 0)
    with convpaint.Convpaint() as peer:
        colour = peer.run(image, painted, image[::-1])
        grey = peer.run(image[..., 0], painted, image[::-1, :, 0], "gaussian")
    assert dice(colour.same, truth, painted) > 0.9
    assert dice(colour.other, truth[::-1]) > 0.8
    assert dice(grey.same, truth, painted) > 0.8


def test_a_missing_environment_is_named_with_the_cure(monkeypatch, tmp_path):
    monkeypatch.setattr(convpaint, "PYTHON", tmp_path / "python")
    with pytest.raises(convpaint.PeerMissing, match=r"setup\.sh"):
        convpaint.Convpaint()


def test_filters_find_a_ridge_along_its_direction():
    plane = np.zeros((41, 41), np.float32)
    plane[20] = 1
    larger, smaller = np.moveaxis(fastfilters_scipy.hessianOfGaussianEigenvalues(plane, 2.0), -1, 0)
    assert smaller[20, 20] < -0.01
    assert abs(larger[20, 20]) < 1e-4
    strong, weak = np.moveaxis(fastfilters_scipy.structureTensorEigenvalues(plane, 1.0, 2.0), -1, 0)
    assert strong[20, 20] > 10 * abs(weak[20, 20])
    assert fastfilters_scipy.gaussianGradientMagnitude(plane, 1.0)[20, 20] < 1e-6
