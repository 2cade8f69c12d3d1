"""The verb as a process, a killed one too, and the real FER2013 where it is at hand."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.cache import load
from mien.data.describe import describe
from mien.data.prepare import prepare
from mien.emotions import EMOTIONS
from mien.errors import MienError

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _sources(
    folder: Path, faces: Any, write_csv: Any, write_parquet: Any, write_tree: Any, png: Any
) -> dict[str, Path]:
    """One source of each format that any data set may have, named after the format."""
    images = faces(3)
    cells = [{"bytes": png(image), "path": f"{i}.png"} for i, image in enumerate(images)]
    tree = {f"train/{i}/{i}.png": image for i, image in enumerate(images)}
    return {
        "FER2013 CSV": write_csv(folder / "fer2013.csv", images),
        "Parquet": write_parquet(folder / "train.parquet", cells, [0, 1, 2]),
        "image folders": write_tree(folder / "tree", tree),
    }


@pytest.mark.parametrize("format_name", ["FER2013 CSV", "Parquet", "image folders"])
def test_each_format_is_recognized_and_gives_the_same(
    tmp_path: Path,
    format_name: str,
    faces: Callable[..., Any],
    write_csv: Callable[..., Any],
    write_parquet: Callable[..., Any],
    write_tree: Callable[..., Any],
    png: Callable[..., Any],
) -> None:
    sources = _sources(tmp_path, faces, write_csv, write_parquet, write_tree, png)
    told: list[tuple[int, int | None]] = []
    dataset = prepare(
        [sources[format_name]],
        tmp_path / "out",
        progress=lambda done, total: told.append((done, total)),
    ).dataset
    assert np.array_equal(dataset.images, faces(3))
    assert dataset.labels.tolist() == [0, 1, 2]
    assert dataset.provenance["sources"][0]["format"] == format_name
    assert told[-1][0] == 3
    load(tmp_path / "out", verify=True)


def test_several_formats_in_one_folder_are_refused(
    tmp_path: Path,
    faces: Callable[..., Any],
    write_csv: Callable[..., Any],
    write_parquet: Callable[..., Any],
    write_tree: Callable[..., Any],
    png: Callable[..., Any],
) -> None:
    _sources(tmp_path, faces, write_csv, write_parquet, write_tree, png)
    with pytest.raises(MienError, match=r"several formats: fer2013\.csv \(FER2013 CSV\), train"):
        prepare([tmp_path], tmp_path / "out")


def test_the_verb_prints_the_class_table(
    tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Path], run_mien: Run
) -> None:
    source = write_csv(tmp_path / "fer2013.csv", faces(4), [0, 3, 3, 6])
    done = run_mien("data", "prepare", source, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    table = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.split()}
    assert table["happy"] == ["2", "50.0", "2"]
    assert table["all"] == ["4", "100.0", "4"]
    assert "4 images, 48×48, gray" in done.stderr
    again = run_mien("data", "prepare", source, "--out", tmp_path / "out")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert again.stdout == ""


def test_bad_rows_end_the_verb_unless_they_are_skipped(
    tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Path], run_mien: Run
) -> None:
    source = write_csv(tmp_path / "fer2013.csv", faces(3), [0, 8, 6])
    command = ("data", "prepare", source, "--out", tmp_path / "out")
    failed = run_mien(*command, "--json")
    assert failed.returncode == 1
    assert "fer2013.csv:3: the label '8' is none of 0 to 6" in failed.stderr
    assert "--skip-bad" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert json.loads(failed.stdout) == {
        "counts": {"bad label": 1},
        "problems": [
            {
                "kind": "bad label",
                "file": "fer2013.csv",
                "row": 3,
                "text": "the label '8' is none of 0 to 6",
                "count": 1,
            }
        ],
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fer2013.csv"]

    done = run_mien(*command, "--skip-bad")
    assert done.returncode == 0
    assert "bad rows were left out: bad label 1" in done.stderr
    assert load(tmp_path / "out", verify=True).labels.tolist() == [0, 6]


def test_describe_as_json_and_with_sheets(
    tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Path], run_mien: Run
) -> None:
    source = write_csv(tmp_path / "fer2013.csv", faces(2), [0, 3])
    prepared = run_mien("data", "prepare", source, "--out", tmp_path / "out", "--json")
    told = json.loads(prepared.stdout)
    assert told["splits"] == {"train": 2}
    assert told["provenance"]["sources"][0]["name"] == "fer2013.csv"
    assert str(tmp_path) not in json.dumps(told["provenance"])
    sheets = tmp_path / "sheets"
    done = run_mien("data", "describe", tmp_path / "out", "--json", "--out", sheets)
    found = json.loads(done.stdout)
    assert found["checksum"] == told["checksum"]
    assert found["classes"]["train"]["happy"] == 1
    assert sorted(path.name for path in sheets.iterdir()) == ["angry.png", "happy.png"]
    plain = run_mien("data", "describe", tmp_path / "out")
    assert "duplicates within train: 0" in plain.stdout
    assert "FER+ votes: none" in plain.stdout


KILLED = """
import os, signal, sys
from mien.data.prepare import prepare
def progress(done, total):
    if done >= 32:
        os.kill(os.getpid(), signal.SIGKILL)
prepare([sys.argv[1]], sys.argv[2], progress=progress)
"""


def test_a_killed_process_leaves_no_half_data_set(
    tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Path]
) -> None:
    source = write_csv(tmp_path / "fer2013.csv", faces(64))
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, source, out], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(prepare([source], out).dataset) == 64


def test_what_the_system_refuses_is_said_without_a_traceback(
    tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Path], run_mien: Run
) -> None:
    source = write_csv(tmp_path / "fer2013.csv", faces(1))
    done = run_mien("data", "prepare", source, "--out", source / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "fer2013.csv" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.data
def test_the_real_fer2013(tmp_path: Path, fer2013: Path) -> None:
    dataset = prepare([fer2013], tmp_path / "out").dataset
    load(tmp_path / "out", verify=True)
    found = describe(dataset)
    published = {
        "train": [3995, 436, 4097, 7215, 4830, 3171, 4965],
        "validation": [467, 56, 496, 895, 653, 415, 607],
    }
    for split, counts in published.items():
        assert [found.classes[split][emotion] for emotion in EMOTIONS] == counts
    assert found.classes["test"]["unlabeled"] == 3589
    assert found.size == (48, 48)
    assert not found.color
    # What is known of FER2013: 8.0 % of PrivateTest occur in Training pixel for pixel.
    assert found.duplicates.across["train", "test"] == 288
    assert found.votes["train"].rows == 28709
    assert found.votes["test"].rows == 0
    assert dataset.votes is not None
    assert dataset.votes[0].tolist() == [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]
