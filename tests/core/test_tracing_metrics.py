"""Lines so simple that every figure can be worked out on paper."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.core.errors import InputError
from napari_medseg.core.tracing_metrics import distances, lost_stretches, mean_score, trace_score, up_to_end


def row(y, start, stop, step=1.0):
    x = np.arange(start, stop + step / 2, step)
    return np.stack([np.full(len(x), float(y)), x], axis=1)


def test_distance_is_to_the_piece_not_to_its_points():
    line = np.array([[0.0, 0], [0, 10], [10, 10]])
    points = np.array([[2.0, 5], [-3, -4], [5, 12], [1, 9], [13, 14]])
    np.testing.assert_allclose(distances(points, line), [2, 5, 2, 1, 5])
    np.testing.assert_allclose(distances(points[:1], line[:1]), [math.hypot(2, 5)])


def test_a_parallel_trace_of_half_the_line():
    score = trace_score(row(10, 0, 99), row(12, 0, 49, 7))
    # Points up to column 49 are 2 px off; two more are within 3 px of the last: 49 + sqrt(9 - 4) = 51.2.
    assert score.coverage == pytest.approx(0.52)
    assert score.error == pytest.approx(2)
    assert score.error_on_track == pytest.approx(2)
    assert (score.lost, score.whole) == (0, False)


def test_exactly_three_px_counts_as_covered():
    assert trace_score(row(10, 0, 20), row(13, 0, 20)).whole
    assert trace_score(row(10, 0, 20), row(13.01, 0, 20)).coverage == 0


def test_lost_stretches_are_longer_than_five_points():
    off = np.array([0, 12, 12, 12, 12, 12, 0, 12, 12, 12, 12, 12, 12, 11, 20])
    assert lost_stretches(off).nonzero()[0].tolist() == [7, 8, 9, 10, 11, 12]
    assert lost_stretches(np.full(6, 11.5)).all()
    assert not lost_stretches(np.empty(0)).any()


def test_the_error_is_given_with_and_without_lost_stretches():
    truth = row(0, 0, 30)
    trace = np.concatenate([row(1, 0, 9), row(21, 10, 19)])
    score = trace_score(truth, trace)
    assert score.error == pytest.approx(11)
    assert score.error_on_track == pytest.approx(1)
    assert score.lost == pytest.approx(0.5)
    assert math.isnan(trace_score(truth, row(30, 0, 9)).error_on_track)


def test_no_trace_covers_nothing():
    score = trace_score(row(0, 0, 5), np.empty((0, 2)))
    assert score[0] == 0 and math.isnan(score.error) and not score.whole


def test_means_leave_out_what_is_unknown():
    truth = row(0, 0, 9)
    means = mean_score([trace_score(truth, truth + [1, 0]), trace_score(truth, np.empty((0, 2)))])
    assert means == {"coverage": 0.5, "error": 1, "error_on_track": 1, "lost": 0, "whole": 0.5}
    assert all(math.isnan(value) for value in mean_score([]).values())


def test_lines_in_space():
    line = np.array([[0.0, 0, 0], [0, 0, 9]])
    assert trace_score(line, line + [2, 1, 0]).error == pytest.approx(math.sqrt(5))


def test_a_trace_is_cut_where_it_comes_nearest_to_the_end_at_its_first_visit():
    trace = row(0, 0, 40, 4)
    assert up_to_end(trace, np.array([1.0, 21.0]))[-1].tolist() == [0, 20]
    assert up_to_end(trace, np.array([0, 41.0]))[-1].tolist() == [0, 40]
    assert len(up_to_end(trace, np.array([5.0, 20]))) == len(trace)
    twice = np.concatenate([row(1, 0, 8), row(0, 8, 0)[::-1]])
    assert up_to_end(twice, np.array([0.0, 4]))[-1].tolist() == [1, 4]


@given(st.integers(2, 40), st.floats(-20, 20), st.floats(0.3, 5))
def test_how_densely_a_line_is_sampled_changes_no_distance(count, offset, step):
    dense, coarse = row(0, 0, count * step, step), np.array([[0.0, 0], [0, count * step]])
    points = np.array([[offset, offset], [3, count], [offset, 0]])
    np.testing.assert_allclose(distances(points, dense), distances(points, coarse), atol=1e-9)


def test_what_is_no_line_is_refused():
    with pytest.raises(InputError, match=r"The traced line has shape \(4,\); give finite points"):
        trace_score(row(0, 0, 5), np.zeros(4))
    with pytest.raises(InputError, match="true line"):
        trace_score(np.full((3, 2), np.nan), row(0, 0, 5))
    with pytest.raises(InputError, match="no points"):
        trace_score(np.empty((0, 2)), row(0, 0, 5))
