"""Everything that Teach does is in the session: runs, the way back to a model, predictions, what is accepted.

The real tool trains the real network, a few steps of it.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_medseg.core.session import START, Session
from napari_medseg.core.session.models import FOLDER
from napari_medseg.nn import store
from napari_medseg.widgets._layers import RESULT_KEY
from napari_medseg.widgets._results import ENTROPY, PREDICTION
from napari_medseg.widgets.scribbles import TeachWidget

LONG_MS = 120_000
SEEDS = itertools.count()
LEFT, RIGHT = ((40, 30), (150, 90)), ((40, 160), (150, 230))
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier

pytestmark = pytest.mark.slow


@pytest.fixture
def panel(viewer, service, halves: np.ndarray, hand) -> TeachWidget:
    """The panel with the real tool, after a stroke of each of two classes, to train a few steps."""
    viewer.add_image(halves, name="halves", scale=(2, 2), units="um")
    panel = TeachWidget(viewer, service=service)
    panel.live.setValue(False)
    viewer.window.add_dock_widget(panel, name="Teach", area="right")
    QApplication.processEvents()
    viewer.reset_view()
    # The child goes on where a run with the same seed has ended.
    panel.form.setValue({"start": "scratch", "steps": 2, "crop": 64, "batch": 1, "seed": next(SEEDS)})
    panel.new_button.click()
    hand.stroke(*LEFT)
    panel.classes.selected.emit(2)
    hand.stroke(*RIGHT)
    return panel


def teach(panel: TeachWidget, qtbot, *, steps: int = 2) -> str:
    """Run to the end, and until the action is recorded; the digest of the model."""
    panel.form.setValue({"steps": steps})
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS) as told:
        panel.runner.run_button.click()
    qtbot.waitUntil(lambda: panel.taught.kept is not None)
    return told.args[0].values["digest"]


def settled(panel: TeachWidget, qtbot) -> None:
    """Wait until what is done off the viewer's thread is done."""
    work = (panel.taught._background, panel.sessions.predictions._background, panel.acceptance._background)
    qtbot.waitUntil(lambda: not any(each.busy for each in work), timeout=LONG_MS)


def result(panel: TeachWidget, role: str) -> Any:
    found = (layer for layer in panel.viewer.layers if layer.metadata.get(RESULT_KEY, {}).get("role") == role)
    return next(found, None)


def names(panel: TeachWidget) -> list[str]:
    return [entry.action.name for entry in reversed(panel.sessions.session.history()) if entry.in_effect]


def travel(panel: TeachWidget, qtbot, go: Any) -> None:
    """Undo, redo or jump to a moment with another model, and wait until its picture is there."""
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        go()


def key(hand, modifier=CONTROL) -> None:
    QTest.keyClick(hand.canvas, Qt.Key.Key_Z, modifier)
    QApplication.processEvents()


# ---------------------------------------------------------------------- a run is an action


def test_a_run_is_an_action_with_its_model(panel: TeachWidget, qtbot) -> None:
    digest = teach(panel, qtbot)
    session = panel.sessions.session
    action = session.history()[0].action
    assert action.name.startswith("Taught 2 steps")
    assert (action.tool, action.model, action.parameters["steps"]) == ("scribbles", digest, 2)
    kept = session.docs["model/annotation"]
    assert kept["digest"] == digest
    card = store.find(session.folder / kept["file"])
    assert card.sha256 == digest and card.classes == {1: "class 1", 2: "class 2"}
    session.flush(10)
    assert session.check() == []
    with Session.open(session.folder, writable=False) as other:
        assert other.docs["model/annotation"] == kept


def test_what_does_not_end_is_no_action(panel: TeachWidget, qtbot, hand) -> None:
    panel.form.setValue({"steps": 0, "seconds": 60})
    with qtbot.waitSignal(panel.runner.eventReceived, timeout=LONG_MS):
        panel.runner.run_button.click()
    with qtbot.waitSignal(panel.runner.failed, timeout=LONG_MS):
        panel.runner.cancel_button.click()
    key(hand)
    with qtbot.waitSignal(panel.runner.failed, timeout=LONG_MS):
        panel.runner.run_button.click()
    settled(panel, qtbot)
    assert names(panel) == ["Painted class 1"]
    assert not (panel.sessions.session.folder / FOLDER).exists()


def test_on_an_ordinary_layer_nothing_is_recorded(panel: TeachWidget, qtbot) -> None:
    strokes = np.asarray(panel.scribbles.value().data).copy()
    own = panel.viewer.add_labels(strokes, name="own", scale=(2, 2), units="um")
    panel.scribbles.setValue(own)
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        panel.runner.run_button.click()
    settled(panel, qtbot)
    assert len(names(panel)) == 2
    assert panel.models.save_button.isEnabled()


def test_a_full_disk_keeps_the_run_out_of_the_history_and_says_so(panel: TeachWidget, qtbot) -> None:
    folder = panel.sessions.session.folder / FOLDER
    folder.write_text("a file where the models should lie")
    with qtbot.waitSignal(panel.taught.refused, timeout=LONG_MS):
        panel.runner.run_button.click()
    assert panel.runner.error_line.text().startswith("The model is not in the session's history. The model cannot be")
    assert len(names(panel)) == 2
    # It is there all the same, until the next one comes.
    panel.save_model("mine")
    assert panel.runner.result_line.text() == "Saved as mine."


def test_closing_the_viewer_at_once_keeps_the_run(panel: TeachWidget, qtbot) -> None:
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        panel.runner.run_button.click()
    folder = panel.sessions.session.folder
    panel.viewer.close()
    QApplication.processEvents()
    with Session.open(folder, writable=False) as session:
        assert session.history()[0].action.name.startswith("Taught 2 steps")
        assert session.check() == []
    assert (folder / "predictions.zarr" / "prediction-annotation").is_dir()


# ---------------------------------------------------------------------- back to the previous model


def test_undo_goes_back_to_the_previous_model_and_redo_forward(panel: TeachWidget, qtbot, hand, own_models) -> None:
    first = teach(panel, qtbot)
    old = result(panel, PREDICTION).data.copy(), result(panel, ENTROPY).data.copy()
    second = teach(panel, qtbot, steps=12)
    new = result(panel, ENTROPY).data.copy()
    assert first != second and not np.array_equal(old[1], new)

    travel(panel, qtbot, lambda: key(hand))
    assert panel.runner.result_line.text().startswith("Back to the model of ")
    np.testing.assert_array_equal(result(panel, PREDICTION).data, old[0])
    np.testing.assert_array_equal(result(panel, ENTROPY).data, old[1])
    assert result(panel, PREDICTION).metadata[RESULT_KEY]["digest"] == first
    panel.save_model("back")
    assert store.find("back").sha256 == first

    travel(panel, qtbot, lambda: key(hand, CONTROL | SHIFT))
    assert panel.runner.result_line.text().startswith("Forward to the model of ")
    np.testing.assert_array_equal(result(panel, ENTROPY).data, new)
    panel.save_model("forward")
    assert store.find("forward").sha256 == second
    assert len(names(panel)) == 4
    settled(panel, qtbot)


def test_before_the_first_model_there_is_no_picture(panel: TeachWidget, qtbot) -> None:
    teach(panel, qtbot)
    panel.sessions.undo()
    assert panel.runner.result_line.text() == "Back before the first model."
    assert result(panel, PREDICTION) is None and result(panel, ENTROPY) is None
    assert not panel.models.save_button.isEnabled()
    panel.acceptance.button.click()
    assert panel.runner.error_line.text().startswith("There is no prediction")
    travel(panel, qtbot, panel.sessions.redo)
    assert result(panel, PREDICTION) is not None and panel.models.save_button.isEnabled()


def test_teach_after_going_back_goes_on_from_the_model_it_went_back_to(panel: TeachWidget, qtbot) -> None:
    first = teach(panel, qtbot)
    teach(panel, qtbot)
    travel(panel, qtbot, panel.sessions.undo)
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS) as told:
        panel.runner.run_button.click()
    assert told.args[0].values["steps"] == 2
    qtbot.waitUntil(lambda: panel.taught.kept is not None)
    assert Path(store.find(panel.taught.file).parent).name.startswith(first[:16])
    settled(panel, qtbot)
    panel.sessions.undo()
    panel.sessions.undo()
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS) as told:
        panel.runner.run_button.click()
    settled(panel, qtbot)
    assert told.args[0].values["steps"] == 2
    assert panel.sessions.session.history()[0].action.parameters["start"] == "scratch"


def test_undo_during_a_run_ends_it(panel: TeachWidget, qtbot) -> None:
    teach(panel, qtbot)
    panel.form.setValue({"steps": 0, "seconds": 60})
    with qtbot.waitSignal(panel.runner.eventReceived, timeout=LONG_MS):
        panel.runner.run_button.click()
    panel.sessions.undo()
    assert not panel.runner.running
    qtbot.wait(300)
    assert result(panel, PREDICTION) is None
    assert names(panel) == ["Painted class 1", "Painted class 2"]


def test_a_jump_over_strokes_shows_the_model_of_that_moment(panel: TeachWidget, qtbot, hand) -> None:
    first = teach(panel, qtbot)
    moment = panel.sessions.session.head
    hand.stroke((170, 160), (180, 230))
    teach(panel, qtbot)
    panel.live.setValue(True)
    travel(panel, qtbot, lambda: panel.sessions.go_to(moment))
    assert result(panel, PREDICTION).metadata[RESULT_KEY]["digest"] == first
    qtbot.wait(600)
    assert not panel.runner.running
    panel.sessions.go_to(START)
    assert result(panel, PREDICTION) is None and not panel._debounce.isActive()


def test_a_model_that_is_gone_is_said(panel: TeachWidget, qtbot) -> None:
    teach(panel, qtbot)
    teach(panel, qtbot, steps=5)
    shutil.rmtree(panel.sessions.session.folder / FOLDER)
    panel.sessions.undo()
    assert "is missing" in panel.runner.error_line.text()
    assert result(panel, PREDICTION) is None
    panel.save_model("mine")
    assert "is missing" in panel.runner.error_line.text()


# ---------------------------------------------------------------------- live mode


def test_a_live_run_takes_no_redo_away(panel: TeachWidget, qtbot, hand) -> None:
    """Its action waits until nothing can be redone."""
    panel.live.setValue(True)
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        hand.stroke((170, 160), (180, 230))
    settled(panel, qtbot)
    assert names(panel)[-1].startswith("Taught")
    panel.sessions.undo()
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        panel.sessions.undo()
    settled(panel, qtbot)
    assert names(panel) == ["Painted class 1", "Painted class 2"]
    assert panel.sessions.session.redo_name == "Painted class 2"
    panel.live.setValue(False)
    hand.stroke((20, 160), (24, 230))
    assert [name.partition(" ")[0] for name in names(panel)] == ["Painted", "Painted", "Painted", "Taught"]
    assert panel.taught.kept is not None


def test_a_live_run_that_is_replaced_is_no_action(panel: TeachWidget, qtbot, hand) -> None:
    panel.form.setValue({"steps": 0, "seconds": 60})
    panel.live.setValue(True)
    with qtbot.waitSignal(panel.runner.eventReceived, timeout=LONG_MS):
        hand.stroke((170, 160), (180, 230))
    panel.form.setValue({"steps": 2})
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        hand.stroke((20, 160), (24, 230))
    settled(panel, qtbot)
    assert sum(name.startswith("Taught") for name in names(panel)) == 1


def waiting_live_run(panel: TeachWidget, qtbot, hand) -> None:
    """Three strokes, the last taken back, and a live run that has ended since: it waits."""
    hand.stroke((170, 160), (180, 230))
    panel.live.setValue(True)
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        panel.sessions.undo()
    settled(panel, qtbot)
    assert panel.sessions.session.redo_name == "Painted class 2"
    panel.live.setValue(False)


def test_redo_gives_a_live_run_up_that_has_not_seen_the_stroke(panel: TeachWidget, qtbot, hand) -> None:
    waiting_live_run(panel, qtbot, hand)
    panel.sessions.redo()
    assert names(panel) == ["Painted class 1", "Painted class 2", "Painted class 2"]


def test_closing_takes_no_redo_away(panel: TeachWidget, qtbot, hand) -> None:
    waiting_live_run(panel, qtbot, hand)
    folder = panel.sessions.session.folder
    panel.sessions.close()
    with Session.open(folder) as session:
        assert session.redo_name == "Painted class 2"


def test_another_image_does_not_start_from_the_model_that_undo_went_to(panel: TeachWidget, qtbot) -> None:
    teach(panel, qtbot)
    teach(panel, qtbot)
    travel(panel, qtbot, panel.sessions.undo)
    assert panel.taught.start(panel.scribbles.value(), "scratch") == panel.taught.file
    other = panel.viewer.add_image(np.zeros((40, 40), np.uint8), name="other")
    assert panel.taught.start(panel.sessions.new_layer(other, ()), "scratch") == "scratch"


# ---------------------------------------------------------------------- predictions are kept


def test_predictions_come_back_with_the_session(panel: TeachWidget, qtbot, tmp_path: Path) -> None:
    digest = teach(panel, qtbot)
    panel.classes.recolour(1, "#00ff00")
    settled(panel, qtbot)
    layers = [result(panel, role) for role in (PREDICTION, ENTROPY)]
    pixels, about = [layer.data.copy() for layer in layers], dict(layers[0].metadata[RESULT_KEY])
    sessions = panel.sessions
    sessions.save_as(tmp_path / "kept")
    assert sessions.session.info().predictions_bytes > 0
    sessions.close()
    assert [layer.name for layer in panel.viewer.layers] == ["halves"]
    panel.viewer.layers.clear()
    image = panel.viewer.add_image(np.zeros((96, 128), np.uint8), name="halves", scale=(2, 2), units="um")

    sessions.open(tmp_path / "kept.medseg")
    qtbot.waitUntil(lambda: result(panel, ENTROPY) is not None)
    assert [layer.name for layer in panel.viewer.layers] == [
        "halves", "halves prediction", "halves entropy", "halves scribbles",
    ]  # fmt: skip
    np.testing.assert_array_equal(result(panel, PREDICTION).data, pixels[0])
    np.testing.assert_allclose(result(panel, ENTROPY).data, pixels[1], atol=1e-3)
    found = result(panel, PREDICTION).metadata[RESULT_KEY]
    same = ("tool", "digest", "seed", "steps")
    assert {name: found[name] for name in same} == {name: about[name] for name in same}
    assert found["image_id"] == str(image.unique_id)
    assert tuple(result(panel, PREDICTION).scale) == (2, 2)
    assert panel.viewer.layers.selection.active is panel.scribbles.value()
    assert not result(panel, ENTROPY).visible
    # The panel is at the session's model again, and leads on from its uncertainty.
    panel.save_model("mine")
    assert store.find("mine").sha256 == digest
    panel.regions.next_button.click()
    assert panel.regions.visited


def test_a_prediction_of_another_moment_is_not_shown(panel: TeachWidget, qtbot) -> None:
    teach(panel, qtbot)
    settled(panel, qtbot)
    folder, sessions = panel.sessions.session.folder, panel.sessions
    sessions.undo()
    sessions.close()
    sessions.open(folder)
    settled(panel, qtbot)
    assert result(panel, PREDICTION) is None


def test_a_prediction_that_cannot_be_kept_is_said_once(panel: TeachWidget, qtbot) -> None:
    heard: list[str] = []
    notification_manager.notification_ready.connect(hear := lambda event: heard.append(event.message))
    panel.sessions.session.predictions.write_text("a file in its place")
    for steps in (2, 3):
        teach(panel, qtbot, steps=steps)
        settled(panel, qtbot)
    notification_manager.notification_ready.disconnect(hear)
    assert len([text for text in heard if text.startswith("The prediction is not kept in the session")]) == 1


def test_compaction_keeps_the_newest(panel: TeachWidget, qtbot) -> None:
    teach(panel, qtbot)
    second = teach(panel, qtbot, steps=5)
    settled(panel, qtbot)
    session = panel.sessions.session
    before = session.info()
    assert panel.sessions.compact() > before.models_bytes // 3
    assert session.info().predictions_bytes == before.predictions_bytes
    assert len(list((session.folder / FOLDER).iterdir())) == 2
    assert session.docs["model/annotation"]["digest"] == second
    assert panel.taught.file and Path(panel.taught.file).is_file()
