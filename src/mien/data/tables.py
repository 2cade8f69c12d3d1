"""The first line of a CSV file, by which its kind is recognized."""

from __future__ import annotations

from pathlib import Path

_LONGEST = 4096


def split_fields(line: bytes) -> list[bytes]:
    """Split a line of CSV whose fields hold no commas; drop quotes and blanks around them."""
    fields = line.rstrip(b"\r\n").split(b",")
    return [field.strip(b' \t"') for field in fields]


def header(path: Path) -> list[str]:
    """Return the column names of a CSV file in lower case, or nothing where it has no such line."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    return [name.decode().casefold() for name in split_fields(text.encode())]
