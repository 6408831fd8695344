import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image
from napari_medseg.nn.device import Device, bf16_units
from napari_medseg.nn.filters import feature_count
from napari_medseg.nn.infer import middle_tile, predict
from napari_medseg.nn.light import LightUNet
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.nn.openvino_backend import OpenVinoNet, faster, with_openvino
from napari_medseg.nn.segmenter import Segmenter
from napari_medseg.nn.unet import UNet

CPU = Device("cpu", bf16=False)
BLOCKED = "import sys; sys.modules['openvino'] = None; "
NETS = [lambda: LightUNet(3, 4, filters=4), lambda: UNet(3, 4, filters=4), lambda: LightUNet(1, 2, filters=4)]


needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the extra 'openvino' is not installed"
)


class Tinted(nn.Module):
    """Logits of one pixel; torch waits ``delay`` seconds, or answers the opposite, and OpenVINO does not."""

    multiple = 16

    def __init__(self, delay=0.0, opposite=False):
        super().__init__()
        self.delay, self.opposite = delay, opposite

    def forward(self, x):
        mean = x.mean(dim=1, keepdim=True)
        if torch.jit.is_tracing():
            return torch.cat([mean, -mean], dim=1)
        time.sleep(self.delay)
        return torch.cat([-mean, mean] if self.opposite else [mean, -mean], dim=1)


def segmenter(net, channels=3, device=CPU, **more):
    return Segmenter((1, 2, 3, 4), channels, Normalisation(method="rgb8"), device, net.eval(), **more)


def seeded(make):
    torch.manual_seed(0)
    return make()


def picture(*shape):
    return Image.of(np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8), "yxc")


def whole(image, model):
    out = np.full((*image.shape(), 4), np.nan, np.float32)
    for box, probabilities in predict(image, model, tile=128):
        out[box] = probabilities
    return out


@needs_openvino
@pytest.mark.parametrize("make", NETS)
def test_same_logits_as_torch_in_any_shape(make):
    net = seeded(make).eval()
    channels = 1 if make is NETS[2] else 3
    compiled = OpenVinoNet(net, channels, bf16=False)
    assert compiled.multiple == net.multiple
    for shape in [(1, channels, 48, 112), (2, channels, 16, 16), (1, channels, 48, 112)]:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(2)).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            torch.testing.assert_close(compiled(x), net(x), atol=1e-4, rtol=1e-4)


@needs_openvino
def test_an_answer_is_not_overwritten_by_the_next():
    compiled = OpenVinoNet(seeded(NETS[0]), 3, bf16=False)
    first = compiled(torch.ones(1, 3, 32, 32))
    kept = first.clone()
    compiled(-torch.ones(1, 3, 32, 32))
    assert torch.equal(first, kept)


@needs_openvino
def test_same_probabilities_through_predict_with_a_head():
    head = LinearHead(torch.randn(4, feature_count(3), generator=torch.Generator().manual_seed(0)), torch.zeros(4))
    model, image = segmenter(seeded(NETS[0]), head=head), picture(203, 161, 3)
    np.testing.assert_allclose(whole(image, with_openvino(model)), whole(image, model), atol=1e-4)


@needs_openvino
def test_a_grey_image_fills_the_channels():
    model = segmenter(seeded(NETS[0]))
    grey = torch.rand(1, 1, 32, 48)
    with torch.inference_mode():
        torch.testing.assert_close(with_openvino(model)(grey), model(grey), atol=1e-4, rtol=1e-4)


@needs_openvino
def test_compiled_anew_it_gives_the_same_bytes():
    image, model = picture(150, 170, 3), segmenter(seeded(NETS[0]))
    first = whole(image, with_openvino(model))
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        np.testing.assert_array_equal(first, whole(image, with_openvino(model)))
    finally:
        torch.set_num_threads(before)


@needs_openvino
def test_the_precision_is_what_the_device_says():
    net, x = seeded(NETS[0]), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    exact = with_openvino(segmenter(net))
    coarse = with_openvino(segmenter(net, device=replace(CPU, bf16=True)))
    assert (exact.net.precision, coarse.net.precision) == ("f32", "bf16")
    if bf16_units("cpu"):
        error = (exact.net(x) - coarse.net(x)).abs().max()
        assert 1e-4 < error < 0.2


def test_the_tile_in_the_middle():
    image = picture(300, 700, 3)
    batch = middle_tile(image, segmenter(seeded(NETS[0])))
    expected = (image.levels[0][:300].astype(np.float32) - 127.5) / 63.75
    np.testing.assert_allclose(batch[0, :, :300, :700].permute(1, 2, 0), expected, atol=1e-5)
    stack = Image.of(np.random.default_rng(1).integers(0, 256, (5, 1500, 40), np.uint8), "zyx")
    model = replace(segmenter(seeded(NETS[2]), channels=1), normalisation=Normalisation(method="percentile"))
    assert middle_tile(stack, model).shape == (1, 1, 768, 48)


@needs_openvino
def test_the_faster_one_is_chosen_when_it_agrees():
    chosen, why = faster(segmenter(Tinted(delay=0.2)), torch.randn(1, 3, 64, 64))
    assert isinstance(chosen.net, OpenVinoNet)
    assert why.startswith("Predicting with OpenVINO: ") and "the same class on 100.00% of" in why


@needs_openvino
def test_another_answer_is_refused_however_fast():
    given = segmenter(Tinted(delay=0.2, opposite=True))
    chosen, why = faster(given, torch.randn(1, 3, 64, 64))
    assert chosen is given
    assert why.startswith("Predicting with torch: ") and "the same class on 0.00% of" in why


def test_a_gpu_keeps_torch():
    with pytest.raises(InputError, match="computes on the CPU, but the device is 'cuda'; choose the device 'cpu'"):
        with_openvino(segmenter(NETS[0](), device=Device("cuda", bf16=True)))


def python(code, home):
    """What a fresh process prints, its home folder elsewhere; OpenVINO keeps quiet by itself where CI is set."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment = {**kept, "HOME": str(home), "USERPROFILE": str(home), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", code]
    return subprocess.run(run, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout


ONE_NET = (
    "import torch; from napari_medseg.nn import openvino_backend as b; from napari_medseg.nn.device import Device; "
    "from napari_medseg.nn.normalise import Normalisation; from napari_medseg.nn.segmenter import Segmenter; "
    "from napari_medseg.nn.light import LightUNet; "
    "s = Segmenter((1, 2), 3, Normalisation(method='rgb8'), Device('cpu', False), LightUNet(3, 2).eval()); "
)


def test_without_the_package_the_cure_is_named(tmp_path):
    ask = "\ntry: b.with_openvino(s)\nexcept Exception as e: print(type(e).__name__, e)"
    told = python(BLOCKED + ONE_NET + ask, tmp_path)
    assert told.startswith("InputError The backend 'openvino' needs the package OpenVINO")
    assert 'pip install "napari-medseg[openvino]"' in told and "'torch'" in told


def test_without_the_package_the_choice_is_torch(tmp_path):
    told = python(
        BLOCKED + ONE_NET + "chosen, why = b.faster(s, torch.zeros(1, 3, 16, 16)); print(chosen is s, why)", tmp_path
    )
    assert told.startswith("True Predicting with torch. The backend 'openvino' needs the package OpenVINO")


@needs_openvino
def test_nothing_is_reported_home(tmp_path):
    """OpenVINO's telemetry puts a client number and a count into the home folder before it sends."""
    loaded = "import sys; print(sys.modules['openvino'].__name__, sys.modules['openvino_telemetry'])"
    told = python(ONE_NET + "b.with_openvino(s)(torch.zeros(1, 3, 16, 16)); " + loaded, tmp_path)
    assert told.strip() == "openvino None"
    assert not (tmp_path / "intel").exists()
