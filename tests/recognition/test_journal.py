"""A long job that was stopped goes on, and does nothing twice."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.errors import MienError
from mien.recognition.bundled import SAMPLE
from mien.recognition.detection import Detection
from mien.recognition.journal import Journal, results
from mien.recognition.recognizer import Recognizer
from mien.recognition.results import Picture

ONE, TWO = Picture("a.jpg", "no_face", 9, 9), Picture("b\udce9.jpg", "unreadable", 0, 0, (), "torn")


def test_results_are_lines_and_are_known_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "r.jsonl"
    with Journal(file, resume=True) as journal:
        assert journal.done == set()
        journal.add(ONE)
        # What was added is in the file before the next one is begun.
        assert [json.loads(line) for line in file.read_text().splitlines()] == [ONE.to_dict()]
        journal.add(TWO)
    with Journal(file, resume=True) as journal:
        assert journal.done == {"a.jpg", "b\udce9.jpg"}
        assert journal.statuses == {"no_face": 1, "unreadable": 1}


@pytest.mark.parametrize("kept", [1, 30, -1])
def test_a_torn_last_line_is_done_again(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "r.jsonl"
    with Journal(file, resume=False) as journal:
        journal.add(ONE)
        whole = file.read_bytes()
        journal.add(TWO)
    file.write_bytes(whole + file.read_bytes()[len(whole) :][:kept])
    with Journal(file, resume=True) as journal:
        assert journal.done == {"a.jpg"}
        journal.add(TWO)
    assert len(file.read_bytes().splitlines()) == 2
    assert json.loads(file.read_bytes().splitlines()[1]) == TWO.to_dict()


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text('{"a": 1}\n')
    with pytest.raises(MienError, match="exists already"):
        Journal(file, resume=False)
    with pytest.raises(MienError, match="line 1 is no result"):
        Journal(file, resume=True)
    assert file.read_text() == '{"a": 1}\n'


def test_results_come_back_as_they_were(tmp_path: Path, model: Path) -> None:
    points = tuple((10.0 + index, 20.5) for index in range(5))
    detector = [Detection((60.0, 60.0, 90.0, 90.0), 0.75, points), Detection((0, 0, 9, 9), 0.5)]
    picture = Recognizer(model, detector=lambda pixels: detector).analyze(SAMPLE)
    assert len(picture.faces) == 2
    file = tmp_path / "r.jsonl"
    with Journal(file, resume=False) as journal:
        for added in (ONE, TWO, picture):
            journal.add(added)
    assert list(results(file)) == [ONE, TWO, picture]
    with file.open("a") as out:
        out.write('{"image": "a", "status": "ok"}\n')
    with pytest.raises(MienError, match="line 4 is no result"):
        list(results(file))


def test_a_killed_job_goes_on(run_mien: Any, model: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "many", tmp_path / "r.jsonl"
    folder.mkdir()
    for number in range(400):
        Image.new("RGB", (48, 48), (number % 256, 0, 0)).save(folder / f"{number:03}.png")
    (folder / "torn.png").write_bytes(b"torn")
    command = ("predict", folder, "--model", model, "--no-detect", "--jsonl", file)
    process = subprocess.Popen([sys.executable, "-m", "mien", *map(str, command)])
    deadline = time.monotonic() + 120
    while not (file.is_file() and file.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = file.read_bytes().splitlines(keepends=True)
    before = [line for line in before if line.endswith(b"\n")]

    # What is done is not even looked at again: it could not be read any more.
    for line in before:
        Path(json.loads(line)["image"]).write_bytes(b"gone")
    refused = run_mien(*command)
    assert refused.returncode == 1
    assert "--resume" in refused.stderr
    table = tmp_path / "faces.csv"
    done = run_mien(*command, "--resume", "--csv", table)
    assert done.returncode == 1  # for the torn one
    assert done.stdout == ""
    assert "401 pictures; without a face: 0, unreadable: 1" in done.stderr
    lines = file.read_bytes().splitlines(keepends=True)
    assert lines[: len(before)] == before
    names = [Path(json.loads(line)["image"]).name for line in lines]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    with table.open(newline="") as rows:
        assert [row["image"] for row in csv.DictReader(rows)] == [
            json.loads(line)["image"] for line in lines
        ]
    again = run_mien(*command, "--resume")
    assert "401 pictures are in" in again.stderr
    assert file.read_bytes().splitlines(keepends=True) == lines


def test_what_does_not_go_together(run_mien: Any, tmp_path: Path) -> None:
    for options in (["--resume"], ["--resume", "--jsonl", "-"]):
        assert run_mien("predict", tmp_path, *options).returncode == 2
    piped = run_mien("predict", "-", "--jsonl", tmp_path / "r", "--resume", input="")
    assert piped.returncode == 2
    assert run_mien("predict", "-", "--from", "-", input="").returncode == 2
    assert run_mien("predict", tmp_path, "--jsonl", tmp_path / "r", "--json").returncode == 2
