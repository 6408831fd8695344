"""An array that is read on request indexes as numpy does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from napari_medseg.run.remote import RemoteArray

WHOLE = np.arange(5 * 6 * 7, dtype=np.int32).reshape(5, 6, 7)


def remote(reads: list[object] | None = None, **kwargs) -> RemoteArray:
    def fetch(spans):
        assert all(
            step > 0 and 0 <= start < stop <= size for (start, stop, step), size in zip(spans, WHOLE.shape, strict=True)
        )
        if reads is not None:
            reads.append(spans)
        return WHOLE[tuple(slice(*span) for span in spans)].copy()

    return RemoteArray(WHOLE.shape, WHOLE.dtype, (5, 3, 7), fetch, **kwargs)


@given(basic_indices(WHOLE.shape, allow_newaxis=False))
def test_indexes_as_numpy(index):
    np.testing.assert_array_equal(remote()[index], WHOLE[index])


@given(st.tuples(*[st.slices(size) for size in WHOLE.shape]))
def test_slices_as_numpy(index):
    result = remote()[index]
    np.testing.assert_array_equal(result, WHOLE[index])
    assert result.dtype == WHOLE.dtype


@pytest.mark.parametrize("index", [5, (0, 0, 0, 0), (Ellipsis, Ellipsis), [1, 2], None, np.array([True] * 5), 1.5])
def test_refuses_what_it_cannot_read(index):
    with pytest.raises(IndexError):
        remote()[index]


def test_knows_its_size_and_converts_whole():
    array = remote()
    assert (array.ndim, array.size, array.nbytes, len(array)) == (3, 210, 840, 5)
    assert array.chunks == (5, 3, 7)
    np.testing.assert_array_equal(np.asarray(array), WHOLE)


def test_remembers_regions_up_to_its_limit():
    reads: list[object] = []
    array = remote(reads, cache_bytes=4 * 42 * 4)
    for plane in (0, 1, 2, 3, 0):
        array[plane]
    assert len(reads) == 4
    array[4]
    array[0]
    assert len(reads) == 5, "the plane used last was dropped"
    array[1]
    assert len(reads) == 6, "more is kept than the limit"


def test_a_caller_may_write_into_what_it_got():
    array = remote()
    array[0][...] = -1
    np.testing.assert_array_equal(array[0], WHOLE[0])
