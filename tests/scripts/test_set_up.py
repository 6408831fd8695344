"""What `make` installs, and what it shows meanwhile."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "set_up.py"
PIP = "import sys; print('Collecting'); print('WARNING: Location is ignored', file=sys.stderr); sys.exit({})"


@pytest.fixture(scope="module")
def set_up() -> ModuleType:
    spec = importlib.util.spec_from_file_location("set_up", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_warnings_of_a_success_are_not_shown(set_up: ModuleType, capfd: pytest.CaptureFixture[str]):
    assert set_up.silently([sys.executable, "-c", PIP.format(0)]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_failure_is_shown_in_full(set_up: ModuleType, capfd: pytest.CaptureFixture[str]):
    assert set_up.silently([sys.executable, "-c", PIP.format(3)]) == 3
    shown = capfd.readouterr()
    assert "Collecting" in shown.out + shown.err
    assert "WARNING: Location is ignored" in shown.out + shown.err


@pytest.fixture
def stamp(set_up: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the note of what has been installed; nothing so far."""
    monkeypatch.setattr(set_up, "STAMP", tmp_path / "stamp")
    return tmp_path / "stamp"


def note(set_up: ModuleType, stamp: Path, extras: frozenset[str]) -> None:
    stamp.write_text("\n".join([set_up._basis(), *sorted(extras)]))


def test_the_demo_needs_nothing_of_the_tests(set_up: ModuleType, stamp: Path):
    assert set_up.to_install(set_up.USED) == set_up.USED
    assert not set_up.USED & {"test", "dev", "openvino", "oracle"}


def test_the_tests_after_the_demo_install_what_is_missing_and_then_nothing(set_up: ModuleType, stamp: Path):
    note(set_up, stamp, set_up.USED)
    assert not set_up.to_install(set_up.USED)
    assert set_up.to_install(set_up.EVERYTHING) == set_up.EVERYTHING
    note(set_up, stamp, set_up.EVERYTHING)
    assert not set_up.to_install(set_up.EVERYTHING)
    assert not set_up.to_install(set_up.USED)


@pytest.mark.parametrize("content", ["", "\n", "0" * 64, "0" * 64 + "\napp\ntest"])
def test_a_note_of_something_else_installs_again(set_up: ModuleType, stamp: Path, content: str):
    stamp.write_text(content)
    assert set_up.to_install(set_up.USED) >= set_up.USED
    assert ("test" in set_up.to_install(set_up.USED)) == ("test" in content)


def test_there_is_every_extra_that_is_installed(set_up: ModuleType):
    project = tomllib.loads((SCRIPT.parents[1] / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) >= set_up.EVERYTHING > set_up.USED
