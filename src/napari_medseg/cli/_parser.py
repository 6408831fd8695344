"""A parser that complains in one line, names the help of the command in question and guesses what was meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from napari_medseg.core.errors import InputError

_NUMBER = re.compile(r"-\.?\d")


def file_path(text: str) -> Path:
    """A path from the command line; an empty word, as an unset variable of a shell leaves it, is none."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty name was given; expected a file or a folder")
    return Path(text)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like all others; its subcommands have one of the same kind."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._commands: Any = None

    def add_subparsers(self, **settings: Any) -> Any:
        """Keep the subcommands, to guess which one was meant."""
        self._commands = super().add_subparsers(**settings)
        return self._commands

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """Parse all words, and complain here about those that are left: a parent would name its own help."""
        words = list(sys.argv[1:] if args is None else args)
        self._check(words)
        found, left = super().parse_known_args(words, namespace)
        if left:
            self.error(f"{' '.join(left)}: nothing more is expected here. Put in quotes what has a space in it")
        return found, left

    def error(self, message: str) -> NoReturn:
        """Name what is wrong and where the options stand."""
        end = "" if message.endswith((".", "?")) else "."
        raise InputError(f"{message}{end} {self.prog} --help lists what there is.")

    def _check(self, words: list[str]) -> None:
        """Complain about an option or a command that there is not, ahead of what argparse misses because of it."""
        for word in words:
            if word == "--":
                return
            if self._is_option(word):
                self._check_option(word.partition("=")[0])
            elif self._commands is not None:
                self._check_command(word)
                return

    def _is_option(self, word: str) -> bool:
        """Whether argparse takes a word for an option: a number below 0 and a sentence are values."""
        named = word.partition("=")[0]
        return word.startswith("-") and word != "-" and not _NUMBER.match(word) and " " not in named

    def _check_option(self, given: str) -> None:
        # argparse lists its options in no other way.
        known = self._option_string_actions
        if given in known or (not given.startswith("--") and given[:2] in known):
            return
        self.error(f"There is no option {given}.{_guess(given, known)}")

    def _check_command(self, given: str) -> None:
        known = self._commands.choices
        if given not in known:
            guess = _guess(given, known) or f" It knows {', '.join(known)}."
            self.error(f"{self.prog} knows no {given!r}.{guess}")


def _guess(given: str, known: Iterable[str]) -> str:
    """A question with the word that is closest, where one is close."""
    by_name = {word.lstrip("-"): word for word in known if len(word) > 2}
    close = difflib.get_close_matches(given.lstrip("-").lower(), by_name, n=1)
    return f" Did you mean {by_name[close[0]]}?" if close else ""
