"""How long work tells how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then by long work; the command line draws a bar from it."""

    def __call__(self, done: int, total: int | None) -> None:
        """Say that `done` of `total` items are finished (`total` is None where it is unknown)."""


def silent(done: int, total: int | None) -> None:
    """Listen to nothing; the default of every function that takes a `Progress`."""
