"""What `make` shows while it sets up."""

from __future__ import annotations

import importlib.util
import sys
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
