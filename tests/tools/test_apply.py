import importlib.util

import numpy as np
import pytest
import torch

from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Note, Tile
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.nn.light import LightUNet
from napari_medseg.nn.store import Card, write
from napari_medseg.run.inline import run_inline
from napari_medseg.tools import apply
from napari_medseg.tools.apply import Params

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the extra 'openvino' is not installed"
)


@pytest.fixture
def model(tmp_path):
    """Path of a small model of two classes."""
    torch.manual_seed(0)
    arguments = {"channels": 3, "classes": 2, "filters": 4}
    net = LightUNet(**arguments)
    card = Card(
        name="small",
        task="segmentation",
        architecture="light",
        arguments=arguments,
        channels=3,
        normalisation="rgb8",
        classes={1: "a", 2: "b"},
    )
    return str(write(card, {f"net.{name}": value for name, value in net.state_dict().items()}, tmp_path).weights)


def grey_model(folder):
    """Path of a small model for grey images."""
    arguments = {"channels": 1, "classes": 2, "filters": 4}
    net = LightUNet(**arguments)
    card = Card(
        name="grey",
        task="segmentation",
        architecture="light",
        arguments=arguments,
        channels=1,
        image_channels=1,
        normalisation="percentile",
        classes={1: "a", 2: "b"},
    )
    return str(write(card, {f"net.{name}": value for name, value in net.state_dict().items()}, folder).weights)


def picture(*shape):
    return Image.of(np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8), "yxc", name="picture")


def applied(image, **params):
    """Labels, notes and result of one run."""
    events = []
    result = run_inline("apply", Job({"image": image}, Params(device="cpu", **params)), events.append)
    labels = np.zeros(image.shape(), np.uint8)
    for event in events:
        if isinstance(event, Tile) and event.layer == "prediction":
            labels[tuple(slice(o, o + n) for o, n in zip(event.offset, event.data.shape))] = event.data
    return labels, [event.message for event in events if isinstance(event, Note)], result.values


def test_torch_computes_unless_told_otherwise(model):
    labels, notes, values = applied(picture(90, 70, 3), model=model)
    assert set(np.unique(labels)) <= {1, 2} and not notes and values["backend"] == "torch"


@needs_openvino
def test_openvino_gives_the_same_labels_twice_and_says_so(model):
    image = picture(90, 70, 3)
    plain, _, _ = applied(image, model=model)
    labels, notes, values = applied(image, model=model, backend="openvino")
    again, _, _ = applied(image, model=model, backend="openvino")
    np.testing.assert_array_equal(labels, again)
    assert (labels == plain).mean() > 0.999
    assert len(notes) == 1 and notes[0].startswith("Predicting with OpenVINO, CPU") and values["backend"] == "openvino"


def test_auto_leaves_small_images_to_torch(model):
    _, notes, values = applied(picture(90, 70, 3), model=model, backend="auto")
    assert notes == ["Predicting with torch: the image is too small for a choice to pay."]
    assert values["backend"] == "torch"


@needs_openvino
def test_auto_times_a_large_image(model):
    stack = Image.of(np.random.default_rng(1).integers(0, 256, (apply.WORTH_TIMING, 64, 64, 3), np.uint8), "zyxc")
    _, notes, values = applied(stack, model=model, backend="auto")
    chosen = {"torch": "torch", "openvino": "OpenVINO"}[values["backend"]]
    assert len(notes) == 1 and notes[0].startswith(f"Predicting with {chosen}: on one tile OpenVINO was ")


def test_an_image_that_is_the_same_everywhere_is_refused(tmp_path):
    empty = Image.of(np.full((40, 50), 7.5), "yx", name="blank")
    with pytest.raises(InputError, match=r"^The image 'blank' is the same everywhere \(every pixel is 7\.5\)"):
        applied(empty, model=grey_model(tmp_path))
