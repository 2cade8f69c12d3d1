"""The audit on images whose defects are known, its files, and the verb as a process."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.cli import data_audit
from mien.data.audit import FINDINGS, audit
from mien.data.audit_files import REASONS, exclusions_for, write_audit
from mien.data.cache import Dataset, from_arrays, load, save
from mien.data.defects import border_shares, drawn_scores, is_blank
from mien.data.exclusion import read_exclusions
from mien.errors import MienError
from mien.evaluation.predictions import Predictions


def _smooth(seed: int) -> NDArray[np.uint8]:
    """An image of soft spots: nothing that two seeds share, no plain areas, no hard edges."""
    noise = np.random.default_rng(seed).normal(size=(48, 48))
    blurred = cv2.GaussianBlur(noise, (0, 0), 2)
    fine = np.random.default_rng(seed + 999).normal(size=(48, 48)) * 4
    scaled: NDArray[np.uint8] = np.clip(128 + blurred / blurred.std() * 40 + fine, 0, 255).astype(
        np.uint8
    )
    return scaled


def _drawing() -> NDArray[np.uint8]:
    canvas = np.full((48, 48), 255, np.uint8)
    for x in (14, 34):
        cv2.circle(canvas, (x, 18), 5, 0, 2)
    cv2.ellipse(canvas, (24, 34), (10, 6), 0, 0, 180, 0, 2)
    cv2.line(canvas, (24, 20), (22, 28), 0, 2)
    return canvas


@pytest.fixture
def dataset() -> Dataset:
    """What is wrong with each image is in its name."""
    made: dict[str, tuple[str, int, NDArray[np.uint8]]] = {
        f"plain{seed}": ("train", seed % 7, _smooth(seed)) for seed in range(4)
    }
    bordered = _smooth(20)
    bordered[:, :6] = 0
    made |= {
        "blank": ("train", 0, np.full((48, 48), 7, np.uint8)),
        "bordered": ("train", 0, bordered),
        "drawn": ("train", 0, _drawing()),
        "equal": ("train", 0, _smooth(0)),
        "contradicting": ("train", 4, _smooth(1)[:, ::-1]),
        "leaked": ("train", 3, _smooth(30)),
        "seen": ("validation", 3, np.clip(_smooth(30) * 0.8 + 20, 0, 255).astype(np.uint8)),
        "own": ("validation", 2, _smooth(31)),
        "overlapping": ("test", -1, _smooth(31)),
    }
    splits = ("train", "validation", "test")
    return from_arrays(
        images=np.stack([image for _, _, image in made.values()]),
        labels=np.array([label for _, label, _ in made.values()], np.int8),
        splits=np.array([splits.index(split) for split, _, _ in made.values()], np.uint8),
        names=np.array(list(made)),
        split_names=splits,
    )


def test_labels_that_are_not_known_cannot_be_wrong(dataset: Dataset) -> None:
    given = np.full((1, 7), 1 / 7, np.float32)
    with pytest.raises(MienError, match="split 'test'"):
        audit(dataset, probabilities={"test": given})


def test_each_defect_is_found_where_it_is(dataset: Dataset) -> None:
    found = audit(dataset)
    assert [(each.finding, each.name, each.other) for each in found.findings] == [
        ("blank", "blank", ""),
        ("conflict", "plain1", "contradicting"),
        ("conflict", "contradicting", "plain1"),
        ("near-leak", "leaked", "seen"),
        ("near-seen", "seen", "leaked"),
        ("overlap", "overlapping", "own"),
        ("duplicate", "equal", "plain0"),
        ("near-duplicate", "contradicting", "plain1"),
        ("drawn", "drawn", ""),
        ("border", "drawn", ""),
        ("border", "bordered", ""),
    ]
    conflict = found.findings[1]
    assert (conflict.label, conflict.other_label) == ("disgust", "sad")
    assert found.findings[5].label == "unlabeled"
    counts = found.counts()
    assert counts["conflict"] == {"train": 2}
    assert counts["near-seen"] == {"validation": 1}
    assert counts["seen"] == {}
    assert not {"no-face", "label-error"}.intersection(counts)


def test_all_of_several_equal_images_contradict() -> None:
    images = np.stack([_smooth(0)] * 4 + [np.clip(_smooth(0) * 0.8, 0, 255).astype(np.uint8)])
    found = audit(
        from_arrays(
            images=images,
            labels=np.array([1, 1, 2, -1, 1], np.int8),
            splits=np.zeros(5, np.uint8),
            names=np.array(list("abcde")),
            split_names=("train",),
        )
    )
    conflicts = [(each.name, each.other) for each in found.findings if each.finding == "conflict"]
    assert sorted(conflicts) == [("a", "c"), ("b", "c"), ("c", "a"), ("c", "e"), ("e", "c")]


def test_borders_are_measured_on_all_sides() -> None:
    image = _smooth(0)
    framed = image.copy()
    framed[:3], framed[:, -6:] = 0, 255
    shares = border_shares(np.stack([image, framed]))
    assert shares[0] == 0
    # The corner belongs to both stripes, so the upper one is not of one value: only the right is.
    assert shares[1] == pytest.approx(6 / 48)
    framed[:3] = 255
    assert border_shares(framed[None])[0] == pytest.approx(1 - 45 * 42 / 48**2)
    color = np.repeat(framed[..., None], 3, axis=2)
    assert border_shares(color[None])[0] == pytest.approx(1 - 45 * 42 / 48**2)
    assert border_shares(np.full((1, 48, 48), 9, np.uint8))[0] == 1


def test_single_images_are_judged_at_any_size_and_in_color() -> None:
    large = cv2.resize(_drawing(), (96, 96), interpolation=cv2.INTER_NEAREST)
    color = np.repeat(large[None, ..., None], 3, axis=3)
    assert drawn_scores(color)[0] > 0.08 > drawn_scores(_smooth(5)[None])[0]
    assert is_blank(np.stack([color[0], np.zeros_like(color[0])])).tolist() == [False, True]


def test_faces_and_labels_are_looked_at_where_one_can(dataset: Dataset) -> None:
    train = dataset.indices("train")
    said = np.full((len(train), 7), np.nan, np.float32)
    names = dataset.names[train].tolist()
    for name, label in (("plain0", 0), ("plain1", 1), ("equal", 6), ("leaked", 3)):
        said[names.index(name)] = 0.05
        said[names.index(name), label] = 0.7
    said[names.index("bordered")] = np.eye(7)[0]
    # The mean of angry is (0.7 + 0.05 + 1) / 3; nobody is labeled neutral.
    said[names.index("equal"), [0, 3, 6]] = 0.05, 0.7, 0.05

    def faces(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.where(images[:, 20, 0] == 0, 0.02, 0.9).astype(np.float32)

    found = audit(dataset, probabilities={"train": said}, faces=faces)
    rest = [each for each in found.findings if each.finding in ("no-face", "label-error")]
    assert [(each.finding, each.name) for each in rest] == [
        ("no-face", "bordered"),
        ("label-error", "equal"),
    ]
    assert rest[1].other_label == "happy"
    assert rest[1].score == pytest.approx(0.05 - 0.7)


def test_only_what_was_asked_for_is_excluded(dataset: Dataset, tmp_path: Path) -> None:
    found = audit(dataset)
    names = {reason: [] for reason in FINDINGS} | {
        "blank": ["blank"],
        "conflict": ["plain1", "contradicting"],
        "near-leak": ["leaked"],
        "near-seen": ["seen"],
        "overlap": ["overlapping"],
        "duplicate": ["equal"],
        "near-duplicate": ["contradicting"],
        "drawn": ["drawn"],
        "border": ["drawn", "bordered"],
    }
    for reason, expected in names.items():
        assert [each.name for each in exclusions_for(found.findings, [reason])] == expected
    both = exclusions_for(found.findings, ["near-duplicate", "conflict"])
    assert [each.name for each in both] == ["plain1", "contradicting"]
    assert both[1].reason == "conflict: sad; train plain1 is disgust"
    write_audit(found, dataset, tmp_path)
    listed = read_exclusions([tmp_path / "exclude.csv"])
    assert [each.name for each in listed] == ["blank", "plain1", "contradicting", "leaked"]


def test_the_command_knows_what_the_audit_knows() -> None:
    assert tuple(FINDINGS) == data_audit.FINDINGS
    assert data_audit.REASONS == REASONS
    for finding in FINDINGS:
        assert finding in str(data_audit.audit.callback.__doc__)


def _command(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "data", "audit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_verb_writes_lists_and_sheets(dataset: Dataset, tmp_path: Path) -> None:
    save(dataset, tmp_path / "data")
    train = dataset.indices("train")
    said = np.full((len(train), 7), 0.05, np.float32)
    said[np.arange(len(train)), dataset.labels[train]] = 0.7
    names = dataset.names[train]
    predictions = Predictions(names, dataset.labels[train], said, {"split": "train", "folds": 4})
    predictions.save(tmp_path / "train.parquet")
    out = tmp_path / "audit"
    arguments = (tmp_path / "data", "--out", out, "--faces", "none", "--json")
    done = _command(*arguments, "--probabilities", tmp_path / "train.parquet")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["findings"]["near-leak"] == {"train": 1}
    assert result["findings"]["label-error"] == {}
    assert result["label_errors"]["train"]["rate"] == 0
    # Nobody is labeled surprise or neutral.
    assert [x is None for x in result["label_errors"]["train"]["thresholds"]] == [
        *[False, False, False, False, False, True, True]
    ]
    assert result["excluded"] == 4
    with (out / "audit.csv").open(newline="", encoding="utf-8") as file:
        assert [row["finding"] for row in csv.DictReader(file)][:3] == ["blank", *["conflict"] * 2]
    assert [each.name for each in read_exclusions([out / "seen.csv"])] == ["seen"]
    assert {path.stem for path in out.glob("*.png")} == {
        finding for finding, counts in result["findings"].items() if counts
    }
    with Image.open(out / "conflict.png") as sheet:
        assert sheet.width > sheet.height
    again = _command(*arguments)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert load(tmp_path / "data").checksum == dataset.checksum


def test_predictions_of_other_data_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    save(dataset, tmp_path / "data")
    other = Predictions(
        np.array(["x"]), np.array([0], np.int8), np.eye(7, dtype=np.float32)[:1], {"split": "train"}
    )
    other.save(tmp_path / "train.parquet")
    done = _command(
        *(tmp_path / "data", "--out", tmp_path / "audit"),
        *("--probabilities", tmp_path / "train.parquet"),
    )
    assert done.returncode == 1
    assert "predictions for x, which is not in the split 'train'" in done.stderr
    assert not (tmp_path / "audit").exists()
