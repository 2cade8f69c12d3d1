"""The first line of a CSV file, by which its kind is recognized."""

from __future__ import annotations

from pathlib import Path

_LONGEST = 4096
_AROUND = b' \t"\r\n'


def split_fields(line: bytes) -> list[bytes]:
    """Split a line of CSV whose fields hold no commas; drop quotes and blanks around them."""
    fields = []
    start = 0
    # `bytes.split` looks at byte after byte, `find` is many times as fast on long fields.
    while (stop := line.find(b",", start)) >= 0:
        fields.append(line[start:stop].strip(_AROUND))
        start = stop + 1
    return [*fields, line[start:].strip(_AROUND)]


def header(path: Path) -> list[str]:
    """Return the column names of a CSV file in lower case, or nothing where it has no such line."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    return [name.decode().casefold() for name in split_fields(text.encode())]
