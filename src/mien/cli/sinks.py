"""Where results go while they come: CSV, Parquet and lines of JSON, whole or not there at all."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from mien.errors import MienError
from mien.files import atomic_path

if TYPE_CHECKING:
    from mien.recognition.results import Picture

Sink: TypeAlias = "Callable[[Picture], None]"
"""Takes one result after the other."""

parquet_option = click.option(
    "--parquet",
    "parquet_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the same table as Parquet; needs pyarrow.",
)

_ROWS_AT_ONCE = 4096  # that a Parquet file gets together


def needs_pyarrow() -> None:
    """Refuse to write Parquet where pyarrow is not installed.

    Raises:
        MienError: it is not.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MienError("--parquet needs pyarrow", hint="install it with: pip install pyarrow")


@contextlib.contextmanager
def tables(
    csv_file: Path | None, parquet_file: Path | None, columns: Sequence[str]
) -> Iterator[Sink]:
    """Give a sink that writes a row for each face, or for what has none, to the files there are.

    Raises:
        MienError: a Parquet file is asked for and pyarrow is not installed.
    """
    with contextlib.ExitStack() as stack:
        sinks: list[Sink] = []
        if csv_file is not None:
            sinks.append(stack.enter_context(_csv(csv_file, columns)))
        if parquet_file is not None:
            sinks.append(stack.enter_context(_parquet(parquet_file, columns)))

        def add(picture: Picture) -> None:
            for sink in sinks:
                sink(picture)

        yield add


@contextlib.contextmanager
def _csv(file: Path, columns: Sequence[str]) -> Iterator[Sink]:
    import csv

    from mien.recognition.tables import rows

    # A file's name need not be text, so what is none is written as an escape.
    with (
        atomic_path(file) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as out,
    ):
        writer = csv.DictWriter(out, columns, restval="")
        writer.writeheader()
        yield lambda picture: writer.writerows(rows(picture))


@contextlib.contextmanager
def _parquet(file: Path, columns: Sequence[str]) -> Iterator[Sink]:
    needs_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mien.recognition.tables import INTEGERS, TEXTS, rows

    def kind(column: str) -> Any:
        if column in TEXTS:
            return pa.string()
        return pa.int64() if column in INTEGERS else pa.float64()

    schema = pa.schema([(column, kind(column)) for column in columns])
    waiting: list[dict[str, Any]] = []
    with atomic_path(file) as temporary, pq.ParquetWriter(temporary, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema))
            waiting.clear()

        def add(picture: Picture) -> None:
            waiting.extend(
                {name: _text(value) for name, value in row.items()} for row in rows(picture)
            )
            if len(waiting) >= _ROWS_AT_ONCE:
                flush()

        yield add
        flush()


@contextlib.contextmanager
def json_lines(file: Path | None) -> Iterator[Sink]:
    """Give a sink that writes a line for each result to a file, or prints it."""

    def line(picture: Picture) -> str:
        return json.dumps(picture.to_dict(), ensure_ascii=False)

    if file is None:
        yield lambda picture: click.echo(line(picture))
        return
    with (
        atomic_path(file) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace") as out,
    ):
        yield lambda picture: print(line(picture), file=out)


def _text(value: Any) -> Any:
    """Return a value as Parquet can hold it: a text with what is none as an escape."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
