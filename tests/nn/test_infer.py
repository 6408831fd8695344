import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.core.errors import InputError, MemoryShortage
from napari_medseg.core.image import Image
from napari_medseg.nn.device import Device
from napari_medseg.nn.infer import cells, predict
from napari_medseg.nn.light import LightUNet
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.nn.segmenter import Segmenter

CPU = Device("cpu", bf16=False)
RGB8 = Normalisation(method="rgb8")


class Local(nn.Module):
    """Logits that depend on one pixel only: the mean colour and its opposite."""

    multiple = 16

    def forward(self, x):
        mean = x.mean(dim=1, keepdim=True)
        return torch.cat([mean, -mean], dim=1)


class Hungry(Local):
    """Runs out of memory on tiles above a size."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def forward(self, x):
        if x.shape[-1] > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
        return super().forward(x)


def segmenter(net, channels=3, normalisation=RGB8):
    return Segmenter(labels=(1, 2), channels=channels, normalisation=normalisation, device=CPU, net=net)


def random_image(*shape, seed=0, axes="yxc"):
    return Image.of(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8), axes)


def whole(found, shape, classes=2):
    out = np.full((*shape, classes), np.nan, np.float32)
    for box, probabilities in found:
        assert np.isnan(out[box]).all(), "a cell came twice"
        out[box] = probabilities
    assert not np.isnan(out).any()
    return out


def expected_local(image):
    mean = ((image.levels[0][..., :3].astype(np.float32) - 127.5) / 63.75).mean(axis=-1)
    return 1 / (1 + np.exp(-2 * mean))


def test_a_local_network_gives_the_same_tiled():
    image = random_image(300, 410, 3)
    out = whole(predict(image, segmenter(Local()), tile=128), (300, 410))
    np.testing.assert_allclose(out[..., 0], expected_local(image), atol=1e-5)


def test_every_view_gives_the_same_bits():
    torch.manual_seed(0)
    image, net = random_image(300, 410, 3), LightUNet(3, 2, filters=4).eval()
    plain = whole(predict(image, segmenter(net), tile=128), (300, 410))
    viewed = whole(predict(image, segmenter(net), tile=128, view=((200, 290), (300, 400))), (300, 410))
    np.testing.assert_array_equal(plain, viewed)


def test_what_is_in_view_comes_first_and_alone():
    image = random_image(300, 410, 3)
    view = ((200, 290), (300, 400))
    found = list(predict(image, segmenter(Local()), tile=128, view=view, only_view=True))
    covered = np.zeros((300, 410), bool)
    for box, _ in found:
        covered[box] = True
    assert covered[200:290, 300:400].all() and not covered.all()
    first = next(predict(image, segmenter(Local()), tile=128, view=view))[0]
    assert first[0].start <= 245 < first[0].stop and first[1].start <= 350 < first[1].stop


def test_stack_starts_with_the_plane_in_view():
    image = random_image(3, 20, 30, 3, axes="zyxc")
    boxes = [box for box, _ in predict(image, segmenter(Local()), view=((1, 2), (0, 20), (0, 30)))]
    assert [box[0].start for box in boxes] == [1, 0, 2]


@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (5, 200)])
def test_small_images(shape):
    image = random_image(*shape, 3)
    out = whole(predict(image, segmenter(LightUNet(3, 2, filters=4).eval())), shape)
    np.testing.assert_allclose(out.sum(axis=-1), 1, atol=1e-5)


def test_alpha_is_dropped():
    image = random_image(20, 30, 4)
    out = whole(predict(image, segmenter(Local())), (20, 30))
    np.testing.assert_allclose(out[..., 0], expected_local(image), atol=1e-5)


def test_memory_shortage_halves_the_tile():
    sizes = []
    image = random_image(600, 600, 3)
    out = {}
    for box, probabilities in predict(image, segmenter(Hungry(256)), tile=512, on_smaller=sizes.append):
        out[str(box)] = probabilities
    assert sizes == [256]


def test_memory_shortage_ends_with_a_sentence():
    with pytest.raises(MemoryShortage, match="even with tiles of"):
        list(predict(random_image(600, 600, 3), segmenter(Hungry(16)), tile=512))


def test_other_errors_are_not_swallowed():
    with pytest.raises(RuntimeError, match="size of tensor|expected input|channels"):
        list(predict(random_image(64, 64, 3), segmenter(LightUNet(5, 2, filters=4).eval(), channels=5)))


def test_nan_is_refused():
    array = np.random.default_rng(0).random((64, 64))
    array[3, 3] = np.nan
    image = Image.of(array, name="scan")
    with pytest.raises(InputError, match="'scan' holds NaN"):
        list(predict(image, segmenter(Local(), normalisation=Normalisation(method="percentile"))))


def test_count_of_cells():
    image, model = random_image(2, 1500, 1100, 3, axes="zyxc"), segmenter(Local())
    assert cells(image, model, view=None, only_view=False) == len(list(predict(image, model)))
    view = ((0, 1), (0, 100), (0, 100))
    assert cells(image, model, view=view, only_view=True) == len(list(predict(image, model, view=view, only_view=True)))
