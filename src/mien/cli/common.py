"""What all verbs share: where output goes, progress bars, and the options that every verb has."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from mien.errors import MienError, missing_extra
from mien.progress import Progress, silent

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """Results to standard output; notes, warnings, errors and bars to standard error."""

    verbosity: int = 0  # -1 quiet, 0 normal, 1 verbose

    def result(self, text: str) -> None:
        """Print a result."""
        click.echo(text)

    def json(self, value: object) -> None:
        """Print a result as JSON."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1
    ) -> None:
        """Print a result as a table; the first `texts` columns are text, the others numbers."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index < texts else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            # Piped output is not cut to an assumed width.
            unlimited = console.options.update(width=10_000)
            console.width = max(console.measure(table, options=unlimited).maximum, 20)
        console.print(table)

    def note(self, text: str) -> None:
        """Say something that helps, unless `--quiet` was given."""
        if self.verbosity >= 0:
            click.echo(text, err=True)

    def detail(self, text: str) -> None:
        """Say something that only `--verbose` asks for."""
        if self.verbosity > 0:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Warn; quiet or not."""
        click.echo(click.style("warning: ", fg="yellow") + text, err=True)

    def error(self, error: MienError) -> None:
        """Print an error and, below it, how to mend it."""
        click.echo(click.style("error: ", fg="red") + error.message, err=True)
        if error.hint:
            click.echo(click.style("hint: ", fg="cyan") + error.hint, err=True)

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Give a `Progress` that draws a bar on standard error, if that is a terminal."""
        if self.verbosity < 0 or not sys.stderr.isatty():
            yield silent
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(title, total=None)

            def report(done: int, total: int | None) -> None:
                bars.update(task, completed=done, total=total)

            yield report


def verb_options(function: _Function) -> _Function:
    """Add `--quiet` and `--verbose` to a verb and pass it an `Output` as its first argument."""

    @click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more about what is done.")
    @functools.wraps(function)
    def verb(*arguments: Any, quiet: bool, verbose: bool, **options: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose exclude each other")
        return function(Output(verbosity=int(verbose) - int(quiet)), *arguments, **options)

    return verb  # type: ignore[return-value]


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")

# What each extra's packages are imported as, in the order of pyproject.toml.
_EXTRA_PACKAGES = {
    "train": (
        *("filelock", "h5py", "jinja2", "lightning_fabric", "markupsafe", "matplotlib", "onnx"),
        *("onnxscript", "pyarrow", "pydantic", "safetensors", "skimage", "sklearn", "scipy"),
        *("tomli_w", "torch"),
    ),
    "serve": ("fastapi", "prometheus_client", "python_multipart", "uvicorn"),
}


def needs(what: str, extra: str) -> None:
    """Refuse a verb whose optional dependencies are not installed.

    Raises:
        MienError: naming the extra to install.
    """
    if any(importlib.util.find_spec(package) is None for package in _EXTRA_PACKAGES[extra]):
        raise missing_extra(what, extra)


def check_picture_name(path: Path) -> None:
    """Refuse a name by which no picture's format can be chosen, before the work is done.

    Raises:
        MienError: the name does not end in .png, .jpg, .jpeg or .webp.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise MienError(
            f"{path}: no picture's format has the suffix {path.suffix!r}",
            hint="name it .png, .jpg or .webp",
        )
