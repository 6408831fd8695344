"""What `make` calls, for people without make: `python3 scripts/tasks.py test`, with options after it."""

from __future__ import annotations

import shutil
import subprocess
import sys

from set_up import EVERYTHING, PYTHON, ROOT, USED, VENV, right_python, set_up

BUILT = ("build", "dist", "demo-output", ".pytest_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis")


def demo(options: list[str]) -> int:
    """Open the viewer with the sample and the Teach panel, or play the loop where there is no screen."""
    return _run("medseg", "demo", *options)


def test(options: list[str]) -> int:
    """Run the tests in a virtual screen."""
    return _run("python", "-m", "pytest", *options)


def lint(options: list[str]) -> int:
    """Style, order of imports between the layers, types: all of them, even if the first fails."""
    programs = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("lint-imports",), ("pyright",))
    return max(_run(*program) for program in programs)


def style(options: list[str]) -> int:
    """Mend what the linter can mend by itself."""
    return max(_run("ruff", "check", "--fix", "."), _run("ruff", "format", "."))


def bench(options: list[str]) -> int:
    """Measure, and write the tables of docs/benchmarks.md."""
    return _run("python", "-m", "benchmarks", *options)


def clean() -> int:
    """Delete what the other tasks made."""
    for name in BUILT:
        shutil.rmtree(ROOT / name, ignore_errors=True)
    shutil.rmtree(VENV, ignore_errors=True)
    return 0


TASKS = {"demo": demo, "test": test, "lint": lint, "style": style, "bench": bench}


def main(arguments: list[str]) -> int:
    """Set up what the task named first needs, then do it."""
    name, options = (arguments or ["help"])[0], arguments[1:]
    if name == "clean":
        return clean()
    if name != "setup" and name not in TASKS:
        print(f"python3 scripts/tasks.py {'|'.join(['setup', *TASKS, 'clean'])} [options]")
        return 2
    set_up(USED if name == "demo" else EVERYTHING)
    return TASKS[name](options) if name in TASKS else 0


def _run(program: str, *arguments: str) -> int:
    """Run a program of the environment; a number below 0 (a signal) becomes an ordinary failure."""
    command = [str(PYTHON.with_name(program + PYTHON.suffix)), *arguments]
    return abs(subprocess.run(command, cwd=ROOT).returncode)


if __name__ == "__main__":
    right_python(__file__)
    sys.exit(main(sys.argv[1:]))
