"""For all tests: the user's own models and settings stay out of reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Small networks gain nothing from a second thread and lose much where a core is busy; children inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the models that a test saves."""
    folder = tmp_path_factory.mktemp("models")
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(folder))
    return folder
