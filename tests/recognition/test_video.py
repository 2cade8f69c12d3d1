"""Videos made from the sample photo: records, times, tracks, and what breaks off."""

from __future__ import annotations

import csv
import json
import random
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
from mien.images.decode import decode
from mien.recognition.timeline import Timeline
from mien.recognition.videofile import AnnotatedVideo

RATE, SIZE = 10, (320, 240)
HOLE = range(8, 11)  # the frames without a face
Make = Callable[..., Path]


def frame_with_face(index: int) -> np.ndarray:
    """The astronaut, moving to the right; nothing but gray in the `HOLE`. BGR."""
    if index in HOLE:
        return np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    shift = np.array([[0.6, 0, index * 4 - 60], [0, 0.6, 10]])
    photo = decode(mien.SAMPLE).pixels[..., ::-1]
    return cv2.warpAffine(photo, shift, SIZE, borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture(scope="module")
def make_video(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Write a video of so many frames; the suffix chooses the container."""

    def make(name: str, frames: int = 20) -> Path:
        path = tmp_path_factory.mktemp("video") / name
        code = cv2.VideoWriter.fourcc(*("MJPG" if name.endswith("avi") else "mp4v"))
        writer = cv2.VideoWriter(str(path), code, RATE, SIZE)
        assert writer.isOpened()
        for index in range(frames):
            writer.write(frame_with_face(index))
        writer.release()
        return path

    return make


@pytest.fixture(scope="module")
def video(make_video: Make) -> Path:
    return make_video("face.mp4")


def at_the_face(picture: np.ndarray) -> Iterator[tuple[float, ...]]:
    """A fast detector for these videos: the face is where the picture is not one gray."""
    if np.ptp(picture) > 60:
        yield (100.0, 40.0, 60.0, 60.0)


@pytest.fixture
def recognizer(model: Path) -> mien.Recognizer:
    return mien.Recognizer(model, detector=at_the_face)


def test_a_record_for_every_frame(video: Path) -> None:
    recognizer = mien.Recognizer(detector="haar")
    frames = list(mien.analyze_video(video, recognizer))
    assert [frame.index for frame in frames] == list(range(20))
    np.testing.assert_allclose([f.seconds for f in frames], np.arange(20) / RATE, atol=1e-6)
    assert [frame.status for frame in frames] == [
        "no_face" if index in HOLE else "ok" for index in range(20)
    ]
    assert all((frame.width, frame.height) == SIZE for frame in frames)
    # The gap is shorter than a second: it is the same face before and after.
    assert {face.track for frame in frames for face in frame.faces} == {1}
    assert all(face.emotion == "happy" for frame in frames for face in frame.faces)
    xs = [face.box[0] for frame in frames for face in frame.faces]
    assert xs[-1] - xs[0] == pytest.approx(19 * 4, abs=8)


def test_every_nth_frame_keeps_its_number_and_time(
    video: Path, recognizer: mien.Recognizer
) -> None:
    frames = list(mien.analyze_video(video, recognizer, every=6))
    assert [(frame.index, round(frame.seconds, 3)) for frame in frames] == [
        *((0, 0.0), (6, 0.6), (12, 1.2), (18, 1.8))
    ]


def test_scores_are_smoothed_and_the_frame_s_own_are_kept(
    video: Path, recognizer: mien.Recognizer
) -> None:
    smoothed = [f.faces[0] for f in mien.analyze_video(video, recognizer, smooth=0.5) if f.faces]
    plain = [f.faces[0] for f in mien.analyze_video(video, recognizer, smooth=0) if f.faces]
    for one, other in zip(smoothed, plain, strict=True):
        assert one.raw == other.raw == other.scores
        assert sum(one.scores.values()) == pytest.approx(1, abs=1e-5)
        assert one.confidence == max(one.scores.values()) == one.scores[one.emotion]
    weight = 1 - np.exp(-0.1 / 0.5)
    before, now = (np.array(list(face.raw.values())) for face in plain[:2])
    expected = before + weight * (now - before)
    np.testing.assert_allclose(list(smoothed[1].scores.values()), expected, atol=1e-6)


def test_a_record_as_json(video: Path, recognizer: mien.Recognizer) -> None:
    values = next(mien.analyze_video(video, recognizer)).to_dict()
    assert list(values)[:4] == ["frame", "seconds", "image", "status"]
    assert values["faces"][0]["track"] == 1
    assert json.loads(json.dumps(values)) == values


def test_pixels_on_demand(video: Path, recognizer: mien.Recognizer) -> None:
    assert next(mien.analyze_video(video, recognizer)).pixels is None
    frame = next(mien.analyze_video(video, recognizer, pixels=True))
    assert frame.pixels is not None
    expected = frame_with_face(0)[..., ::-1].astype(int)
    assert np.abs(frame.pixels.astype(int) - expected).mean() < 8
    assert mien.annotate(frame.pixels, frame, compact=True).size == SIZE


def test_what_is_no_video_is_refused_at_once(
    tmp_path: Path, video: Path, recognizer: mien.Recognizer
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    for source, message in (
        *((text, "no video that can be read"), (tmp_path / "none.mp4", "there is no video")),
        *(
            (97, "no camera 97"),
            (2**31, "no camera"),
            ("http://127.0.0.1:9/a.mp4", "there is no video"),
        ),
    ):
        with pytest.raises(mien.MienError, match=message):
            mien.analyze_video(source, recognizer)
    for options in ({"every": 0}, {"smooth": -1}, {"smooth": float("nan")}):
        with pytest.raises(mien.MienError, match="or more"):
            mien.analyze_video(video, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["torn.avi", "torn.mkv"])
def test_a_file_that_breaks_off_gives_its_frames_and_says_so(
    make_video: Make, recognizer: mien.Recognizer, name: str
) -> None:
    path = make_video(name, frames=30)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    *frames, last = mien.analyze_video(path, recognizer)
    assert 5 < len(frames) < 25
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert {frame.status for frame in frames} == {"ok", "no_face"}
    assert last.status == "unreadable"
    assert last.reason == f"the file breaks off after {len(frames)} of 30 frames"
    assert (last.index, last.faces) == (len(frames), ())


def test_damage_in_the_middle_is_survived(make_video: Make, recognizer: mien.Recognizer) -> None:
    path = make_video("hurt.avi")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = random.Random(0).randbytes(3000)
    path.write_bytes(content)
    frames = list(mien.analyze_video(path, recognizer))
    assert len(frames) >= 15
    seconds = [frame.seconds for frame in frames]
    assert seconds == sorted(seconds)


def test_times_of_a_variable_rate_are_the_stream_s_own(
    make_video: Make, recognizer: mien.Recognizer, tmp_path: Path
) -> None:
    """From a key frame on each takes 300 ms instead of 100: the times of its blocks are changed."""
    path = make_video("variable.mkv")
    content = path.read_bytes()
    # The last cluster, its time in ms, and in it blocks, each with its time by the cluster's.
    (place, milliseconds) = [
        (found.start(), int.from_bytes(found[1]))
        for found in re.finditer(rb"\xe7\x82(..)", content, re.DOTALL)
    ][-1]
    key = milliseconds // 100
    assert 5 < key < 15
    for index in range(19, key, -1):
        block = b"\x81" + struct.pack(">h", (index - key) * 100)
        assert content.count(block, place) == 1
        place_of_block = content.index(block, place)
        new = b"\x81" + struct.pack(">h", (index - key) * 300)
        content = content[:place_of_block] + new + content[place_of_block + 3 :]
    expected = [index * 100 + max(index - key, 0) * 200 for index in range(20)]
    path.write_bytes(content)
    frames = list(mien.analyze_video(path, recognizer))
    np.testing.assert_allclose([f.seconds * 1000 for f in frames], expected, atol=1)

    # An annotated copy has one rate and shows each frame when it was shown.
    copy = tmp_path / "copy.avi"
    made = AnnotatedVideo(copy, RATE)
    for frame in mien.analyze_video(path, recognizer, pixels=True):
        made.add(frame)
    made.close()
    capture = cv2.VideoCapture(str(copy))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == round(expected[-1] / 100) + 1


def box(content: bytes, kind: bytes, start: int = 0) -> tuple[int, int]:
    """Return where a box of an .mp4 begins and ends."""
    place = content.index(kind, start) - 4
    return place, place + int.from_bytes(content[place : place + 4])


def test_times_of_an_mp4_of_variable_rate_are_its_own(
    make_video: Make, recognizer: mien.Recognizer
) -> None:
    """As phones write them: the table of durations (stts) gets one for each frame."""
    path = make_video("variable.mp4")
    content = bytearray(path.read_bytes())
    start, _ = box(content, b"mdhd")
    timescale = int.from_bytes(content[start + 20 : start + 24])
    milliseconds = [(index % 4 + 1) * 40 for index in range(20)]
    table = struct.pack(">II", 0, 20) + b"".join(
        struct.pack(">II", 1, duration * timescale // 1000) for duration in milliseconds
    )
    content = content.replace(b"edts", b"free")  # which would cut off what comes late
    start, end = box(content, b"stts")
    growth = 8 + len(table) - (end - start)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        place, stop = box(content, kind)
        content[place : place + 4] = struct.pack(">I", stop - place + growth)
    content[start + 8 : end] = table
    path.write_bytes(content)
    assert content.index(b"moov") > content.index(b"mdat")  # so what was moved is not pointed to
    seconds = [frame.seconds for frame in mien.analyze_video(path, recognizer)]
    np.testing.assert_allclose(seconds, np.cumsum([0, *milliseconds[:-1]]) / 1000, atol=2e-3)


def test_an_empty_file_and_one_without_a_frame_are_refused(
    make_video: Make, recognizer: mien.Recognizer, tmp_path: Path
) -> None:
    for suffix in ("mp4", "avi", "mkv"):
        empty = tmp_path / f"empty.{suffix}"
        empty.touch()
        head = tmp_path / f"head.{suffix}"
        head.write_bytes(make_video(f"head.{suffix}").read_bytes()[:200])
        for path in (empty, head):
            with pytest.raises(mien.MienError, match="no video that can be read"):
                mien.analyze_video(path, recognizer)


def test_frames_that_are_too_large_are_refused(
    video: Path, recognizer: mien.Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.recognition.stream.MAX_PIXELS", 50_000)
    with pytest.raises(mien.MienError, match="frames of 320×240 pixels, at most"):
        mien.analyze_video(video, recognizer)


def test_a_camera_s_times_are_the_clock_s_and_its_end_is_told(
    video: Path, recognizer: mien.Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []

    def capture(*source: object) -> cv2.VideoCapture:
        opened.append(source)
        return cv2.VideoCapture(str(video))

    monkeypatch.setattr("mien.recognition.stream._capture", capture)
    *frames, last = mien.analyze_video(0, recognizer)
    assert opened == [(0,)]
    assert (frames[0].seconds, frames[0].image) == (0, "device 0")
    seconds = [frame.seconds for frame in frames]
    assert len(frames) == 20
    assert seconds == sorted(seconds)
    assert (last.status, last.reason) == ("unreadable", "device 0 gives no more frames")


def test_searching_several_frames_at_once_changes_nothing(
    video: Path, recognizer: mien.Recognizer
) -> None:
    one = [frame.to_dict() for frame in mien.analyze_video(video, recognizer)]
    assert [f.to_dict() for f in mien.analyze_video(video, recognizer, workers=3)] == one


def test_frames_are_read_as_they_are_needed(model: Path, video: Path) -> None:
    from mien.recognition.stream import VideoStream
    from mien.recognition.video import recognize

    recognizer = mien.Recognizer(model, detector=at_the_face, threads=1)
    with VideoStream(video) as stream:
        read: list[int] = []
        frames = stream.read()
        stream.read = lambda every=1: (read.append(f.index) or f for f in frames)  # type: ignore
        for frame in recognize(stream, recognizer, workers=2):
            assert len(read) <= frame.index + 1 + 2


def test_memory_holds_no_frames(video: Path, recognizer: mien.Recognizer) -> None:
    frames = mien.analyze_video(video, recognizer)
    assert next(frames).index == 0
    assert iter(frames) is frames


def test_the_timeline_adds_up(video: Path, recognizer: mien.Recognizer) -> None:
    timeline = Timeline()
    frames = list(mien.analyze_video(video, recognizer))
    for frame in frames:
        timeline.add(frame)
    assert (timeline.frames, timeline.with_faces) == (20, 17)
    (track,) = timeline.summary()
    assert (track["first"], track["last"], track["frames"]) == (0.0, frames[-1].seconds, 17)
    faces = [frame.faces[0] for frame in frames if frame.faces]
    mean = np.mean([list(face.scores.values()) for face in faces], axis=0)
    np.testing.assert_allclose(list(track["scores"].values()), mean, atol=1e-6)
    assert track["emotion"] == mien.EMOTIONS[int(mean.argmax())]
    assert Timeline().draw().size[0] == timeline.draw().size[0]


def test_the_timeline_shows_what_was_seen_and_when() -> None:
    """One face: happy for 4 s, away for 2 s, then sad for 4 s."""
    from mien.recognition.annotate import COLORS
    from mien.recognition.results import Frame, TrackedFace

    timeline = Timeline()
    for step in range(101):
        emotion = "happy" if step < 40 else "sad"
        scores = {name: float(name == emotion) for name in mien.EMOTIONS}
        face = TrackedFace((0, 0, 9, 9), 1.0, emotion, 1.0, scores, track=1, raw=scores)
        there = () if 40 <= step < 60 else (face,)
        timeline.add(Frame("v", "ok", 9, 9, there, index=step, seconds=step / 10))
    image = timeline.draw()
    row = [image.getpixel((x, 56 + 40)) for x in range(110, image.width - 20)]
    wanted = {name: tuple(bytes.fromhex(color[1:])) for name, color in COLORS.items()}
    shares = {
        name: sum(pixel == color for pixel in row) / len(row) for name, color in wanted.items()
    }
    assert shares["happy"] == pytest.approx(0.4, abs=0.02)
    assert shares["sad"] == pytest.approx(0.4, abs=0.02)
    assert sum(shares.values()) == pytest.approx(0.8, abs=0.03)


def test_all_outputs_of_the_program(
    run_mien: Any, video: Path, model: Path, tmp_path: Path
) -> None:
    table, lines = tmp_path / "t.csv", tmp_path / "t.jsonl"
    drawn, strip, columns = tmp_path / "t.mp4", tmp_path / "t.png", tmp_path / "t.parquet"
    done = run_mien(
        *("video", video, "--model", model, "--detector", "haar", "--every", 2, "--json"),
        *("--csv", table, "--jsonl", lines, "--annotate", drawn, "--timeline", strip),
        *("--parquet", columns),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["frames"], summary["with_faces"]) == (10, 8)
    assert [track["track"] for track in summary["tracks"]] == [1]
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(0, 20, 2))
    assert [record["status"] for record in records].count("no_face") == 2
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["frame", "seconds", "track", "image"]
    assert [int(row["frame"]) for row in rows] == list(range(0, 20, 2))
    assert rows[4]["status"] == "no_face"
    assert rows[4]["track"] == ""
    assert float(rows[0]["happy"]) == records[0]["faces"][0]["scores"]["happy"]
    parquet = pytest.importorskip("pyarrow.parquet").read_table(columns).to_pylist()
    assert list(parquet[0]) == list(rows[0])
    for row, written in zip(parquet, rows, strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items()} == written
    assert isinstance(parquet[0]["track"], int)
    assert parquet[4]["track"] is None
    capture = cv2.VideoCapture(str(drawn))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    assert capture.get(cv2.CAP_PROP_FPS) == RATE / 2
    _, first = capture.read()
    assert np.abs(first.astype(int) - frame_with_face(0)).max() > 100  # something is drawn
    assert Image.open(strip).size[0] == 1280


def test_lines_to_standard_output_and_a_torn_file(
    run_mien: Any, make_video: Make, model: Path
) -> None:
    path = make_video("cli.avi", frames=30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run_mien("video", path, "--model", model, "--detector", "haar", "--jsonl", "-")
    assert done.returncode == 1
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records[-1]["status"] == "unreadable"
    assert "breaks off after" in records[-1]["reason"]
    assert "breaks off after" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_program_refuses(run_mien: Any, video: Path, tmp_path: Path) -> None:
    missing = run_mien("video", tmp_path / "none.mp4")
    assert (missing.returncode, "there is no video" in missing.stderr) == (1, True)
    wrong = run_mien("video", video, "--annotate", tmp_path / "a.gif")
    assert wrong.returncode == 1
    assert "no video that can be written" in wrong.stderr
    assert not list(tmp_path.iterdir())
    assert run_mien("video", video, "--timeline", tmp_path / "a.txt").returncode == 2
    assert run_mien("video", video, "--json", "--jsonl", "-").returncode == 2


def test_a_limit_and_the_table(run_mien: Any, video: Path, model: Path) -> None:
    done = run_mien("video", video, "--model", model, "--detector", "haar", "--seconds", 0.45)
    assert done.returncode == 0
    assert "5 frames, 5 with faces, 1 tracks" in done.stderr
    assert "track" in done.stdout


def test_ctrl_c_leaves_what_was_done(make_video: Make, model: Path, tmp_path: Path) -> None:
    path, table = make_video("long.avi", frames=200), tmp_path / "t.csv"
    command = [sys.executable, "-m", "mien", "video", path, "--model", model, "--detector", "haar"]
    command += ["--jsonl", "-", "--csv", table]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # The interruption may come between one output and the next.
    assert abs(len(rows) - 1 - len(rest.splitlines())) <= 1
    assert len(rows) < 200


@pytest.mark.data
def test_a_real_clip_has_one_face_throughout(photos: Path, yunet: Path) -> None:
    clip = photos.parent / "video" / "single_face.mp4"
    recognizer = mien.Recognizer(detector=yunet)
    frames = list(mien.analyze_video(clip, recognizer, every=6))
    assert len(frames) == 12
    assert {face.track for frame in frames for face in frame.faces} == {1}
    assert all(len(frame.faces) == 1 for frame in frames)
