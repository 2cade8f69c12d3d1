"""`mien models show` as a process: the text, the JSON, the picture, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.cli.main import main
from mien.cli.models import show
from mien.models.registry import architectures
from mien.training.recipe import load
from mien.training.run import Run


def test_diagram_table_and_totals(run_mien: Any, tmp_path: Path) -> None:
    result = run_mien("models", "show", "cnn5", "--diagram", tmp_path / "cnn5.png")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "cnn5: the paper's 5-layer CNN"
    assert "128×12×12  ▽  features.10   2×2 max pooling, stride 2, dropout 0.2" in lines
    row = next(line.split() for line in lines if line.startswith(" features.12 "))
    assert row == ["features.12", "3×3", "convolution", "256×12×12", "295,168", "42,467,328"]
    # Vepuri 2021, section VII.A.
    assert "  trainable:   11,075,847" in lines
    assert any(line.startswith("  others:      896 ") for line in lines)
    with Image.open(tmp_path / "cnn5.png") as picture:
        assert picture.format == "PNG"
    assert "∥ side by side" in result.stderr


def test_json_with_options(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["resnet50", "--size", "224", "--channels", "3", "--option", "classes=1000"]
    assert main(["models", "show", *arguments, "--option", "geometry=oxford", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["input"] == [3, 224, 224]
    # torchvision, ResNet50_Weights.IMAGENET1K_V1: num_params.
    assert found["trainable"] == 25_557_032
    assert found["parameters"] == 25_557_032 + found["non_trainable"]
    first = next(layer for layer in found["layers"] if layer["name"] == "conv1/7x7_s2")
    assert first["path"] == "backbone.conv1.conv"
    assert first["shape"] == [64, 112, 112]


def test_a_run_is_shown_as_its_recipe_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load("foldnet", ["model.options.widths=[8,8,16]", "input.size=32"])
    Run(tmp_path / "mine").create(recipe, {})
    assert main(["models", "show", str(tmp_path / "mine"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["network"] == "mine: foldnet"
    assert found["input"] == [1, 32, 32]
    assert found["layers"][-1]["trainable"] == 7 * (16 + 1)
    assert main(["models", "show", str(tmp_path / "mine"), "--size", "64"]) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("resnet5",), 1, "did you mean 'resnet50'?"),
        (("vgg16", "--size", "40"), 1, "48 pixels or more, not 40"),
        (("foldnet", "--size", "50"), 1, "does not take images of 50 pixels"),
        (("vgg16", "--option", "head=papr"), 1, "did you mean 'paper'?"),
        (("vgg16", "--option", "head"), 1, "KEY=VALUE"),
        (("vgg16", "--option", "size=64"), 1, "--size"),
        (("cnn5", "--diagram", "cnn5.jpg"), 1, ".png, .svg, .pdf"),
        (("cnn5", "--channels", "2"), 2, "--channels"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "show", *arguments]) == status
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.out == ""
    assert not list(tmp_path.iterdir())


def test_the_help_points_to_the_architectures_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A list within the text would be one more to keep.
    assert show.help is not None
    assert [name for name in architectures() if name in show.help] == []
    assert main(["models", "show", "?"]) == 1
    printed = capsys.readouterr().err.replace(",", " ").split()
    assert [name for name in architectures() if name not in printed] == []


def test_the_list_needs_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    with_command = capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    assert capsys.readouterr().out == with_command
    assert main(["models"]) == 0
    assert "small" in capsys.readouterr().out
