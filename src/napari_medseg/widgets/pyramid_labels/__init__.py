"""Labels of any size, painted in napari as if they were small.

``opening`` is what others use. ``layer`` is the layer, ``strokes`` what its tools do to the pyramid, ``history`` its
undo where there is no session, ``levels`` its data, ``display`` and ``visual`` its picture, ``controls`` its controls,
``saving`` its files. ``private_names`` asks whether this napari has what all that needs; ``region`` is the plain way
where it does not.
"""

from napari_medseg.widgets.pyramid_labels.opening import add_labels, follow, register

__all__ = ["add_labels", "follow", "register"]
