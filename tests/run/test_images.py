"""How images reach a child: shared memory, copied anew or not, and regions read on request."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_medseg.core.errors import InputError, RunCancelled
from napari_medseg.core.image import Geometry, Image
from napari_medseg.run import images
from napari_medseg.run.child import Child
from napari_medseg.run.images import Shelf, in_memory
from napari_medseg.run.remote import Mirror


class Counting:
    """A lazy array that remembers what was read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.reads: list[tuple[slice, ...]] = []

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        self.reads.append(index)
        return self.array[index]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)


def segments() -> set[str]:
    """Names of the shared memory that this process has made."""
    return {path.name for path in Path("/dev/shm").glob(f"{images.NAME_PREFIX}{os.getpid()}-*")}


def until(condition: Callable[[], bool], timeout_s: float = 5) -> bool:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4), bool),
        np.arange(12.0).reshape(3, 4).astype(">f8"),
        np.arange(24, dtype=np.int64).reshape(4, 6)[::2, ::-1],
        np.arange(12, dtype=np.float16).reshape(3, 4).T,
        np.array([[np.nan, np.inf]], np.float32),
        np.zeros((0, 5), np.uint16),
        np.ones((1, 1), np.uint8),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_arrive_intact(run, array):
    listener = run(image=array)
    listener.result()
    np.testing.assert_array_equal(listener.tile("image"), array)
    assert listener.tile("image").dtype == array.dtype


def test_painted_labels_are_sent_again_and_the_image_is_not(run, pixels):
    labels = np.zeros((60, 80), np.uint8)
    image = Image.of(pixels, "yxc")
    run(image=image, scribbles=labels).result()
    labels[5, 6] = 2
    pixels[0, 0] = 77
    before = segments()
    second = run(image=image, scribbles=labels)
    second.result()
    assert second.tile("scribbles")[5, 6] == 2
    assert (second.tile("image")[0, 0] != 77).any(), "the image was copied a second time"
    assert segments() == before


def test_labels_of_another_size_or_type_get_a_segment_of_their_own(run):
    before = len(segments())
    for shape, dtype in (((4, 5), np.uint8), ((4, 5), np.int32), ((9, 5), np.int32)):
        labels = np.full(shape, 3, dtype)
        listener = run(image=np.zeros((4, 5)), scribbles=labels)
        listener.result()
        np.testing.assert_array_equal(listener.tile("scribbles"), labels)
        del listener
    gc.collect()
    assert until(lambda: len(segments()) <= before + 2), "old segments of labels are still there"


def test_an_image_keeps_its_identity_from_run_to_run(run, pixels):
    labels = np.zeros((60, 80), np.uint8)
    lazy = Counting(pixels)
    assert run("identity", image=Image.of(pixels, "yxc"), scribbles=labels).result().values["image"] is False
    assert run("identity", image=Image.of(pixels, "yxc"), scribbles=labels).result().values == {
        "image": True,
        "scribbles": False,
    }
    assert run("identity", image=Image.of(lazy, "yxc")).result().values["image"] is False
    assert run("identity", image=Image.of(lazy, "yxc")).result().values["image"] is True


def test_what_a_tool_writes_into_its_input_stays_in_the_child(run):
    mine = np.ones((50, 50), np.uint8)
    run("scribble_on", image=mine).result()
    assert mine.all()


@pytest.mark.parametrize("kind", ["dask", "zarr", "memmap", "counting"])
def test_lazy_arrays_are_read_where_asked(run, pixels, tmp_path, kind):
    grey = np.ascontiguousarray(pixels[..., 0])
    made = {
        "dask": lambda: da.from_array(grey, chunks=(16, 16)),
        "zarr": lambda: zarr.array(grey, chunks=(16, 16)),
        "memmap": lambda: memmap_of(grey, tmp_path / "image.raw"),
        "counting": lambda: Counting(grey),
    }[kind]()
    before = segments()
    listener = run("region", image=made)
    values = listener.result().values
    np.testing.assert_array_equal(listener.tile("region")[..., 0], grey[10:20, 5:30])
    np.testing.assert_array_equal(values["coarse"][..., 0], grey[:4, :4])
    assert values["same"]
    assert segments() == before


def test_each_region_is_read_once(run, pixels):
    fine, coarse = Counting(pixels), Counting(pixels[::4, ::4])
    image = Image((fine, coarse), "yxc", Geometry.plain(2))
    run("region", image=image).result()
    assert fine.reads == [(slice(10, 20, 1), slice(5, 30, 1), slice(0, 3, 1))]
    assert coarse.reads == [(slice(0, 4, 1), slice(0, 4, 1), slice(0, 3, 1))]
    run("region", image=image).result()
    assert len(fine.reads) == 1, "the region was not remembered"


def test_dask_computes_only_the_blocks_of_the_region(run):
    computed: list[tuple[int, ...]] = []

    def block(block_info):
        computed.append(block_info[None]["chunk-location"])
        return np.ones((16, 16), np.uint8)

    lazy = da.map_blocks(block, chunks=((16,) * 8, (16,) * 8), dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    run("region", image=lazy).result()
    assert set(computed) <= {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert computed


def test_lazy_labels_are_read_anew_in_each_run(run, pixels):
    lazy = Counting(pixels[..., 0])
    image = Image.of(lazy, kind="labels")
    run("region", image=image).result()
    count = len(lazy.reads)
    run("region", image=image).result()
    assert len(lazy.reads) == 2 * count


class Broken(Counting):
    def __getitem__(self, index):
        raise KeyError("the file was moved")


def test_unreadable_image_ends_the_run_with_a_sentence(run, pixels):
    error = run("region", image=Broken(pixels[..., 0])).outcome()
    assert isinstance(error, InputError)
    assert "the file was moved" in str(error)
    assert run().result()


class Slow(Counting):
    def __getitem__(self, index):
        time.sleep(1.0)
        return super().__getitem__(index)


def test_cancel_does_not_wait_for_a_slow_read(child, run, pixels):
    lazy = Slow(pixels[..., 0])
    listener = run("region", image=lazy)
    assert until(lambda: child.pid is not None)
    time.sleep(1.0)
    pid, asked = child.pid, time.perf_counter()
    child.cancel()
    assert isinstance(listener.outcome(), RunCancelled)
    assert time.perf_counter() - asked < 0.5
    assert run().result().values["pid"] == pid


def test_shared_memory_goes_with_its_array_and_with_the_child(pixels, job):
    before = segments()
    child = Child(warm=False)
    try:
        ended: list[object] = []
        first, second = pixels.copy(), pixels.copy()
        for array in (first, second):
            child.submit("echo", job(image=array), on_event=id, on_result=ended.append, on_error=ended.append)
            assert until(lambda: not child.busy, 30)
        assert len(segments() - before) == 2
        del first, array
        assert until(lambda: len(segments() - before) == 1), "the segment outlives its array"
        del second
        assert until(lambda: segments() == before)
        labels = np.zeros((5, 5), np.uint8)
        child.submit("echo", job(scribbles=labels), on_event=id, on_result=ended.append, on_error=ended.append)
        assert until(lambda: not child.busy, 30)
        assert segments() - before
    finally:
        child.close()
    assert segments() == before


class Waiting:
    """An array that is there only when it is told so."""

    shape, dtype = (100,), np.dtype(np.uint8)

    def __init__(self) -> None:
        self.asked, self.ready = threading.Event(), threading.Event()

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        self.asked.set()
        self.ready.wait(10)
        return np.ones(self.shape, self.dtype)


def test_memory_is_given_back_after_a_copy_that_is_under_way():
    before, array = segments(), Waiting()
    segment = images.Segment(100)
    filling = threading.Thread(target=segment.fill, args=(array,))
    freeing = threading.Thread(target=segment.free)
    filling.start()
    assert array.asked.wait(10)
    freeing.start()
    freeing.join(0.2)
    assert segments() - before, "given back while it is written to"
    array.ready.set()
    for thread in (filling, freeing):
        thread.join(10)
    assert segments() == before
    segment.fill(np.ones(100, np.uint8))


def test_full_shared_memory_falls_back_to_reading(run, pixels, monkeypatch):
    """Containers often have 64 MB; writing past that would kill the viewer with a bus error."""

    def full(name: str, nbytes: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "_reserve", full)
    before = segments()
    listener = run(image=pixels, scribbles=pixels[..., 1])
    listener.result()
    np.testing.assert_array_equal(listener.tile("image"), pixels)
    np.testing.assert_array_equal(listener.tile("scribbles"), pixels[..., 1])
    assert segments() == before


def test_more_than_the_system_has_is_refused_before_it_is_written():
    assert images.new_segment(1 << 50) is None


def test_in_memory_tells_mapped_files_apart(pixels, tmp_path):
    mapped = memmap_of(pixels, tmp_path / "image.raw")
    assert in_memory(pixels)
    assert in_memory(pixels[::2])
    assert not in_memory(mapped)
    assert not in_memory(np.asarray(mapped)[::2])
    assert not in_memory(da.zeros((3, 3)))


def test_mirror_maps_what_the_shelf_describes_and_forgets(pixels):
    dead: list[int] = []
    shelf = Shelf(dead.append)
    mirror = Mirror(lambda key, spans: shelf.find(key)[tuple(slice(*span) for span in spans)])
    try:
        described = shelf.describe("image", Image.of(pixels, "yxc", name="a"))
        image = mirror.image(described)
        np.testing.assert_array_equal(image.levels[0], pixels)
        mirror.forget(described["levels"][0]["key"])
        assert mirror.image(described).levels[0] is not image.levels[0]
        del image
    finally:
        shelf.close()


def memmap_of(array: np.ndarray, path: Path) -> np.memmap:
    mapped = np.memmap(path, array.dtype, "w+", shape=array.shape)
    mapped[...] = array
    return mapped
