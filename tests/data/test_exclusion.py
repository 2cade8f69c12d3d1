"""Exclusion lists: what is read, what is refused, and what preparing and training leave out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.exclusion import Exclusion, excluded, read_exclusions, write_exclusions
from mien.data.form import Form
from mien.data.prepare import prepare
from mien.errors import MienError

NAMES = np.array(["a.png", "b.png", "c.png"])


def _list(folder: Path, text: str) -> Path:
    file = folder / "list.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = [Exclusion("train", 'a, "quoted".png', "blank"), Exclusion("test", "b.png", "leak")]
    write_exclusions(rows, tmp_path / "list.csv")
    read = read_exclusions([tmp_path / "list.csv"])
    assert [(each.split, each.name, each.reason) for each in read] == [
        (each.split, each.name, each.reason) for each in rows
    ]
    assert read[1].place == f"{tmp_path / 'list.csv'}:3"


def test_a_list_of_ones_own_may_have_other_columns_and_empty_lines(tmp_path: Path) -> None:
    file = _list(tmp_path, "\ufeffname,note,split\n\nb.png,a dog,train\r\n\na.png,,train\n")
    assert excluded(read_exclusions([file]), "train", NAMES).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no column name and split"),
        ("name,reason\na.png,blank\n", "no column split"),
        ("split,name\ntrain,a.png\ntrain\n", r"list\.csv:3: a row needs"),
        ("split,name\ntrain,\n", r"list\.csv:2: a row needs"),
        ("split,name\ntrain,a.png,blank\n", r"list\.csv:2: more values"),
        ("split,name\ntrain,a.png\ntrain,d.png\ntrain,e.png\n", r":3: .*'d\.png' \(1 more"),
        ("split,name\ntest,a.png\n", "no image of the split 'train' but of test"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(MienError, match=complaint):
        excluded(read_exclusions([_list(tmp_path, text)]), "train", NAMES)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00")
    for file in ("list.csv", "missing.csv"):
        with pytest.raises(MienError, match="cannot be read"):
            read_exclusions([tmp_path / file])


@pytest.mark.parametrize("form", [Form(), Form(size=24)])
def test_prepare_leaves_out_what_is_listed(
    tmp_path: Path,
    faces: Callable[..., Any],
    write_csv: Callable[..., Any],
    write_votes: Callable[..., Any],
    form: Form,
) -> None:
    images = faces(6)
    source = write_csv(tmp_path / "fer2013.csv", images, labels=[0, 1, 2, 3, 4, 5])
    votes = write_votes(tmp_path / "fer2013new.csv", {"Training": 6})
    whole = prepare([source, votes], tmp_path / "whole", form=form).dataset
    listed = _list(tmp_path, f"split,name\ntrain,{whole.names[4]}\ntrain,{whole.names[1]}\n")
    prepared = prepare([source, votes], tmp_path / "fewer", form=form, exclude=[listed])
    fewer, kept = prepared.dataset, [0, 2, 3, 5]
    assert prepared.excluded == 2
    assert np.array_equal(fewer.images, whole.images[kept])
    assert fewer.labels.tolist() == kept
    assert fewer.names.tolist() == whole.names[kept].tolist()
    assert fewer.votes is not None
    assert whole.votes is not None
    assert np.array_equal(fewer.votes, whole.votes[kept])
    assert [each["name"] for each in fewer.provenance["excluded"]] == ["list.csv"]


def test_prepare_refuses_a_name_that_did_not_come(
    tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Any]
) -> None:
    source = write_csv(tmp_path / "fer2013.csv", faces(3))
    listed = _list(tmp_path, "split,name\ntest,fer9.png\n")
    command = [sys.executable, "-m", "mien", "data", "prepare", str(source)]
    command += ["--exclude", str(listed), "--out", str(tmp_path / "out"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "list.csv:2: the split 'test' has no image 'fer9.png'" in done.stderr
    assert not (tmp_path / "out").exists()
    name = prepare([source], tmp_path / "whole").dataset.names[1]
    listed.write_text(f"split,name\ntrain,{name}\n")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["excluded"] == 1
