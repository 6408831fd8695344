import numpy as np
import torch

from napari_medseg.core.image import Image
from napari_medseg.core.scribbles import collect
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.train.augment import Strengths
from napari_medseg.train.batches import CropSampler

STILL = Strengths(rotate=0, zoom=0, elastic=0, blur=0, gamma=0, colour=0, contrast=0)


def sampler(array, labels, *, dense=None, share=0.0, strengths=STILL, seed=0):
    image = Image.of(array, "zyx" if array.ndim == 3 else "yx")
    scaling = Normalisation.suited(image).measure(image)
    points = collect(Image.of(labels, kind="labels"))
    region = None if dense is None else collect(Image.of(dense, kind="labels"))
    return CropSampler(
        image, scaling, points, crop=64, batch=4, strengths=strengths, seed=seed, dense=region, dense_share=share
    )


def scene():
    """Pixels tell their class: 1 is dark, 2 is bright, and only a few of each are annotated."""
    array = np.zeros((200, 300), np.uint8)
    array[:, 150:] = 200
    labels = np.zeros((200, 300), np.uint8)
    labels[20:24, 20:60], labels[150:152, 200:203] = 1, 2
    return array, labels


def test_labels_lie_on_their_pixels():
    drawn = sampler(*scene(), strengths=Strengths(gamma=0, colour=0, contrast=0, blur=0))
    for _ in range(5):
        batch = drawn.draw()
        assert batch.images.shape == (4, 1, 64, 64) and batch.labels.shape == (4, 64, 64)
        value = batch.images[:, 0]
        assert (value[batch.labels == 1] < 0).all() and (value[batch.labels == 2] > 0).all()


def test_classes_come_in_turn():
    drawn = sampler(*scene())
    seen = torch.stack([torch.stack([(drawn.draw().labels == k).flatten(1).any(1) for k in (1, 2)]) for _ in range(5)])
    assert seen[:, 0].any(dim=1).all() and seen[:, 1].any(dim=1).all()


def test_dense_share():
    array, labels = scene()
    dense = np.zeros_like(labels)
    dense[60:120, 60:120] = 3
    only_dense = sampler(array, labels, dense=dense, share=1.0)
    never = sampler(array, labels, dense=dense, share=0.0)
    assert all((only_dense.draw().labels == 3).flatten(1).any(1).all() for _ in range(3))
    sparse = [never.draw().labels for _ in range(3)]
    assert all(((labels == 1) | (labels == 2)).flatten(1).any(1).all() for labels in sparse)


def test_stack_takes_crops_from_every_annotated_plane():
    stack = np.zeros((4, 80, 80), np.uint8)
    stack += np.arange(4, dtype=np.uint8)[:, None, None] * 50
    labels = np.zeros_like(stack)
    labels[0, 30:34, 30:50], labels[3, 30:34, 30:50] = 1, 2
    batch = sampler(stack, labels).draw()
    for image, drawn in zip(batch.images, batch.labels, strict=True):
        assert len(set(drawn.unique().tolist()) - {0}) == 1
        assert image.max() == image.min()


def test_same_seed_same_batches():
    first, second, third = (sampler(*scene(), strengths=Strengths(), seed=s).draw() for s in (1, 1, 2))
    assert torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)
    assert not torch.equal(first.images, third.images)


def test_tiny_image():
    labels = np.zeros((17, 5), np.uint8)
    labels[:8], labels[8:] = 1, 2
    batch = sampler(np.arange(85, dtype=np.float64).reshape(17, 5), labels).draw()
    assert torch.isfinite(batch.images).all()
