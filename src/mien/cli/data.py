"""`mien data`: prepare data sets, mix them and describe them; to audit them is a module apart."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, verb_options
from mien.cli.data_audit import audit
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.data.cache import Dataset
    from mien.data.prepare import Prepared

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(short_help="Prepare FER2013 and other data sets, mix, describe and audit them.")
def data() -> None:
    """Prepare FER2013 and other data sets, mix them, describe and audit them."""


data.add_command(audit)


@data.command(short_help="Read FER2013 or another data set in any of its forms.")
@click.argument(
    "sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", required=True, type=_FOLDER, help="The new data set's folder.")
@click.option(
    "--size",
    type=click.IntRange(8, 1024),
    metavar="N",
    help="Make all images N×N pixels; by default they keep their size, which must be one.",
)
@click.option("--color", is_flag=True, help="Keep three channels (RGB) instead of gray.")
@click.option("--skip-bad", is_flag=True, help="Leave bad rows out instead of stopping.")
@click.option(
    "--seven-only",
    is_flag=True,
    help="Stop where images are of another class than the seven (contempt, none, …) instead of "
    "leaving these out.",
)
@click.option(
    "--exclude",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Leave out the images that an exclusion list names (see mien data audit).",
)
@click.option(
    "--peak-frames",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="Of a CK+ sequence, how many of the last frames are taken (3 is usual, too).",
)
@click.option(
    "--validation-subjects",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Of CK+ and JAFFE, which have no splits, the share of people whose images are for "
    "validation.",
)
@json_option
@verb_options
def prepare(
    output: Output,
    sources: tuple[Path, ...],
    out: Path,
    size: int | None,
    color: bool,
    skip_bad: bool,
    seven_only: bool,
    exclude: tuple[Path, ...],
    peak_frames: int,
    validation_subjects: float,
    as_json: bool,
) -> None:
    """Read SOURCEs, whose form is recognized, and write a data set to a new folder.

    A SOURCE is a file, or a folder that is searched:

    \b
      fer2013.csv, icml_face_data.csv   the official tables
      train.csv, test.csv               the contest's tables
      train/happy/1.jpg, happy/1.jpg    images in folders named after emotions and splits
      train-00000-of-00002.parquet      Parquet with images, as Hugging Face writes it
      CK+                               its folders cohn-kanade-images and Emotion (and Landmarks,
                                        by which faces are cut out), CK+48, or ckextended.csv
      JAFFE                             KA.AN1.39.tiff …
      RAF-DB                            list_patition_label.txt and Image/, or train/1 to 7
      AffectNet                         training.csv, validation.csv and images; images/ and
                                        annotations/0_exp.npy; or train/0 to 7
      fer2013new.csv                    FER+'s votes, joined row by row to one of the tables

    The images of classes that FER2013 lacks (contempt) are left out, and it is said how many.

    All bad rows are named with file and row, and nothing is written, unless --skip-bad is given.
    The row of a CSV file is its line (the header is line 1), of a Parquet file it counts from 0.

    \b
    Examples:
      mien data prepare fer2013.csv --out data/fer2013
      mien data prepare fer2013.csv fer2013new.csv --out data/ferplus
      mien data prepare archive/train archive/test --out data/fer2013
      mien data prepare RAF-DB/ --size 48 --out data/rafdb
      mien data prepare CK+/ --size 48 --peak-frames 3 --out data/ckplus
      mien data prepare jaffe/ --size 48 --validation-subjects 0.2 --out data/jaffe
      mien data prepare fer2013.csv --exclude audit/exclude.csv --out data/clean
    """
    from mien.data.form import Form
    from mien.data.prepare import prepare as run
    from mien.data.problems import BadRowsError
    from mien.data.readers.base import Options

    try:
        with output.progress("reading") as progress:
            prepared = run(
                sources,
                out,
                form=Form(size=size, color=color),
                options=Options(peak_frames, validation_subjects),
                skip_bad=skip_bad,
                seven_only=seven_only,
                exclude=exclude,
                progress=progress,
            )
    except BadRowsError as error:
        if as_json:
            output.json(error.problems.to_json())
        raise
    _present(output, out, prepared, as_json)


def _present(output: Output, out: Path, prepared: Prepared, as_json: bool) -> None:
    """Print what was read, what was left out, and what else there is to know."""
    from mien.data.describe import class_table, votes_summaries

    dataset, skipped = prepared.dataset, prepared.skipped
    if as_json:
        output.json(
            {
                "out": str(out),
                "checksum": dataset.checksum,
                "size": list(dataset.size),
                "color": dataset.color,
                "votes": dataset.votes is not None,
                "splits": _split_sizes(dataset),
                "provenance": dataset.provenance,
                "skipped": skipped.to_json(),
                "left_out": dict(prepared.left_out),
                "excluded": prepared.excluded,
                "notes": list(prepared.notes),
            }
        )
        return
    output.table(*class_table(dataset))
    if skipped:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in skipped.counts().items())
        output.warn(f"bad rows were left out: {kinds}")
        for problem in skipped.in_order():
            output.detail(str(problem))
    if prepared.left_out:
        classes = ", ".join(f"{name} {count:,}" for name, count in prepared.left_out.items())
        output.note(f"left out, because FER2013 has no such class: {classes}")
    if prepared.excluded:
        output.note(f"left out, because an exclusion list names them: {prepared.excluded:,}")
    for note in prepared.notes:
        output.note(note)
    output.note(_summary(out, dataset))
    for split, votes in votes_summaries(dataset).items():
        output.note(votes.line(split))


def _split_sizes(dataset: Dataset) -> dict[str, int]:
    return {split: len(dataset.indices(split)) for split in dataset.split_names}


def _summary(out: Path, dataset: Dataset) -> str:
    height, width = dataset.size
    channels = "color" if dataset.color else "gray"
    return f"{out}: {len(dataset):,} images, {width}×{height}, {channels}"


@data.command(short_help="Make one data set of several, without leaks into what is measured.")
@click.argument("main", metavar="[NAME=]DIR")
@click.argument("others", metavar="[NAME=]DIR...", nargs=-1, required=True)
@click.option("--out", required=True, type=_FOLDER, help="The mixed data set's folder.")
@click.option(
    "--keep-duplicates", is_flag=True, help="List the duplicates, but leave none of them out."
)
@json_option
@verb_options
def mix(
    output: Output,
    main: str,
    others: tuple[str, ...],
    out: Path,
    keep_duplicates: bool,
    as_json: bool,
) -> None:
    """Mix prepared data sets (see mien data prepare) for a training on all of them.

    The first DIR is the main one, whose splits keep their names. Of the others, the training split
    is added to it, and the remaining splits are named after them (test-rafdb), so that they are
    measured apart: mien evaluate RUN --data OUT --split test-rafdb. NAME is by default the
    folder's; recipes weigh sources by it (training.source_weights).

    Images for training that show the same as an image of another source's remaining splits, be it
    brighter, mirrored, cut or encoded otherwise, are left out, except the main one's own.
    Duplicates within a source are counted but stay: FER2013's test split has 288 images that are
    in its training split, too, and the published figures include them. All are listed in
    OUT/duplicates.csv.

    \b
    Examples:
      mien data mix data/fer2013 ck=data/ckplus data/jaffe --out data/mixed
      mien data mix data/fer2013 data/rafdb --out data/mixed --keep-duplicates
    """
    from mien.data.cache import load
    from mien.data.describe import class_table
    from mien.data.leaks import count_leaks
    from mien.data.mix import LIST
    from mien.data.mix import mix as run

    sources: dict[str, Dataset] = {}
    for source in (main, *others):
        name, folder = _name_and_folder(source)
        if name in sources:
            raise MienError(
                f"two data sets are called {name!r}", hint="give one another name: NAME=DIR"
            )
        sources[name] = load(folder)
    with output.progress("comparing") as progress:
        mixed = run(sources, out, keep_duplicates=keep_duplicates, progress=progress)
    counts = count_leaks(mixed.leaks)
    if as_json:
        output.json(
            {
                "out": str(out),
                "checksum": mixed.dataset.checksum,
                "sources": list(mixed.dataset.source_names),
                "splits": _split_sizes(mixed.dataset),
                "duplicates": [asdict(count) for count in counts],
                "list": str(out / LIST),
            }
        )
        return
    output.table(*class_table(mixed.dataset))
    output.table(
        ("training images of", "that occur in", "exactly", "nearly", "images hit", "left out"),
        [
            (
                *(count.source, count.measured),
                *map(str, (count.exact, count.near, count.hit, count.left_out)),
            )
            for count in counts
        ],
        texts=2,
    )
    output.note(f"duplicates are listed in {out / LIST}")
    output.note(_summary(out, mixed.dataset))


def _name_and_folder(source: str) -> tuple[str, Path]:
    """Take `NAME=DIR` apart; without a name it is the folder's, in lower case with hyphens."""
    name, found, folder = source.partition("=")
    if found and re.fullmatch(r"[\w-]+", name):
        return name, Path(folder)
    plain = re.sub(r"[^a-z0-9]+", "-", Path(source).resolve().name.lower()).strip("-")
    return plain or "source", Path(source)


@data.command(short_help="Count classes and duplicates, and draw contact sheets.")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--out", type=_FOLDER, help="Write a contact sheet per class (PNG) to this folder.")
@json_option
@verb_options
def describe(output: Output, folder: Path, out: Path | None, as_json: bool) -> None:
    """Say what the prepared data set DIR holds.

    Prints how many images each class has in each split, statistics of the pixels, blank images,
    images that are equal in every pixel (within a split and across splits), and how far FER+'s
    votes agree with the labels.

    \b
    Examples:
      mien data describe data/fer2013
      mien data describe data/fer2013 --out sheets/
      mien data describe data/fer2013 --json
    """
    from mien.data.cache import load
    from mien.data.describe import class_table
    from mien.data.describe import describe as run
    from mien.data.sheets import write_sheets

    dataset = load(folder)
    with output.progress("reading") as progress:
        description = run(dataset, progress)
    sheets = write_sheets(dataset, out) if out is not None else []
    if as_json:
        output.json(description.to_json() | {"sheets": [str(sheet) for sheet in sheets]})
    else:
        output.table(*class_table(dataset))
        output.result("\n".join(description.lines()))
        if out is not None:
            output.note(f"{len(sheets)} contact sheets in {out}")
