"""Model files: NAME.safetensors and NAME.json beside it, shipped ones and the user's own.

Reading a card needs no torch. Nothing that is read here can run code.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import safetensors
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_medseg.core.errors import InputError, ModelError, StorageError

if TYPE_CHECKING:
    import torch

SHIPPED = Path(__file__).parent.parent / "models"
REMOVED = "removed"
"""Folder, inside the user's, of the models that were removed."""


class Card(BaseModel):
    """What is known of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: str
    architecture: str
    arguments: dict[str, Any]
    channels: int
    image_channels: int = 3
    normalisation: str
    classes: dict[int, str] = {}
    colours: dict[int, str] = {}
    axes: str = "yxc"
    pixel_size_um: float | None = None
    precision: str = "fp32"
    linear_head: bool = False
    head_share: float = 0.5
    training_data: str = ""
    licence: str = ""
    credit: str = ""
    figures: dict[str, float | str] = {}
    parameters: dict[str, Any] = {}
    seed: int = 0
    steps: int = 0
    parent: str = ""
    created: str = ""
    sha256: str = ""
    folder: Path | None = None

    @property
    def weights(self) -> Path:
        """The weights file."""
        return (self.folder or SHIPPED) / f"{self.name}.safetensors"

    @property
    def shipped(self) -> bool:
        """Whether the model came with the package."""
        return self.folder == SHIPPED


def user_folder() -> Path:
    """Where the user's own models live; the variable NAPARI_MEDSEG_MODELS overrides it."""
    given = os.environ.get("NAPARI_MEDSEG_MODELS")
    return Path(given) if given else Path(platformdirs.user_data_dir("napari-medseg", appauthor=False)) / "models"


def models(task: str | None = None) -> list[Card]:
    """All readable models, shipped ones first; damaged cards are left out (``find`` says what ails them)."""
    found = []
    for folder in (SHIPPED, user_folder()):
        for path in sorted(folder.glob("*.json")):
            try:
                found.append(read_card(path))
            except ModelError:
                continue
    return [card for card in found if task in (None, card.task)]


def find(name: str | Path) -> Card:
    """The model of this name, or of this file (.safetensors or .json)."""
    if not str(name).strip():
        raise ModelError(f"No model was named. Known models: {_known()}.")
    path = Path(name)
    if path.suffix in (".safetensors", ".json"):
        return read_card(path.with_suffix(".json"))
    for folder in (user_folder(), SHIPPED):
        with contextlib.suppress(OSError):
            if (folder / f"{name}.json").is_file():
                return read_card(folder / f"{name}.json")
    raise ModelError(f"There is no model {str(name)!r}. Known models: {_known()}.")


def exists(name: str | Path) -> bool:
    """Whether there is a model of this name, or this file, readable or not."""
    if Path(name).suffix in (".safetensors", ".json"):
        return os.path.lexists(name)
    return any(os.path.lexists(folder / f"{name}.json") for folder in (user_folder(), SHIPPED))


def _known() -> str:
    return ", ".join(card.name for card in models()) or "none"


def read_card(path: Path) -> Card:
    """Read a card; a sentence says what is wrong with a file that is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing; a model is a .safetensors file with its .json card beside it.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is no model card: {error}.") from error
    try:
        return Card(**{**content, "name": path.stem, "folder": path.parent})
    except (TypeError, ValidationError) as error:
        raise ModelError(f"{path} is no model card of napari-medseg; save the model again from the panel.") from error


def load_tensors(card: Card) -> dict[str, torch.Tensor]:
    """Read the weights and check them against the card's sha256."""
    from safetensors.torch import load

    return load(read_weights(card))


def read_weights(card: Card) -> bytes:
    """The content of the weights file, checked without torch, so that the viewer can save a model."""
    try:
        content = card.weights.read_bytes()
    except OSError as error:
        raise ModelError(f"The weights of model {card.name!r} cannot be read: {error.strerror or error}.") from error
    if card.sha256 and hashlib.sha256(content).hexdigest() != card.sha256:
        raise ModelError(
            f"{card.weights} does not match its card (sha256); the file is damaged. Save or copy it again."
        )
    try:
        safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise ModelError(f"{card.weights} is not a safetensors file: {error}.") from error
    return content


def write(card: Card, tensors: dict[str, torch.Tensor], folder: Path) -> Card:
    """Write weights and card into ``folder``; both or neither."""
    from safetensors.torch import save

    content = save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})
    stamped = card.model_copy(
        update={
            "sha256": hashlib.sha256(content).hexdigest(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "folder": folder,
        }
    )
    _write_both(stamped, content)
    return stamped


def check_pattern(name: str) -> None:
    """Complain about a name that no model can have."""
    if not name.strip():
        raise InputError("The model has no name. Give it one, such as 'tumour 1'.")
    if not re.fullmatch(r"[\w][\w .()+-]{0,79}", name) or name.endswith((".", " ")):
        raise InputError(f"{name!r} cannot be a model's name; use letters, digits, spaces, and . _ - + ( ) only.")


def check_name(name: str) -> None:
    """Complain about a name that the user's own model cannot have."""
    check_pattern(name)
    if name in ("scratch", "encoder") or (SHIPPED / f"{name}.json").exists():
        raise InputError(f"The name {name!r} is taken by a shipped model; choose another.")


def own(name: str) -> bool:
    """Whether the user has a model of this name, a damaged one included."""
    return any(os.path.lexists(path) for path in _files(user_folder(), name))


def save_as(checkpoint: str | Path, name: str, *, replace: bool = False) -> Card:
    """Keep a checkpoint in the user's folder under ``name``; ``replace`` allows it to take an older one's place."""
    check_name(name)
    if own(name) and not replace:
        raise InputError(f"You have a model named {name!r} already. Choose another name, or replace it.")
    card = find(checkpoint)
    content = read_weights(card)
    kept = card.model_copy(update={"name": name, "folder": user_folder()})
    _write_both(kept, content)
    return kept


def remove(name: str) -> Path:
    """Move one of the user's own models out of the list, into the folder ``removed`` there; nothing is deleted.

    Returns
    -------
    the folder that it lies in now
    """
    check_pattern(name)
    if not own(name):
        if (SHIPPED / f"{name}.json").exists():
            raise InputError(f"The model {name!r} came with the package and cannot be removed.")
        yours = ", ".join(card.name for card in models() if not card.shipped) or "none"
        raise ModelError(f"You have no model {name!r} to remove. Your own models: {yours}.")
    attic = user_folder() / REMOVED
    free = next(n for n in _numbered(name) if not any(os.path.lexists(path) for path in _files(attic, n)))
    try:
        attic.mkdir(exist_ok=True)
        for old, new in zip(_files(user_folder(), name), _files(attic, free), strict=True):
            if old.exists():
                old.replace(new)
    except OSError as error:
        raise StorageError(f"The model {name!r} cannot be moved to {attic}: {error.strerror or error}.") from error
    return attic


def check_folder(folder: Path) -> None:
    """Complain, ahead of a long run, about a folder that no model can be written to; nothing is made."""
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), Path())
    if not there.is_dir():
        raise StorageError(f"No model can be written to {folder}: {there} is no folder. Choose another.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(f"No model can be written to {folder}: {there} may not be written to. Choose another.")


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.json", folder / f"{name}.safetensors"


def _numbered(name: str) -> Iterator[str]:
    """The name, then "name 2", "name 3" and so on."""
    yield name
    yield from (f"{name} {number}" for number in itertools.count(2))


def _write_both(card: Card, content: bytes) -> None:
    folder = card.folder or user_folder()
    weights, text = card.weights, card.model_dump_json(indent=1, exclude={"folder", "name"})
    mark = f".{uuid.uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        weights.with_suffix(mark).write_bytes(content)
        weights.with_suffix(mark + "j").write_text(text + "\n", encoding="utf-8")
        weights.with_suffix(mark).replace(weights)
        weights.with_suffix(mark + "j").replace(weights.with_suffix(".json"))
    except OSError as error:
        for part in (weights.with_suffix(mark), weights.with_suffix(mark + "j")):
            with contextlib.suppress(OSError):
                part.unlink()
        raise StorageError(f"The model cannot be written to {folder}: {error.strerror or error}.") from error
