"""Which pictures are meant, and that annotated copies overwrite nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import MienError
from mien.recognition.sources import Entry, PurePosixPath, annotated_files, find_pictures, listed


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


def test_patterns_are_searched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/x.png", "a/b/y.jpg", "a/b/notes.txt", "c/z.jpg", "c/.h.jpg", ".d/i.jpg")
    monkeypatch.chdir(tmp_path)

    def names(pattern: str) -> list[str]:
        return [f"{entry.path.as_posix()} {entry.name}" for entry in find_pictures([pattern])]

    assert names("**/*.jpg") == ["a/b/y.jpg a/b/y.jpg", "c/z.jpg c/z.jpg"]
    assert names("a/**/*") == ["a/b/y.jpg b/y.jpg", "a/x.png x.png"]
    assert names("a/[x-z].pn?") == ["a/x.png x.png"]
    assert names(".d/*") == [".d/i.jpg i.jpg"]
    # A folder that matches is searched, as a shell's expansion would have it.
    assert names("[ac]") == ["a/b/y.jpg a/b/y.jpg", "a/x.png a/x.png", "c/z.jpg c/z.jpg"]
    assert names("**") == names("**/*")
    assert names(str(tmp_path / "c" / "*")) == [f"{tmp_path.as_posix()}/c/z.jpg z.jpg"]
    # Without a match it is a file that is missing; one that exists is no pattern.
    assert names("nothing/*.jpg") == ["nothing/*.jpg *.jpg"]
    make(tmp_path, "[x].png", "x.png")
    assert names("[x].png") == ["[x].png [x].png"]


def test_urls_are_refused_unless_they_are_asked_for() -> None:
    for url in ("https://example.org/a/b%20c.jpg?size=9", "HTTP://example.org"):
        with pytest.raises(MienError, match="is a URL") as refused:
            find_pictures([url])
        assert "--allow-urls" in (refused.value.hint or "")
        (entry,) = find_pictures([url, url], urls=True)
        assert entry.label == entry.address == url
    (entry,) = find_pictures(["https://example.org/a/b%20c.jpg?size=9"], urls=True)
    assert str(entry.name) == "b c.jpg"
    (entry,) = find_pictures(["https://example.org/a%2F..%2F..%2Fx.jpg"], urls=True)
    assert str(entry.name) == "x.jpg"


def test_no_name_stops_the_others(tmp_path: Path) -> None:
    """What is wrong with one of them is said of that one, by what gets it."""
    long = tmp_path / f"{'a' * 300}.jpg"
    urls = ["http://[::1", "http://a.example/%00b.jpg", f"http://a.example/{'ü' * 300}.jpg"]
    urls.append(f"http://a.example/{'a/' * 5000}")
    entries = find_pictures([str(long), *urls], urls=True)
    assert [entry.label for entry in entries] == [str(long), *urls]
    for target in annotated_files(entries[1:], tmp_path):
        target.touch()
    assert (tmp_path / "_b-faces.png").exists()


def test_standard_input_is_one_picture() -> None:
    (entry,) = find_pictures(["-", "-"])
    assert (entry.label, entry.address) == ("-", "-")
    assert annotated_files([entry], Path("out")) == [Path("out/stdin-faces.png")]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a.jpg\nb c.jpg\r\n\n", ["a.jpg", "b c.jpg"]),
        (b"a\nb.jpg\0-\0", ["a\nb.jpg", "./-"]),
        (b"caf\xe9.png", [os.fsdecode(b"caf\xe9.png")]),
        (b"", []),
    ],
)
def test_lists(content: bytes, names: list[str]) -> None:
    assert listed(content) == names


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
