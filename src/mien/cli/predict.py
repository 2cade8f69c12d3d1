"""`mien predict`: the emotions of the faces in pictures, as table, JSON, CSV and pictures."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, verb_options
from mien.cli.faces import face_options
from mien.cli.sinks import Sink, json_lines, needs_pyarrow, parquet_option, tables
from mien.errors import ExitStatus
from mien.files import atomic_path

if TYPE_CHECKING:
    from mien.cli.jobs import Job, Scope
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.results import Picture


@click.command(
    short_help="Find the faces in photos and read their emotions.",
    epilog="""\b
Examples:
  mien predict photo.jpg
  mien predict --sample --annotate out     a photo that comes with mien
  mien predict holiday/ *.png --csv faces.csv --parquet faces.parquet
  mien predict 'photos/**/*.jpg'           in quotes: mien looks for it, not the shell
  curl -s https://example.org/a.jpg | mien predict -
  find . -newer last -name '*.jpg' -print0 | mien predict --from - --jsonl -
  mien predict photo.jpg --json | jq '.[].faces[].emotion'
  mien predict group.jpg --min-size 40 --min-confidence 0.8 --detector yunet
  mien predict archive/ --jsonl faces.jsonl --resume --csv faces.csv
  mien predict crops/ --no-detect          each picture is one face already""",
)
@click.argument("sources", metavar="PHOTO|FOLDER|PATTERN|-...", nargs=-1)
@click.option(
    "--sample",
    is_flag=True,
    help="Also take a photo that comes with mien: NASA's portrait of the astronaut Eileen Collins, "
    "which is in the public domain.",
)
@click.option(
    "--from",
    "list_file",
    metavar="FILE|-",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Also take the sources in a list: one a line, or as find -print0 writes them.",
)
@click.option(
    "--allow-urls",
    "scope",
    type=click.Choice(["public", "any"]),
    help="Let a source be a URL (http or https, up to 50 MB, 20 s): of the internet alone, or also "
    "of this machine and its local network. Without this option nothing is fetched.",
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
@parquet_option
@click.option(
    "--jsonl",
    "jsonl_file",
    metavar="FILE|-",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Append each result to FILE as a line of JSON as soon as it is there, and print none: for "
    "very many pictures. - prints the lines instead.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the --jsonl file of a job that was stopped; what is in it is not done again. "
    "Tables are then of the whole file.",
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
    list_file: str | None,
    scope: Scope | None,
    recognizer: Callable[..., Recognizer],
    no_detect: bool,
    csv_file: Path | None,
    parquet_file: Path | None,
    jsonl_file: Path | None,
    resume: bool,
    annotated: Path | None,
    as_json: bool,
) -> int:
    """Find the faces in photos and say which of seven emotions they express.

    A FOLDER is searched for pictures, with all folders in it; a PATTERN may have *, ?, [a-z] and **
    for folders at any depth; - is one picture from standard input. Boxes are x, y, width, height in
    pixels of the picture as a viewer shows it.

    Every picture gets a status: 'ok' (it has faces), 'no_face', or 'unreadable', with the reason.
    One that is unreadable does not stop the others; the exit status is then 1. That no face was
    found is a result, and no error.

    A question mark marks an uncertain emotion (--uncertain-below); "quality" says what makes a
    face hard to read: small, blurred, dark.
    """
    from mien.cli.jobs import find_jobs
    from mien.recognition.bundled import SAMPLE
    from mien.recognition.journal import results
    from mien.recognition.sources import STANDARD_INPUT
    from mien.recognition.tables import COLUMNS

    if not sources and not sample and list_file is None:
        raise click.UsageError("name a photo or a folder, or try --sample")
    printed = jsonl_file == Path("-")
    if jsonl_file is not None and as_json:
        raise click.UsageError("--jsonl keeps no results for --json")
    if resume and (jsonl_file is None or printed):
        raise click.UsageError("--resume goes on with a --jsonl file; name it")
    if resume and STANDARD_INPUT in sources:
        raise click.UsageError("--resume cannot know a picture from standard input; name files")
    if parquet_file is not None:
        needs_pyarrow()
    # Pillow warns of large and of slightly damaged pictures; what matters becomes a reason.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    named = [*sources, *([str(SAMPLE)] if sample else [])]
    jobs = find_jobs(named, list_file, scope, annotated)
    if not jobs:
        output.note("there are no pictures in " + ", ".join([*sources, *filter(None, [list_file])]))
    faces = recognizer(output, search=not no_detect)

    def recognized(jobs: Sequence[Job]) -> Iterator[Picture]:
        return _recognized(output, faces, jobs, detect=not no_detect)

    written = functools.partial(tables, csv_file, parquet_file, COLUMNS)
    if printed:
        with json_lines(None) as line, written() as row:
            statuses = _hand_on(recognized(jobs), line, row)
        _note(output, statuses)
    elif jsonl_file is not None:
        statuses = _to_journal(output, recognized, jobs, jsonl_file, resume)
        _note(output, statuses)
        if csv_file is not None or parquet_file is not None:
            with written() as row:
                _hand_on(results(jsonl_file), row)
    else:
        pictures = list(recognized(jobs))
        if as_json:
            output.json([picture.to_dict() for picture in pictures])
        else:
            _print(output, pictures)
        with written() as row:
            statuses = _hand_on(pictures, row)
    return ExitStatus.FAILURE if statuses["unreadable"] else ExitStatus.OK


def _hand_on(pictures: Iterable[Picture], *sinks: Sink) -> Counter[str]:
    """Give each result to all sinks; return how many have which status."""
    statuses: Counter[str] = Counter()
    for picture in pictures:
        for sink in sinks:
            sink(picture)
        statuses[picture.status] += 1
    return statuses


def _recognized(
    output: Output, recognizer: Recognizer, jobs: Sequence[Job], *, detect: bool
) -> Iterator[Picture]:
    """Yield the result of each job, after its annotated copy is written."""
    from mien.recognition.recognizer import cores

    sources = (job.source() for job in jobs)
    with output.progress("recognizing") as progress:
        results = recognizer.analyze_many(sources, detect=detect, workers=cores())
        for done, (found, job) in enumerate(zip(results, jobs, strict=True), 1):
            picture = replace(found, image=job.entry.label)
            content = job.take()  # of an unreadable one too, or they would pile up
            if job.target is not None and picture.status != "unreadable":
                _annotate(picture, content, job.target)
            yield picture
            progress(done, len(jobs))


def _to_journal(
    output: Output,
    recognized: Callable[[Sequence[Job]], Iterator[Picture]],
    jobs: Sequence[Job],
    file: Path,
    resume: bool,
) -> Counter[str]:
    """Append the results that the file lacks; return how many it has of which status."""
    from mien.recognition.journal import Journal

    with Journal(file, resume=resume) as journal:
        left = [job for job in jobs if job.entry.label not in journal.done]
        if len(left) < len(jobs):
            output.note(f"{len(jobs) - len(left)} pictures are in {file} already")
        _hand_on(recognized(left), journal.add)
        return journal.statuses


def _annotate(picture: Picture, source: str | bytes, target: Path) -> None:
    from mien.images.decode import decode
    from mien.recognition.annotate import LARGEST_SIDE, annotate

    pixels = decode(source, side=LARGEST_SIDE).pixels
    with atomic_path(target) as temporary:
        annotate(pixels, picture).save(temporary)


def _note(output: Output, statuses: Counter[str], faces: str = "") -> None:
    output.note(
        f"{statuses.total()} pictures{faces}; without a face: {statuses['no_face']}, "
        f"unreadable: {statuses['unreadable']}"
    )


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
    if len(pictures) > 1:
        faces = sum(len(picture.faces) for picture in pictures)
        _note(output, Counter(picture.status for picture in pictures), f", {faces} faces")
