"""Every error that the package raises on purpose.

A message says what was given, what was expected and what to do; it is shown to the user as it is.
"""


class MedsegError(Exception):
    """Base of all errors meant for the user's eyes."""


class InputError(MedsegError):
    """Something that the user gave does not fit: an image, a file, a parameter, scribbles."""


class ModelError(MedsegError):
    """A model is missing, damaged, foreign or does not fit the image."""


class StorageError(MedsegError):
    """A file cannot be written: full disk, read-only folder, missing rights."""


class BrokenTile(MedsegError):
    """The bytes of a stored label tile are damaged, missing or not of this image."""


class NewerTile(MedsegError):
    """A label tile was written by a newer version: not damaged, so it must not be repaired, but not readable here."""


class BusyLabels(MedsegError):
    """Somebody else is changing these labels at the moment; the same call works once they have done."""


class SessionError(MedsegError):
    """A session cannot be read here, is damaged, or may not be written by this process."""


class MemoryShortage(MedsegError):
    """The device ran out of memory even with the smallest tile and batch."""


class RunCancelled(MedsegError):
    """The user stopped the run."""


class RunnerDied(MedsegError):
    """The process that carried the run ended by itself or was killed."""


BY_NAME: dict[str, type[MedsegError]] = {
    kind.__name__: kind
    for kind in (
        MedsegError,
        InputError,
        ModelError,
        StorageError,
        SessionError,
        BrokenTile,
        NewerTile,
        BusyLabels,
        MemoryShortage,
        RunCancelled,
        RunnerDied,
    )
}
"""Lets a runner in another process raise the same error again."""


_SHORTAGE = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to allocate",
)


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch says it with a RuntimeError."""
    if isinstance(error, MemoryError | MemoryShortage):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _SHORTAGE)
