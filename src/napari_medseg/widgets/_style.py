"""Styles that are legible in napari's dark theme and in its light one."""

ERROR_STYLE = "border-left: 3px solid #e5533d; padding-left: 5px"
WARNING_STYLE = "border-left: 3px solid #e0a800; padding-left: 5px"
SMALL_STYLE = "color: #8a8a8a; font-size: 9pt"
HEADING_STYLE = "font-weight: bold; padding-top: 4px"
LINE_STYLE = "background: #808080; border: none"
