"""Fetching published files: resumed where a connection broke, and checked before they are used."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from mien.errors import MienError
from mien.progress import Progress, silent
from mien.version import __version__
from mien.weights.catalog import Entry
from mien.weights.store import check, length

ATTEMPTS = 3
_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 18

# What a network does to a download; an error of the disk is not among them.
_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


def fetch(entry: Entry, progress: Progress = silent, *, pause: float = 1.0) -> Path:
    """Download a published file, or take the one that lies there already.

    A part of it that an earlier call left is resumed. The file appears under its name only after
    size and SHA-256 were checked. Where no SHA-256 was published, the first seen is recorded, and
    another one later is an error.

    Args:
        entry: the file.
        progress: hears of bytes.
        pause: seconds before the first repetition after a broken connection, doubled each time.

    Returns:
        `entry.download`.

    Raises:
        MienError: it cannot be reached, is to be downloaded by hand, or is not the right file; the
            hint says in one line what to download and where to put it.
    """
    target = entry.download
    if target.is_file():
        check(target, entry)
        return target
    if entry.by_hand:
        raise MienError(
            f"{entry.name} lies where a program cannot fetch it", hint=entry.by_another_way()
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    _download(entry, part, progress, pause)
    _tag_file(part).unlink(missing_ok=True)
    try:
        check(part, entry)
    except MienError:
        part.unlink()
        raise
    part.replace(target)
    return target


def _download(entry: Entry, part: Path, progress: Progress, pause: float) -> None:
    """Append to `part` until the file is whole; every attempt that gets further is free."""
    attempt = 0
    while True:
        before = length(part)
        try:
            for done, total in _receive(entry, part):
                progress(done, total)
            return
        except urllib.error.HTTPError as error:
            raise MienError(
                f"{entry.url} answers {error.code} {error.reason}", hint=entry.by_another_way()
            ) from error
        except _NETWORK_ERRORS as error:
            attempt = 1 if length(part) > before else attempt + 1
            if attempt == ATTEMPTS:
                reason = getattr(error, "reason", None) or str(error) or type(error).__name__
                raise MienError(
                    f"{entry.name} could not be fetched ({reason})", hint=entry.by_another_way()
                ) from error
            time.sleep(pause * 2 ** (attempt - 1))


def _receive(entry: Entry, part: Path) -> Iterator[tuple[int, int | None]]:
    """Make one request and write what comes; yield the bytes there are, and those there will be.

    Raises:
        ConnectionError: the connection broke before the end.
    """
    offset = length(part)
    tag = _tag_file(part).read_text() if _tag_file(part).is_file() else ""
    headers = {"User-Agent": f"mien/{__version__}"}
    # Without a checksum or the server's word, the rest might be that of another file.
    if offset and (tag or entry.sha256):
        headers["Range"] = f"bytes={offset}-"
        if tag:
            headers["If-Range"] = tag
    else:
        offset = 0
    request = urllib.request.Request(entry.url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range") == f"bytes */{offset}":
            yield offset, offset  # All of it was there.
            return
        part.unlink()
        raise ConnectionError("the part that was there is longer than the file") from error
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            offset = 0
        rest = response.headers.get("Content-Length")
        total = None if rest is None else offset + int(rest)
        new_tag = response.headers.get("ETag", "")
        # A weak tag promises no equal bytes.
        _tag_file(part).write_text("" if new_tag.startswith("W/") else new_tag)
        with part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            done = offset
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                yield done, total
        if total is not None and done < total:
            raise ConnectionError(f"the connection broke after {done} of {total} bytes")


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")
