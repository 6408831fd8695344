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


def test_every_point_is_examined_once():
    array = np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8)
    labels = np.zeros((300, 300), np.uint8)
    labels[5:8, 5:295], labels[100:250, 150] = 1, 4
    exam = exam_of(array, labels)
    assert sum(int((batch.labels != 0).sum()) for batch in exam.batches) == int((labels != 0).sum())
