import contextlib
import json

import numpy as np
import pytest
import torch

from napari_medseg.core.errors import InputError, ModelError, StorageError
from napari_medseg.core.image import Image
from napari_medseg.nn import store
from napari_medseg.nn.device import Device
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.networks import build
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.nn.packing import check_channels, load_segmenter, tensors_of
from napari_medseg.nn.segmenter import Segmenter

CPU = Device("cpu", bf16=False)
ARGUMENTS = {"channels": 3, "classes": 2, "filters": 4}


@pytest.fixture(autouse=True)
def user_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def segmenter():
    net = build("light", ARGUMENTS, seed=3, device=CPU).eval()
    head = LinearHead(torch.randn(2, 81), torch.randn(2))
    return Segmenter((1, 5), 3, Normalisation(method="rgb8"), CPU, net, head)


@pytest.fixture
def checkpoint(segmenter, tmp_path):
    card = store.Card(
        name="taught", task="segmentation", architecture="light", arguments=ARGUMENTS, channels=3,
        normalisation="rgb8", classes={1: "rest", 5: "tumour"}, linear_head=True,
    )  # fmt: skip
    return store.write(card, tensors_of(segmenter), tmp_path / "work")


def test_round_trip_gives_the_same_answers(segmenter, checkpoint):
    kept = store.save_as(checkpoint.weights, "my tumour")
    loaded = load_segmenter(store.find("my tumour"), CPU)
    batch = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(batch), segmenter(batch), rtol=0, atol=0)
    assert loaded.labels == (1, 5)
    assert kept.sha256 == checkpoint.sha256 and kept.classes == {1: "rest", 5: "tumour"}
    assert "my tumour" in [card.name for card in store.models("segmentation")]


def test_names_with_dots_and_overwriting(checkpoint):
    store.save_as(checkpoint.weights, "v1.2")
    store.save_as(checkpoint.weights, "v1.2")
    assert store.find("v1.2").name == "v1.2"


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "x" * 100, "encoder", "scratch", "dot."])
def test_bad_names(checkpoint, name):
    with pytest.raises(InputError, match="cannot be a model's name|is taken"):
        store.save_as(checkpoint.weights, name)


def test_unknown_model_names_the_known_ones(checkpoint):
    store.save_as(checkpoint.weights, "mine")
    with pytest.raises(ModelError, match="no model 'yours'. Known models: .*mine"):
        store.find("yours")


def test_damaged_weights(checkpoint):
    content = bytearray(checkpoint.weights.read_bytes())
    content[-1] ^= 255
    checkpoint.weights.write_bytes(content)
    with pytest.raises(ModelError, match="does not match its card"):
        store.load_tensors(checkpoint)


def test_weights_that_are_no_safetensors(checkpoint):
    checkpoint.weights.write_bytes(b"not tensors at all")
    with pytest.raises(ModelError, match="is not a safetensors file"):
        store.load_tensors(checkpoint.model_copy(update={"sha256": ""}))


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"format": "other"}', "\x00\x01"])
def test_foreign_card(tmp_path, content):
    path = tmp_path / "foreign.json"
    path.write_text(content)
    with pytest.raises(ModelError, match="is no model card"):
        store.find(path)


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match="gone.json is missing"):
        store.find(tmp_path / "gone.safetensors")


def test_card_of_another_network(checkpoint):
    path = checkpoint.weights.with_suffix(".json")
    card = json.loads(path.read_text())
    card["arguments"]["filters"] = 8
    path.write_text(json.dumps(card))
    with pytest.raises(ModelError, match="do not fit its card"):
        load_segmenter(store.read_card(path), CPU)


def test_an_encoder_is_no_segmenter(checkpoint):
    with pytest.raises(ModelError, match="is for encoder, not for segmentation"):
        load_segmenter(checkpoint.model_copy(update={"task": "encoder"}), CPU)


def test_wrong_channel_count(checkpoint):
    with pytest.raises(InputError, match="taught on RGB images; 'scan' has 2 channels"):
        check_channels(checkpoint, Image.of(np.zeros((4, 4, 2)), "yxc", name="scan"))
    grey = checkpoint.model_copy(update={"normalisation": "percentile", "image_channels": 1})
    with pytest.raises(InputError, match="images with 1 channel; 'scan' has 2 channels"):
        check_channels(grey, Image.of(np.zeros((4, 4, 2)), "yxc", name="scan"))


def test_folder_that_cannot_be_written(checkpoint, tmp_path, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(blocker / "models"))
    with pytest.raises(StorageError, match="cannot be written to"):
        store.save_as(checkpoint.weights, "mine")


@contextlib.contextmanager
def full_disk():
    """Files cannot grow past 100 bytes: the system refuses, as it does on a full disk."""
    resource = pytest.importorskip("resource", reason="file size limits exist on Unix only")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_leaves_the_old_model(checkpoint, user_folder):
    kept = store.save_as(checkpoint.weights, "mine")
    before = kept.weights.read_bytes()
    with full_disk(), pytest.raises(StorageError, match="cannot be written to"):
        store.save_as(checkpoint.weights, "mine")
    assert kept.weights.read_bytes() == before
    assert sorted(path.name for path in user_folder.iterdir()) == ["mine.json", "mine.safetensors"]


def test_reading_cards_needs_no_torch():
    import subprocess
    import sys

    code = "import sys; from napari_medseg.nn import store; store.models(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
