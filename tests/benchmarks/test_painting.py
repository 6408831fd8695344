"""The tables of painting, and the part of it that needs no viewer, in small."""

from __future__ import annotations

from pathlib import Path

from benchmarks import painting, painting_store, rows
from benchmarks.__main__ import FIGURES, MODULES, arguments

TIMES = {"p50": 1.0, "p95": 2.0, "max": 3.0}


def test_every_figure_can_be_called_short_and_in_full(tmp_path: Path):
    for figure in set(FIGURES) - {"heartbeat"}:
        for quick in (False, True):
            options = MODULES[figure].parse(arguments(figure, quick, tmp_path, 1))
            assert options.out == tmp_path / f"{figure}.jsonl"


def test_the_tables_show_every_part(tmp_path: Path):
    latency = {"1:4": {"level": 1, "brush": 200, "handler": TIMES, "screen": TIMES, "undo": TIMES}}
    memory = {"strokes": 4, "above_mb": [1.0, 2.4], "tiles": 7, "tiles_mb": 0.5, "session_mb": 9.25}
    found: list[rows.Row] = [
        {"part": "latency", "found": latency},
        {"part": "memory", **memory, "handler": TIMES, "undo": TIMES},
        {"part": "prediction", "tiles": 85, "write": TIMES, "undo": TIMES, "redo": TIMES},
        {"part": "store", "tables": {"Edge of large brushes": ["| a |", "|---|", "| 1 |"]}},
    ]
    assert [row["part"] for row in found] == list(painting.PARTS) == list(painting.RENDERERS)
    text = painting.render(found)
    for words in ("| 1:4 | 1 | 200 | 1.0 / 2.0 / 3 |", "| +1, +2 |", "9.2 |", "85 tiles", "#### Edge of large brushes"):
        assert words in text


def test_no_edge_is_coarser_than_a_256th_of_its_brush():
    lines = list(painting_store.edges())[2:]
    assert len(lines) == len(painting_store.EDGES_PX)
    for line in lines:
        _, _, _, step, far, share, _ = line.split("|")
        assert int(step) >= 256 and int(share) >= 256 and float(far) > 0
