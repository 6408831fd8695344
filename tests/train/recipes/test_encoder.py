import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Scalar
from napari_medseg.nn import store
from napari_medseg.nn.device import Device
from napari_medseg.nn.networks import build, copy_matching
from napari_medseg.nn.packing import net_tensors
from napari_medseg.train.recipes import encoder


@pytest.fixture
def data(tmp_path):
    """A folder laid out as the shared data, with small random pictures."""
    rng = np.random.default_rng(0)

    def picture(path, *shape):
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(rng.integers(0, 255, shape).astype(np.uint8)).save(path)

    for folder, names in (("DSB2018_color", "abcd"), ("DSB2018_fluo", "e")):
        for name in names:
            picture(tmp_path / f"nuclei/{folder}/{name}/images/{name}.png", 90, 100, 3)
            picture(tmp_path / f"nuclei/{folder}/{name}/masks/m.png", 90, 100)
    for tile in encoder.TUMOUR_TILES:
        picture(tmp_path / f"he_tissue/OCDC_tumor/images/1009009_{tile}.jpg", 320, 320, 3)
    for tile in encoder.GLOMERULI_TILES:
        picture(tmp_path / f"kidney_glomeruli/aidpath_hubmapext/images/{tile}.png", 320, 320, 3)
    picture(tmp_path / "nuclei/BreCaHAD/images/x.jpg", 320, 320, 3)
    picture(tmp_path / "digital_staining/OSCC_HE_400x_unlabelled/y.jpg", 320, 320, 3)
    return tmp_path


def run(generator):
    points = []
    while True:
        try:
            event = next(generator)
        except StopIteration as end:
            return points, end.value
        if isinstance(event, Scalar):
            points.append(event)


def test_weights_card_and_log(data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    _, result = run(encoder.train(data, out, steps=2, seed=5, name="small"))
    card = store.find(result.values["model"])
    assert (card.task, card.seed, card.steps, card.licence) == ("encoder", 5, 2, "CC BY 4.0")
    tensors = net_tensors(card)
    assert not any(name.startswith("head.") for name in tensors)
    net = build("light", {"channels": 3, "classes": 6}, seed=0, device=Device("cpu", bf16=False))
    copy_matching(tensors, net)
    torch.testing.assert_close(net.state_dict()["down.0.0.0.weight"], tensors["down.0.0.0.weight"])
    assert (out / "small.csv").read_text().startswith("step,loss,value")


@pytest.mark.parametrize(("objective", "names"), [
    ("self", {"restored"}), ("nuclei", {"nuclei"}), ("both", {"nuclei", "restored"}),
])  # fmt: skip
def test_objectives(data, tmp_path, objective, names):
    _, result = run(encoder.train(data, tmp_path / "out", objective=objective, steps=1))
    assert set(result.values) - {"model"} == names


def test_every_second_colour_picture_is_left_for_measuring(data):
    assert len(encoder.pictures(data)[0]) == 2


def test_damage_changes_the_picture_but_not_the_target(data):
    batch = encoder.Sampler(encoder.pictures(data), 0).draw()
    assert batch.target is not None and batch.images.shape == batch.target.shape
    assert not torch.allclose(batch.images, batch.target)
    assert set(batch.labels.unique().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("nodir", "There is no folder {}; expected is one that holds the 6 free image sets: nuclei/DSB2018_color/*/"),
        ("a.txt", "There is no folder {}; expected is one that holds the 6 free image sets: nuclei/DSB2018_color/*/"),
        ("empty", "{} lacks the 6 free image sets: nuclei/DSB2018_color/*/images/*.png, nuclei/DSB2018_fluo/"),
    ],
)
def test_wrong_folder(tmp_path, name, start):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError) as error:
        encoder.pictures(tmp_path / name)
    assert str(error.value).startswith(start.format(tmp_path / name))
    assert str(error.value).endswith("/images/*.png. Put them there, or name their folder.")


def test_a_set_with_missing_pictures_is_named(data):
    for path in (data / "nuclei/DSB2018_color/b/images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"There is no picture in .*DSB2018_color/b/images"):
        encoder.pictures(data)


def test_a_file_beside_the_folders_of_a_set_does_no_harm(data):
    (data / "nuclei/DSB2018_color/.DS_Store").touch()
    (data / "nuclei/DSB2018_color/a0.csv").touch()
    assert len(encoder.pictures(data)[0]) == 2


@pytest.mark.parametrize("name", ["missing", "damaged"])
def test_a_picture_that_cannot_be_read_is_named(data, name):
    path = data / "he_tissue/OCDC_tumor/images/1009009_r27c10.jpg"
    path.unlink() if name == "missing" else path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1009009_r27c10.jpg cannot be read .* Copy the data set again"):
        encoder.pictures(data)


def test_a_part_of_the_sets_is_not_enough(data):
    (data / "nuclei/BreCaHAD/images/x.jpg").unlink()
    with pytest.raises(InputError, match=r"lacks 1 of the 6 free image sets: nuclei/BreCaHAD/images/\*.jpg\. Put"):
        encoder.pictures(data)
