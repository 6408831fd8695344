"""What a tracing agent sees: egocentric views of the image, of its own past path and, in training, of the truth.

Every position, direction and action of this package is (y, x), in pixels, with pixel centres at integers.

Strategy: a view is a regular grid around a subpixel position, so its rows and columns are sampled apart: one gather
per corner of the bilinear cell reads the views of all agents at once. The path is kept as vertices, not as a picture:
its view is the length of path that falls on each pixel, a sum of products of tents, which is one batched matrix
product and works on an image of any size.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

SIZE = 11
"""Rows and columns of a view."""
WIDE = 21
"""Rows and columns of the window that the coarse view sums up."""
TIMES = 4
"""The present view and the three before it."""
PATH_STEPS = 32
"""So many of the last steps are drawn in the view of the path."""
SUBSTEPS = 4
"""Points that stand for one step in the view of the path."""

_FINE = slice((WIDE - SIZE) // 2, (WIDE + SIZE) // 2)


class Field(Protocol):
    """Something with a value at every position: an image, or the picture of a centreline."""

    def grid(self, which: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Values (N, R, C) of image ``which`` (N) at the grid of ``rows`` (N, R) and ``columns`` (N, C)."""
        ...


class Stack:
    """Images of one size in memory, sampled bilinearly; 0 outside.

    Parameters
    ----------
    images
        float32 (M, H, W).
    """

    def __init__(self, images: torch.Tensor) -> None:
        self.shape = (int(images.shape[-2]), int(images.shape[-1]))
        self._padded = nn.functional.pad(images, (1, 2, 1, 2)).contiguous()
        self.count, self._height, self._width = self._padded.shape
        self._flat = self._padded.view(-1)

    def grid(self, which: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Values (N, R, C) of image ``which`` (N) at the grid of ``rows`` (N, R) and ``columns`` (N, C)."""
        row, down = _cell(rows, self.shape[0])
        column, right = _cell(columns, self.shape[1])
        start = which * (self._height * self._width)
        corner = (start[:, None] + row * self._width)[:, :, None] + column[:, None, :]
        return self._blend(corner, down[:, :, None], right[:, None, :])

    def at(self, which: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Values (N, K) of image ``which`` (N) at ``points`` (N, K, 2)."""
        row, down = _cell(points[..., 0], self.shape[0])
        column, right = _cell(points[..., 1], self.shape[1])
        start = which * (self._height * self._width)
        return self._blend(start[:, None] + row * self._width + column, down, right)

    def image(self, index: int) -> torch.Tensor:
        """One image (H, W) of the stack."""
        return self._padded[index, 1:-2, 1:-2]

    def put(self, index: int, image: torch.Tensor) -> None:
        """Replace one image (H, W) of the stack."""
        self._padded[index, 1:-2, 1:-2] = image

    def _blend(self, corner: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        flat, width = self._flat, self._width
        above = torch.lerp(flat[corner], flat[corner + 1], right)
        below = torch.lerp(flat[corner + width], flat[corner + (width + 1)], right)
        return torch.lerp(above, below, down)


def _cell(coordinate: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Index in the padded image of the cell that a coordinate falls in, and how far into the cell it is."""
    inside = coordinate.clamp(-1, size)
    low = inside.floor()
    return low.long() + 1, inside - low


def fine_and_coarse(
    field: Field, which: torch.Tensor, centres: torch.Tensor, spacing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two views of an image around each centre.

    Parameters
    ----------
    centres
        (N, 2).
    spacing
        Pixels between two samples.

    Returns
    -------
    full resolution, and the window of 21 x 21 brought down to 11 x 11 by means of 3 x 3; both (N, 11, 11)
    """
    window = field.grid(which, *_axes(centres, WIDE, spacing))
    coarse = nn.functional.avg_pool2d(window[:, None], 3, stride=2, padding=1, count_include_pad=False)
    return window[:, _FINE, _FINE], coarse[:, 0]


def _axes(centres: torch.Tensor, size: int, spacing: float) -> tuple[torch.Tensor, torch.Tensor]:
    offsets = (torch.arange(size, device=centres.device, dtype=centres.dtype) - size // 2) * spacing
    return centres[:, :1] + offsets, centres[:, 1:] + offsets


def path_view(vertices: torch.Tensor, spacing: float) -> torch.Tensor:
    """The past path around its last vertex: the length of path on each pixel, at most 1.

    Parameters
    ----------
    vertices
        (N, K, 2), oldest first; a vertex that is repeated adds nothing.

    Returns
    -------
    (N, 11, 11)
    """
    steps = vertices.diff(dim=1)
    inner = (torch.arange(SUBSTEPS, device=vertices.device, dtype=vertices.dtype) + 0.5) / SUBSTEPS
    points = (vertices[:, :-1, None] + steps[:, :, None] * inner[:, None]).flatten(1, 2)
    lengths = steps.norm(dim=2, keepdim=True).expand(-1, -1, SUBSTEPS).flatten(1) / (SUBSTEPS * spacing)
    from_middle = (points - vertices[:, -1:]) / spacing
    cells = torch.arange(SIZE, device=vertices.device, dtype=vertices.dtype) - SIZE // 2
    tents = (1 - (from_middle[..., None] - cells).abs()).clamp(min=0)
    rows = (tents[:, :, 0] * lengths[..., None]).transpose(1, 2)
    return torch.bmm(rows, tents[:, :, 1]).clamp(max=1)


class Walkers:
    """Agents that move over images: their past paths and what they see.

    Parameters
    ----------
    image
        What they see.
    which
        (N) number of the image in ``image`` that each walks on.
    history
        (N, 4, 2): the last four positions, the present one last. An agent without a past has been in one place.
    spacing
        Pixels between two samples of a view; steps grow with it.
    truth
        Picture of the centreline, seen by the critic only; without it there are 12 channels, with it 16.
    """

    def __init__(
        self,
        image: Field,
        which: torch.Tensor,
        history: torch.Tensor,
        spacing: float = 1.0,
        truth: Field | None = None,
    ) -> None:
        self.image, self.truth, self.spacing = image, truth, spacing
        self.which = which
        self.vertices = history[:, :1].expand(-1, PATH_STEPS + 1, -1)
        first = self._look()
        self._views = first[:, :, None].expand(-1, -1, TIMES, -1, -1)
        for place in history[:, 1:].unbind(1):
            self._arrive(place)

    def __len__(self) -> int:
        return len(self.which)

    @property
    def positions(self) -> torch.Tensor:
        """Where they are, (N, 2)."""
        return self.vertices[:, -1]

    @property
    def state(self) -> torch.Tensor:
        """The views, (N, 12 or 16, 11, 11): full resolution, coarse, path (and truth), each newest first."""
        return self._views.flatten(1, 2)

    def move(self, actions: torch.Tensor) -> None:
        """Step by ``actions`` (N, 2), in samples of the view."""
        self._arrive(self.positions + actions * self.spacing)

    def keep(self, chosen: torch.Tensor) -> None:
        """Go on with the agents of the mask or index ``chosen`` only."""
        self.which, self.vertices, self._views = self.which[chosen], self.vertices[chosen], self._views[chosen]

    def _arrive(self, places: torch.Tensor) -> None:
        self.vertices = torch.cat([self.vertices[:, 1:], places[:, None]], dim=1)
        self._views = torch.cat([self._look()[:, :, None], self._views[:, :, :-1]], dim=2)

    def _look(self) -> torch.Tensor:
        """What is seen now, (N, 3 or 4, 11, 11)."""
        views = [
            *fine_and_coarse(self.image, self.which, self.positions, self.spacing),
            path_view(self.vertices, self.spacing),
        ]
        if self.truth is not None:
            views.append(self.truth.grid(self.which, *_axes(self.positions, SIZE, self.spacing)))
        return torch.stack(views, dim=1)
