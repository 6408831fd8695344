"""How well a traced line follows a true one: coverage, distance, whole segments (Dai et al., MIDL 2019, section 3).

Lines are (n, 2) or (n, 3) points in pixels (or another unit that is the same along all axes), joined by straight
pieces. Distances are to the nearest place of the other line, not to its nearest point, so how densely a line is
sampled changes nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from napari_medseg.core.errors import InputError

COVERED_PX = 3.0
"""A true point is covered by a trace within this distance."""
LOST_PX, LOST_STEPS = 11.0, 5
"""More than so many points in a row farther off than that are a lost stretch."""
_CHUNK = 1 << 20
"""Pairs of point and piece measured at once."""


class TraceScore(NamedTuple):
    """How one trace follows one true line.

    Parameters
    ----------
    coverage
        Share of the true points within 3 px of the trace, 0 to 1.
    error
        Mean distance of the traced points from the true line; nan for a trace without points.
    error_on_track
        The same without lost stretches; nan where nothing is left.
    lost
        Share of the traced points in lost stretches.
    whole
        Whether all of the true line is covered.
    """

    coverage: float
    error: float
    error_on_track: float
    lost: float
    whole: bool


def trace_score(truth: np.ndarray, trace: np.ndarray) -> TraceScore:
    """Compare a trace with the line that it should follow; arguments are (n, 2) or (n, 3) points."""
    truth, trace = _line(truth, "true"), _line(trace, "traced")
    if not len(truth):
        raise InputError("The true line has no points, so there is nothing to compare a trace with.")
    if not len(trace):
        return TraceScore(0.0, math.nan, math.nan, 0.0, False)
    covered = distances(truth, trace) <= COVERED_PX
    off = distances(trace, truth)
    lost = lost_stretches(off)
    on_track = float(off[~lost].mean()) if not lost.all() else math.nan
    return TraceScore(float(covered.mean()), float(off.mean()), on_track, float(lost.mean()), bool(covered.all()))


def mean_score(scores: list[TraceScore]) -> dict[str, float]:
    """Means over traces by name, those that are nan left out; ``whole`` becomes the share of whole segments."""
    table = np.array(scores, float).reshape(len(scores), len(TraceScore._fields))
    means = {}
    for name, column in zip(TraceScore._fields, table.T, strict=True):
        known = column[~np.isnan(column)]
        means[name] = float(known.mean()) if known.size else math.nan
    return means


def distances(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance (n) of each of ``points`` (n, d) from a line (m, d), m at least 1."""
    start = line[:-1] if len(line) > 1 else line
    piece = line[1:] - start if len(line) > 1 else np.zeros_like(line)
    rows = max(1, _CHUNK // len(start))
    parts = [_to_pieces(points[i : i + rows], start, piece) for i in range(0, len(points), rows)]
    return np.concatenate(parts) if parts else np.empty(0)


def _to_pieces(points: np.ndarray, start: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """Distance of each point from the nearest straight piece."""
    away = points[:, None] - start
    squared = (piece**2).sum(axis=1)
    along = np.clip((away * piece).sum(axis=2) / np.where(squared > 0, squared, 1), 0, 1)
    return np.sqrt((((away - along[..., None] * piece) ** 2).sum(axis=2)).min(axis=1))


def lost_stretches(off: np.ndarray) -> np.ndarray:
    """Mask (n) of the points in runs of more than 5 that are over 11 px off."""
    far = np.concatenate([[False], off > LOST_PX, [False]])
    changes = np.flatnonzero(far[1:] != far[:-1])
    lost = np.zeros(len(off), bool)
    for first, last in zip(changes[::2], changes[1::2], strict=True):
        lost[first:last] = last - first > LOST_STEPS
    return lost


def up_to_end(trace: np.ndarray, end: np.ndarray, within: float = COVERED_PX) -> np.ndarray:
    """The trace up to where it comes nearest to ``end`` on its first visit ``within`` this distance; else all of it.

    What a tracer does beyond the place where an annotator stopped says nothing about the truth.
    """
    off = np.linalg.norm(trace - end, axis=1)
    near = np.flatnonzero(off <= within)
    if not near.size:
        return trace
    leaves = np.flatnonzero(off[near[0] :] > within)
    last = near[0] + (leaves[0] if leaves.size else len(off) - near[0])
    return trace[: near[0] + int(off[near[0] : last].argmin()) + 1]


def _line(points: np.ndarray, name: str) -> np.ndarray:
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not np.isfinite(points).all():
        raise InputError(f"The {name} line has shape {points.shape}; give finite points of shape (n, 2) or (n, 3).")
    return points
