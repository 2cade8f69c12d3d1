"""The loop on a tiny data set: it learns, repeats, resumes bit for bit, and stops with a word."""

from __future__ import annotations

import csv
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.training import loop
from mien.training.batches import Batches, load_split
from mien.training.device import Device
from mien.training.recipe import load
from mien.training.run import Run, load_classifier

CPU = Device(accelerator="cpu")


def _rows(run: Run) -> list[dict[str, str]]:
    """The history without the seconds, the one thing that may differ."""
    with run.history_file.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def _same_weights(a: Run, b: Run) -> bool:
    first, second = load_file(a.weights_file), load_file(b.weights_file)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_it_learns_and_leaves_a_whole_run_folder(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    recipe = load(str(recipe_file), ["training.epochs=25", "augmentation.erase=0", "input.filter="])
    run = loop.train(loop.start(recipe, dataset, tmp_path / "run"), dataset, CPU)
    rows = _rows(run)
    assert len(rows) == 25
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 2
    assert float(rows[-1]["validation_accuracy"]) > 0.8
    assert run.recipe() == recipe
    info = run.info()
    assert info["data"]["checksum"] == dataset.checksum
    assert [session["device"] for session in info["sessions"]] == ["cpu"]
    assert info["sessions"][0]["environment"]["torch"] == torch.__version__
    with Image.open(run.curves_file) as curves:
        assert curves.format == "PNG"
    classifier = load_classifier(run.folder)
    rows_of_validation = dataset.indices("validation")
    images = classifier.preprocessing(dataset.images[rows_of_validation])
    hits = classifier.probabilities(images).argmax(1) == dataset.labels[rows_of_validation]
    best = max(float(row["validation_accuracy"]) for row in rows if row["size"] == "16")
    assert hits.mean() == pytest.approx(best, abs=1e-6)


def test_the_same_seed_gives_the_same_run_and_another_another(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        recipe = load(str(recipe_file), [f"training.seed={seed}"])
        runs.append(loop.train(loop.start(recipe, dataset, tmp_path / name), dataset, CPU))
    assert _rows(runs[0]) == _rows(runs[1])
    assert _same_weights(runs[0], runs[1])
    assert not _same_weights(runs[0], runs[2])


@pytest.mark.parametrize("optimizer", ["muon", "adam", "sgd"])
def test_an_interrupted_run_resumes_bit_for_bit(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, optimizer: str
) -> None:
    recipe = load(str(recipe_file), [f"optimizer.name={optimizer}", "schedule.name=plateau"])
    whole = loop.train(loop.start(recipe, dataset, tmp_path / "whole"), dataset, CPU)

    class StoppedError(Exception):
        pass

    def stop_in_the_third_epoch(done: int, total: int | None) -> None:
        if done == 10:  # 4 steps an epoch
            raise StoppedError

    broken = loop.start(recipe, dataset, tmp_path / "broken")
    with pytest.raises(StoppedError):
        loop.train(broken, dataset, CPU, progress=stop_in_the_third_epoch)
    assert len(_rows(broken)) == 2
    loop.train(broken, dataset, CPU)
    assert _rows(broken) == _rows(whole)
    assert _same_weights(broken, whole)


def test_a_killed_process_resumes_bit_for_bit(
    tmp_path: Path, dataset_folder: Path, recipe_file: Path, run_mien: Any
) -> None:
    arguments = ["train", recipe_file, "--data", dataset_folder, "--accelerator", "cpu"]
    arguments += ["--set", "training.epochs=40"]
    whole = run_mien(*arguments, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    command = [
        sys.executable,
        "-m",
        "mien",
        *map(str, arguments),
        "--out",
        str(tmp_path / "killed"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    history = tmp_path / "killed" / "history.csv"
    deadline = time.monotonic() + 120
    while not (history.is_file() and len(history.read_text().splitlines()) > 3):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed, uninterrupted = Run(tmp_path / "killed"), Run(tmp_path / "whole")
    assert len(_rows(killed)) < 40
    resumed = run_mien("train", "--resume", killed.folder)
    assert resumed.returncode == 0, resumed.stderr
    assert _rows(killed) == _rows(uninterrupted)
    assert _same_weights(killed, uninterrupted)
    assert not list(killed.folder.glob(".*.pt"))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    recipe = load(
        str(recipe_file),
        ["optimizer.name=sgd", "optimizer.learning_rate=1e30", "schedule.warmup=0.5"],
    )
    run = loop.start(recipe, dataset, tmp_path / "run")
    with pytest.raises(MienError, match="not finite in epoch 1"):
        loop.train(run, dataset, CPU)
    assert run.load_checkpoint() is None


def test_a_full_disk_keeps_the_last_good_checkpoint(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop.start(load(str(recipe_file)), dataset, tmp_path / "run")
    real_save = torch.save

    def full(state: dict[str, Any], path: Path) -> None:
        if len(state["history"]) == 3:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real_save(state, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(MienError, match="No space left"):
        loop.train(run, dataset, CPU)
    checkpoint = run.load_checkpoint()
    assert checkpoint is not None
    assert len(checkpoint["history"]) == 2
    monkeypatch.undo()
    loop.train(run, dataset, CPU)
    assert len(_rows(run)) == 4


def test_weights_that_the_last_step_spoils_are_not_kept(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    # One step an epoch: its loss is that of the fresh weights, and good.
    overrides = ["optimizer.name=sgd", "optimizer.learning_rate=1e30", "schedule.name=constant"]
    recipe = load(str(recipe_file), [*overrides, "training.batch_size=64", "training.ema=0"])
    run = loop.start(recipe, dataset, tmp_path / "run")
    with pytest.raises(MienError, match="not finite in epoch 1"):
        loop.train(run, dataset, CPU)
    assert run.load_checkpoint() is None
    assert not run.weights_file.exists()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_torch_s_own_error_of_a_full_disk_is_the_system_s(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop.start(load(str(recipe_file)), dataset, tmp_path / "run")
    real_save = torch.save
    monkeypatch.setattr(torch, "save", lambda state, path: real_save(state, "/dev/full"))
    with pytest.raises(MienError, match="cannot write to"):
        loop.train(run, dataset, CPU)
    assert run.load_checkpoint() is None


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["input.size=20"], "20"),
        (["model.options.depths=[1]"], "foldnet"),
        (["model.options.dropout=2"], "foldnet"),
        (["training.train_split=trian"], "trian"),
        (["training.sizes=[{start=0.0,size=9}]"], "9"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_there_is_a_folder(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, overrides: list[str], words: str
) -> None:
    with pytest.raises(MienError, match=words):
        loop.start(load(str(recipe_file), overrides), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", [Device("cup"), Device("cpu", devices=0), Device("cpu", 1, "x")])
def test_a_device_that_does_not_exist_is_told(device: Device) -> None:
    with pytest.raises(MienError, match="cannot train with"):
        device.fabric()


def test_compiling_without_a_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MienError, match="no-such-compiler"):
        Device("cpu", compiled=True).fabric()


def test_compiled_steps_are_the_same_steps(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.training.device._compiler", lambda: sys.executable)
    calls: list[Any] = []
    compile_ = torch.compile

    def without_code(module: Any, **options: Any) -> Any:
        calls.append(module)
        return compile_(module, **options | {"backend": "eager"})

    monkeypatch.setattr(torch, "compile", without_code)
    recipe = load(str(recipe_file), ["training.epochs=2"])
    plain = loop.train(loop.start(recipe, dataset, tmp_path / "plain"), dataset, CPU)
    assert not calls
    compiled = loop.start(recipe, dataset, tmp_path / "compiled")
    loop.train(compiled, dataset, Device("cpu", compiled=True))
    assert calls
    assert compiled.info()["sessions"][0]["compiled"] is True
    assert _rows(compiled) == _rows(plain)
    assert _same_weights(compiled, plain)


def test_a_run_killed_after_its_checkpoint_gets_its_last_row(
    tmp_path: Path, dataset: Dataset, recipe_file: Path
) -> None:
    run = loop.train(loop.start(load(str(recipe_file)), dataset, tmp_path / "run"), dataset, CPU)
    whole = run.history_file.read_text()
    run.history_file.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert loop.train(run, dataset, CPU).history_file.read_text() == whole


def test_other_data_is_refused(tmp_path: Path, dataset: Dataset, recipe_file: Path) -> None:
    run = loop.start(load(str(recipe_file)), dataset, tmp_path / "run")
    other = dataset.subset("train")
    with pytest.raises(MienError, match="checksum"):
        loop.train(run, other, CPU)


def test_a_run_is_never_overwritten(tmp_path: Path, dataset: Dataset, recipe_file: Path) -> None:
    recipe = load(str(recipe_file))
    loop.start(recipe, dataset, tmp_path / "run")
    with pytest.raises(MienError, match="--resume"):
        loop.start(recipe, dataset, tmp_path / "run")


@pytest.mark.parametrize("place", ["before_resize", "after_resize", "after_augmentation"])
def test_a_filter_works_at_its_place(dataset: Dataset, recipe_file: Path, place: str) -> None:
    overrides = [f"input.filter.place={place}", "input.filter.name=median", "input.size=24"]
    recipe = load(str(recipe_file), [*overrides, "augmentation={}"])
    split = load_split(dataset, "validation", recipe, torch.device("cpu"))
    batches = torch.cat(list(Batches(recipe).evaluate(split, 24)))
    exact = recipe.input.preprocessing()(np.asarray(dataset.images[dataset.indices("validation")]))
    assert batches.shape == (32, 1, 24, 24)
    difference = np.abs(batches[:, 0].numpy() - exact.astype(np.float32))
    assert difference.max() <= 1


def test_an_epoch_sees_every_image_once_and_ranks_share_it(
    dataset: Dataset, recipe_file: Path
) -> None:
    recipe = load(str(recipe_file), ["augmentation={}", "input.filter.place=after_resize"])
    split = load_split(dataset, "train", recipe, torch.device("cpu"))
    alone = torch.cat([x for x, *_ in Batches(recipe).train(split, 3, 16)])
    assert len(alone) == 64
    shared = [
        torch.cat([x for x, *_ in Batches(recipe, rank=rank, world_size=2).train(split, 3, 16)])
        for rank in (0, 1)
    ]
    assert [len(part) for part in shared] == [32, 32]

    def keys(images: torch.Tensor) -> list[float]:
        return sorted(images.double().mean(dim=(1, 2, 3)).tolist())

    assert keys(alone) == pytest.approx(keys(torch.cat(shared)))
    assert keys(alone) == pytest.approx(keys(split.images))
