"""`mien video`: faces and their emotions over a video or a camera's stream."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.cli.faces import face_options
from mien.cli.sinks import json_lines, needs_pyarrow, parquet_option, tables
from mien.errors import ExitStatus

if TYPE_CHECKING:
    from mien.recognition.recognizer import Recognizer
    from mien.recognition.results import Frame
    from mien.recognition.stream import VideoStream
    from mien.recognition.timeline import Timeline

_Sink = Callable[["Frame"], None]


@click.command(
    short_help="Follow the faces of a video and read their emotions over time.",
    epilog="""\b
Examples:
  mien video talk.mp4                                 a table of who is seen and how
  mien video talk.mp4 --csv faces.csv --timeline talk.png --annotate talk-faces.mp4
  mien video talk.mp4 --every 5 --smooth 1            each fifth frame, smoother
  mien video 0 --seconds 60 --jsonl -                 the first camera for a minute, as lines
  mien video 0 --live                                 look at it in the browser
  mien video talk.mp4 --jsonl - | jq 'select(.status == "ok") | .seconds'""",
)
@click.argument("source", metavar="FILE|DEVICE")
@click.option(
    "--every",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Take every n-th frame only.",
)
@click.option(
    "--smooth",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    help="Seconds in which the weight of a face's earlier scores falls to 1/e; 0: no smoothing.",
)
@click.option(
    "--seconds",
    "limit",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop there.",
)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a table with a row for every face of every frame, or for a frame without one.",
)
@parquet_option
@click.option(
    "--jsonl",
    "jsonl_file",
    metavar="FILE|-",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write a line of JSON for every frame; - prints them instead of the table of tracks.",
)
@click.option(
    "--annotate",
    "annotated",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the video with boxes and labels: .mp4, .mkv or .avi, without sound.",
)
@click.option(
    "--timeline",
    "timeline_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the emotions of each track over time, as .png.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Show the frames in a browser on this machine while they are analyzed: open the address "
    "that is printed. A file begins then, and is shown at its own speed.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port of --live; a free one by default.",
)
@face_options
@json_option
@verb_options
def video(
    output: Output,
    source: str,
    every: int,
    smooth: float,
    limit: float | None,
    csv_file: Path | None,
    parquet_file: Path | None,
    jsonl_file: Path | None,
    annotated: Path | None,
    timeline_file: Path | None,
    live: bool,
    port: int,
    recognizer: Callable[..., Recognizer],
    as_json: bool,
) -> int:
    """Find the faces in every frame, follow them over time, and say what they express.

    DEVICE is the number of a camera; Ctrl-C ends it, and all files are then written. The result
    is a table of tracks: a track is a face from when it is first seen until it is gone for a
    second. Nobody is recognized; who comes back is a new track.

    Every frame gets a record with its number, its time by the stream's own timestamps, and a
    status: 'ok' (it has faces), 'no_face', or 'unreadable'. A file that breaks off gives its
    frames up to there, a last record that says so, and the exit status 1.
    """
    from mien.recognition.recognizer import cores
    from mien.recognition.stream import VideoStream
    from mien.recognition.tables import FRAME_COLUMNS
    from mien.recognition.timeline import Timeline
    from mien.recognition.video import SEARCH_SIDE, recognize

    if timeline_file is not None and timeline_file.suffix.lower() != ".png":
        raise click.UsageError("--timeline writes a .png")
    printed = jsonl_file == Path("-")
    if printed and as_json:
        raise click.UsageError("--json and --jsonl - both print; name a file for one of them")
    if parquet_file is not None:
        needs_pyarrow()
    if live:
        needs("--live", "serve")
    timeline = Timeline()
    status = ExitStatus.OK
    with VideoStream(int(source) if source.isdecimal() else source) as stream:
        faces = recognizer(output, default_side=SEARCH_SIDE)
        frames = recognize(
            stream,
            faces,
            every=every,
            smooth=smooth,
            pixels=live or annotated is not None,
            workers=cores(),
        )
        with contextlib.ExitStack() as stack:
            sinks: list[_Sink] = [timeline.add]
            sinks.append(stack.enter_context(tables(csv_file, parquet_file, FRAME_COLUMNS)))
            if jsonl_file is not None:
                sinks.append(stack.enter_context(json_lines(None if printed else jsonl_file)))
            if annotated is not None:
                sinks.append(stack.enter_context(_annotated(annotated, stream.rate / every)))
            address = None
            if live:
                from mien.serving.live import live_view

                view, address = stack.enter_context(live_view(port, paced=not stream.live))
                sinks.append(view.add)
            status = _run(output, stream, frames, sinks, limit, address)
    if timeline_file is not None:
        _draw(timeline, timeline_file)
    if as_json:
        output.json(_summary(source, timeline))
    elif not printed:
        _print(output, timeline)
    return status


def _run(
    output: Output,
    stream: VideoStream,
    frames: Iterator[Frame],
    sinks: list[_Sink],
    limit: float | None,
    address: str | None,
) -> ExitStatus:
    """Hand each frame to all sinks; Ctrl-C ends the frames, not the program."""
    status = ExitStatus.OK
    started, count = time.perf_counter(), 0
    try:
        if address is not None:
            # Without the address there is nothing to see, be it --quiet or not. From when it is
            # told on, Ctrl-C leaves whole files.
            click.echo(f"live view: {address}", err=True)
        with output.progress("recognizing") as progress:
            for frame in frames:
                if limit is not None and frame.seconds >= limit:
                    break
                if frame.status == "unreadable":
                    output.warn(f"{stream.name}: {frame.reason} (at {frame.seconds:.2f} s)")
                    status = ExitStatus.FAILURE
                for sink in sinks:
                    sink(frame)
                count += 1
                progress(frame.index + 1, stream.frames)
    except KeyboardInterrupt:
        # That is how a camera is switched off; of a file something is missing.
        status = ExitStatus.OK if stream.live else ExitStatus.INTERRUPTED
    rate = count / max(time.perf_counter() - started, 1e-9)
    output.detail(f"{count} frames, {rate:.1f} a second")
    return status


@contextlib.contextmanager
def _annotated(file: Path, rate: float) -> Iterator[_Sink]:
    from mien.files import atomic_path
    from mien.recognition.videofile import AnnotatedVideo, check_suffix

    check_suffix(file)
    with atomic_path(file) as temporary:
        made = AnnotatedVideo(temporary, rate)
        try:
            yield made.add
        finally:
            made.close()


def _draw(timeline: Timeline, file: Path) -> None:
    from mien.files import atomic_path

    with atomic_path(file) as temporary:
        timeline.draw().save(temporary)


def _summary(source: str, timeline: Timeline) -> dict[str, object]:
    return {
        "source": source,
        "frames": timeline.frames,
        "with_faces": timeline.with_faces,
        "seconds": timeline.end,
        "tracks": timeline.summary(),
    }


def _print(output: Output, timeline: Timeline) -> None:
    rows = []
    for track in timeline.summary():
        ranked = sorted(track["scores"].items(), key=lambda pair: -pair[1])
        (_, share), (second, next_share) = ranked[:2]
        rows.append(
            (
                str(track["track"]),
                track["emotion"],
                f"{share:.0%}",
                f"{second} {next_share:.0%}",
                f"{track['first']:.2f}",
                f"{track['last']:.2f}",
                str(track["frames"]),
            )
        )
    if rows:
        columns = ("track", "emotion", "mean", "next", "from (s)", "to (s)", "frames")
        output.table(columns, rows, texts=2)
    output.note(
        f"{timeline.frames} frames, {timeline.with_faces} with faces, "
        f"{len(rows)} tracks, {timeline.end:.2f} s"
    )
