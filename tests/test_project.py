"""Promises of the project as a whole: the manifest, the layers, and what an import costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_medseg

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "napari_medseg"
MODULES = sorted(SOURCE.rglob("*.py"))
VIEWER = {"magicgui", "napari", "pyqtgraph", "qtpy", "superqt", "vispy"}
TORCH_FOLDERS = {"nn", "train", "rl"}
HEAVY = {"dask", "kornia", "monai", "openvino", "skan", "sklearn", "torch"}

# Joined here so that this file and the sources stay free of the words themselves.
UNPICKLING = ["pick" + "le", "torch.jit" + ".load", "weights_only" + "=False", "torch" + ".load(", "marshal" + ".loads"]


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after the statement."""
    code = f"import sys; {statement}; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def module_level_imports(path: Path) -> set[str]:
    """Top-level names that the module imports when it is imported itself, type checking left out."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        pending += ast.iter_child_nodes(node)
    return found


def folder_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def test_the_sources_are_found():
    assert len(MODULES) > 20


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import napari_medseg") & (HEAVY | VIEWER | {"numpy", "pydantic"})


@pytest.mark.parametrize(
    "module", ["core.image", "core.job", "io", "nn.store", "tools.scribbles", "tools.apply", "run.inline", "run.child"]
)
def test_what_the_viewer_and_the_command_line_import_is_free_of_torch(module: str):
    assert not loaded_by(f"import napari_medseg.{module}") & (HEAVY | VIEWER)


def test_opening_the_panel_module_loads_no_torch():
    loaded = loaded_by("import napari_medseg.widgets.scribbles")
    assert "napari" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_modules_are_imported_where_they_may(path: Path):
    imported = module_level_imports(path)
    allowed = {"torch"} if folder_of(path) in TORCH_FOLDERS else set()
    assert not imported & (HEAVY - allowed)
    assert folder_of(path) == "widgets" or not imported & VIEWER


def test_the_import_finder_sees_what_it_should(tmp_path: Path):
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "import torch.nn as nn\n"
        "if TYPE_CHECKING:\n    import napari\n"
        "class A:\n    import dask\n"
        "def late():\n    import monai\n"
    )
    assert module_level_imports(path) == {"typing", "torch", "dask"}


@pytest.mark.parametrize("word", UNPICKLING)
def test_nothing_is_unpickled(word: str):
    hits = [str(path) for path in MODULES if word in path.read_text(encoding="utf-8")]
    assert hits == []


def test_arrays_are_loaded_without_objects():
    allowed = re.compile("allow_" + "pick" + "le=True")
    assert [str(path) for path in MODULES if allowed.search(path.read_text(encoding="utf-8"))] == []


def test_no_source_file_outgrows_a_screenful_of_screens():
    long = {str(path): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > 400}
    assert long == {}


# --- the manifest ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-medseg")


def test_npe2_finds_the_installed_manifest(manifest: PluginManifest):
    assert manifest.name == "napari-medseg"
    assert manifest.package_version == napari_medseg.__version__
    assert manifest.contributions.widgets


def test_every_command_of_the_manifest_can_be_imported(manifest: PluginManifest):
    for command in manifest.contributions.commands or []:
        assert command.python_name, command.id
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name)), command.python_name


def test_teach_stands_in_the_manifest_under_its_stem(manifest: PluginManifest):
    assert "napari-medseg.scribbles" in {widget.command for widget in manifest.contributions.widgets or []}


def test_the_manifest_at_the_top_is_the_one_in_the_package():
    top = ROOT / "napari.yaml"
    assert top.resolve() == (SOURCE / "napari.yaml").resolve()
    assert top.read_text(encoding="utf-8") == (SOURCE / "napari.yaml").read_text(encoding="utf-8")


# --- packaging ------------------------------------------------------------------------------------------------


def test_the_entry_points_are_installed():
    assert {point.value for point in entry_points(group="napari.manifest", name="napari-medseg")} == {
        "napari_medseg:napari.yaml"
    }
    assert "medseg" in {point.name for point in distribution("napari-medseg").entry_points}


def test_napari_has_no_upper_pin_and_qt_none_at_all():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [item for group in project["optional-dependencies"].values() for item in group]
    assert "napari>=0.8" in wanted
    assert not [item for item in wanted if re.match(r"(?i)(pyqt|pyside)\d", item)]
    assert not [item for item in wanted if re.match(r"napari(\[|>|=|<)", item) and "<" in item]


def test_the_constraints_are_exact_and_name_no_place():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*", line) for line in lines)
    assert "torch==2.13.0" in lines
    assert not [line for line in lines if line.startswith(("nvidia", "triton", "napari-medseg"))]


def test_the_constraints_hold_every_direct_requirement():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[\[>=<]", item)[0].lower() for group in groups for item in group}
    held = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names <= held
