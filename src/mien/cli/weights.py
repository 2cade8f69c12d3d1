"""`mien weights`: published weights, what they are, fetching and importing them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.weights.catalog import Entry


@click.group(
    short_help="List, fetch and import published weights.",
    epilog="""\b
Examples:
  mien weights list
  mien weights fetch keras-vggface-resnet50
  mien weights import facenet_keras.h5 --as keras-facenet""",
)
def weights() -> None:
    """List, fetch and import published weights, which a recipe names as model.weights.

    They are kept in the folder "weights" of $MIEN_HOME or, without it, of mien's cache
    (~/.cache/mien on Linux). mien brings none along: each has a license of its own.
    """


@weights.command(
    "list",
    epilog="""\b
Examples:
  mien weights list
  mien weights list --json                 all that is known, licenses and checksums too""",
)
@json_option
@verb_options
def list_(output: Output, as_json: bool) -> None:
    """List the published files that mien knows, and whether they are ready for use."""
    from mien.weights.catalog import catalog, folder

    if as_json:
        output.json([_facts(entry) for entry in catalog().values()])
        return
    output.table(
        ("name", "network", "what it is", "size", "ready"),
        [
            (
                entry.name,
                entry.architecture or "–",
                entry.summary,
                f"{entry.size / 1e6:.1f} MB" if entry.size else "–",
                "yes" if entry.path.is_file() else "no",
            )
            for entry in catalog().values()
        ],
    )
    output.note(f"they are kept in {folder()}")


@weights.command(
    epilog="""\b
Examples:
  mien weights fetch keras-vggface-resnet50
  mien weights fetch yunet --yes           for scripts: the license is taken as read""",
)
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask whether the license is accepted.")
@verb_options
def fetch(output: Output, name: str, yes: bool) -> None:
    """Fetch the published file NAME, check it and make it ready for use.

    Shows the license first. A download that broke is resumed by the same command.
    """
    from mien.weights.catalog import find
    from mien.weights.fetching import fetch as download
    from mien.weights.store import first_seen

    entry = find(name)
    if entry.architecture:
        needs("importing weights", "train")
    if entry.path.is_file():
        output.note(f"{name} is ready: {entry.path}")
        return
    # Quiet or not: nobody accepts what he was not shown.
    click.echo(f"{entry.file}\n{entry.license}", err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise MienError(
                "nobody is there to accept the license", hint="read it, then repeat with --yes"
            )
        click.confirm("Fetch it under these terms?", abort=True, err=True)
    new = not entry.sha256 and first_seen(entry) is None
    with output.progress(name) as progress:
        path = download(entry, progress)
    if new:
        output.note(
            f"no SHA-256 of {entry.file} is published; recorded the one first seen: "
            f"{first_seen(entry)}"
        )
    _import(output, path, entry)


@weights.command(
    "import",
    epilog="""\b
Examples:
  mien weights import facenet_keras.h5 --as keras-facenet
  mien weights import resnet50_ft_weight.pkl --as oxford-resnet50-ft
  mien weights import mine.pt --as facenet-vggface2 --other-file""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", metavar="NAME", required=True, help="What it is (a listed name).")
@click.option(
    "--other-file", is_flag=True, help="Take it although size or SHA-256 on record are others."
)
@verb_options
def import_(output: Output, file: Path, name: str, other_file: bool) -> None:
    """Check the published FILE, downloaded by hand, and make it ready for use.

    Size and SHA-256 are compared with those on record, if there are any (`mien weights list
    --json`), and every array's name and shape is checked. Nothing in the file is executed: a pickle
    that needs more than tensors or NumPy arrays is refused.
    """
    from mien.weights.catalog import find

    _import(output, file, find(name), other_file)


def _import(output: Output, file: Path, entry: Entry, other_file: bool = False) -> None:
    if not entry.architecture:
        from mien.weights.store import keep

        output.result(str(keep(file, entry, other_file=other_file)))
        return
    needs("importing weights", "train")
    from mien.weights.importing import import_file

    output.result(str(import_file(file, entry, other_file=other_file)))


def _facts(entry: Entry) -> dict[str, object]:
    ready = entry.path.is_file()
    return {**asdict(entry), "path": str(entry.path), "ready": ready}
