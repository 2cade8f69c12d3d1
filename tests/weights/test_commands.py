"""`mien weights fetch` and `import` from file to ready weights, in this process."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner

from mien.cli.weights import weights
from mien.errors import MienError
from mien.files import sha256
from mien.weights import catalog
from mien.weights.catalog import find


@pytest.fixture
def published(tmp_path: Path, layouts: ModuleType) -> Path:
    path = tmp_path / "20180408-102900-casia-webface.pt"
    arrays = layouts.facenet_pytorch()
    torch.save({name: torch.from_numpy(value) for name, value in arrays.items()}, path)
    return path


def test_another_file_is_refused_unless_it_is_meant(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = published.stat().st_size
    entry = replace(find("facenet-vggface2"), size=size)
    monkeypatch.setattr(catalog, "catalog", lambda: {entry.name: entry})
    arguments = ["import", str(published), "--as", entry.name]
    result = CliRunner().invoke(weights, arguments)
    assert isinstance(result.exception, MienError)
    assert sha256(published) in result.exception.message
    assert entry.sha256 in result.exception.message
    assert "--other-file" in str(result.exception.hint)
    assert not entry.path.exists()
    result = CliRunner().invoke(weights, [*arguments, "--other-file"])
    assert result.exit_code == 0
    assert result.stdout.strip() == str(entry.path)
    assert entry.path.is_file()


def test_fetch_takes_what_was_put_there_and_records_what_it_saw(published: Path) -> None:
    entry = find("facenet-casia-webface")
    entry.download.parent.mkdir(parents=True)
    shutil.copy(published, entry.download)
    result = CliRunner().invoke(weights, ["fetch", entry.name, "--yes"])
    assert result.exit_code == 0
    assert "MIT License" in result.stderr
    assert "no SHA-256" in result.stderr
    assert sha256(published) in result.stderr
    assert entry.path.is_file()
    again = CliRunner().invoke(weights, ["fetch", entry.name])
    assert again.exit_code == 0
    assert "is ready" in again.stderr


def test_a_file_that_needs_no_conversion_is_kept_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = tmp_path / "detector.onnx"
    detector.write_bytes(b"a detector")
    entry = replace(find("yunet"), size=10, sha256=sha256(detector))
    monkeypatch.setattr(catalog, "catalog", lambda: {"yunet": entry})
    result = CliRunner().invoke(weights, ["import", str(detector), "--as", "yunet"])
    assert result.exit_code == 0
    kept = Path(result.stdout.strip())
    assert kept.name == "face_detection_yunet_2023mar.onnx"
    assert kept.read_bytes() == b"a detector"
    assert catalog.located("yunet") == kept
