"""Frames on the canvas the place that the user is asked to paint."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari._vispy.overlays.base import LayerOverlayMixin, VispySceneOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari.components.overlays import SelectionBoxOverlay
from napari.layers import Labels as LabelsLayer
from vispy.scene.visuals import Compound, Line

from napari_medseg.core.image import Box

KEY = "napari_medseg_next_region"

LINES = (("black", 6), ("white", 2.5))
"""Colour and width in screen pixels: white with a dark rim is seen on any tissue and is the colour of no class."""


class FrameOverlay(SelectionBoxOverlay):
    """A frame in the plane that a layer shows.

    An overlay and no layer: it takes no selection, has no place in the layer list, and is not saved.
    """


class VispyFrame(LayerOverlayMixin, VispySceneOverlay):
    """Draws a ``FrameOverlay`` in the pixels of its layer, so that it turns and moves with it."""

    node: Any
    overlay: FrameOverlay

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(node=Compound([Line(antialias=False) for _ in LINES]), **kwargs)
        self.overlay.events.bounds.connect(self._on_bounds_change)
        self.reset()

    def reset(self) -> None:
        """Draw all anew."""
        super().reset()
        self._on_bounds_change()

    def close(self) -> None:
        """Leave the canvas."""
        self.overlay.events.bounds.disconnect(self._on_bounds_change)
        super().close()

    def _on_bounds_change(self) -> None:
        (top, left), (bottom, right) = self.overlay.bounds
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float32)
        for line, (colour, width) in zip(self.node._subvisuals, LINES, strict=True):
            line.set_data(pos=corners, color=colour, width=width)


# As in napari's own example of an overlay; without it napari would draw the overlay as the base class is drawn.
overlay_to_visual[FrameOverlay] = VispyFrame


class RegionMarker:
    """Shows one box of a scribble layer until it is painted in.

    Parameters
    ----------
    viewer
        Its dims say which plane is shown; the frame is hidden in other planes and in 3D.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: LabelsLayer | None = None
        self._box: Box = ()
        self._before = np.empty(0)
        for name in ("point", "order", "ndisplay"):
            getattr(viewer.dims.events, name).connect(self._place)

    @property
    def box(self) -> Box | None:
        """The box that is framed, also where another plane is shown; None: no box."""
        return self._box if self._layer is not None else None

    def show(self, layer: LabelsLayer, box: Box) -> None:
        """Frame ``box``, in the pixels of ``layer``."""
        self.hide()
        self._layer, self._box = layer, box
        self._before = np.array(layer.data[box])
        layer._overlays[KEY] = FrameOverlay()
        self._place()

    def hide(self) -> None:
        """Take the frame away."""
        if self._layer is not None:
            del self._layer._overlays[KEY]
        self._layer = None

    def hide_if_painted(self) -> None:
        """Take the frame away when something new has been painted in it; erased pixels do not count."""
        if self._layer is None:
            return
        now = np.asarray(self._layer.data[self._box])
        if ((now != self._before) & (now != 0)).any():
            self.hide()

    def _place(self, _event: Any = None) -> None:
        if self._layer is None:
            return
        overlay, dims = self._layer._overlays[KEY], self._viewer.dims
        lead = dims.ndim - self._layer.ndim
        shown = [axis - lead for axis in dims.displayed if axis >= lead]
        overlay.visible = len(shown) == 2 == dims.ndisplay and self._in_plane(shown)
        if overlay.visible:
            spans = [self._box[axis] for axis in shown]
            # On the canvas a pixel begins, and is not centred, at its index.
            overlay.bounds = (tuple(s.start for s in spans), tuple(s.stop for s in spans))

    def _in_plane(self, shown: list[int]) -> bool:
        """Whether the plane on screen goes through the box."""
        layer = self._layer
        if layer is None:
            return False
        here = np.round(np.asarray(layer.world_to_data(self._viewer.dims.point))[-layer.ndim :])
        hidden = [axis for axis in range(layer.ndim) if axis not in shown]
        return all(self._box[axis].start <= here[axis] < self._box[axis].stop for axis in hidden)
