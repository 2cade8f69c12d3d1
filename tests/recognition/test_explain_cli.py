"""`mien explain` as a process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.errors import ExitStatus
from mien.recognition.bundled import SAMPLE

Run = Callable[..., Any]


@pytest.fixture
def crop(tmp_path: Path) -> Path:
    path = tmp_path / "crop.png"
    Image.radial_gradient("L").resize((48, 48)).save(path)
    return path


def test_the_picture_has_a_name_of_its_own(run_mien: Run, tmp_path: Path) -> None:
    done = run_mien("explain", "--sample", "--detector", "haar", cwd=tmp_path)
    assert done.returncode == ExitStatus.OK
    (row,) = (line.split() for line in done.stdout.splitlines() if "happy" in line)
    assert row[:2] == ["1", "happy"]
    largest, upper, _, lower = map(int, row[3:])
    assert largest > lower > upper
    (made,) = tmp_path.iterdir()
    assert made.name == f"{SAMPLE.stem}-explained.png"
    assert f"wrote {made.name}" in done.stderr
    with Image.open(made) as picture:
        picture.load()
        assert picture.format == "PNG"


def test_json_writes_a_picture_where_one_is_named(
    run_mien: Run, crop: Path, model: Path, tmp_path: Path
) -> None:
    arguments = ("explain", crop, "--no-detect", "--model", model, "--emotion", "sadness", "--json")
    done = run_mien(*arguments, cwd=tmp_path)
    assert done.returncode == ExitStatus.OK
    assert {path.name for path in tmp_path.iterdir()} == {"crop.png", model.name}
    result = json.loads(done.stdout)
    assert (result["image"], result["model"]) == (str(crop), "tiny")
    (face,) = result["faces"]
    assert (face["number"], face["explained"]) == (1, "sad")
    assert face["probability"] == face["scores"]["sad"]
    assert len(face["drops"]) == 24
    assert {len(row) for row in face["drops"]} == {24}
    assert list(face["thirds"]) == ["upper", "middle", "lower"]

    target = tmp_path / "new" / "map.png"
    again = run_mien(*arguments, "--out", target)
    assert json.loads(again.stdout) == result
    assert Image.open(target).width > 500


def test_what_is_refused(run_mien: Run, crop: Path, model: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> tuple[int, str]:
        done = run_mien("explain", *arguments, "--model", model, cwd=tmp_path)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    status, said = refused(crop, "--detector", "haar")
    assert status == ExitStatus.FAILURE
    assert "there is no face in" in said
    assert "--no-detect" in said
    status, said = refused()
    assert status == ExitStatus.USAGE
    assert "--sample" in said
    assert refused(crop, "--sample")[0] == ExitStatus.USAGE
    status, said = refused("missing.jpg")
    assert status == ExitStatus.FAILURE
    assert "missing.jpg: no such file" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crop.png", model.name]


@pytest.mark.parametrize("name", ["map.txt", "map"])
def test_a_name_without_a_format_is_refused_before_the_work(
    run_mien: Run, crop: Path, model: Path, tmp_path: Path, name: str
) -> None:
    done = run_mien("explain", crop, "--no-detect", "--model", model, "--out", name, cwd=tmp_path)
    assert done.returncode == ExitStatus.FAILURE
    assert "name it .png" in done.stderr
    assert not (tmp_path / name).exists()


def test_the_name_chooses_the_format(
    run_mien: Run, crop: Path, model: Path, tmp_path: Path
) -> None:
    arguments = ("explain", crop, "--no-detect", "--model", model, "--out", "map.jpg")
    assert run_mien(*arguments, cwd=tmp_path).returncode == ExitStatus.OK
    with Image.open(tmp_path / "map.jpg") as picture:
        assert picture.format == "JPEG"
