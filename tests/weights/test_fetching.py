"""Fetching from a real server on this machine: whole, resumed, cut, changed and wrong files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import MienError
from mien.files import sha256
from mien.weights.catalog import Entry, folder
from mien.weights.fetching import ATTEMPTS, fetch
from mien.weights.store import check, first_seen

CONTENT = np.random.default_rng(0).bytes(1_000_000)


class Server(ThreadingHTTPServer):
    """Serves one file with ranges and an ETag.

    Attributes:
        content: the file.
        cuts: after how many bytes to break each of the next connections.
        ranges: the header Range of every request, "" where there was none.
        status: answer this and nothing else.
        tagged: send an ETag.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.cuts: list[int] = []
        self.ranges: list[str] = []
        self.status = 0
        self.tagged = True

    @property
    def tag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        wanted = self.headers.get("Range", "")
        server.ranges.append(wanted)
        if server.status:
            self.send_error(server.status)
            return
        size = len(server.content)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if self.headers.get("If-Range", server.tag) != server.tag:
            start = 0  # The file has changed since.
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        if server.tagged:
            self.send_header("ETag", server.tag)
        self.end_headers()
        rest = server.content[start:]
        self.wfile.write(rest[: server.cuts.pop(0)] if server.cuts else rest)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def entry(server: Server) -> Entry:
    return Entry(
        name="sample",
        summary="a file",
        file="sample.bin",
        url=f"http://127.0.0.1:{server.server_port}/sample.bin",
        license="none",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def _nothing_but(folder: Path, *names: str) -> bool:
    return {path.name for path in folder.iterdir()} == set(names)


def test_a_whole_file_is_fetched_once_and_its_progress_told(entry: Entry, server: Server) -> None:
    heard: list[tuple[int, int | None]] = []
    path = fetch(entry, lambda done, total: heard.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert _nothing_but(path.parent, "sample.bin")
    assert heard[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert fetch(entry) == path
    assert server.ranges == [""]


def test_broken_connections_are_resumed_where_they_broke(entry: Entry, server: Server) -> None:
    server.cuts = [300_000, 0, 200_000]
    assert fetch(entry, pause=0).read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=300000-", "bytes=300000-", "bytes=500000-"]


def test_a_later_call_resumes(entry: Entry, server: Server) -> None:
    server.cuts = [300_000] + ATTEMPTS * [0]
    with pytest.raises(MienError, match="the connection broke after 300000 of 1000000 bytes"):
        fetch(entry, pause=0)
    server.ranges.clear()
    server.cuts = []
    assert fetch(entry, pause=0).read_bytes() == CONTENT
    assert server.ranges == ["bytes=300000-"]


def test_a_part_that_is_whole_needs_no_more_bytes(entry: Entry, server: Server) -> None:
    part = entry.download.with_name("sample.bin.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert fetch(entry).read_bytes() == CONTENT
    assert _nothing_but(part.parent, "sample.bin")


def test_a_part_that_is_too_long_is_thrown_away(entry: Entry, server: Server) -> None:
    part = entry.download.with_name("sample.bin.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + b"more")
    assert fetch(entry, pause=0).read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_fetched_from_its_start(
    entry: Entry, server: Server
) -> None:
    entry = replace(entry, sha256="", size=None)
    server.cuts = [300_000] + ATTEMPTS * [0]
    with pytest.raises(MienError):
        fetch(entry, pause=0)
    server.content = CONTENT[::-1]
    server.cuts = []
    assert fetch(entry, pause=0).read_bytes() == CONTENT[::-1]


def test_without_checksum_and_tag_nothing_is_resumed(entry: Entry, server: Server) -> None:
    server.tagged = False
    server.cuts = [300_000]
    assert fetch(replace(entry, sha256=""), pause=0).read_bytes() == CONTENT
    assert server.ranges == ["", ""]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (CONTENT[:-1] + b"\x00", "SHA-256 [0-9a-f]{64}; on record is [0-9a-f]{64}"),
        (CONTENT[:-1], "999,999 bytes, but sample.bin has 1,000,000"),
    ],
)
def test_a_wrong_file_is_not_kept(content: bytes, match: str, entry: Entry, server: Server) -> None:
    server.content = content
    with pytest.raises(MienError, match=match):
        fetch(entry)
    assert _nothing_but(entry.download.parent)


def test_a_wrong_file_that_lay_there_is_named(entry: Entry, server: Server) -> None:
    entry.download.parent.mkdir(parents=True)
    entry.download.write_bytes(b"something else")
    with pytest.raises(MienError, match="14 bytes"):
        fetch(entry)
    assert server.ranges == []


def test_where_no_checksum_is_published_the_first_seen_counts(entry: Entry, server: Server) -> None:
    entry = replace(entry, sha256="", size=None)
    assert first_seen(entry) is None
    path = fetch(entry)
    assert first_seen(entry) == hashlib.sha256(CONTENT).hexdigest()
    path.unlink()
    server.content = b"another"
    with pytest.raises(MienError, match="the one first seen"):
        fetch(entry)
    assert not path.exists()


def test_first_seen_ones_recorded_at_once_are_all_kept(entry: Entry, tmp_path: Path) -> None:
    """Without a lock, a record that was read before another was written would lose that one."""
    entries = []
    for number in range(16):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bytes([number]))
        entries.append(replace(entry, file=path.name, sha256="", size=None))
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda each: check(tmp_path / each.file, each), entries))
    assert all(first_seen(each) == sha256(tmp_path / each.file) for each in entries)


def test_a_damaged_record_of_the_first_seen_is_named(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "sample.bin").write_bytes(b"x")
    folder().mkdir(parents=True)
    for text in ("{", "[]"):
        (folder() / "first-seen.json").write_text(text)
        with pytest.raises(MienError, match=r"first-seen\.json"):
            check(tmp_path / "sample.bin", replace(entry, sha256="", size=None))


def test_the_server_s_refusal_is_told(entry: Entry, server: Server) -> None:
    server.status = 404
    with pytest.raises(MienError, match="answers 404"):
        fetch(entry, pause=0)
    assert len(server.ranges) == 1


def test_without_a_network_one_line_says_what_to_do(entry: Entry) -> None:
    # Nobody listens on port 1.
    entry = replace(entry, url="http://127.0.0.1:1/sample.bin")
    with pytest.raises(MienError, match="could not be fetched") as caught:
        fetch(entry, pause=0)
    hint = caught.value.hint
    assert hint is not None
    assert "\n" not in hint
    for part in (entry.url, "mien weights import sample.bin --as sample", str(entry.download)):
        assert part in hint


def test_what_only_a_person_can_download_is_not_tried(entry: Entry, server: Server) -> None:
    by_hand = replace(entry, by_hand=True)
    with pytest.raises(MienError, match="where a program cannot fetch it"):
        fetch(by_hand)
    assert server.ranges == []
    # Put where the hint says, it is taken.
    by_hand.download.parent.mkdir(parents=True)
    by_hand.download.write_bytes(CONTENT)
    assert fetch(by_hand) == by_hand.download
