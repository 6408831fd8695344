"""Loss balancing for sparse annotations (Bokhorst et al., MIDL 2019, section 2).

Works on numpy arrays and on torch tensors alike: only ``==``, ``sum`` and arithmetic are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from napari_medseg.core.errors import InputError

Balancing = Literal["none", "instance", "minibatch"]


def pixel_weights(labels: Any, mode: Balancing, classes: Sequence[int]) -> Any:
    """Weight of each pixel in the loss; 0 where nothing was annotated (label 0).

    Parameters
    ----------
    labels
        (batch, *spatial) integers, 0 = not annotated.
    mode
        ``none``: w = 1. ``instance``: w = L_I / (C_I C_ij) with counts per patch.
        ``minibatch``: w = L_B / (C_B C_ij) with counts over the batch.
    classes
        The labels in use.

    Returns
    -------
    float array of the shape of ``labels``; every present class sums to L / C
    """
    if mode == "none":
        return (labels != 0) * 1.0
    if mode == "minibatch":
        return _balanced(labels, classes)
    if mode == "instance":
        out = (labels != 0) * 1.0
        for index in range(len(labels)):
            out[index] = _balanced(labels[index], classes)
        return out
    raise InputError(f"The balancing {mode!r} is not known; choose none, instance or minibatch.")


def _balanced(labels: Any, classes: Sequence[int]) -> Any:
    masks = [labels == label for label in classes]
    counts = [int(mask.sum()) for mask in masks]
    total, present = sum(counts), sum(count > 0 for count in counts)
    out = (labels != labels) * 1.0
    for mask, count in zip(masks, counts, strict=True):
        if count:
            out = out + mask * (total / (present * count))
    return out
