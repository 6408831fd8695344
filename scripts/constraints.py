"""Write constraints.txt anew: the newest versions that fit together, every extra included.

Run it with the environment's Python, then `make test`: the file is meant to hold what was tested.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from set_up import ROOT

HEADER = """\
# The exact versions that were tested together; pip installs with `-c constraints.txt`.
# Written by scripts/constraints.py. pyproject.toml holds the lower bounds.
"""
OURS = {"napari-medseg", "pip"}


def resolve(keep: list[str]) -> dict[str, str]:
    """Versions by name as pip would install them; `keep` are versions that must stay."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    with tempfile.TemporaryDirectory() as folder:
        report, kept = Path(folder, "report.json"), Path(folder, "keep.txt")
        kept.write_text("\n".join(keep))
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        wanted = f"{ROOT}[{','.join(extras)}]"
        subprocess.run([*pip, "--report", str(report), "-c", str(kept), wanted], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {_plain(item["name"]): item["version"].partition("+")[0] for item in found}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    versions = resolve(sys.argv[1:])
    cuda = [name for name in versions if name.startswith(("nvidia", "triton", "cuda"))]
    if cuda:
        sys.exit(f"This torch brings CUDA ({', '.join(cuda)}); keep an older one: torch==2.13.0 as an argument.")
    lines = [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in OURS]
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(lines) + "\n")
