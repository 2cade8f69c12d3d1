"""`mien embed`: the files, the figures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from mien.cli.main import main
from mien.data import cache
from mien.files import sha256
from mien.training.recipe import load
from mien.training.run import Run, build_network

OVERRIDES = ["model.options.widths=[4,4,8]", "model.options.depths=[1,1,1]", "input.size=16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run `run` with fresh weights, and a data set `data` whose images have a class's pattern.

    `data` has 70 images to train on, 42 to validate (two without a label), 5 in `unlabeled`.
    """
    folder = tmp_path_factory.mktemp("embed")
    random = np.random.default_rng(0)
    patterns = random.integers(0, 200, (7, 16, 16))
    labels = (np.arange(117) % 7).astype(np.int8)
    images = (patterns[labels] + random.integers(0, 30, (117, 16, 16))).astype(np.uint8)
    splits = np.repeat(np.arange(3), (70, 42, 5)).astype(np.uint8)
    labels[[70, 71]] = -1
    labels[112:] = -1
    names = np.array([f"{i}.png" for i in range(117)])
    dataset = cache.from_arrays(
        images=images,
        labels=labels,
        splits=splits,
        names=names,
        split_names=("train", "validation", "unlabeled"),
    )
    cache.save(dataset, folder / "data")
    recipe = load("foldnet", OVERRIDES)
    run = Run(folder / "run")
    run.create(recipe, {})
    torch.manual_seed(0)
    run.save_weights(build_network(recipe).state_dict())
    return folder


def test_files_and_figures(folder: Path, run_mien: Any) -> None:
    result = run_mien("embed", folder / "run", "--data", folder / "data", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    file = folder / "run" / "embeddings" / "validation.parquet"
    assert found["embeddings"] == str(file)
    assert (found["images"], found["width"]) == (42, 8)
    # Even a network with fresh weights keeps patterns apart.
    assert found["neighbors"] == {"k": 15, "accuracy": pytest.approx(1, abs=0.1)}
    assert found["clusters"]["adjusted_rand"] > 0.5
    table = pq.read_table(file)
    assert table["name"].to_pylist() == [f"{i}.png" for i in range(70, 112)]
    assert table["label"].null_count == 2
    info = json.loads(table.schema.metadata[b"mien.embeddings"])
    assert info["model"] == "run"
    assert info["model_sha256"] == sha256(folder / "run" / "model.safetensors")
    assert info["data"] == cache.load(folder / "data").checksum
    assert info["split"] == "validation"
    with Image.open(found["map"]) as picture:
        assert picture.format == "PNG"


def test_the_text_and_other_places(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["embed", str(folder / "run"), "--data", str(folder / "data"), "--split", "train"]
    out, picture = tmp_path / "e.parquet", tmp_path / "pictures" / "m.png"
    places = ["--out", str(out), "--map", str(picture)]
    more = ["--method", "pca", "--points", "30", "--neighbors", "3"]
    assert main([*arguments, *places, *more]) == 0
    printed = capsys.readouterr().out
    assert "train: 70 images, 8 values each" in printed
    assert "accuracy of 3 nearest neighbors" in printed
    assert "adjusted Rand index" in printed
    assert f"map: {picture}" in printed
    assert pq.read_metadata(out).num_rows == 70
    assert picture.is_file()


def test_what_cannot_be_measured_is_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["embed", str(folder / "run"), "--data", str(folder / "data"), "--json"]
    arguments += ["--method", "pca", "--out", str(tmp_path / "e.parquet")]
    assert main([*arguments, "--split", "unlabeled"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["neighbors"] is None
    assert found["clusters"] is None
    assert main([*arguments, "--neighbors", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["neighbors"] is None
    assert found["clusters"] is not None


def test_neighbors_need_a_training_split(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.save(cache.load(folder / "data").subset("validation"), tmp_path / "data")
    out = ["--out", str(tmp_path / "e.parquet"), "--method", "pca"]
    arguments = ["embed", str(folder / "run"), "--data", str(tmp_path / "data"), *out]
    assert main(arguments) == 1
    assert "--neighbors 0" in capsys.readouterr().err
    assert main([*arguments, "--neighbors", "0"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("run", "--data", "data", "--split", "trian"), 1, "did you mean 'train'?"),
        (("run", "--data", "run"), 1, "not a prepared data set"),
        (("run",), 2, "--data"),
        (("model.onnx", "--data", "data"), 1, "model.onnx is not the folder of a run"),
        (("data", "--data", "data"), 1, "data is not a run"),
        (("run", "--data", "data", "--map", "m.jpg"), 2, ".png"),
        (("run", "--data", "data", "--out", "m.png"), 2, ".parquet"),
        (("run", "--data", "data", "--method", "umap"), 2, "--method"),
    ],
)
def test_mistakes_are_told(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(["embed", *arguments]) == status
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.out == ""
