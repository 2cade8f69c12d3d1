"""`mien weights` as a process: list, the license, fetching from a server here, importing."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "home"))


def test_the_list_names_what_the_paper_needs(run_mien: Any, tmp_path: Path) -> None:
    found = json.loads(run_mien("weights", "list", "--json").stdout)
    names = {entry["name"] for entry in found}
    assert {"keras-vggface-resnet50", "keras-facenet", "oxford-senet50-ft", "yunet"} <= names
    assert not any(entry["ready"] for entry in found)
    assert all(entry["license"] for entry in found)
    assert all(entry["path"].startswith(str(tmp_path / "home")) for entry in found)
    table = run_mien("weights", "list")
    assert "keras-vggface-resnet50" in table.stdout
    assert str(tmp_path / "home") in table.stderr


def test_nothing_is_fetched_before_the_license_is_accepted(run_mien: Any) -> None:
    result = run_mien("weights", "fetch", "yunet", "--quiet")
    assert result.returncode == 1
    assert "MIT License" in result.stderr
    assert "--yes" in result.stderr


def test_what_must_be_downloaded_by_hand_says_where_and_what_then(run_mien: Any) -> None:
    result = run_mien("weights", "fetch", "keras-facenet", "--yes")
    assert result.returncode == 1
    assert "drive.google.com" in result.stderr
    assert "mien weights import facenet_keras.h5 --as keras-facenet" in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_files_and_names_are_refused_in_a_sentence(run_mien: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(pickle.dumps({"conv1.weight": Path("x")}))
    result = run_mien("weights", "import", str(bad), "--as", "oxford-resnet50-ft")
    assert result.returncode == 1
    assert "tensors or plain NumPy arrays" in result.stderr
    assert "Traceback" not in result.stderr
    result = run_mien("weights", "import", str(bad), "--as", "yunet")
    assert "bytes, but face_detection_yunet_2023mar.onnx has 232,589" in result.stderr
    result = run_mien("weights", "import", str(bad), "--as", "yunett")
    assert "did you mean 'yunet'?" in result.stderr
