import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mien.errors import MienError
from mien.files import atomic_directory, atomic_path, atomic_write, relative, sha256


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    atomic_write(target, "ä")
    assert target.read_bytes() == "ä".encode()
    atomic_write(target, b"b")
    assert target.read_bytes() == b"b"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_file_keeps_its_content_where_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as temporary:
            assert temporary.suffix == ".png"
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_new_files_and_folders_have_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    (tmp_path / "folder").mkdir()
    atomic_write(tmp_path / "a", "")
    with atomic_directory(tmp_path / "b"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "folder").stat().st_mode


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()  # an empty one may be there already
    with atomic_directory(target) as temporary:
        (temporary / "a").write_text("1")
        assert list(target.iterdir()) == []
    assert (target / "a").read_text() == "1"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_is_not_written_over(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "run"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "a").write_text("mine")
    with pytest.raises(MienError, match="exists already"), atomic_directory(target):
        pass
    assert (target if kind == "file" else target / "a").read_text() == "mine"


def test_a_folder_does_not_appear_where_writing_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_directory(tmp_path / "run") as temporary:
            (temporary / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from mien.files import atomic_directory, atomic_path
with atomic_directory(Path(sys.argv[1]) / "run") as folder, atomic_path(sys.argv[2]) as file:
    (folder / "a").write_text("half")
    file.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_the_old_file_and_no_folder(tmp_path: Path) -> None:
    old = tmp_path / "old.txt"
    old.write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path, old], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert old.read_text() == "old"
    assert not (tmp_path / "run").exists()


def test_sha256_is_hashlibs(tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_relative_path_leads_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert relative(tmp_path / "data" / "a", tmp_path / "runs" / "b") == "../../data/a"

    def other_drive(path: object, start: object) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    assert relative(tmp_path / "a", tmp_path / "b") == (tmp_path / "a").as_posix()
