import pytest
import torch

from napari_medseg.core.errors import ModelError
from napari_medseg.nn.device import Device
from napari_medseg.nn.light import LightUNet
from napari_medseg.nn.networks import build, copy_matching
from napari_medseg.nn.unet import UNet

CPU = Device("cpu", bf16=False)


@pytest.mark.parametrize(("net", "side"), [(UNet(3, 4, filters=4), 48), (LightUNet(3, 4, filters=4), 48)])
def test_output_has_the_size_of_the_input(net, side):
    assert net(torch.zeros(2, 3, side, side + 16)).shape == (2, 4, side, side + 16)


def test_published_layout():
    """Five levels, 32 filters doubling; a block's input is concatenated with its last feature map."""
    net = UNet(3, 13)
    assert [block.body[1][0].out_channels for block in net.down] == [32, 64, 128, 256, 512]
    assert [block.outputs for block in net.down] == [35, 99, 227, 483, 995]
    assert not any(isinstance(part, torch.nn.ConvTranspose2d) for part in net.modules())
    assert net.multiple == 16


def test_block_keeps_its_input():
    net = UNet(1, 2, filters=2, levels=2)
    x = torch.rand(1, 1, 4, 4)
    torch.testing.assert_close(net.down[0](x)[:, :1], x)


def test_he_initialisation():
    weight = UNet(64, 2, filters=64, levels=2).down[0].body[0][0].weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)


def test_light_network_is_small():
    net = LightUNet(3, 2)
    assert sum(p.numel() for p in net.parameters()) < 600_000
    assert net.multiple == 16


def test_same_seed_same_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build("light", {"channels": 3, "classes": 2}, seed=1, device=CPU)
    second = build("light", {"channels": 3, "classes": 2}, seed=1, device=CPU)
    other = build("light", {"channels": 3, "classes": 2}, seed=2, device=CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)


def test_unknown_networks_and_arguments_are_named():
    with pytest.raises(ModelError, match="'huge' is not known here; known are: light, published"):
        build("huge", {}, seed=0, device=CPU)
    with pytest.raises(ModelError, match="does not take these arguments"):
        build("light", {"wings": 2}, seed=0, device=CPU)


def test_copy_matching_leaves_another_head_alone():
    source = build("light", {"channels": 3, "classes": 2}, seed=1, device=CPU)
    target = build("light", {"channels": 3, "classes": 5}, seed=2, device=CPU)
    head = target.head.weight.clone()
    copy_matching(source.state_dict(), target)
    assert torch.equal(target.head.weight, head)
    assert torch.equal(target.mix[0].weight, source.mix[0].weight)
