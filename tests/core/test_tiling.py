from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image
from napari_medseg.core.tiling import TilePlan, blend, plan, read_padded


@st.composite
def plans(draw: st.DrawFn, max_ndim: int = 3, max_side: int = 60) -> TilePlan:
    ndim = draw(st.integers(1, max_ndim))
    axes = []
    for _ in range(ndim):
        multiple = draw(st.sampled_from([1, 2, 4]))
        overlap = draw(st.integers(0, 4)) * multiple
        tile = multiple * draw(st.integers(max(1, 2 * overlap // multiple), 12))
        axes.append((draw(st.integers(1, max_side)), tile, overlap, multiple))
    return plan(*zip(*axes, strict=True))


@st.composite
def views(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    spans = []
    for size in shape:
        start = draw(st.integers(-10, size + 10))
        spans.append((start, start + draw(st.integers(1, size + 10))))
    return tuple(spans)


def all_cells(tiles: TilePlan):
    return itertools.product(*map(range, tiles.counts))


def run(operation, image: np.ndarray, tiles: TilePlan, view=None) -> np.ndarray:
    """Tile, apply, blend: what the inference loop does, with an operation on channels-last arrays."""
    source = Image.of(image, axes="tzyx"[-image.ndim :]) if image.ndim > 1 else None
    out, held = np.full(image.shape, np.nan, np.float32), {}
    for step in tiles.schedule(view):
        for tile in step.load:
            box = tiles.tile_box(tile)
            part = read_padded(source, box) if source else np.pad(image, (0, box[0].stop), "symmetric")[box][:, None]
            held[tile] = operation(part)
        out[tiles.box(step.cell)] = blend(tiles, step.cell, held)[..., 0]
        for tile in step.drop:
            del held[tile]
    assert not held
    return out


def test_hand_worked_axis() -> None:
    tiles = plan((100,), tile=40, overlap=8, multiple=4)
    # Three tiles of 40 reach 3 * 40 - 2 * 8 = 104 >= 100, two reach 72; 40 is the least that does it with three.
    assert (tiles.tile, tiles.overlap, tiles.stride, tiles.counts) == ((40,), (8,), (32,), (3,))
    assert [tiles.box((k,)) for k in range(3)] == [(slice(0, 32),), (slice(32, 64),), (slice(64, 100),)]
    assert tiles.tile_box((2,)) == (slice(64, 104),)
    assert tiles.needed((0,)) == ((0,),)
    assert tiles.needed((2,)) == ((1,), (2,))
    assert [tiles.uses((k,)) for k in range(3)] == [2, 2, 1]
    assert len(tiles) == 3


def test_without_overlap_a_cell_is_its_tile() -> None:
    tiles = plan((100, 50), 20, 0, 4)
    assert tiles.needed((2, 1)) == ((2, 1),)
    assert tiles.uses((2, 1)) == 1


def test_tiles_are_no_larger_than_their_number_needs() -> None:
    tiles = plan((1100, 1100))
    assert tiles.counts == (2, 2)
    assert tiles.tile == (576, 576)


def test_image_smaller_than_a_tile_gets_one() -> None:
    tiles = plan((17, 5))
    assert (tiles.tile, tiles.overlap, tiles.counts) == ((32, 32), (0, 0), (1, 1))
    assert plan((1, 1)).tile_box((0, 0)) == (slice(0, 32), slice(0, 32))


def test_tile_and_overlap_are_rounded_up_to_the_multiple() -> None:
    tiles = plan((10_000,), tile=1000, overlap=20, multiple=32)
    assert tiles.tile[0] <= 1024
    assert tiles.overlap == (32,)


@given(plans())
def test_starts_and_sizes_are_multiples(tiles: TilePlan) -> None:
    for values in (tiles.tile, tiles.overlap, tiles.stride):
        assert all(value % multiple == 0 for value, multiple in zip(values, tiles.multiple, strict=True))
    assert all(2 * overlap <= tile for overlap, tile in zip(tiles.overlap, tiles.tile, strict=True))


@given(plans())
def test_cells_partition_the_image(tiles: TilePlan) -> None:
    hits = np.zeros(tiles.shape, int)
    for cell in all_cells(tiles):
        hits[tiles.box(cell)] += 1
    assert (hits == 1).all()
    assert hits.ndim == len(tiles.counts) and len(list(all_cells(tiles))) == len(tiles)


@given(plans())
def test_weights_sum_to_one_and_lie_inside_their_tile(tiles: TilePlan) -> None:
    for cell in all_cells(tiles):
        box, total = tiles.box(cell), 0
        for tile in tiles.needed(cell):
            weights = tiles.weights(tile, cell)
            assert weights.shape == tuple(span.stop - span.start for span in box)
            inside = tuple(
                slice(max(0, has.start - wants.start), max(0, has.stop - wants.start))
                for has, wants in zip(tiles.tile_box(tile), box, strict=True)
            )
            outside = weights.copy()
            outside[inside] = 0
            assert not outside.any()
            total = total + weights
        np.testing.assert_allclose(total, 1, rtol=0, atol=4e-7)


def test_pairs_of_weights_sum_to_one_exactly() -> None:
    for overlap in (2, 3, 7, 31, 32, 100):
        tiles = plan((10 * overlap,), 4 * overlap, overlap, 1)
        assert (tiles.weights((0,), (1,)) + tiles.weights((1,), (1,)) == 1).all()


def test_fade_is_linear_between_the_margins() -> None:
    tiles = plan((100,), tile=40, overlap=8, multiple=4)
    assert tiles.margin == (2,)
    np.testing.assert_array_equal(tiles.fade(0), np.float32([1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0]))
    np.testing.assert_array_equal(plan((100,), 40, 4, 4, margin=0).fade(0), np.float32([0.875, 0.625, 0.375, 0.125]))


def test_weight_of_a_tile_without_part_in_a_cell_is_zero() -> None:
    tiles = plan((100, 100), 40, 8, 4)
    assert not tiles.weights((0, 0), (2, 0)).any()


@given(plans(), st.data())
def test_blend_is_the_weighted_sum(tiles: TilePlan, data: st.DataObject) -> None:
    rng = np.random.default_rng(0)
    cell = data.draw(st.tuples(*(st.integers(0, count - 1) for count in tiles.counts)))
    outputs = {tile: rng.random((*tiles.tile, 2), np.float32) for tile in tiles.needed(cell)}
    expected = 0
    for tile, output in outputs.items():
        padded = np.zeros((*(n + 2 * t for n, t in zip(tiles.shape, tiles.tile, strict=True)), 2))
        padded[tiles.tile_box(tile)] = output
        expected = expected + tiles.weights(tile, cell)[..., None] * padded[tiles.box(cell)]
    np.testing.assert_allclose(blend(tiles, cell, outputs), expected, rtol=0, atol=1e-6)


@given(plans(), st.floats(-1e6, 1e6, width=32), st.sampled_from([np.float16, np.float32, np.float64]))
def test_constant_in_constant_out_to_the_bit(tiles: TilePlan, value: float, dtype: type) -> None:
    value = float(np.clip(value, -60000, 60000).astype(dtype))
    for cell in all_cells(tiles):
        outputs = {tile: np.full((*tiles.tile, 1), value, dtype) for tile in tiles.needed(cell)}
        blended = blend(tiles, cell, outputs)
        assert blended.dtype == np.result_type(dtype, np.float32)
        assert (blended == value).all()


def test_blend_leaves_the_outputs_alone() -> None:
    tiles = plan((100, 100), 40, 8, 4)
    outputs = {tile: np.random.default_rng(1).random((40, 40, 3), np.float32) for tile in tiles.needed((1, 1))}
    before = {tile: output.copy() for tile, output in outputs.items()}
    blend(tiles, (1, 1), outputs)[:] = -1
    assert all((outputs[tile] == before[tile]).all() for tile in before)


@given(st.data())
@settings(max_examples=50)
def test_any_view_gives_the_same_bits(data: st.DataObject) -> None:
    tiles = data.draw(plans(max_ndim=2, max_side=40))
    image = np.random.default_rng(2).random(tiles.shape, np.float32)

    def operation(part: np.ndarray) -> np.ndarray:  # depends on the whole tile, as a network with a large field does
        return part + part.mean()

    plain = run(operation, image, tiles)
    seen = run(operation, image, tiles, data.draw(views(tiles.shape)))
    np.testing.assert_array_equal(plain, seen)


@given(st.data())
def test_order_has_every_cell_once_and_the_view_first(data: st.DataObject) -> None:
    tiles = data.draw(plans(max_ndim=2))
    view = data.draw(views(tiles.shape))
    order = list(tiles.order(view))
    assert sorted(order) == list(all_cells(tiles))

    def meets(cell) -> bool:
        return all(s.start < stop and start < s.stop for s, (start, stop) in zip(tiles.box(cell), view, strict=True))

    flags = [meets(cell) for cell in order]
    assert flags == sorted(flags, reverse=True)
    rest = order[sum(flags) :]
    assert rest == sorted(rest)


def test_order_in_view_goes_outwards() -> None:
    tiles = plan((100, 100), 20, 0, 4)
    order = list(tiles.order(((30, 90), (45, 55))))
    assert order[:4] == [(2, 2), (3, 2), (1, 2), (4, 2)]  # centres 50, 70, 30, 90 against 60; ties row by row
    assert order[4:6] == [(0, 0), (0, 1)]


def test_schedule_computes_each_tile_once_and_holds_little() -> None:
    tiles = plan((1000, 300), 40, 8, 4)
    loaded, held, most = [], set(), 0
    for step in tiles.schedule():
        loaded += step.load
        held |= set(step.load)
        most = max(most, len(held))
        assert held >= set(tiles.needed(step.cell))
        held -= set(step.drop)
    assert sorted(loaded) == list(all_cells(tiles))
    assert not held
    assert most <= tiles.counts[1] + 2


@pytest.mark.parametrize("view", [None, ((40, 70), (0, 33))])
def test_local_operation_tiled_equals_untiled(view) -> None:
    image = np.random.default_rng(3).random((150, 90), np.float32)

    def operation(part: np.ndarray) -> np.ndarray:  # a zero-padded 5 x 5 mean sees 2 pixels far, like the margin
        return ndimage.uniform_filter(part, (5, 5, 1), mode="constant")

    tiled = run(operation, image, plan(image.shape, 48, 8, 4), view)
    untiled = operation(image[..., None])[..., 0]
    np.testing.assert_allclose(tiled[:-2, :-2], untiled[:-2, :-2], rtol=0, atol=1e-6)


def test_pooling_operation_tiled_equals_untiled() -> None:
    image = np.random.default_rng(4).random((96, 64), np.float32)

    def operation(part: np.ndarray) -> np.ndarray:  # shifted by one pixel it would differ: starts must be multiples
        pooled = part.reshape(part.shape[0] // 8, 8, part.shape[1] // 8, 8, 1).mean((1, 3))
        return pooled.repeat(8, 0).repeat(8, 1)

    tiled = run(operation, image, plan(image.shape, 32, 8, 8))
    np.testing.assert_array_equal(tiled, operation(image[..., None])[..., 0])


def test_inside_is_read_as_it_is() -> None:
    image = Image.of(np.arange(60, dtype=">u2").reshape(6, 10))
    part = read_padded(image, (slice(1, 4), slice(2, 9)))
    np.testing.assert_array_equal(part[..., 0], np.arange(60).reshape(6, 10)[1:4, 2:9])
    assert part.dtype == np.dtype("=u2")


@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (5, 17), (3, 40)])
def test_padding_is_the_symmetric_one_of_numpy(shape: tuple[int, int]) -> None:
    array = np.random.default_rng(5).random(shape)
    part = read_padded(Image.of(array), (slice(-7, 64), slice(-50, 64)))
    expected = np.pad(array, ((7, 64 - shape[0]), (50, 64 - shape[1])), "symmetric")
    np.testing.assert_array_equal(part[..., 0], expected)


class Recorder:
    """A lazy array that remembers the boxes it was asked for."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype, self.boxes = array, array.shape, array.dtype, []

    def __getitem__(self, box):
        self.boxes.append(box)
        return self.array[box]


def test_read_asks_for_no_more_than_it_needs() -> None:
    lazy = Recorder(np.zeros((3, 1000, 1000), np.uint8))
    part = read_padded(Image.of(lazy, axes="cyx"), (slice(960, 1024), slice(0, 64)))
    assert part.shape == (64, 64, 3)
    assert lazy.boxes == [(slice(None), slice(960, 1000), slice(0, 64))]


def test_reads_the_level_that_is_asked_for() -> None:
    fine, coarse = np.zeros((8, 8)), np.arange(16.0).reshape(4, 4)
    image = Image((fine, coarse), "yx", Image.of(fine).geometry)
    np.testing.assert_array_equal(read_padded(image, (slice(2, 6), slice(0, 1)), 1)[:, 0, 0], [8, 12, 12, 8])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((0, 5),), "no pixels"),
        (((),), "no pixels"),
        (((9, 9), 0), "tile 0"),
        (((9, 9), 8, -1), "overlap -1"),
        (((900, 900), 32, 32), "at least 64"),
        (((9, 9), (8, 8, 8)), "3 numbers"),
        (((900, 900), 64, 32, 32, 16), "margin"),
        (((900, 900), 64, 32, 32, -1), "margin"),
    ],
)
def test_bad_plans_are_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan(*arguments)


def test_view_with_wrong_axes_is_refused() -> None:
    with pytest.raises(InputError, match="1 axes"):
        next(plan((9, 9)).order(((0, 5),)))
