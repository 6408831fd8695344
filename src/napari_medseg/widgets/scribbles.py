"""The Teach panel: paint a few strokes of each class and see the image segmented."""

from __future__ import annotations

from typing import Any

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QFormLayout,
    QFrame,
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
from napari_medseg.core.scribbles import check_fit
from napari_medseg.nn import store
from napari_medseg.widgets import _layers
from napari_medseg.widgets._classes import CLASSES_KEY, ClassEditor, SegmentationClass, colour_map, is_ours, to_metadata
from napari_medseg.widgets._form import Choice, ParamsForm, Toggle, row_label
from napari_medseg.widgets._keys import Keys
from napari_medseg.widgets._models import ModelBar, start_choices
from napari_medseg.widgets._paint import Paint
from napari_medseg.widgets._plots import CurvePlot
from napari_medseg.widgets._regions import RegionGuide
from napari_medseg.widgets._results import ENTROPY, ResultLayers
from napari_medseg.widgets._runner import RunnerPanel
from napari_medseg.widgets._service import RunService, service_of
from napari_medseg.widgets._style import HEADING_STYLE, LINE_STYLE

DEBOUNCE_MS = 300
"""Rest after a stroke before the live mode runs."""

LEAST_WIDTH, USUAL_WIDTH = 280, 340
"""Of the panel, in pixels."""

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
        self.regions = RegionGuide(self.viewer, lambda: self._results.layer(ENTROPY))
        self.models = ModelBar()
        self._paint = Paint(self.viewer, self.classes, self)

    def _lay_out(self) -> None:
        """What is set up scrolls; what is used while a run goes on stays in its place below."""
        inside = QWidget()
        column = _column(inside)
        column.addLayout(self._layer_rows())
        column.addWidget(_heading("Classes"))
        column.addWidget(self.classes)
        column.addWidget(_heading("Training"))
        column.addWidget(self.form)
        column.addWidget(self.live)
        column.addWidget(_heading("Models"))
        column.addWidget(self.models)
        column.addStretch(1)
        self.scroll_area = _scrolling(inside)
        self.footer = QWidget()
        below = _column(self.footer)
        for widget in (self.runner, self.regions, self.plot):
            below.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.scroll_area, 1)
        layout.addWidget(_line_across())
        layout.addWidget(self.footer)
        self.setMinimumWidth(LEAST_WIDTH)

    def sizeHint(self) -> QSize:
        """Wide enough for the usual names."""
        return super().sizeHint().expandedTo(QSize(USUAL_WIDTH, 0))

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
        self.scribbles.valueChanged.connect(self.regions.set_layer)
        self.image.valueChanged.connect(self._on_image)
        self.viewer.layers.events.renamed.connect(self._name_target)
        self.classes.valueChanged.connect(self._on_classes)
        self._paint.strokeEnded.connect(self._on_stroke)
        self._debounce.timeout.connect(self._teach_live)
        self.runner.runRequested.connect(self.teach)
        self.runner.eventReceived.connect(self._on_event)
        self.runner.succeeded.connect(self._on_result)
        self.runner.failed.connect(lambda _error: self._results.flush())
        self.regions.told.connect(self.runner.show_result)
        self.regions.refused.connect(lambda text: self.runner.show_error(text, hint=True))
        self.models.saveRequested.connect(self.save_model)
        self.models.applyRequested.connect(self.apply_model)
        self._results.set_colours(colour_map(self.classes.value()))
        self._name_target()

    # ------------------------------------------------------------------ opening and closing

    def event(self, a0: QEvent) -> bool:
        """Give keys and signals back when the dock closes, and take them again when it opens."""
        if a0.type() == QEvent.Type.ParentChange:
            (self._attach if self.parent() is not None else self._detach)()
        return super().event(a0)

    def _attach(self) -> None:
        self._keys.release()
        self._keys.bind("N", self.regions.go_on)
        self._keys.bind("Shift-N", self.regions.skip)
        self._paint.set_layer(self.scribbles.value())
        self.regions.set_layer(self.scribbles.value())

    def _detach(self) -> None:
        self._debounce.stop()
        self.runner.cancel()
        self._keys.release()
        self._paint.release()
        self.regions.set_layer(None)

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

    def _on_image(self, _layer: Layer | None) -> None:
        self.regions.forget()
        self._name_target()

    def _name_target(self, _event: Any = None) -> None:
        layer = self.image.value()
        self.models.set_target("" if layer is None else layer.name)

    def _on_stroke(self) -> None:
        self.regions.marker.hide_if_painted()
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
        self.regions.renew()
        if "model" in result.values:
            self._checkpoint = str(result.values["model"])
            self.models.save_button.setEnabled(True)

    # ------------------------------------------------------------------ models

    def save_model(self, name: str) -> None:
        """Keep the model of the last complete run under ``name``; before there is one, the one that is drawn."""
        try:
            card = store.save_as(self._checkpoint or self._draft, name, replace=True)
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
    label.setStyleSheet(HEADING_STYLE)
    return label


def _line_across() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    line.setStyleSheet(LINE_STYLE)
    return line


def _column(widget: QWidget) -> QVBoxLayout:
    column = QVBoxLayout(widget)
    column.setContentsMargins(6, 4, 6, 4)
    column.setSpacing(6)
    return column


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
    return scroll
