from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from napari_medseg.core.errors import SessionError
from napari_medseg.core.session import Session

HOLD = """
import sys
from napari_medseg.core.session import Session
session = Session.open(sys.argv[1], who="Grace")
session.flush()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_viewer_reads_and_is_told_who_writes(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a"}))
    session.flush(10)
    second = Session.open(session.folder, who="Grace")
    try:
        assert "open for reading only: Ada has it open on" in second.read_only
        assert str(os.getpid()) in second.read_only
        assert shown(second) == {1: b"a"}
        assert [entry.action.name for entry in second.history()] == ["Stroke"]
        assert second.check() == []
        assert not second.draft_due
        for write in (
            lambda: second.record("Stroke", edit=edit({1: b"b"})),
            lambda: second.go_to(0),
            lambda: second.undo(),
            lambda: second.draft(edit({1: b"b"})),
            lambda: second.tiles().put(edit({1: b"b"}).changes),
            lambda: second.compact(),
            lambda: second.repair(),
        ):
            with pytest.raises(SessionError, match="Ada has it open"):
                write()
    finally:
        second.close()
    assert shown(session) == {1: b"a"}
    session.record("Stroke", edit=edit({1: b"c"}))
    session.flush(10)


def test_the_second_viewer_sees_one_moment_only(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a", 2: b"a"}))
    session.flush(10)
    second = Session.open(session.folder)
    session.record("Stroke", edit=edit({1: b"b", 2: b"b"}))
    session.flush(10)
    assert shown(second) == {1: b"a", 2: b"a"}
    second.close()
    third = Session.open(session.folder)
    assert shown(third) == {1: b"b", 2: b"b"}
    third.close()


def test_the_lock_goes_with_the_session(session: Session):
    session.close()
    with Session.open(session.folder) as again:
        assert again.read_only == ""


def test_the_lock_dies_with_the_process(session: Session):
    session.close()
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(session.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "held\n"
    second = Session.open(session.folder)
    assert f"Grace has it open on {os.uname().nodename} (process {child.pid})" in second.read_only
    second.close()
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    child.stdin.close()
    child.stdout.close()
    with Session.open(session.folder) as again:
        assert again.read_only == ""
        assert "by Grace since" in again.recovered[0]


READ_ONLY = """
import os, sys
from pathlib import Path
from napari_medseg.core.errors import SessionError
from napari_medseg.core.session import Session
import encodings.idna
if os.geteuid() == 0:
    os.setuid(65534)
session = Session.open(sys.argv[1])
print(session.read_only)
print([entry.action.name for entry in session.history()], session.check())
try:
    session.record("Stroke")
except SessionError as error:
    print("REFUSED", error)
session.close()
try:
    Session.create(Path(sys.argv[1]).parent / "new.medseg")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
@pytest.mark.parametrize("unclean", [False, True], ids=["closed", "crashed"])
def test_a_read_only_folder_is_read(edit, unclean: bool):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        session = Session.create(root / "slide.medseg")
        session.record("Stroke", edit=edit({1: b"a"}))
        session.flush(10)
        if unclean:
            # What a crash leaves: a log that is not folded in.
            kept = {path.name: path.read_bytes() for path in session.folder.iterdir()}
            session.close()
            for file, data in kept.items():
                (session.folder / file).write_bytes(data)
        else:
            session.close()
        mode = stat.S_IMODE(session.folder.stat().st_mode)
        try:
            for path in session.folder.iterdir():
                path.chmod(0o444)
            session.folder.chmod(0o555)
            root.chmod(0o555)
            done = subprocess.run(
                [sys.executable, "-c", READ_ONLY, str(session.folder)], capture_output=True, text=True, timeout=60
            )
        finally:
            root.chmod(0o755)
            session.folder.chmod(mode)
        assert done.returncode == 0, done.stderr
        assert "cannot be written to (Permission denied). Allow writing, or copy the folder." in done.stdout
        assert "['Stroke'] []" in done.stdout
        assert "REFUSED This session is open for reading only" in done.stdout
        assert "StorageError A session could not be made in" in done.stdout
