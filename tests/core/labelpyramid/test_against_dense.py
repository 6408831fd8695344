"""Any sequence of edits, undos and restarts equals the same sequence on a plain array, at every level, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scipy import ndimage

from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles

LABELS = (0, 1, 2, 3, 200)


class Dense:
    """The same operations on an array in memory, as plainly as they can be said."""

    def __init__(self, shape: tuple[int, ...], dtype: str, levels: int) -> None:
        self.array = np.zeros(shape, dtype)
        self.levels = levels

    def plane(self, index: int) -> np.ndarray:
        return self.array.reshape(-1, *self.array.shape[-2:])[index]

    def level(self, level: int, plane: int) -> np.ndarray:
        labels = self.plane(plane)
        for _ in range(level):
            labels = half(labels)
        return labels

    def paint(self, mask, offset, level, value, plane, only=None) -> None:
        side = 1 << level
        target = self.plane(plane)
        size = [-(-n // side) for n in target.shape]
        chosen = np.kron(placed(mask, offset, size), np.ones((side, side), bool))
        chosen = chosen[: target.shape[0], : target.shape[1]]
        target[chosen if only is None else chosen & (target == only)] = value

    def fill(self, point, value, plane, contiguous) -> None:
        target = self.plane(plane)
        same = target == target[point]
        parts, _ = ndimage.label(same)
        target[(parts == parts[point]) if contiguous else same] = value

    def write(self, array, offset, plane, where=None) -> None:
        target = self.plane(plane)
        chosen = placed(np.ones(array.shape, bool) if where is None else where, offset, target.shape)
        target[chosen] = placed(array, offset, target.shape)[chosen]


def placed(array: np.ndarray, offset: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """An array at an offset on an empty canvas; what hangs over is cut off."""
    margin = 200
    canvas = np.zeros([size + 2 * margin for size in shape], array.dtype)
    y, x = (start + margin for start in offset)
    canvas[y : y + array.shape[0], x : x + array.shape[1]] = array
    return canvas[margin:-margin, margin:-margin]


def half(labels: np.ndarray) -> np.ndarray:
    """Commonest label of each 2 x 2 pixels; background loses a tie, then the smallest label wins."""
    height, width = (-(-size // 2) for size in labels.shape)
    nothing = -1
    blocks = np.full((2 * height, 2 * width), nothing)
    blocks[: labels.shape[0], : labels.shape[1]] = labels
    blocks = blocks.reshape(height, 2, width, 2)
    out, most = np.empty((height, width), labels.dtype), np.zeros((height, width), int)
    for label in sorted(np.unique(labels), key=lambda label: (label == 0, label)):
        votes = (blocks == label).sum((1, 3))
        out[votes > most] = label
        most = np.maximum(most, votes)
    return out


@dataclass(frozen=True)
class Call:
    """One call that both understand."""

    name: str
    arguments: dict

    def on(self, target) -> None:
        getattr(target, self.name)(**self.arguments)


def noise(draw: st.DrawFn, shape: tuple[int, int], choices) -> np.ndarray:
    """A generated array: of one value, of blocks, or of single pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    block = draw(st.sampled_from((1, 1, 3, 8, 100)))
    coarse = rng.choice(choices, [-(-size // block) for size in shape])
    return np.repeat(np.repeat(coarse, block, 0), block, 1)[: shape[0], : shape[1]]


@st.composite
def calls(draw: st.DrawFn, shape: tuple[int, ...], levels: int) -> Call:
    common = {"plane": draw(st.integers(0, int(np.prod(shape[:-2])) - 1))}
    name = draw(st.sampled_from(("paint", "paint", "write", "fill")))
    if name == "fill":
        point = tuple(draw(st.integers(0, size - 1)) for size in shape[-2:])
        value, contiguous = draw(st.sampled_from(LABELS)), draw(st.booleans())
        return Call(name, common | {"point": point, "value": value, "contiguous": contiguous})
    level = draw(st.integers(0, levels - 1)) if name == "paint" else 0
    size = [-(-n // (1 << level)) for n in shape[-2:]]
    extent = tuple(draw(st.integers(1, n + 4)) for n in size)
    common["offset"] = tuple(draw(st.integers(-3, n + 2)) for n in size)
    mask = noise(draw, extent, (False, True, True))
    if name == "write":
        labels = noise(draw, extent, LABELS).astype(np.uint8)
        return Call(name, common | {"array": labels, "where": draw(st.sampled_from((None, mask)))})
    chosen = {"value": draw(st.sampled_from(LABELS)), "only": draw(st.sampled_from((None, None, *LABELS)))}
    return Call(name, common | chosen | {"mask": mask, "level": level})


SHAPES = ((1, 1), (3, 2), (24, 24), (25, 13), (70, 45), (33, 97), (2, 40, 31), (2, 3, 9, 30))


class Session(RuleBasedStateMachine):
    """A user at work: edits of a few calls each, some taken back midway, undo, redo, restarts."""

    @initialize(
        shape=st.sampled_from(SHAPES),
        dtype=st.sampled_from(("uint8", "uint16", "int32", "uint32")),
        tile=st.sampled_from((2, 4, 6)),
    )
    def open(self, shape: tuple[int, ...], dtype: str, tile: int) -> None:
        self.tiles = MemoryTiles()
        # A slab of eight tiles: nearly every edit has to give some up and fetch them again.
        self.how = {"shape": shape, "dtype": dtype, "tile_px": tile, "slab_bytes": 0}
        self.pyramid = LabelPyramid(tiles=self.tiles, **self.how)
        self.dense = Dense(shape, dtype, len(self.pyramid.level_shapes))
        self.done, self.undone = [], []

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        before, blobs = self.dense.array.copy(), dict(self.tiles.blobs)
        self.pyramid.begin()
        for _ in range(data.draw(st.integers(1, 4))):
            call = data.draw(calls(self.dense.array.shape, self.dense.levels))
            call.on(self.pyramid)
            call.on(self.dense)
            self.levels_agree()
        if data.draw(st.booleans()):
            self._draft_replays(blobs)
        assert self.tiles.blobs == blobs
        if data.draw(st.integers(0, 4)) == 0:
            self.pyramid.abort()
            self.dense.array = before
            assert self.tiles.blobs == blobs
            return
        edit = self.pyramid.commit()
        assert (edit is None) == np.array_equal(before, self.dense.array)
        if edit is not None:
            self._inside(edit.box, before != self.dense.array)
            self.done.append((edit, before, blobs))
            self.undone.clear()

    def _draft_replays(self, blobs: dict) -> None:
        """What the draft holds, over the tiles on disk, is what a crash leaves."""
        draft, tiles = self.pyramid.draft(), MemoryTiles()
        tiles.blobs = dict(blobs)
        tiles.put(draft.changes if draft else {})
        found = LabelPyramid(tiles=tiles, **self.how)
        for level, plane in self._everywhere():
            np.testing.assert_array_equal(whole(found, level, plane), whole(self.pyramid, level, plane))

    @staticmethod
    def _inside(box, changed: np.ndarray) -> None:
        changed[tuple(slice(*span) for span in box)] = False
        assert not changed.any()

    @precondition(lambda self: self.done)
    @rule()
    def undo(self) -> None:
        edit, before, blobs = self.done.pop()
        self.undone.append((edit, self.dense.array, dict(self.tiles.blobs)))
        self.pyramid.apply(edit.inverse().changes)
        self.dense.array = before.copy()
        assert self.tiles.blobs == blobs

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self) -> None:
        edit, after, blobs = self.undone.pop()
        self.done.append((edit, self.dense.array, dict(self.tiles.blobs)))
        self.pyramid.apply(edit.changes)
        self.dense.array = after.copy()
        assert self.tiles.blobs == blobs

    @rule()
    def restart(self) -> None:
        self.pyramid = LabelPyramid(tiles=self.tiles, **self.how)
        assert self.pyramid.damaged == ()

    @rule()
    def same_labels_are_the_same_tiles(self) -> None:
        """Whatever way led to them."""
        fresh = LabelPyramid(tiles=MemoryTiles(), **self.how)
        with fresh.editing():
            for plane in range(fresh.grid.planes):
                fresh.write(self.dense.plane(plane), (0, 0), plane)
        assert fresh._store.tiles.blobs == self.tiles.blobs

    @rule(data=st.data())
    def a_part(self, data: st.DataObject) -> None:
        level = data.draw(st.integers(0, self.dense.levels - 1))
        full = whole(self.pyramid, level, 0)
        spans = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in full.shape]
        part = self.pyramid.read(level, tuple(map(tuple, spans)))
        np.testing.assert_array_equal(part, full[tuple(slice(*span) for span in spans)])

    @invariant()
    def levels_agree(self) -> None:
        for level, plane in self._everywhere():
            np.testing.assert_array_equal(whole(self.pyramid, level, plane), self.dense.level(level, plane))
        assert self.pyramid.max_label == self.dense.array.max()
        self._bounds_hold_all_labels()

    def _bounds_hold_all_labels(self) -> None:
        for plane in range(self.pyramid.grid.planes):
            box, labels = self.pyramid.bounds(plane), self.dense.plane(plane).copy()
            if box is not None:
                labels[tuple(slice(*span) for span in box[-2:])] = 0
            assert not labels.any()

    def _everywhere(self):
        return [(level, plane) for level in range(self.dense.levels) for plane in range(self.pyramid.grid.planes)]


def whole(pyramid: LabelPyramid, level: int, plane: int) -> np.ndarray:
    height, width = pyramid.level_shapes[level][-2:]
    return pyramid.read(level, ((0, height), (0, width)), plane)


TestSession = Session.TestCase
TestSession.settings = settings(max_examples=40, stateful_step_count=10, deadline=None)
