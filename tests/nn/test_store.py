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


def test_names_with_dots(checkpoint):
    store.save_as(checkpoint.weights, "v1.2")
    assert store.find("v1.2").name == "v1.2"


def test_a_model_is_replaced_only_where_that_is_said(checkpoint, user_folder):
    store.save_as(checkpoint.weights, "mine")
    other = store.write(checkpoint.model_copy(update={"steps": 7}), store.load_tensors(checkpoint), user_folder.parent)
    with pytest.raises(InputError, match="You have a model named 'mine' already"):
        store.save_as(other.weights, "mine")
    assert store.find("mine").steps == 0
    store.save_as(other.weights, "mine", replace=True)
    assert store.find("mine").steps == 7


def test_a_damaged_model_counts_as_one_of_that_name(checkpoint, user_folder):
    user_folder.mkdir()
    (user_folder / "mine.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="already"):
        store.save_as(checkpoint.weights, "mine")


def test_removed_models_leave_the_list_and_can_be_put_back(checkpoint, user_folder):
    for _ in range(2):
        store.save_as(checkpoint.weights, "mine")
        attic = store.remove("mine")
        with pytest.raises(ModelError, match="no model 'mine'"):
            store.find("mine")
    files = ["mine 2.json", "mine 2.safetensors", "mine.json", "mine.safetensors"]
    assert sorted(path.name for path in attic.iterdir()) == files
    for name in files[:2]:
        (attic / name).rename(user_folder / name)
    assert store.read_weights(store.find("mine 2")) == checkpoint.weights.read_bytes()


def test_a_damaged_model_can_be_removed(user_folder):
    user_folder.mkdir()
    (user_folder / "mine.json").write_text("no card")
    assert [path.name for path in store.remove("mine").iterdir()] == ["mine.json"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("encoder", "came with the package and cannot be removed"),
        ("nobody", "no model 'nobody' to remove. Your own models: none"),
        ("../models/encoder", "cannot be a model's name"),
        ("", "has no name"),
        ("x" * 300, "cannot be a model's name"),
    ],
)
def test_what_cannot_be_removed(user_folder, name, sentence):
    with pytest.raises((InputError, ModelError), match=sentence):
        store.remove(name)
    assert store.find("encoder").shipped


@pytest.mark.parametrize("name", ["", " "])
def test_no_name_finds_no_model(name):
    with pytest.raises(ModelError, match="No model was named. Known models: .*encoder"):
        store.find(name)


def test_a_name_longer_than_a_file_name_is_just_unknown():
    with pytest.raises(ModelError, match="There is no model 'xxx"):
        store.find("x" * 300)


def test_a_folder_that_cannot_hold_models_is_named_ahead(tmp_path):
    store.check_folder(tmp_path / "not" / "yet" / "there")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file is no folder\. Choose another"):
        store.check_folder(tmp_path / "file" / "models")


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "x" * 100, "encoder", "scratch", "dot."])
def test_bad_names(checkpoint, name):
    with pytest.raises(InputError, match="cannot be a model's name|is taken|has no name"):
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
        store.save_as(checkpoint.weights, "mine", replace=True)
    assert kept.weights.read_bytes() == before
    assert sorted(path.name for path in user_folder.iterdir()) == ["mine.json", "mine.safetensors"]


def test_reading_cards_needs_no_torch():
    import subprocess
    import sys

    code = "import sys; from napari_medseg.nn import store; store.models(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
