"""Bad rows: what can be wrong with a source, and the report that names all of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from mien.errors import MienError

SHOWN = 50
"""How many problems a message lists; all of them are in `BadRowsError.problems`."""


class Kind(StrEnum):
    """What can be wrong with a row, an image or a folder of a source."""

    PIXEL_COUNT = "wrong pixel count"
    PIXEL_VALUE = "bad pixel value"
    LABEL = "bad label"
    USAGE = "unknown usage"
    FIELDS = "wrong number of fields"
    TRUNCATED = "truncated"
    IMAGE = "undecodable image"
    NO_CLASS = "no class"
    UNKNOWN_CLASS = "unknown class"
    EMPTY_CLASS = "empty class"
    VOTES = "bad votes"


@dataclass(frozen=True)
class Problem:
    """One bad row.

    Attributes:
        kind: what is wrong.
        file: the file or folder, beginning with the source's own name.
        row: the line of a CSV file (its header is line 1) or the row of a Parquet file (from 0);
            None where a whole file or folder is meant.
        text: what was found and what was expected.
        count: how many rows or images it costs.
    """

    kind: Kind
    file: str
    row: int | None
    text: str
    count: int = 1

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}:{self.row}"
        return f"{place}: {self.text}"


@dataclass
class Problems:
    """The bad rows found so far, in the order in which they were found."""

    found: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)

    def add(self, kind: Kind, file: str, row: int | None, text: str, *, count: int = 1) -> None:
        """Take note of one bad row; the fields are those of `Problem`."""
        self.found.append(Problem(kind, file, row, text, count))

    def in_order(self) -> list[Problem]:
        """Return the problems by file, in the order in which files were read, and row."""
        place: dict[str, int] = {}
        for problem in self.found:
            place.setdefault(problem.file, len(place))
        return sorted(self.found, key=lambda p: (place[p.file], -1 if p.row is None else p.row))

    def counts(self) -> dict[str, int]:
        """Return how many rows or images are bad, by kind, the most frequent kind first."""
        counter: Counter[str] = Counter()
        for problem in self.found:
            counter[problem.kind.value] += problem.count
        return dict(counter.most_common())

    def to_json(self) -> dict[str, Any]:
        """Return the counts and every problem as plain JSON values."""
        return {
            "counts": self.counts(),
            "problems": [asdict(problem) for problem in self.in_order()],
        }


class BadRowsError(MienError):
    """A source has bad rows; the message lists the first `SHOWN`, `problems` holds all."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        lines = [f"  {problem}" for problem in problems.in_order()[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"  … and {len(problems) - SHOWN:,} more (--json lists all)")
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in problems.counts().items())
        super().__init__(
            f"the source has bad rows ({kinds}); nothing was written\n" + "\n".join(lines),
            hint="mend them, or go on without them: --skip-bad",
        )
