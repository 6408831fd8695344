"""The whole loop with the real tool: paint, teach, save, apply; torch stays in the child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_medseg.nn import store
from napari_medseg.widgets._layers import RESULT_KEY
from napari_medseg.widgets._results import ENTROPY, PREDICTION
from napari_medseg.widgets._service import service_of
from napari_medseg.widgets.scribbles import TeachWidget

LONG_MS = 240_000


@pytest.mark.slow
def test_paint_teach_save_and_apply(viewer, hand, qtbot, halves: np.ndarray, own_models: Path) -> None:
    viewer.add_image(halves, name="halves", scale=(2, 2), units="um")
    panel = TeachWidget(viewer)
    panel.live.setValue(False)
    viewer.window.add_dock_widget(panel, name="Teach", area="right")
    QApplication.processEvents()
    viewer.reset_view()

    panel.new_button.click()
    hand.stroke((20, 30), (170, 90))
    panel.classes.selected.emit(2)
    hand.stroke((20, 160), (170, 230))
    panel.form.setValue({"start": "scratch", "steps": 5, "crop": 64})
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS) as told:
        panel.teach()
    truth = np.where(np.arange(128) < 64, 1, 2)
    assert (layer(panel, PREDICTION).data == truth).mean() > 0.9
    assert np.isfinite(layer(panel, ENTROPY).data).all()
    assert layer(panel, PREDICTION).metadata[RESULT_KEY]["digest"]
    assert Path(told.args[0].values["model"]).is_file()
    assert panel.plot.points
    assert panel.runner.device_line.text() == service_of(viewer).device != ""

    panel.models.name.setText("dark and bright")
    panel.models.save_button.click()
    assert panel.runner.result_line.text() == "Saved as dark and bright."
    assert (own_models / "dark and bright.safetensors").is_file()
    assert store.find("dark and bright").classes == {1: "class 1", 2: "class 2"}
    assert panel.start.findData("dark and bright") >= 0

    other = viewer.add_image(halves[:, ::-1].copy(), name="mirrored", scale=(2, 2), units="um")
    panel.image.setValue(other)
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        panel.models.apply_button.click()
    assert (viewer.layers["mirrored prediction"].data == truth[::-1]).mean() > 0.9
    assert viewer.layers["mirrored prediction"].metadata[RESULT_KEY]["model"]


def layer(panel: TeachWidget, role: str):
    return next(found for found in panel.viewer.layers if found.metadata.get(RESULT_KEY, {}).get("role") == role)


def test_saving_a_model_loads_no_torch(tmp_path: Path) -> None:
    code = "import sys\nfrom napari_medseg.nn import store\nfrom napari_medseg.core.errors import MedsegError\n"
    code += "try:\n    store.save_as(sys.argv[1], 'name')\nexcept MedsegError as error:\n    print(error)\n"
    code += "print('torch' in sys.modules)"
    card = store.Card(
        name="c", task="segmentation", architecture="light", arguments={}, channels=3, normalisation="none"
    )
    (tmp_path / "c.json").write_text(card.model_dump_json(exclude={"folder", "name"}))
    (tmp_path / "c.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c.safetensors")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "False", done.stdout + done.stderr
    assert store.find("name").classes == {}
