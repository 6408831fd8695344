"""The demo: napari with a tissue section and the Teach panel; without a screen it plays the loop by itself.

Playing uses the same viewer, panel and child process in a virtual screen. Only the hand is simulated: strokes are
drawn from the truth that comes with the sample, and painted into the scribble layer through its own edit history.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from qtpy.QtCore import QEventLoop, QTimer
from scipy import ndimage

from napari_medseg import io
from napari_medseg.core.errors import InputError, MedsegError, RunnerDied, StorageError
from napari_medseg.core.metrics import dice
from napari_medseg.io import samples, session_folders
from napari_medseg.train.simulate.strokes import strokes
from napari_medseg.widgets import _layers
from napari_medseg.widgets._results import ENTROPY, PREDICTION
from napari_medseg.widgets.scribbles import TeachWidget

SAMPLE = "he_tumour"
STROKES, SEED = 12, 6
"""This seed's strokes stay clear of the small holes of the truth, as a person's would."""
COLOURS = {1: "#3a9ee6", 2: "#e6553a"}
WINDOW_PX = (1400, 900)
PATIENCE_S = 600
"""How much longer than its training time a run may take."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Open or play the demo."""
    parser = argparse.ArgumentParser(prog="medseg demo", description=__doc__)
    parser.add_argument("--play", action="store_true")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    args = parser.parse_args(arguments)
    try:
        if has_screen() and not args.play:
            open_viewer()
            napari.run()
            return 0
        with virtual_screen():
            play(args.seconds, args.out)
    except MedsegError as error:
        sys.stderr.write(f"medseg demo: {error}\n")
        return 2
    return 0


def has_screen() -> bool:
    """Whether a window can be shown."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def virtual_screen() -> Iterator[None]:
    """Run Xvfb where there is no screen; it must start before the first window."""
    if has_screen():
        yield
        return
    if shutil.which("Xvfb") is None:
        raise InputError("There is no screen, and no Xvfb to make a virtual one. On Debian: apt-get install xvfb")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    screen = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise RunnerDied("Xvfb could not start a virtual screen; run Xvfb :99 by hand to see why.")
        os.environ["DISPLAY"] = f":{number}"
        yield
    finally:
        screen.terminate()
        screen.wait()


def open_viewer() -> tuple[napari.Viewer, TeachWidget]:
    """The viewer with the sample and the panel docked."""
    viewer = napari.Viewer(title="napari-medseg", show=True)
    viewer.window.resize(*WINDOW_PX)
    viewer.open_sample("napari-medseg", SAMPLE)
    panel = TeachWidget(viewer)
    names = samples.open_sample(SAMPLE).classes
    panel.classes.setValue(
        tuple(
            replace(row, name=names.get(row.label, row.name), colour=COLOURS.get(row.label, row.colour))
            for row in panel.classes.value()
        )
    )
    viewer.window.add_dock_widget(panel, name="Teach", area="right")
    return viewer, panel


def play(seconds: float, out: Path) -> None:
    """Paint, teach, and write labels, entropy and a picture of the window to ``out``."""
    _say(f"Playing the Teach loop on a tissue section for {seconds:g} seconds of training; nothing is asked of you.")
    _make(out)
    # What nobody has painted is no work to be continued the next time.
    os.environ.setdefault(session_folders.VARIABLE, str(out / "sessions"))
    viewer, panel = open_viewer()
    truth = samples.open_sample(SAMPLE).truth.read()[..., 0]
    try:
        painted = _paint(panel, truth)
        _say(f"Painted {painted} strokes, drawn from the truth that comes with the sample.")
        _teach(panel, seconds)
        labels, entropy = _result(viewer, PREDICTION), _result(viewer, ENTROPY)
        _write(panel, labels, entropy, out)
        viewer.window.screenshot(str(out / "screenshot.png"), flash=False)
    finally:
        viewer.close()
    scores = dice(truth, labels)[np.unique(truth)]
    _say(f"The segmentation agrees with the truth to a Dice of {np.nanmean(scores):.3f} (mean of the classes).")
    _say(f"Written: {out / 'labels.tif'}, {out / 'entropy.tif'}, {out / 'screenshot.png'}")
    _say("With a screen, the same command opens the viewer for you to paint in.")


def _paint(panel: TeachWidget, truth: np.ndarray) -> int:
    """Put simulated strokes into a new scribble layer, each one step of its history."""
    panel.live.setValue(False)
    panel.new_scribbles()
    layer = panel.scribbles.value()
    if not isinstance(layer, LabelsLayer):
        raise InputError("The panel made no scribble layer, because there is no image. Reinstall napari-medseg.")
    painted = strokes(truth, STROKES, SEED)
    count = 0
    for value in np.unique(painted[painted > 0]):
        pieces, found = ndimage.label(painted == value, np.ones((3, 3)))
        for number in range(1, found + 1):
            layer.data_setitem(np.nonzero(pieces == number), int(value))
        count += found
    return count


def _teach(panel: TeachWidget, seconds: float) -> None:
    """Press the panel's button and wait for the end."""
    panel.form.setValue({**panel.form.value(), "seconds": seconds})
    loop, failures = QEventLoop(), []
    panel.runner.succeeded.connect(lambda _result: loop.quit())
    panel.runner.failed.connect(lambda error: (failures.append(error), loop.quit()))
    QTimer.singleShot(int(1000 * (seconds + PATIENCE_S)), lambda: loop.exit(1))
    panel.teach()
    if not panel.runner.running:
        raise InputError(panel.runner.error_line.text())
    if loop.exec():
        raise RunnerDied(f"The run did not end within {PATIENCE_S} s after its training time.")
    if failures:
        raise failures[0]
    _settle()


def _settle(milliseconds: int = 1000) -> None:
    """Let the viewer draw."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def _result(viewer: napari.Viewer, role: str) -> np.ndarray:
    for layer in viewer.layers:
        if layer.metadata.get(_layers.RESULT_KEY, {}).get("role") == role:
            return np.asarray(layer.data)
    raise RunnerDied(f"The run ended without a {role} layer.")


def _write(panel: TeachWidget, labels: np.ndarray, entropy: np.ndarray, out: Path) -> None:
    layer = panel.image.value()
    if not isinstance(layer, ImageLayer):
        raise InputError("The image layer is gone.")
    image = _layers.image_of(layer)
    io.write_labels(out / "labels.tif", image.derive(labels, "labels", f"{image.name} labels"))
    io.write_image(out / "entropy.tif", image.derive(entropy, "probability", f"{image.name} entropy"))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror or error}. Use --out.") from error


def _say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
