"""The Teach panel: paint a few strokes of each class and see the image segmented."""

from __future__ import annotations

from typing import Any

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_medseg import tools
from napari_medseg.core.errors import InputError, MedsegError
from napari_medseg.core.events import Draft, Event, Result, Scalar, Tile
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.core.regions import next_region
from napari_medseg.core.scribbles import check_fit
from napari_medseg.nn import store
from napari_medseg.widgets import _layers
from napari_medseg.widgets._classes import CLASSES_KEY, ClassEditor, SegmentationClass, colour_map, is_ours, to_metadata
from napari_medseg.widgets._form import Choice, ParamsForm, Toggle, row_label
from napari_medseg.widgets._keys import Keys
from napari_medseg.widgets._models import ModelBar, start_choices
from napari_medseg.widgets._paint import Paint
from napari_medseg.widgets._plots import CurvePlot
from napari_medseg.widgets._results import ENTROPY, ResultLayers
from napari_medseg.widgets._runner import RunnerPanel
from napari_medseg.widgets._service import RunService, service_of

DEBOUNCE_MS = 300
"""Rest after a stroke before the live mode runs."""

REGION_PX = 128
"""Side of a region that is offered for painting; a quarter of a smaller image."""

NOT_SHOWN = ("classes", "colours")


class TeachWidget(QWidget):
    """Chooses the layers, edits classes and parameters, runs the tool and draws what it yields.

    Parameters
    ----------
    viewer
        The viewer that the panel belongs to.
    service
        Carries the runs; the viewer's own one where it is not given.
    tool
        Name of the tool; its ``Params`` make the form.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, *, service: RunService | None = None, tool: str = "scribbles"
    ) -> None:
        super().__init__()
        # Opened by name, napari hands over a proxy that hides the window.
        viewer = getattr(viewer, "__wrapped__", viewer)
        self.viewer: Any = viewer
        self._tool = tool
        self._service = service or service_of(viewer)
        self._checkpoint = ""
        self._draft = ""
        self._visited: list[tuple[int, ...]] = []
        self._skipped: list[tuple[int, ...]] = []
        self._results = ResultLayers(viewer, self)
        self._debounce = QTimer(self)
        self._debounce.setSingleShot(True)
        self._debounce.setInterval(DEBOUNCE_MS)
        self._keys = Keys(viewer)
        self._make_controls()
        self._lay_out()
        self._connect()
        self._attach()
        self._service.warm()

    # ------------------------------------------------------------------ building

    def _make_controls(self) -> None:
        layers = self.viewer.layers
        self.image = _layers.LayerChooser(layers, _layers.is_image, "open an image")
        self.image.setToolTip(tools.load(self._tool).ROLES["image"])
        self.scribbles = _layers.LayerChooser(layers, _layers.is_paint, "press New", prefers=is_ours)
        self.scribbles.setToolTip(tools.load(self._tool).ROLES["scribbles"])
        self.dense = _layers.LayerChooser(layers, _layers.is_patches, "none", optional=True)
        self.dense.setToolTip("Optional: Labels or rectangles (Shapes) where every pixel has been annotated.")
        self.new_button = QPushButton("New")
        self.new_button.setToolTip("Make an empty scribble layer on the image's pixels and start to paint.")
        self.classes = ClassEditor()
        self.start = Choice(start_choices())
        self.form = ParamsForm(tools.load(self._tool).Params, exclude=NOT_SHOWN, editors={"start": self.start})
        self.live = Toggle("Live: teach after each stroke")
        self.live.setToolTip(f"Runs {DEBOUNCE_MS} ms after the last stroke has ended.")
        self.live.setValue(True)
        self.runner = RunnerPanel(self._service, "Teach", "Train on the scribbles and segment the image.")
        self.plot = CurvePlot()
        self.next_button = QPushButton("Next region (N)")
        self.next_button.setToolTip("Go where the model is least sure and nothing is painted yet (key N).")
        self.skip_button = QPushButton("Skip (Shift+N)")
        self.skip_button.setToolTip("Go on, and do not come back to this region (key Shift+N).")
        self.models = ModelBar()
        self._paint = Paint(self.viewer, self.classes, self)

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(6)
        column.addLayout(self._layer_rows())
        column.addWidget(_heading("Classes"))
        column.addWidget(self.classes)
        column.addWidget(_heading("Training"))
        for widget in (self.form, self.live, self.runner, self.plot):
            column.addWidget(widget)
        column.addLayout(_beside(self.next_button, self.skip_button))
        column.addWidget(_heading("Models"))
        column.addWidget(self.models)
        column.addStretch(1)
        self.scroll_area = _scrolling(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scroll_area)

    def _layer_rows(self) -> QFormLayout:
        rows = QFormLayout()
        rows.setSpacing(4)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow(row_label("Image"), self.image)
        rows.addRow(row_label("Scribbles"), _beside(self.scribbles, self.new_button))
        rows.addRow(row_label("Dense patches"), self.dense)
        return rows

    def _connect(self) -> None:
        self.new_button.clicked.connect(self.new_scribbles)
        self.scribbles.valueChanged.connect(self._paint.set_layer)
        self.image.valueChanged.connect(self._forget_regions)
        self.classes.valueChanged.connect(self._on_classes)
        self._paint.strokeEnded.connect(self._on_stroke)
        self._debounce.timeout.connect(self._teach_live)
        self.runner.runRequested.connect(self.teach)
        self.runner.eventReceived.connect(self._on_event)
        self.runner.succeeded.connect(self._on_result)
        self.runner.failed.connect(lambda _error: self._results.flush())
        self.next_button.clicked.connect(self.next_region)
        self.skip_button.clicked.connect(self.skip_region)
        self.models.saveRequested.connect(self.save_model)
        self.models.applyRequested.connect(self.apply_model)
        self._results.set_colours(colour_map(self.classes.value()))

    # ------------------------------------------------------------------ opening and closing

    def event(self, a0: QEvent) -> bool:
        """Give keys and signals back when the dock closes, and take them again when it opens."""
        if a0.type() == QEvent.Type.ParentChange:
            (self._attach if self.parent() is not None else self._detach)()
        return super().event(a0)

    def _attach(self) -> None:
        self._keys.release()
        self._keys.bind("N", self.next_region)
        self._keys.bind("Shift-N", self.skip_region)
        self._paint.set_layer(self.scribbles.value())

    def _detach(self) -> None:
        self._debounce.stop()
        self.runner.cancel()
        self._keys.release()
        self._paint.release()

    # ------------------------------------------------------------------ scribbles and classes

    def new_scribbles(self) -> None:
        """Add an empty scribble layer for the chosen image and arm the first class."""
        image = self.image.value()
        if image is None:
            self.runner.show_error("There is no image to paint on. Open an image first.")
            return
        self.runner.show_error("")
        data, arguments = _layers.empty_scribbles(image)
        classes = self.classes.value()
        layer = self.viewer.add_labels(data, metadata={CLASSES_KEY: to_metadata(classes)}, **arguments)
        layer.brush_size = max(6, min(data.shape[-2:]) // 100)
        self.scribbles.setValue(layer)
        self._paint.arm(self.classes.labels()[0] if self.classes.labels() else 1)

    def _on_classes(self, classes: tuple[SegmentationClass, ...]) -> None:
        self._results.set_colours(colour_map(classes))

    def _on_stroke(self) -> None:
        if self.live.value():
            self._debounce.start()

    # ------------------------------------------------------------------ running

    def teach(self) -> None:
        """Run the tool on what is chosen; what does not fit is said in the error line."""
        self._submit(hint=False)

    def _teach_live(self) -> None:
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._debounce.start()
        elif self.live.value():
            self._submit(hint=True)

    def _submit(self, *, hint: bool) -> None:
        try:
            job = self._job()
        except MedsegError as error:
            self.runner.show_error(str(error), hint=hint)
            return
        about = {"tool": self._tool, "parameters": job.params.model_dump(mode="json")}
        self._begin(self._tool, job, self.image.value(), about, hint=hint)

    def _begin(self, tool: str, job: Job, source: Layer, about: dict[str, Any], *, hint: bool = False) -> None:
        self._results.begin(job.images["image"], source, about)
        self.plot.clear()
        self.runner.start(tool, job, hint=hint)

    def _job(self) -> Job:
        image, paint = self._inputs()
        layer = self.scribbles.value()
        params = tools.load(self._tool).Params.from_user({**self.form.value(), **self._class_parameters()})
        images = {"image": image, "scribbles": paint}
        if self.dense.value() is not None:
            images["dense"] = _layers.patches_of(self.dense.value(), image)
        return Job(images, params, _layers.view_of(self.viewer, layer))

    def _inputs(self) -> tuple[Image, Image]:
        image, layer = self.image.value(), self.scribbles.value()
        if image is None:
            raise InputError("There is no image. Open an image, then choose it above.")
        if layer is None:
            raise InputError("There are no scribbles. Press New and paint a stroke of two classes.")
        if layer.multiscale:
            raise InputError(
                f"The scribbles {layer.name!r} are multiscale, which napari cannot paint. Press New for a plain layer."
            )
        paint = _layers.image_of(layer)
        whole = _layers.image_of(image)
        fitting = _layers.fitting_level(whole, paint.shape())
        check_fit(fitting, paint)
        return fitting, paint

    def _class_parameters(self) -> dict[str, Any]:
        rows = self.classes.value()
        return {
            "classes": {row.label: row.name for row in rows},
            "colours": {row.label: row.colour for row in rows},
        }

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Tile):
            self._results.add(event)
        elif isinstance(event, Scalar):
            self.plot.add(event)
        elif isinstance(event, Draft):
            self._draft = event.model
            self.models.save_button.setEnabled(True)

    def _on_result(self, result: Result) -> None:
        self._results.flush()
        kept = {key: result.values[key] for key in ("model", "digest", "seed", "steps") if key in result.values}
        self._results.describe(kept)
        self._visited = self._visited[-1:]
        if "model" in result.values:
            self._checkpoint = str(result.values["model"])
            self.models.save_button.setEnabled(True)

    # ------------------------------------------------------------------ next region

    def next_region(self) -> None:
        """Go to the most useful place to paint."""
        entropy, paint = self._results.layer(ENTROPY), self.scribbles.value()
        if entropy is None or paint is None or entropy.data.shape != paint.data.shape:
            self.runner.show_error("Nothing is predicted yet. Press Teach, then ask for the next region.", hint=True)
            return
        side = max(1, min(REGION_PX, min(paint.data.shape[-2:]) // 4))
        region = next_region(entropy.data, paint.data, [*self._visited, *self._skipped], size=side)
        if region is None:
            self.runner.show_result("No uncertain region is left.")
            return
        self._visited.append(region.centre)
        _layers.show_region(self.viewer, paint, region.centre, region.box)
        self.runner.show_result(f"Next region: uncertainty {region.entropy:.2f}. Paint here, or press Shift+N to skip.")

    def skip_region(self) -> None:
        """Go on, and leave the region shown last out from now on."""
        if self._visited:
            self._skipped.append(self._visited.pop())
        self.next_region()

    def _forget_regions(self, _layer: Layer | None = None) -> None:
        self._visited.clear()
        self._skipped.clear()

    # ------------------------------------------------------------------ models

    def save_model(self, name: str) -> None:
        """Keep the model of the last complete run under ``name``; before there is one, the one that is drawn."""
        try:
            card = store.save_as(self._checkpoint or self._draft, name)
        except MedsegError as error:
            self.runner.show_error(str(error))
            return
        self.runner.show_error("")
        self.runner.show_result(f"Saved as {card.name}.")
        self.models.refresh(card.name)
        self.start.set_choices(start_choices())

    def apply_model(self, name: str) -> None:
        """Segment the chosen image with a saved model or a model file."""
        try:
            job, card = self._apply_job(name)
        except MedsegError as error:
            self.runner.show_error(str(error))
            return
        rows = [SegmentationClass(label, card.classes[label], card.colours.get(label, "")) for label in card.classes]
        if all(row.colour for row in rows):
            self._results.set_colours(colour_map(tuple(rows)))
        self._begin("apply", job, self.image.value(), {"tool": "apply", "model": card.name, "digest": card.sha256})

    def _apply_job(self, name: str) -> tuple[Job, store.Card]:
        layer = self.image.value()
        if layer is None:
            raise InputError("There is no image. Open an image, then choose it above.")
        if not name:
            raise InputError("There is no saved model. Teach one and save it, or open a model file.")
        card = store.find(name)
        image = _layers.paintable_level(_layers.image_of(layer))
        view = _layers.view_of(self.viewer, layer, image)
        given = {"model": name, "device": self.form.value()["device"]}
        return Job({"image": image}, tools.load("apply").Params.from_user(given), view), card


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; padding-top: 4px")
    return label


def _beside(first: QWidget, second: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    row.addWidget(first, 1)
    row.addWidget(second)
    return row


def _scrolling(inside: QWidget) -> QScrollArea:
    scroll = QScrollArea()
    scroll.setWidget(inside)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QScrollArea.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setMinimumWidth(240)
    return scroll
