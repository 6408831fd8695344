import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.core.scribbles import (
    Points,
    _connected,
    check_enough,
    check_fit,
    collect,
    hold_out,
    labels_seen,
    why_unchecked,
)


def labels_image(array, **kwargs):
    return Image.of(np.asarray(array), kind="labels", name="strokes", **kwargs)


def points_of(array):
    return collect(labels_image(array))


def test_collect_finds_every_annotated_pixel_of_a_stack():
    stack = np.zeros((3, 4, 5), np.uint8)
    stack[1, 2, 3], stack[2, 0, 4] = 7, 2
    points = points_of(stack)
    assert points.index.tolist() == [[1, 2, 3], [2, 0, 4]]
    assert points.label.tolist() == [7, 2]
    np.testing.assert_array_equal(points.draw(stack.shape), stack)


def test_collect_reads_big_endian():
    assert points_of(np.array([[0, 300]], ">u2")).label.tolist() == [300]


def test_scribbles_of_another_shape():
    with pytest.raises(InputError, match="have 4 x 5 pixels but the image 'image' has 4 x 6"):
        check_fit(Image.of(np.zeros((4, 6))), labels_image(np.zeros((4, 5), int)))


def test_scribbles_of_another_place():
    shifted = labels_image(np.zeros((4, 5), int), geometry=Geometry((1, 1), ("um", "um"), (3.0, 0.0)))
    with pytest.raises(InputError, match="lie elsewhere than the image"):
        check_fit(Image.of(np.zeros((4, 5))), shifted)


def test_a_picture_of_strokes_is_no_scribbles():
    picture = Image.of(np.zeros((4, 5, 3), np.uint8), "yxc", kind="labels", name="strokes")
    with pytest.raises(InputError, match=r"'strokes' are a picture with 3 colour channels; .* Save the Labels layer"):
        check_fit(Image.of(np.zeros((4, 5))), picture)


def test_scribbles_must_be_whole_numbers():
    with pytest.raises(InputError, match="hold float64 values; labels of whole numbers are needed"):
        check_fit(Image.of(np.zeros((4, 5))), labels_image(np.zeros((4, 5))))


def test_empty_scribbles():
    with pytest.raises(InputError, match="empty. Paint at least one stroke of two classes"):
        check_enough(points_of(np.zeros((4, 5), int)), {})


def test_one_class_only_is_called_by_its_name():
    with pytest.raises(InputError, match=r"Only one class is painted \(tumour\)"):
        check_enough(points_of(np.full((4, 5), 2)), {2: "tumour"})


def test_too_few_pixels_says_how_many_are_needed():
    array = np.ones((4, 5), int)
    array[0, 0] = 3
    with pytest.raises(InputError, match=r"Class gland has too few pixels \(1\); paint at least 10"):
        check_enough(points_of(array), {1: "stroma", 2: "tumour", 3: "gland"})


def test_negative_labels():
    with pytest.raises(InputError, match="negative labels"):
        check_enough(points_of(np.array([[-1] * 10 + [1] * 10])), {})


def test_too_high_labels():
    with pytest.raises(InputError, match="label 300 is too high for a class; use 1 to 255"):
        check_enough(points_of(np.array([[300] * 10 + [1] * 10])), {})


def test_instances_are_not_classes():
    with pytest.raises(InputError, match="100 different labels"):
        check_enough(points_of(np.repeat(np.arange(1, 101), 10).reshape(10, 100)), {})


def test_whole_strokes_are_held_out_of_a_class_with_many():
    array = np.zeros((20, 60), int)
    for i in range(10):
        array[2:4, 6 * i : 6 * i + 4] = 1
    array[10, :40] = 2
    points = points_of(array)
    held = hold_out(points, 0.2, np.random.default_rng(0)).mask
    ones = points.index[held & (points.label == 1)]
    assert len(ones) == 16
    assert len({x // 6 for x in ones[:, 1]}) == 2


def test_the_end_of_a_single_stroke_is_held_out():
    array = np.zeros((20, 60), int)
    array[5, 10:50], array[15, 10:50] = 1, 2
    points = points_of(array)
    held = hold_out(points, 0.25, np.random.default_rng(0)).mask
    for label in (1, 2):
        x = points.index[held & (points.label == label), 1]
        assert sorted(x) in (list(range(10, 20)), list(range(40, 50)))


@given(st.integers(0, 2**16), st.integers(1, 12))
def test_every_class_is_in_both_parts(seed, count):
    rng = np.random.default_rng(seed)
    array = np.zeros((40, 80), int)
    for _ in range(count):
        for label in (1, 2, 3):
            y, x = rng.integers(0, 38), rng.integers(0, 70)
            array[y, x : x + 10] = label
    points = points_of(array)
    if min(points.counts().get(k, 0) for k in (1, 2, 3)) < 10:
        return
    held = hold_out(points, 0.15, rng).mask
    for label in (1, 2, 3):
        inside = held[points.label == label]
        assert inside.any() and not inside.all()


def rows_of_strokes(*counts, length=40):
    """Class 1, 2, ... with that many strokes, one pixel high, all ``length`` long."""
    array = np.zeros((2 * sum(counts), length), int)
    array[::2] = np.repeat(np.arange(1, len(counts) + 1), counts)[:, None]
    return array


def said(array, names=None):
    points = points_of(array)
    held = hold_out(points, 0.15, np.random.default_rng(0))
    return held, why_unchecked(points, held, sorted(points.counts()), names or {})


@pytest.mark.parametrize(("counts", "whole", "why"), [
    ((1, 1), False, "too few strokes to check: paint at least 8 of each class"),
    ((3, 9), False, "too few strokes to check: paint at least 8 of tumour"),
    ((4, 4), True, "too few strokes to check: paint at least 8 of each class"),
    ((7, 9, 7), True, "too few strokes to check: paint at least 8 of tumour and class 3"),
    ((7, 7, 7, 8), True, "too few strokes to check: paint at least 8 of tumour, stroma and class 3"),
    ((8, 8), True, ""),
])  # fmt: skip
def test_a_figure_needs_strokes_of_each_class(counts, whole, why):
    held, sentence = said(rows_of_strokes(*counts), {1: "tumour", 2: "stroma"})
    assert dict(held.strokes) == dict(enumerate(counts, start=1))
    assert held.whole(held.strokes) is whole
    assert sentence == why


def test_where_a_figure_is_given_two_strokes_of_each_class_are_held_out():
    held, _ = said(array := rows_of_strokes(8, 8))
    points = points_of(array)
    for label in (1, 2):
        assert len(np.unique(points.index[held.mask & (points.label == label), 0])) == 2


def test_a_figure_needs_pixels():
    assert said(rows_of_strokes(8, 8, length=14))[1] == (
        "too short strokes to check: paint longer ones of class 1 and class 2"
    )


def test_a_class_in_dense_patches_only_is_not_checked():
    points = points_of(rows_of_strokes(8, 8))
    held = hold_out(points, 0.15, np.random.default_rng(0))
    assert why_unchecked(points, held, [1, 2, 3], {}) == "too few strokes to check: paint at least 8 of class 3"
    assert not held.whole([1, 2, 3])


def test_take_keeps_index_and_label_together():
    points = Points(np.array([[0, 1], [2, 3]]), np.array([5, 6]))
    taken = points.take(np.array([False, True]))
    assert taken.index.tolist() == [[2, 3]] and taken.label.tolist() == [6]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(9, 11), (1, 14), (14, 1), (3, 6, 7), (2, 2, 5, 4)]),
    share=st.floats(0.02, 0.9),
    seed=st.integers(0, 999),
)
def test_strokes_are_what_labelling_finds(shape: tuple[int, ...], share: float, seed: int):
    """Connected by sides and corners within a plane, in the order in which labelling numbers them."""
    rng = np.random.default_rng(seed)
    index = np.argwhere(rng.random(shape) < share)
    assume(len(index))
    rng.shuffle(index)
    reach = np.zeros((3,) * len(shape), bool)
    reach[(1,) * (len(shape) - 2)] = True
    grid = np.zeros(shape, bool)
    grid[tuple(index.T)] = True
    number = ndimage.label(grid, reach)[0][tuple(index.T)]
    expected = [np.flatnonzero(number == stroke).tolist() for stroke in range(1, number.max() + 1)]
    assert [found.tolist() for found in _connected(index)] == expected


def test_two_far_strokes_cost_what_they_are_and_not_the_box_around_them():
    """The box has 10^14 pixels."""
    index = np.array([[0, 0], [0, 1], [10**7, 10**7], [10**7 - 1, 10**7 - 1]])
    assert [found.tolist() for found in _connected(index)] == [[0, 1], [2, 3]]


def test_labels_of_a_large_layer_are_seen_without_reading_it_all():
    labels = np.zeros((400, 400), np.uint8)
    labels[10:20, 300:340], labels[180:220, 190:210] = 3, 7
    read: list[int] = []

    class Counted:
        shape, dtype, ndim, size = labels.shape, labels.dtype, 2, labels.size

        def __getitem__(self, key):
            read.append(labels[key].size)
            return labels[key]

    assert labels_seen(Image.of(labels)) == [3, 7]
    assert labels_seen(Image.of(labels), most=10_000) == [3, 7]
    assert labels_seen(Image.of(Counted(), "yx"), most=10_000) == [7]
    assert sum(read) <= 10_000
    assert labels_seen(Image.of(np.full((5, 5), -1))) == []
