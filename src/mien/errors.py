"""The one error that mien raises for what its user can mend, and the exit statuses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitStatus(IntEnum):
    """What `mien` returns to the shell."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INTERRUPTED = 130


class MienError(Exception):
    """Something that the user can mend.

    The message names the file, row or key, what was expected and what was found; `hint` says how
    to mend it. The command line prints both without a traceback and exits with 1.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


def of_the_system(error: OSError) -> MienError:
    """Return what the operating system refused (no permission, a full disk) as a `MienError`."""
    file = f"{error.filename}: " if error.filename else ""
    return MienError(f"{file}{error.strerror or error}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as "did you mean 'cnn5'?", or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(names)


def missing_extra(what: str, extra: str) -> MienError:
    """Return the error for a feature whose optional dependencies are not installed."""
    return MienError(
        f"{what} needs packages that are not installed",
        hint=f'install them with: pip install "mien[{extra}]"',
    )
