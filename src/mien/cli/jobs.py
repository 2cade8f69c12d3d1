"""The pictures of `mien predict`, each with how it is got and where its annotated copy goes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

import click

from mien.recognition.sources import (
    STANDARD_INPUT,
    Entry,
    annotated_files,
    find_pictures,
    listed,
)

Scope: TypeAlias = Literal["public", "any"]
"""Which addresses may be asked for pictures."""

_MOST_READ = 200_000_000  # bytes of standard input


@dataclass
class Job:
    """A picture to recognize.

    Attributes:
        entry: which it is.
        target: where its annotated copy goes, if it gets one.
        scope: which addresses may be asked for it.
        content: what it came as, kept until it is drawn; None for a file.
    """

    entry: Entry
    target: Path | None
    scope: Scope | None
    content: bytes | None = None

    def source(self) -> str | Callable[[], bytes]:
        """Return the picture as a recognizer takes it."""
        return self.entry.label if self.entry.address is None else self._load

    def take(self) -> str | bytes:
        """Return the picture as it came, to draw on, and keep it no longer."""
        content, self.content = self.content, None
        return self.entry.label if content is None else content

    def _load(self) -> bytes:
        from mien.recognition.remote import fetch

        if self.entry.address == STANDARD_INPUT:
            content = _standard_input()
        else:
            content = fetch(self.entry.label, private=self.scope == "any")
        if self.target is not None:
            self.content = content
        return content


def find_jobs(
    sources: Sequence[str], list_file: str | None, scope: Scope | None, folder: Path | None
) -> list[Job]:
    """Return a job for each picture that the command line or a list names.

    Raises:
        MienError: a source is a URL and there is no scope, or the list cannot be read.
    """
    named: list[str] = []
    if list_file == STANDARD_INPUT:
        if STANDARD_INPUT in sources:
            raise click.UsageError("standard input is either a picture or a list")
        named = listed(sys.stdin.buffer.read())
    elif list_file is not None:
        named = listed(Path(list_file).read_bytes())
    entries = find_pictures([*sources, *named], urls=scope is not None)
    targets = annotated_files(entries, folder) if folder is not None else []
    return [Job(entry, target, scope) for entry, target in zip_longest(entries, targets)]


def _standard_input() -> bytes:
    from mien.images.decode import UnreadableError

    content = sys.stdin.buffer.read(_MOST_READ + 1)
    if len(content) > _MOST_READ:
        raise UnreadableError(f"standard input has more than {_MOST_READ // 1_000_000} MB")
    return content
