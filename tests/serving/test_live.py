"""`mien video --live`: a process and a real Chromium that looks at it, and the view by itself."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import httpx
import numpy as np
import pytest

from mien.emotions import EMOTIONS
from mien.images.decode import decode
from mien.recognition.bundled import SAMPLE
from mien.recognition.results import Frame, TrackedFace
from mien.serving.live import LiveView, live_view

from .test_page import _expect, _open, _shot, browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]  # a fixture

Live = Callable[..., "tuple[subprocess.Popen[str], str]"]
BLACK = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Four seconds of the astronaut, who moves to the right, at 5 frames a second."""
    path = tmp_path / "talk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (320, 240))
    photo = decode(SAMPLE).pixels[..., ::-1]
    for index in range(20):
        shift = np.array([[0.6, 0, index * 4 - 60], [0, 0.6, 10]])
        writer.write(cv2.warpAffine(photo, shift, (320, 240), borderMode=cv2.BORDER_REPLICATE))
    writer.release()
    return path


@pytest.fixture
def start() -> Iterator[Live]:
    """Run `mien video --live` and give the process and the address that it prints."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: object, **environment: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "mien", "video", *map(str, arguments), "--live"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        processes.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("live view: "):
                return process, line.removeprefix("live view: ").strip()
        pytest.fail(f"no address; {process.communicate()}")

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_a_file_is_shown_and_its_end_is_told(
    start: Live, browser: Browser, clip: Path, tmp_path: Path
) -> None:
    table = tmp_path / "faces.csv"
    process, url = start(clip, "--detector", "haar", "--csv", table)
    assert url.startswith("http://127.0.0.1:")
    assert not table.exists()
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = _open(context, url)
    assert "token" not in page.url
    face = page.locator("#faces > li")
    _expect(face).to_have_count(1)
    _expect(face.locator("h3")).to_contain_text("1. happy")
    assert face.locator("dt").all_inner_texts() == list(EMOTIONS)
    assert page.evaluate("document.getElementById('photo').naturalWidth") == 320
    _shot(page, "live")
    _expect(page.locator("#time")).to_have_text("· 3.8 s, frame 19")
    _expect(page.locator("#status")).to_have_text("The video has ended.")
    _shot(page, "live-ended")
    assert process.wait(60) == 0
    assert len(table.read_text().splitlines()) == 21
    context.close()


def test_ctrl_c_ends_it_cleanly_watched_or_not(start: Live, clip: Path, tmp_path: Path) -> None:
    lines = tmp_path / "faces.jsonl"
    for watched in (False, True):
        process, url = start(clip, "--detector", "haar", "--jsonl", lines)
        address, _, token = url.partition("/#token=")
        if watched:
            answer = httpx.get(
                f"{address}/frame?after=0", headers={"Authorization": f"Bearer {token}"}, timeout=60
            )
            assert answer.status_code in (200, 204)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert len(lines.read_text().splitlines()) < 20


# A camera that shows a clip again and again, in place of OpenCV's.
CAMERA = """
import time
import cv2

capture = cv2.VideoCapture

class Camera:
    def __init__(self, device):
        assert device == 0
        self.clip = capture({clip!r})

    def grab(self):
        time.sleep(0.02)
        if not self.clip.grab():
            self.clip.set(cv2.CAP_PROP_POS_FRAMES, 0)
            return self.clip.grab()
        return True

    def __getattr__(self, name):
        return getattr(self.clip, name)

cv2.VideoCapture = Camera
"""


def test_a_camera_runs_until_ctrl_c(start: Live, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(CAMERA.format(clip=str(clip)))
    table = tmp_path / "faces.csv"
    process, url = start(0, "--detector", "haar", "--csv", table, PYTHONPATH=str(tmp_path))
    address, _, token = url.partition("/#token=")
    headers = {"Authorization": f"Bearer {token}"}
    records = []
    while len(records) < 3:
        after = records[-1]["number"] if records else 0
        answer = httpx.get(f"{address}/frame", params={"after": after}, headers=headers, timeout=60)
        if answer.status_code == 200:
            records.append(json.loads(answer.content.split(b"\n")[0]))
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "happy" in printed
    for before, later in itertools.pairwise(records):
        assert later["frame"] > before["frame"]
        assert later["seconds"] > before["seconds"]
    assert {record["image"] for record in records} == {"device 0"}
    # Nobody's pace is that of the records: none is left out.
    with table.open(newline="") as file:
        frames = [int(row["frame"]) for row in csv.DictReader(file)]
    assert sorted(set(frames)) == list(range(frames[-1] + 1))


def test_nobody_else_sees_a_frame() -> None:
    with live_view(0, paced=False) as (view, url):
        view.add(Frame("v", "no_face", 64, 48, index=3, seconds=0.5, pixels=BLACK))
        address, _, token = url.partition("/#token=")
        assert httpx.get(f"{address}/").status_code == 200
        assert httpx.get(f"{address}/frame").status_code == 401
        wrong = {"Authorization": f"Bearer {token[:-1]}"}
        assert httpx.get(f"{address}/frame", headers=wrong).status_code == 401
        right = {"Authorization": f"Bearer {token}"}
        foreign = {**right, "Origin": "http://example.org"}
        assert httpx.get(f"{address}/frame", headers=foreign).status_code == 403
        for after in ("0", "", "-1", "x", "9" * 5000):
            answer = httpx.get(f"{address}/frame", headers=right, params={"after": after})
            assert answer.status_code == 200
        line, _, picture = answer.content.partition(b"\n")
        record = json.loads(line)
        assert (record["number"], record["frame"], record["seconds"]) == (1, 3, 0.5)
        assert decode(picture).pixels.shape == BLACK.shape


def test_faces_are_marked() -> None:
    scores = {name: float(name == "happy") for name in EMOTIONS}
    face = TrackedFace((10, 10, 30, 30), 1.0, "happy", 1.0, scores, track=3, raw=scores)
    view = LiveView(paced=False)
    view.add(Frame("v", "ok", 64, 48, (face,), index=0, seconds=0.0, pixels=BLACK))
    line, _, picture = view.after(0).partition(b"\n")
    assert json.loads(line)["faces"][0]["track"] == 3
    left = decode(picture).pixels[30, 8:12].astype(int)
    assert (left[:, 0] - left[:, 2]).max() > 60  # the box is yellow


def test_the_latest_frame_is_given_and_then_the_end() -> None:
    view = LiveView(paced=False)
    for index in range(5):
        view.add(Frame("v", "no_face", 64, 48, index=index, seconds=float(index), pixels=BLACK))
    assert json.loads(view.after(0).split(b"\n")[0])["frame"] == 4
    assert view.after(5) == b""
    large = np.zeros((1440, 2560, 3), np.uint8)
    view.add(Frame("v", "no_face", 2560, 1440, index=5, seconds=5.0, pixels=large))
    line, _, picture = view.after(5).partition(b"\n")
    assert json.loads(line)["width"] == 2560
    assert decode(picture).pixels.shape == (720, 1280, 3)
    view.add(Frame("v", "unreadable", 0, 0, (), "it breaks off", index=6, seconds=5.0))
    assert json.loads(view.after(6))["reason"] == "it breaks off"
    threading.Thread(target=view.end).start()  # it waits until this is asked:
    assert json.loads(view.after(7)) == {"ended": True}


def test_a_file_waits_for_somebody_who_looks() -> None:
    view = LiveView(paced=True)
    frame = Frame("v", "no_face", 64, 48, index=0, seconds=0.0, pixels=BLACK)
    adding = threading.Thread(target=view.add, args=(frame,), daemon=True)
    adding.start()
    adding.join(0.3)
    assert adding.is_alive()
    view.after(0)
    adding.join(30)
    assert not adding.is_alive()
    assert json.loads(view.after(0).split(b"\n")[0])["number"] == 1
