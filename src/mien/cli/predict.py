"""`mien predict`: the emotions of the faces in pictures, as table, JSON, CSV and pictures."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from mien.cli.common import Output, json_option, verb_options
from mien.cli.faces import face_options
from mien.errors import ExitStatus

if TYPE_CHECKING:
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.results import Picture


_Job: TypeAlias = "tuple[str, Path | None]"  # a picture, and where its annotated copy goes


@click.command(
    short_help="Find the faces in photos and read their emotions.",
    epilog="""\b
Examples:
  mien predict photo.jpg
  mien predict --sample --annotate out     a photo that comes with mien
  mien predict holiday/ *.png --csv faces.csv
  mien predict photo.jpg --json | jq '.[].faces[].emotion'
  mien predict group.jpg --min-size 40 --min-confidence 0.8 --detector yunet
  mien predict archive/ --jsonl faces.jsonl --resume
  mien predict crops/ --no-detect          each picture is one face already""",
)
@click.argument("sources", metavar="PHOTO|FOLDER...", nargs=-1)
@click.option(
    "--sample",
    is_flag=True,
    help="Also take a photo that comes with mien: NASA's portrait of the astronaut Eileen Collins, "
    "which is in the public domain.",
)
@face_options
@click.option(
    "--no-detect",
    is_flag=True,
    help="Take every picture as one face, cut out already; nothing is searched for.",
)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a table with a row for every face, or for a picture without one.",
)
@click.option(
    "--jsonl",
    "jsonl_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append each result to FILE as a line of JSON as soon as it is there, and print none: for "
    "very many pictures.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the --jsonl file of a job that was stopped; what is in it is not done again.",
)
@click.option(
    "--annotate",
    "annotated",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw boxes and bars: DIR/NAME-faces.png for each picture, in folders as the sources are.",
)
@json_option
@verb_options
def predict(
    output: Output,
    sources: tuple[str, ...],
    sample: bool,
    recognizer: Callable[..., Recognizer],
    no_detect: bool,
    csv_file: Path | None,
    jsonl_file: Path | None,
    resume: bool,
    annotated: Path | None,
    as_json: bool,
) -> int:
    """Find the faces in photos and say which of seven emotions they express.

    A FOLDER is searched for pictures, with all folders in it. Boxes are x, y, width, height in
    pixels of the picture as a viewer shows it.

    Every picture gets a status: 'ok' (it has faces), 'no_face', or 'unreadable', with the reason.
    One that is unreadable does not stop the others; the exit status is then 1. That no face was
    found is a result, and no error.

    A question mark marks an uncertain emotion (--uncertain-below); "quality" says what makes a
    face hard to read: small, blurred, dark.
    """
    from mien.recognition.bundled import SAMPLE
    from mien.recognition.sources import annotated_files, find_pictures

    if not sources and not sample:
        raise click.UsageError("name a photo or a folder, or try --sample")
    if jsonl_file is not None and (as_json or csv_file is not None):
        raise click.UsageError("--jsonl keeps no results for --json or --csv")
    if resume and jsonl_file is None:
        raise click.UsageError("--resume goes on with a --jsonl file; name it")
    # Pillow warns of large and of slightly damaged pictures; what matters becomes a reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    entries = find_pictures([*sources, *([str(SAMPLE)] if sample else [])])
    targets = annotated_files(entries, annotated) if annotated is not None else []
    if not entries:
        output.note("there are no pictures in " + ", ".join(sources))
    jobs = [(str(entry.path), target) for entry, target in zip_longest(entries, targets)]
    faces = recognizer(output, search=not no_detect)
    if jsonl_file is not None:
        statuses = _to_journal(output, faces, jobs, jsonl_file, resume, detect=not no_detect)
        return ExitStatus.FAILURE if statuses["unreadable"] else ExitStatus.OK
    pictures = list(_recognized(output, faces, jobs, detect=not no_detect))
    if as_json:
        output.json([picture.to_dict() for picture in pictures])
    else:
        _print(output, pictures)
    if csv_file is not None:
        _write_csv(pictures, csv_file)
    unreadable = any(picture.status == "unreadable" for picture in pictures)
    return ExitStatus.FAILURE if unreadable else ExitStatus.OK


def _recognized(
    output: Output, recognizer: Recognizer, jobs: Sequence[_Job], *, detect: bool
) -> Iterator[Picture]:
    """Yield the result of each job, after its annotated copy is written."""
    paths = [path for path, _ in jobs]
    with output.progress("recognizing") as progress:
        results = recognizer.analyze_many(paths, detect=detect, workers=_cores())
        for done, (picture, (_, target)) in enumerate(zip(results, jobs, strict=True), 1):
            if target is not None and picture.status != "unreadable":
                _annotate(picture, target)
            yield picture
            progress(done, len(jobs))


def _to_journal(
    output: Output,
    recognizer: Recognizer,
    jobs: Sequence[_Job],
    file: Path,
    resume: bool,
    *,
    detect: bool,
) -> Counter[str]:
    """Append the results that the file lacks; return how many it has of which status."""
    from mien.recognition.journal import Journal

    with Journal(file, resume=resume) as journal:
        left = [job for job in jobs if job[0] not in journal.done]
        if len(left) < len(jobs):
            output.note(f"{len(jobs) - len(left)} pictures are in {file} already")
        for picture in _recognized(output, recognizer, left, detect=detect):
            journal.add(picture)
        statuses = journal.statuses
    output.note(
        f"{statuses.total()} pictures; without a face: {statuses['no_face']}, "
        f"unreadable: {statuses['unreadable']}"
    )
    return statuses


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _annotate(picture: Picture, target: Path) -> None:
    from mien.files import atomic_path
    from mien.images.decode import decode
    from mien.recognition.annotate import LARGEST_SIDE, annotate

    pixels = decode(picture.image, side=LARGEST_SIDE).pixels
    with atomic_path(target) as temporary:
        annotate(pixels, picture).save(temporary)


def _write_csv(pictures: Sequence[Picture], file: Path) -> None:
    import csv

    from mien.files import atomic_path
    from mien.recognition.tables import COLUMNS, rows

    # A file's name need not be text, so what is none is written as an escape.
    with (
        atomic_path(file) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as out,
    ):
        writer = csv.DictWriter(out, COLUMNS, restval="")
        writer.writeheader()
        for picture in pictures:
            writer.writerows(rows(picture))


def _print(output: Output, pictures: Sequence[Picture]) -> None:
    rows = []
    for picture in pictures:
        if not picture.faces:
            rows.append((picture.image, "", "", picture.reason or "no face", "", "", ""))
        for number, face in enumerate(picture.faces, 1):
            box = ", ".join(str(value) for value in face.box)
            second = sorted(face.scores, key=face.scores.__getitem__)[-2]
            rows.append(
                (
                    picture.image if number == 1 else "",
                    str(number),
                    box,
                    f"{face.emotion}?" if face.uncertain else face.emotion,
                    f"{face.confidence:.0%}",
                    f"{second} {face.scores[second]:.0%}",
                    " ".join(face.quality),
                )
            )
    if not pictures:
        return
    columns = ("picture", "face", "box", "emotion", "confidence", "next", "quality")
    output.table(columns, rows)
    statuses = [picture.status for picture in pictures]
    if len(pictures) > 1:
        faces = sum(len(picture.faces) for picture in pictures)
        output.note(
            f"{len(pictures)} pictures, {faces} faces; without a face: "
            f"{statuses.count('no_face')}, unreadable: {statuses.count('unreadable')}"
        )
