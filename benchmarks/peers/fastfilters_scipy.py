"""The five filters that ilastik-napari asks of ``fastfilters`` (not in the registry), through scipy.

Kernels end where fastfilters ends them: at (3 + order / 2) sigma.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi


def _gauss(plane: np.ndarray, sigma: float, order: tuple[int, int] = (0, 0)) -> np.ndarray:
    truncate = 3 + max(order) / 2
    return ndi.gaussian_filter(plane.astype(np.float32), sigma, order=order, truncate=truncate, mode="mirror")


def gaussianSmoothing(plane: np.ndarray, sigma: float) -> np.ndarray:  # noqa: N802
    """Gaussian blur."""
    return _gauss(plane, sigma)


def gaussianGradientMagnitude(plane: np.ndarray, sigma: float) -> np.ndarray:  # noqa: N802
    """Length of the gradient of the blurred plane."""
    return np.hypot(_gauss(plane, sigma, (1, 0)), _gauss(plane, sigma, (0, 1)))


def laplacianOfGaussian(plane: np.ndarray, scale: float) -> np.ndarray:  # noqa: N802
    """Sum of the second derivatives of the blurred plane."""
    return _gauss(plane, scale, (2, 0)) + _gauss(plane, scale, (0, 2))


def hessianOfGaussianEigenvalues(plane: np.ndarray, scale: float) -> np.ndarray:  # noqa: N802
    """(H, W, 2), the larger first."""
    return _eigenvalues(_gauss(plane, scale, (2, 0)), _gauss(plane, scale, (1, 1)), _gauss(plane, scale, (0, 2)))


def structureTensorEigenvalues(plane: np.ndarray, innerScale: float, outerScale: float) -> np.ndarray:  # noqa: N802, N803
    """(H, W, 2), the larger first; gradient at the inner scale, averaged at the outer."""
    rows, columns = _gauss(plane, innerScale, (1, 0)), _gauss(plane, innerScale, (0, 1))
    return _eigenvalues(*(_gauss(part, outerScale) for part in (rows * rows, rows * columns, columns * columns)))


def _eigenvalues(rr: np.ndarray, rc: np.ndarray, cc: np.ndarray) -> np.ndarray:
    middle, half = (rr + cc) / 2, np.hypot((rr - cc) / 2, rc)
    return np.stack([middle + half, middle - half], axis=-1)
