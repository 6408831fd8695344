from __future__ import annotations

import errno

import pytest

from napari_medseg.core.errors import StorageError
from napari_medseg.io.saving import fresh


def test_replaces_the_old_file_only_when_all_went_well(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")
    with pytest.raises(ValueError, match="stop"), fresh(path) as target:
        target.write_text("half")
        raise ValueError("stop")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with fresh(path) as target:
        target.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_replaces_a_folder(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()
    with fresh(path) as target:
        target.mkdir()
        (target / "new").touch()
    assert [item.name for item in path.iterdir()] == ["new"] and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.raises(StorageError, match="No space left on device.*has room"), fresh(path) as target:
        target.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_that_a_file_can_have(tmp_path):
    path = tmp_path / ("x" * 251 + ".tif")
    with fresh(path) as target:
        target.write_text("new")
        assert target.suffix == ".tif"
    assert path.read_text() == "new"
