"""Results of a long job, a line of JSON each, kept so that a job that was stopped can go on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from mien.errors import MienError
from mien.recognition.results import Face, Picture


class Journal:
    """A file of results; a context manager.

    Each result is appended as one line, whole in one write, as soon as it is there. A last line
    that a crash has torn is removed when the job goes on.

    Args:
        file: the .jsonl file; a line is `Picture.to_dict()`.
        resume: go on with a file that exists; without it such a file is an error.

    Attributes:
        done: the pictures that are in the file, as they were named.
        statuses: how many results have which status.

    Raises:
        MienError: the file exists already, or holds something else.
    """

    def __init__(self, file: Path, *, resume: bool) -> None:
        self.done: set[str] = set()
        self.statuses: Counter[str] = Counter()
        if file.exists() and not resume:
            raise MienError(
                f"{file} exists already", hint="go on with --resume, or choose another file"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what was written is with the operating system, whatever becomes of us.
        self._out = file.open("a+b", buffering=0)
        try:
            self._take_up(file)
        except BaseException:
            self._out.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.close()

    def add(self, picture: Picture) -> None:
        """Append a result."""
        # ASCII, so that a file's name that is no text survives as it is.
        self._out.write(json.dumps(picture.to_dict()).encode() + b"\n")
        self._count(picture.image, picture.status)

    def _take_up(self, file: Path) -> None:
        whole = 0
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                self._read(file, number, line)
                whole += len(line)
        self._out.truncate(whole)

    def _read(self, file: Path, number: int, line: bytes) -> None:
        try:
            values: Any = json.loads(line)
            self._count(values["image"], values["status"])
        except (ValueError, KeyError, TypeError) as error:
            raise _no_result(file, number) from error

    def _count(self, image: str, status: str) -> None:
        self.done.add(image)
        self.statuses[status] += 1


def results(file: Path) -> Iterator[Picture]:
    """Yield the results in a journal, one after the other.

    Raises:
        MienError: a line holds something else.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                values: Any = json.loads(line)
                faces = tuple(_face(face) for face in values.pop("faces"))
                yield Picture(**values, faces=faces)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise _no_result(file, number) from error


def _face(values: dict[str, Any]) -> Face:
    points = values["landmarks"]
    lists = {
        "box": tuple(values["box"]),
        "quality": tuple(values["quality"]),
        "landmarks": points and tuple((x, y) for x, y in points),
    }
    return Face(**{**values, **lists})


def _no_result(file: Path, number: int) -> MienError:
    return MienError(
        f"{file}, line {number} is no result of mien predict --jsonl",
        hint="remove the line, or choose another file",
    )
