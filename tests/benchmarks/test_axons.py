"""What the benchmark of tracing makes of traces that are known."""

import numpy as np
import pytest

from benchmarks.axons import GROUPS, Segment, Traced, entropy_row, tile_rows, tiles
from benchmarks.sets import DataMissing


def row(y, count=41):
    return np.stack([np.full(count, float(y)), np.arange(float(count))], axis=1)


def derailed(at, entropies):
    """A trace that leaves its line for good at point ``at``."""
    points = row(10)
    points[at:, 0] += 20
    return Traced(0, Segment(row(10), "high", 1), points, np.asarray(entropies, float))


def test_scores_by_group_and_crossings():
    good = Traced(1, Segment(row(10), "high", 0), row(11), np.full(41, -3.0))
    rows = tile_rows([good, derailed(20, np.full(41, -3.0))])
    assert rows["group 1"]["coverage"] == 1 and rows["group 1"]["error"] == 1
    assert rows["with crossings"]["segments"] == 1
    assert rows["with crossings"]["coverage"] == pytest.approx(20 / 41, abs=0.1)
    assert rows["all"]["whole"] == 0.5
    assert rows["group 2"]["segments"] == 0


def test_entropy_that_foretells_and_entropy_that_does_not():
    entropies = np.full(41, -3.0)
    entropies[15:] = -1.0
    told = entropy_row([derailed(20, entropies)])
    assert told["auc"] == 1
    assert told["outside"] == -1 and told["inside"] == pytest.approx((15 * -3 + 5 * -1) / 20)
    assert told["p"] < 1e-5
    assert entropy_row([derailed(20, -entropies)])["auc"] == 0
    assert entropy_row([derailed(20, np.full(41, -2.0))])["auc"] == 0.5


def test_every_tile_is_read_with_its_group():
    try:
        found = tiles()
    except DataMissing:
        pytest.skip("shared/data is not beside this checkout")
    assert len(found) == sum(map(len, GROUPS)) == 16
    assert {tile.image.shape for tile in found} == {(512, 512)}
    high = [part for tile in found for part in tile.segments if part.confidence == "high"]
    assert len(high) > 40
    assert all(part.points.min() >= -0.5 and part.points.max() <= 511.5 for part in high)
