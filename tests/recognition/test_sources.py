"""Which pictures are meant, and that annotated copies overwrite nothing."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mien.recognition.sources import Entry, PurePosixPath, annotated_files, find_pictures


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_to_the_bottom(tmp_path: Path) -> None:
    make(tmp_path, "b.JPG", "a/x.png", "a/b/y.webp", "notes.txt", ".hidden.png", ".git/z.png")
    entries = find_pictures([str(tmp_path)])
    assert [str(entry.name) for entry in entries] == ["a/b/y.webp", "a/x.png", "b.JPG"]
    assert [entry.path for entry in entries] == [tmp_path / entry.name for entry in entries]


def test_files_are_taken_whatever_they_are_called(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt")
    missing, notes = tmp_path / "none.jpg", tmp_path / "notes.txt"
    entries = find_pictures([str(missing), str(notes)])
    assert [entry.path for entry in entries] == [missing, notes]


def test_each_picture_once(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png")
    relative = os.path.relpath(tmp_path / "b.png")
    entries = find_pictures([relative, str(tmp_path), str(tmp_path / "a.png")])
    assert [str(entry.name) for entry in entries] == ["b.png", "a.png"]


def test_names_of_annotated_pictures() -> None:
    names = ["a.jpg", "a.png", "A.jpg", "sub/a.jpg"]
    entries = [Entry(Path("/photos") / name, PurePosixPath(name)) for name in names]
    assert [str(path) for path in annotated_files(entries, Path("out"))] == [
        "out/a-faces.png",
        "out/a.png-faces.png",
        "out/A.jpg-faces.png",
        "out/sub/a-faces.png",
    ]


def test_sources_are_not_overwritten(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a-faces.png")
    entries = find_pictures([str(tmp_path)])
    targets = annotated_files(entries, tmp_path)
    assert not {entry.path for entry in entries} & set(targets)


stems = st.sampled_from(["a", "A", "a-faces", "a.jpg-faces", "a.jpg", "a.jpg-2"])
suffixes = st.sampled_from([".jpg", ".png", ""])


@given(st.lists(st.tuples(stems, suffixes)))
def test_targets_differ(parts: list[tuple[str, str]]) -> None:
    entries = [
        Entry(Path(f"/p{number}/{stem}{suffix}"), PurePosixPath(stem + suffix))
        for number, (stem, suffix) in enumerate(parts)
    ]
    targets = [str(path).casefold() for path in annotated_files(entries, Path("/p0"))]
    assert len({*targets, *(str(e.path).casefold() for e in entries)}) == 2 * len(entries)
