"""What the property test does not reach: threads, damage, refusals, sizes that matter."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from napari_medseg.core import tilecodec
from napari_medseg.core.edits import Change, TileKey
from napari_medseg.core.errors import BrokenTile, BusyLabels, InputError, NewerTile, StorageError
from napari_medseg.core.labelpyramid import LabelPyramid, LaidOver, MemoryTiles

SLIDE = (100_000, 188_000)


def small(tiles: MemoryTiles | None = None) -> LabelPyramid:
    """Four levels of 8-pixel tiles."""
    return LabelPyramid((100, 130), "uint8", MemoryTiles() if tiles is None else tiles, tile_px=8)


def painted(seed: int = 0) -> LabelPyramid:
    pyramid, rng = small(), np.random.default_rng(seed)
    with pyramid.editing():
        pyramid.write(rng.integers(0, 4, (60, 70)).astype(np.uint8), (10, 20))
    return pyramid


def everything(pyramid: LabelPyramid) -> list[np.ndarray]:
    return [pyramid.read(level, tuple((0, size) for size in shape)) for level, shape in enumerate(pyramid.level_shapes)]


def elsewhere(work: Callable[[], object]) -> object:
    """What it returns in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(60)
    return found[0]


def test_other_threads_see_an_edit_when_it_is_whole() -> None:
    pyramid = painted()
    before = everything(pyramid)
    with pyramid.editing():
        pyramid.fill((0, 0), 5)
        pyramid.paint(np.ones((9, 9), bool), (2, 3), 2, 9)
        during = everything(pyramid)
        for level, expected in enumerate(elsewhere(lambda: everything(pyramid))):
            np.testing.assert_array_equal(expected, before[level])
        box = tuple((0, size) for size in pyramid.shape)
        np.testing.assert_array_equal(elsewhere(lambda: pyramid.read(0, box, live=True)), during[0])
        np.testing.assert_array_equal(pyramid.read(0, box, live=False), before[0])
    for level, expected in enumerate(elsewhere(lambda: everything(pyramid))):
        np.testing.assert_array_equal(expected, during[level])


def test_a_reader_beside_a_writer_never_sees_half_an_edit() -> None:
    """Each edit gives two far corners the same label, in several calls, through a slab that is too small."""
    pyramid = LabelPyramid((300, 300), "uint8", MemoryTiles(), tile_px=8, slab_bytes=0)
    stop, seen, torn = threading.Event(), set(), []

    def look() -> None:
        while not stop.is_set():
            labels = pyramid.read(0, ((0, 300), (0, 300)))
            corners = {int(labels[0, 0]), int(labels[9, 9]), int(labels[299, 299])}
            seen.update(corners)
            if len(corners) > 1:
                torn.append(corners)

    reader = threading.Thread(target=look)
    reader.start()
    edits = []
    for value in range(1, 40):
        with pyramid.editing() as outcome:
            pyramid.paint(np.ones((10, 10), bool), (0, 0), 0, value)
            pyramid.paint(np.ones((20, 20), bool), (280, 280), 0, value)
        edits.append(outcome.edit)
    for edit in reversed(edits):
        pyramid.apply(edit.inverse().changes)
    stop.set()
    reader.join(60)
    assert not torn
    assert len(seen) > 1


def test_edits_of_two_threads_take_turns() -> None:
    pyramid = small()
    pyramid.begin()
    pyramid.paint(np.ones((5, 5), bool), (0, 0), 0, 3)
    waiting, written = threading.Event(), []

    def write() -> None:
        waiting.set()
        with pyramid.editing(wait_s=60) as outcome:
            pyramid.write(np.full((9, 9), 2, np.uint8), (50, 50))
        written.append(outcome.edit)

    writer = threading.Thread(target=write)
    writer.start()
    assert waiting.wait(60)
    pyramid.paint(np.ones((5, 5), bool), (10, 0), 0, 3)
    assert not written
    stroke = pyramid.commit()
    writer.join(60)
    assert stroke is not None and written[0] is not None
    labels = everything(pyramid)[0]
    assert (labels == 3).sum() == 50 and (labels == 2).sum() == 81


@pytest.mark.parametrize("call", [lambda p: p.begin(0.01), lambda p: p.apply({}, 0.01)])
def test_an_edit_while_another_is_open_is_refused_and_works_later(call: Callable[[LabelPyramid], object]) -> None:
    pyramid = small()
    pyramid.begin()
    pyramid.paint(np.ones((5, 5), bool), (0, 0), 0, 3)
    assert pyramid.is_open

    def refused() -> str:
        with pytest.raises(BusyLabels) as caught:
            call(pyramid)
        return str(caught.value)

    for said in (refused(), elsewhere(refused)):
        assert "a stroke has not ended yet, or a model writes into them. Wait" in str(said)
    assert pyramid.commit() is not None
    assert not pyramid.is_open
    call(pyramid)


def test_an_error_inside_an_edit_takes_it_back() -> None:
    pyramid = painted()
    before = everything(pyramid)
    with pytest.raises(InputError, match="Label 300 does not fit uint8"), pyramid.editing():
        pyramid.fill((0, 0), 5)
        pyramid.paint(np.ones((9, 9), bool), (0, 0), 0, 300)
    for found, expected in zip(everything(pyramid), before):
        np.testing.assert_array_equal(found, expected)
    with pyramid.editing() as outcome:
        pass
    assert outcome.edit is None


class FullDisk(MemoryTiles):
    """Takes nothing while it is full."""

    full = False

    def put(self, changes) -> None:
        if self.full:
            raise StorageError("The disk is full.")
        super().put(changes)


def test_tiles_that_refuse_leave_the_edit_open() -> None:
    tiles = FullDisk()
    pyramid = small(tiles)
    pyramid.begin()
    pyramid.paint(np.ones((5, 5), bool), (0, 0), 0, 3)
    tiles.full = True
    with pytest.raises(StorageError):
        pyramid.commit()
    assert pyramid.read(0, ((4, 5), (4, 5))) == 3
    tiles.full = False
    assert pyramid.commit() is not None
    np.testing.assert_array_equal(everything(small(tiles))[0], everything(pyramid)[0])


def test_a_damaged_tile_is_named_and_healed() -> None:
    pyramid = painted()
    tiles, before = pyramid._store.tiles, everything(pyramid)
    lost = TileKey(0, 1, 2, 3)
    tiles.blobs[lost] = tiles.blobs[lost][:-3]
    found = small(tiles)
    assert found.damaged == (lost,)
    with pytest.raises(BrokenTile, match="level=1, row=2, column=3.*checksum"):
        found.read(1, ((0, 50), (0, 65)))
    edit = found.heal()
    # All its finer tiles are there, and it follows from them.
    assert set(edit.changes) == {lost}
    for level, expected in enumerate(before):
        np.testing.assert_array_equal(everything(found)[level], expected)
    assert found.heal() is None


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_tiles_that_went_back_to_an_earlier_version_have_the_say(level: int) -> None:
    """What a repair leaves: some tiles of one level as they were before the last edits, all others as they are."""
    pyramid, rng = painted(), np.random.default_rng(level)
    earlier = dict(pyramid._store.tiles.blobs)
    with pyramid.editing():
        pyramid.write(rng.integers(0, 4, (60, 70)).astype(np.uint8), (10, 20))
        pyramid.paint(np.ones((12, 15), bool), (1, 1), 1, 3)
    tiles = pyramid._store.tiles
    back = [key for key, blob in earlier.items() if key.level == level and tiles.blobs.get(key) not in (None, blob)]
    assert back
    tiles.blobs |= {key: earlier[key] for key in back if rng.random() < 0.7}
    finest = everything(small(tiles))[0]
    found = small(tiles)
    found.heal()
    copy = small()
    with copy.editing():
        copy.write(finest, (0, 0))
    for first, second in zip(everything(small(tiles)), everything(copy)):
        np.testing.assert_array_equal(first, second)


def test_tiles_over_others_leave_them_as_they_are() -> None:
    pyramid = painted()
    below = pyramid._store.tiles
    kept, hidden = dict(below.blobs), TileKey(0, 0, 2, 3)
    over = LaidOver(below, hidden=[hidden])
    found = small(over)
    assert hidden not in set(over.keys()) and over.get(hidden) is None
    with found.editing():
        found.fill((0, 0), 5)
    again = small(over)
    for first, second in zip(everything(found), everything(again)):
        np.testing.assert_array_equal(first, second)
    assert dict(over.get_many(kept)) == {key: over.get(key) for key in kept}
    assert below.blobs == kept


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_lost_tiles_do_not_make_the_levels_disagree(level: int) -> None:
    pyramid, rng = painted(), np.random.default_rng(level)
    tiles = pyramid._store.tiles
    for key in [key for key in tiles.blobs if key.level == level and rng.random() < 0.6]:
        del tiles.blobs[key]
    found = small(tiles)
    assert bool(found.damaged) == (level > 0)
    found.heal()
    again = small(tiles)
    assert again.damaged == ()
    copy = small()
    with copy.editing():
        copy.write(everything(again)[0], (0, 0))
    for first, second in zip(everything(again), everything(copy)):
        np.testing.assert_array_equal(first, second)


def test_a_damaged_top_tile_does_not_keep_the_labels_from_opening() -> None:
    pyramid = painted()
    tiles, before = pyramid._store.tiles, everything(pyramid)
    broken = TileKey(0, pyramid.grid.top, 0, 0)
    tiles.blobs[broken] = b"nothing"
    found = small(tiles)
    assert found.damaged == (broken,)
    found.heal()
    np.testing.assert_array_equal(everything(found)[0], before[0])


def of_a_newer_version(blob: bytes) -> bytes:
    header = blob[:4] + bytes([tilecodec.VERSION + 1]) + blob[5:24]
    return header + struct.pack("<I", zlib.crc32(header + blob[28:])) + blob[28:]


def test_tiles_of_a_newer_version_are_left_alone() -> None:
    pyramid = painted()
    tiles = pyramid._store.tiles
    for key in (TileKey(0, 1, 2, 3), TileKey(0, 3, 0, 0)):
        kept = dict(tiles.blobs)
        tiles.blobs[key] = newer = of_a_newer_version(kept[key])
        assert small(tiles).newer == (key,)
        with pytest.raises(NewerTile, match="Update"):
            small(tiles).heal()
        assert tiles.blobs[key] == newer
        tiles.blobs = kept


@pytest.mark.parametrize(
    ("tile", "words"),
    [(np.zeros((8, 8), np.uint16), "uint16.*needs"), (np.zeros((8, 7), np.uint8), "\\(8, 7\\).*another image")],
)
def test_a_tile_that_does_not_fit_is_refused_whole(tile: np.ndarray, words: str) -> None:
    pyramid = painted()
    before = everything(pyramid)
    fits = tilecodec.encode(np.ones((8, 8), np.uint8))
    changes = {TileKey(0, 0, 0, 0): Change(None, fits), TileKey(0, 0, 0, 1): Change(None, tilecodec.encode(tile))}
    with pytest.raises(BrokenTile, match=words):
        pyramid.apply(changes)
    for found, expected in zip(everything(pyramid), before):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: p.paint(np.ones((2, 2), bool), (0, 0), 0, 1), "No edit of these labels is open"),
        (lambda p: p.commit(), "No edit"),
        (lambda p: p.read(9, ((0, 1), (0, 1))), "Level 9 does not exist.*levels 0 to 3"),
        (lambda p: p.read(0, ((0, 101), (0, 1))), "does not lie inside level 0"),
        (lambda p: p.read(0, ((0, 1), (0, 1)), plane=1), "Plane 1 does not exist"),
        (lambda p: p.write(np.ones((3, 3)), (0, 0)), "No edit|whole numbers"),
        (lambda p: (p.begin(), p.write(np.ones((3, 3)), (0, 0))), "whole numbers, but these are float64"),
        (lambda p: (p.begin(), p.write(np.full((3, 3), 256), (0, 0))), "Label 256 does not fit uint8"),
        (lambda p: (p.begin(), p.write(np.ones((3, 3), int), (0, 0), where=np.ones((3, 2), bool))), "both must be"),
        (lambda p: p.apply({TileKey(0, 0, 99, 0): Change(None, None)}), "another image"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[LabelPyramid], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(small())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((5,), "uint8"), "at least 1 pixel"),
        (((0, 5), "uint8"), "at least 1 pixel"),
        (((5, 5), "float32"), "float32 cannot be stored"),
        (((5, 5), "uint64"), "uint64 cannot be stored"),
        (((5, 5), "uint8", MemoryTiles(), 7), "even number"),
    ],
)
def test_impossible_labels_are_refused(arguments: tuple, words: str) -> None:
    shape, dtype, *more = arguments
    with pytest.raises(InputError, match=words):
        LabelPyramid(shape, dtype, *(more or [MemoryTiles()]))


def test_tiles_of_another_image_are_refused() -> None:
    tiles = painted()._store.tiles
    with pytest.raises(InputError, match="belong to another image"):
        LabelPyramid((20, 20), "uint8", tiles, tile_px=8)


def test_the_far_corner_of_a_slide() -> None:
    pyramid = LabelPyramid(SLIDE, "uint32", MemoryTiles())
    assert pyramid.level_factors[-1] == (128, 128)
    with pyramid.editing() as outcome:
        box = pyramid.paint(np.ones((400, 400), bool), (99_800, 187_900), 0, 40_000)
    assert box == outcome.edit.box == ((99_800, 100_000), (187_900, 188_000))
    assert (pyramid.read(0, box) == 40_000).all()
    assert pyramid.read(0, ((99_799, 99_800), (187_900, 188_000))).max() == 0
    assert pyramid.top[-1, -1] == 40_000
    assert pyramid.max_label == 40_000
    pyramid.apply(outcome.edit.inverse().changes)
    assert pyramid.max_label == 0
    assert pyramid.statistics() == (0, 0)
    assert pyramid.bounds() is None


def test_a_large_shape_costs_few_tiles_and_drops_what_it_covers() -> None:
    pyramid, tiles = LabelPyramid(SLIDE, "uint8", tiles := MemoryTiles()), tiles
    rng = np.random.default_rng(0)
    with pyramid.editing():
        pyramid.write(rng.integers(0, 3, (3000, 3000)).astype(np.uint8), (50_000, 90_000))
    assert sum(key.level == 0 for key in tiles.blobs) >= 36
    with pyramid.editing():
        level = pyramid.edit_level(80_000)
        pyramid.paint(np.ones((625, 625), bool), (100, 300), level, 2)
    assert level == 7
    assert {key.level for key in tiles.blobs} == {7}
    with pyramid.editing():
        pyramid.paint(np.ones(pyramid.top.shape, bool), (0, 0), 7, 0)
    assert not tiles.blobs


def test_what_was_there_for_a_finer_tile_alone_goes_with_it() -> None:
    """Level 1 shows the label already when the holes at level 0 are painted over, so none of its pixels changes."""
    tiles = MemoryTiles()
    pyramid = small(tiles)
    with pyramid.editing():
        pyramid.paint(np.ones(pyramid.top.shape, bool), (0, 0), pyramid.grid.top, 2)
    solid = dict(tiles.blobs)
    with pyramid.editing():
        pyramid.write(np.zeros((1, 1), np.uint8), (20, 20))
    assert {key.level for key in tiles.blobs} == {0, 1, 2, 3}
    with pyramid.editing():
        pyramid.paint(np.ones((8, 8), bool), (8, 8), 1, 2)
    assert tiles.blobs == solid


def test_an_edit_that_changes_nothing_is_none() -> None:
    pyramid = painted()
    with pyramid.editing() as outcome:
        assert pyramid.paint(np.ones((9, 9), bool), (0, 0), 0, 0) is None
        pyramid.paint(np.ones((9, 9), bool), (90, 0), 0, 3)
        pyramid.paint(np.ones((9, 9), bool), (90, 0), 0, 0)
    assert outcome.edit is None


def test_the_top_is_live_and_cannot_be_written() -> None:
    pyramid = small()
    top = pyramid.top
    with pyramid.editing():
        pyramid.paint(np.ones(top.shape, bool), (0, 0), pyramid.grid.top, 4)
        assert (top == 4).all()
    with pytest.raises(ValueError, match="read-only"):
        top[0, 0] = 1
