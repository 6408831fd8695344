"""The documents of a session: small JSON values by key, such as the classes or a reviewer's decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from napari_medseg.core.session import slots
from napari_medseg.core.session.action import to_json
from napari_medseg.core.session.present import Present


class Docs(Mapping[str, Any]):
    """Reads the present documents; they change through ``Session.record(docs=...)``, so that undo knows of it."""

    def __init__(self, present: Present) -> None:
        self._present = present

    def __getitem__(self, key: str) -> Any:
        found = decode(self._present.value(slots.of_doc(key)))
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(map(slots.doc, self._present.slots(slots.DOCS))))

    def __len__(self) -> int:
        return len(self._present.slots(slots.DOCS))


def encode(value: Any) -> bytes | None:
    """The bytes of a document; ``None`` stands for no document."""
    return None if value is None else to_json(value).encode()


def decode(data: bytes | None) -> Any:
    """The document of some bytes."""
    return None if data is None else json.loads(data)
