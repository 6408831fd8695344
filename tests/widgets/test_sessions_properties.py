"""Any strokes, undos, redos, jumps, restarts and crashes in the viewer equal the same on an ordinary Labels layer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from napari.components import ViewerModel
from napari.layers import Labels

from napari_medseg.core.labelpyramid.resample import halved
from napari_medseg.core.session import ANNOTATION, START, Session
from napari_medseg.widgets._sessions import SessionService, sessions_of

SHAPE = (3100, 520)
"""Three levels of tiles of 512."""

places = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
labels = st.integers(1, 3)
Tool = Callable[[Labels], object]


class Twin(RuleBasedStateMachine):
    """A viewer with a session, and a history that keeps the whole picture after each action.

    Parameters
    ----------
    make_viewer
        Makes a viewer with a window.
    root
        An empty folder.
    """

    def __init__(self, make_viewer: Callable[..., Any], root: Path) -> None:
        super().__init__()
        self._make_viewer, self._root, self._copies = make_viewer, root, 0
        self._plain = Labels(np.zeros(SHAPE, np.uint8))
        ViewerModel().add_layer(self._plain)

    @initialize()
    def begin(self) -> None:
        self._viewer = self._make_viewer()
        self._sessions.new_layer(self._viewer.add_image(np.zeros(SHAPE, np.uint8), name="image"), ())
        self._pictures: dict[int, np.ndarray] = {START: np.zeros(SHAPE, np.uint8)}
        self._parents: dict[int, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "_viewer"):
            self._viewer.close()

    # ------------------------------------------------------------------ strokes

    @rule(
        mode=st.sampled_from(["paint", "paint", "erase"]),
        label=labels,
        size=st.sampled_from([1, 10, 61, 300]),
        line=st.lists(places, min_size=2, max_size=4),
        preserve=st.booleans(),
    )
    def stroke(self, mode: str, label: int, size: int, line: list[Any], preserve: bool) -> None:
        self._both(lambda layer: _stroke(layer, mode, label, size, line, preserve))

    @rule(place=places, label=st.integers(0, 3), contiguous=st.booleans())
    def fill(self, place: Any, label: int, contiguous: bool) -> None:
        def fill(layer: Labels) -> None:
            layer.contiguous = contiguous
            layer.fill(place, label)

        self._both(fill)

    @rule(corners=st.lists(places, min_size=3, max_size=5, unique=True), label=labels)
    def polygon(self, corners: list[Any], label: int) -> None:
        # Larger ones have an outline in steps; what they leave is tested apart.
        near = np.array(corners[0]) + (np.array(corners) - corners[0]) // 7
        self._both(lambda layer: layer.paint_polygon(near, label))

    # ------------------------------------------------------------------ history

    @rule()
    def undo(self) -> None:
        expected = self._parents.get(self._session.head, START)
        self._sessions.undo()
        assert self._session.head == expected

    @rule()
    def redo(self) -> None:
        children = [child for child, parent in self._parents.items() if parent == self._session.head]
        expected = max(children, default=self._session.head)
        self._sessions.redo()
        assert self._session.head == expected

    @rule(data=st.data())
    def jump(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(sorted(self._pictures)))
        self._sessions.go_to(target)
        assert self._session.head == target

    # ------------------------------------------------------------------ ends

    @rule()
    def restart(self) -> None:
        folder, head, used = self._session.folder, self._session.head, len(self._pictures) > 1
        self._viewer.close()
        # A session without a name in which nothing was done is removed.
        assert folder.exists() == (used or folder.parent == self._root)
        if folder.exists():
            self._go_on(folder)
            assert self._session.head == head and self._sessions.notices == []
        else:
            self.begin()

    @rule(line=st.lists(places, min_size=2, max_size=3), in_mid_stroke=st.booleans())
    def crash(self, line: list[Any], in_mid_stroke: bool) -> None:
        """What is on the disk at this moment is all that is left."""
        head, layer = self._session.head, self._layer
        if in_mid_stroke:
            layer.mode, layer.brush_size = "paint", 40
            with layer.block_history():
                layer._draw(2, *line[:2])
                self._session.draft(layer.pyramid.draft(), "stroke", ANNOTATION)
                picture = np.asarray(layer.data)
                copy = self._copy()
            layer.mode = "pan_zoom"
        else:
            picture, copy = np.asarray(layer.data), self._copy()
        self._viewer.close()
        self._go_on(copy)
        assert "was not closed" in self._sessions.notices[0]
        if self._session.head != head:
            assert in_mid_stroke and "was not finished was recovered" in self._sessions.notices[1]
            self._remember(head, picture)

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def shows_what_the_model_holds(self) -> None:
        if not hasattr(self, "_viewer"):
            return
        expected = self._pictures[self._session.head]
        for level in self._layer.data:
            np.testing.assert_array_equal(level[:, :], expected)
            expected = halved(expected)

    # ------------------------------------------------------------------ inside

    @property
    def _sessions(self) -> SessionService:
        return sessions_of(self._viewer)

    @property
    def _session(self) -> Session:
        session = self._sessions.session
        assert session is not None
        return session

    @property
    def _layer(self) -> Any:
        return self._sessions.layer(ANNOTATION)

    def _both(self, tool: Tool) -> None:
        """Use a tool on our layer, and on an ordinary one with the same labels."""
        head = self._session.head
        self._plain.data = self._pictures[head].copy()
        tool(self._plain)
        tool(self._layer)
        if np.array_equal(self._plain.data, self._pictures[head]):
            assert self._session.head == head
        else:
            self._remember(head, self._plain.data)

    def _remember(self, parent: int, picture: np.ndarray) -> None:
        assert self._session.head not in self._pictures
        self._pictures[self._session.head], self._parents[self._session.head] = picture.copy(), parent

    def _copy(self) -> Path:
        self._session.flush(30)
        self._copies += 1
        return Path(shutil.copytree(self._session.folder, self._root / f"{self._copies}.medseg"))

    def _go_on(self, folder: Path) -> None:
        self._viewer = self._make_viewer()
        self._sessions.open(folder)


def _stroke(layer: Labels, mode: str, label: int, size: int, line: list[Any], preserve: bool) -> None:
    layer.selected_label, layer.brush_size, layer.mode = label, size, mode
    layer.preserve_labels = preserve
    with layer.block_history():
        for start, stop in pairwise(line):
            layer._draw(label if mode == "paint" else 0, start, stop)
    layer.mode, layer.preserve_labels = "pan_zoom", False


def test_the_viewer_and_an_ordinary_layer_agree(make_napari_viewer, tmp_path_factory) -> None:
    run_state_machine_as_test(
        lambda: Twin(make_napari_viewer, tmp_path_factory.mktemp("crashed")),
        settings=settings(
            max_examples=6,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
