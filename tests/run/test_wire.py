"""What goes into the wire comes out the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from napari_medseg.core.errors import BY_NAME, InputError, ModelError
from napari_medseg.core.events import Note, Progress, Result, Scalar, Tile
from napari_medseg.core.image import Geometry
from napari_medseg.run import wire


def crossed(*messages):
    stream = io.BytesIO()
    for message in messages:
        wire.write(stream, wire.pack(message))
    stream.seek(0)
    return [wire.read(stream) for _ in messages]


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return same(list(a), list(b)) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b or (isinstance(a, float) and a != a and b != b)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
some_arrays = arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
values = st.recursive(
    plain | some_arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.just("$") | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_any_value_survives(value):
    assert same(crossed({"value": value})[0]["value"], value)


@given(st.text(), st.integers(), st.floats(allow_nan=False))
def test_plain_events_survive(text, number, value):
    events = [Progress(number, 7, text), Scalar(text, number, value), Note(text, "warning")]
    assert [message["event"] for message in crossed(*({"event": event} for event in events))] == events


@given(some_arrays, st.lists(st.integers(0, 2**40), max_size=3).map(tuple))
def test_tiles_survive(data, offset):
    tile = crossed({"event": Tile("prediction", offset, data)})[0]["event"]
    assert (tile.layer, tile.offset) == ("prediction", offset)
    assert same(tile.data, data)


@given(st.dictionaries(st.text(), values, max_size=3))
def test_results_survive(facts):
    result = crossed({"result": Result("ready", facts)})[0]["result"]
    assert isinstance(result, Result)
    assert same(result.values, facts)


@pytest.mark.parametrize("kind", BY_NAME.values())
def test_errors_survive(kind):
    error = crossed({"error": kind("paint more")})[0]["error"]
    assert type(error) is kind
    assert str(error) == "paint more"


def test_errors_of_a_tool_arrive_as_the_nearest_known_class():
    class Damaged(ModelError):
        pass

    assert type(crossed({"error": Damaged("no header")})[0]["error"]) is ModelError


def test_geometry_survives():
    geometry = Geometry((1.0, 2.0), ("um", "um"), (0.0, 3.0), affine=np.eye(3) * 2)
    received = crossed({"geometry": geometry})[0]["geometry"]
    np.testing.assert_array_equal(received.matrix(), geometry.matrix())
    assert received.rotate is None


def test_numpy_numbers_and_paths_arrive_plain():
    received = crossed({"dice": np.float32(0.5), "count": np.int64(3), "ok": np.bool_(True), "at": Path("a") / "b"})[0]
    assert received == {"dice": 0.5, "count": 3, "ok": True, "at": str(Path("a") / "b")}
    assert type(received["ok"]) is bool


def test_strided_arrays_arrive_in_order():
    array = np.arange(24).reshape(4, 6)[::-2, 1::2].T
    assert same(crossed({"a": array})[0]["a"], np.ascontiguousarray(array))


def test_received_arrays_can_be_written():
    received = crossed({"a": np.zeros(3)})[0]["a"]
    received[0] = 1
    assert received.sum() == 1


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", print])
def test_what_cannot_cross_is_refused_before_anything_is_written(value):
    with pytest.raises(TypeError, match="cannot cross"):
        wire.pack({"value": value})


def test_object_arrays_are_refused():
    with pytest.raises(InputError, match="object"):
        wire.pack({"value": np.array([None])})


@pytest.mark.parametrize("keep", [0, 3, 8, 20, -1])
def test_a_cut_stream_is_an_end(keep):
    data = b"".join(bytes(frame) for frame in wire.pack({"a": np.zeros(10)}))
    with pytest.raises(EOFError):
        wire.read(io.BytesIO(data[:keep]))


def test_a_garbled_stream_is_noticed():
    with pytest.raises(ConnectionError):
        wire.read(io.BytesIO(b"hello, this is a library that prints"))


def test_noise_ahead_of_the_start_is_skipped():
    stream = io.BytesIO(b"warning: \n<<napari-\n" + wire.MARKER + b"".join(wire.pack({"a": 1})))
    wire.skip_to_start(stream)
    assert wire.read(stream) == {"a": 1}
