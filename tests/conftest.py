"""For all tests: the user's own models and settings stay out of reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Small networks gain nothing from a second thread and lose much where a core is busy; children inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Viewers neither read nor write the settings of whoever runs the tests; children inherit this too.
os.environ["NAPARI_CONFIG"] = ""


@pytest.fixture(autouse=True)
def own_models(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the models that a test saves."""
    folder = tmp_path_factory.mktemp("models")
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_sessions(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the sessions that begin by themselves in a test."""
    folder = tmp_path_factory.mktemp("sessions")
    monkeypatch.setenv("NAPARI_MEDSEG_SESSIONS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is measured of this machine, kept for all tests of a run."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("NAPARI_MEDSEG_CACHE", str(folder))
    return folder
