"""`mien evaluate --exclude`: the figures without the images of a list, beside those of all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mien.cli.main import main
from mien.evaluation.predictions import Predictions


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten angry images, of which the last four are taken for happy ones."""
    said = np.eye(7, dtype=np.float32)[[0] * 6 + [3] * 4]
    names = np.array([f"{number}.png" for number in range(10)])
    predictions = Predictions(names, np.zeros(10, np.int8), said, {"split": "validation"})
    predictions.save(tmp_path / "validation.parquet")
    return tmp_path / "validation.parquet"


def test_both_figures_are_given(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = file.with_name("seen.csv")
    listed.write_text("split,name\nvalidation,9.png\nvalidation,8.png\ntrain,1.png\n")
    arguments = ["evaluate", str(file), "--exclude", str(listed)]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["excluded"] == 2
    assert result["metrics"]["accuracy"] == 0.6
    assert result["metrics_without_excluded"]["accuracy"] == 0.75
    assert result["metrics_without_excluded"]["count"] == 8
    assert main(arguments) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.strip().startswith("accuracy"))
    assert line.split()[1:] == ["60.00%", "75.00%"]


def test_a_list_that_does_not_fit_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = file.with_name("seen.csv")
    listed.write_text("split,name\nvalidation,10.png\n")
    assert main(["evaluate", str(file), "--exclude", str(listed)]) == 1
    assert "seen.csv:2: the split 'validation' has no image '10.png'" in capsys.readouterr().err


def test_a_list_of_nothing_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = file.with_name("empty.csv")
    listed.write_text("split,name,reason\n")
    assert main(["evaluate", str(file), "--exclude", str(listed)]) == 0
    assert "empty.csv: no image is named" in capsys.readouterr().err


def test_a_list_of_another_split_is_refused_by_name(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = file.with_name("other.csv")
    listed.write_text("split,name\ntrain,1.png\n")
    assert main(["evaluate", str(file), "--exclude", str(listed)]) == 1
    assert "other.csv names no image of the split 'validation' but of train" in (
        capsys.readouterr().err
    )
