from __future__ import annotations

from pathlib import Path

import pytest
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

import napari_medseg
from napari_medseg.widgets.history import HistoryWidget
from napari_medseg.widgets.scribbles import TeachWidget

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(Path(napari_medseg.__file__).with_name("napari.yaml"))


def test_every_command_can_be_imported(manifest: PluginManifest) -> None:
    for command in manifest.contributions.commands:
        assert callable(import_python_name(command.python_name)), command.id


def test_the_panel_is_offered(manifest: PluginManifest) -> None:
    by_id = {command.id: import_python_name(command.python_name) for command in manifest.contributions.commands}
    offered = {widget.display_name: by_id[widget.command] for widget in manifest.contributions.widgets}
    assert offered == {"Teach": TeachWidget, "History": HistoryWidget}


def test_every_sample_opens(manifest: PluginManifest) -> None:
    by_id = {command.id: command for command in manifest.contributions.commands}
    for sample in manifest.contributions.sample_data:
        for data, arguments, kind in import_python_name(by_id[sample.command].python_name)():
            assert kind in ("image", "labels")
            assert data.ndim >= 2
            assert arguments["units"]


def test_the_manifest_at_the_root_is_the_same_file() -> None:
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == (ROOT / "src" / "napari_medseg" / "napari.yaml").resolve()
