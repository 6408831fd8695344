from __future__ import annotations

import pytest

from napari_medseg.core import axes
from napari_medseg.core.errors import InputError


@pytest.mark.parametrize("given", ["yx", "zyx", "tzyxc", "cyx"])
def test_good_axes_are_returned(given: str) -> None:
    assert axes.check(given, len(given)) == given


@pytest.mark.parametrize(
    ("given", "ndim", "words"),
    [
        ("yx", 3, "name 2 axes, but the image has 3"),
        ("yyx", 3, "not understood"),
        ("qyx", 3, "not understood"),
        ("zy", 2, "no y and x"),
        ("tzc", 3, "no y and x"),
    ],
)
def test_bad_axes_are_refused(given: str, ndim: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        axes.check(given, ndim)


def test_spatial_leaves_out_the_channel() -> None:
    assert [axes.spatial(given) for given in ("cyx", "zycx", "yxc", "tyx")] == ["yx", "zyx", "yx", "tyx"]


@pytest.mark.parametrize(
    ("ndim", "hints", "expected"),
    [
        (2, {}, "yx"),
        (3, {}, "zyx"),
        (4, {}, "tzyx"),
        (3, {"rgb": True}, "yxc"),
        (4, {"rgb": True}, "zyxc"),
        (3, {"labels": ("Channel", "Y", "X")}, "cyx"),
        (3, {"labels": ("time", "y", "x")}, "tyx"),
        (4, {"labels": ("t", "y", "x"), "rgb": True}, "tyxc"),
        (4, {"labels": ("c", "y", "x"), "rgb": True}, "zyxc"),  # only one axis can be the channel
        (3, {"labels": ("-3", "-2", "-1")}, "zyx"),  # what napari gives where nobody named the axes
        (3, {"labels": ("y", "x")}, "zyx"),
        (3, {"labels": ("x", "x", "y")}, "zyx"),
        (2, {"labels": ("", "")}, "yx"),
    ],
)
def test_guess(ndim: int, hints: dict, expected: str) -> None:
    assert axes.guess(ndim, **hints) == expected


@pytest.mark.parametrize(("ndim", "rgb"), [(1, False), (5, False), (2, True), (6, True)])
def test_guess_refuses_other_numbers_of_axes(ndim: int, rgb: bool) -> None:
    with pytest.raises(InputError, match="2 to 4 axes"):
        axes.guess(ndim, rgb=rgb)


@pytest.mark.parametrize("given", ["xy", "yxz", "ycxz"])
def test_pictures_lie_in_the_last_axes(given):
    with pytest.raises(InputError, match="do not end with y, x"):
        axes.check(given, len(given))


def test_labels_in_another_order_are_not_believed():
    assert axes.guess(2, labels=("x", "y")) == "yx"
