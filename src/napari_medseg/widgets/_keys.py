"""Key bindings that are given back when the panel closes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Action = Callable[[], None]


class Keys:
    """Binds keys on a viewer or a layer and restores what was there before."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._before: dict[str, Any] = {}

    def bind(self, key: str, action: Action) -> None:
        """Bind ``key`` while this object holds it."""

        def pressed(_owner: Any) -> None:
            action()

        before = self._owner.bind_key(key, None)
        self._before.setdefault(key, before)
        self._owner.bind_key(key, pressed)

    def release(self) -> None:
        """Give all keys back."""
        for key, before in self._before.items():
            self._owner.bind_key(key, before, overwrite=True)
        self._before.clear()
