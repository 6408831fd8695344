from __future__ import annotations

import pytest

from napari_medseg.core import errors


@pytest.mark.parametrize("name", errors.BY_NAME)
def test_errors_can_be_raised_again_by_their_name(name: str) -> None:
    kind = errors.BY_NAME[name]
    assert kind is getattr(errors, name)
    with pytest.raises(errors.MedsegError, match="what was given"):
        raise kind("what was given")


def test_every_error_of_the_package_is_listed() -> None:
    def below(kind: type[errors.MedsegError]) -> set[type[errors.MedsegError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__() if child.__module__ == kind.__module__))

    assert below(errors.MedsegError) == set(errors.BY_NAME.values())
