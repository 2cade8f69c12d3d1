"""`mien data`: prepare data sets and describe them."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli.common import Output, json_option, verb_options

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(short_help="Prepare FER2013 and other data sets, and describe them.")
def data() -> None:
    """Prepare FER2013 and other data sets, and describe them."""


@data.command(short_help="Read FER2013 in any of its forms into a data set.")
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
@json_option
@verb_options
def prepare(
    output: Output,
    sources: tuple[Path, ...],
    out: Path,
    size: int | None,
    color: bool,
    skip_bad: bool,
    as_json: bool,
) -> None:
    """Read SOURCEs, whose form is recognized, and write a data set to a new folder.

    A SOURCE is a file, or a folder that is searched:

    \b
      fer2013.csv, icml_face_data.csv   the official tables
      train.csv, test.csv               the contest's tables
      train/happy/1.jpg, happy/1.jpg    images in folders named after emotions and splits
      train-00000-of-00002.parquet      Parquet with images, as Hugging Face writes it
      fer2013new.csv                    FER+'s votes, joined row by row to one of the tables

    All bad rows are named with file and row, and nothing is written, unless --skip-bad is given.
    The row of a CSV file is its line (the header is line 1), of a Parquet file it counts from 0.

    \b
    Examples:
      mien data prepare fer2013.csv --out data/fer2013
      mien data prepare fer2013.csv fer2013new.csv --out data/ferplus
      mien data prepare archive/train archive/test --out data/fer2013
      mien data prepare rafdb/ --size 100 --color --out data/rafdb
    """
    from mien.data.describe import class_table, votes_summaries
    from mien.data.form import Form
    from mien.data.prepare import prepare as run
    from mien.data.problems import BadRowsError

    try:
        with output.progress("reading") as progress:
            prepared = run(
                sources,
                out,
                form=Form(size=size, color=color),
                skip_bad=skip_bad,
                progress=progress,
            )
    except BadRowsError as error:
        if as_json:
            output.json(error.problems.to_json())
        raise
    dataset, skipped = prepared.dataset, prepared.skipped
    if as_json:
        splits = {split: len(dataset.indices(split)) for split in dataset.split_names}
        output.json(
            {
                "out": str(out),
                "checksum": dataset.checksum,
                "size": list(dataset.size),
                "color": dataset.color,
                "votes": dataset.votes is not None,
                "splits": splits,
                "provenance": dataset.provenance,
                "skipped": skipped.to_json(),
            }
        )
        return
    output.table(*class_table(dataset))
    if skipped:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in skipped.counts().items())
        output.warn(f"bad rows were left out: {kinds}")
        for problem in skipped.in_order():
            output.detail(str(problem))
    height, width = dataset.size
    channels = "color" if dataset.color else "gray"
    output.note(f"{out}: {len(dataset):,} images, {width}×{height}, {channels}")
    for split, votes in votes_summaries(dataset).items():
        output.note(votes.line(split))


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
