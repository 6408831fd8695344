import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.core.image import Image
from napari_medseg.core.scribbles import collect
from napari_medseg.nn.device import Device
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.train.exam import Exam


class Threshold(nn.Module):
    """The second class where the picture is bright."""

    def forward(self, x):
        mean = x.mean(dim=1, keepdim=True)
        return torch.cat([-mean, mean], dim=1)


def exam_of(array, labels):
    image = Image.of(array)
    return Exam(
        image,
        Normalisation.suited(image).measure(image),
        collect(Image.of(labels, kind="labels")),
        labels=(1, 4),
        channels=1,
        device=Device("cpu", bf16=False),
        seed=0,
    )


def test_score_by_hand():
    # Class 4 is bright; of 8 pixels called 4, two are dark. Dice of 4: 2*6/(8+6), of 1: 2*4/(4+6).
    array = np.zeros((400, 500), np.uint8)
    array[:, 250:] = 255
    labels = np.zeros((400, 500), np.uint8)
    labels[10, 400:406], labels[390, 10:12], labels[10, 10:14] = 4, 4, 1
    assert exam_of(array, labels)(Threshold()) == pytest.approx((12 / 14 + 8 / 10) / 2)


def test_answers_belong_to_their_points():
    array = np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8)
    labels = np.zeros((300, 300), np.uint8)
    labels[5:8, 5:295], labels[100:250, 150] = 1, 4
    exam = exam_of(array, labels)
    assert len(exam.points) == (labels != 0).sum()
    bright = exam.answers(Threshold())[:, 1] > 0.5
    low, high = np.percentile(array, [1, 99])
    values = array[tuple(exam.points.index.T)]
    clear = np.abs(values - (low + high) / 2) > 3
    np.testing.assert_array_equal(bright[clear], (values > (low + high) / 2)[clear])
    assert (exam.truth == (exam.points.label == 4)).all()


def test_planes_of_a_stack_are_kept_apart():
    stack = np.zeros((3, 60, 60), np.uint8)
    stack[2] = 255
    labels = np.zeros_like(stack)
    labels[0, 30, 20:40], labels[2, 30, 20:40] = 1, 4
    assert exam_of(stack, labels)(Threshold()) == 1.0
