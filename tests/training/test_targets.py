"""What the loss is told: mixed images, teachers, classes' shares; and sharpness-aware steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.evaluation.predictions import Predictions
from mien.training import loop
from mien.training.batches import Batches, load_training_split
from mien.training.device import Device
from mien.training.losses import build_loss, class_shares
from mien.training.mixing import mix
from mien.training.recipe import Recipe, validate
from mien.training.sam import uphill

CPU = torch.device("cpu")


def recipe(**sections: Any) -> Recipe:
    table = {
        "summary": "tiny",
        "model": {"name": "foldnet", "options": {"widths": [4, 4, 8], "depths": [1, 1, 1]}},
        "input": {"size": 16},
        **sections,
    }
    table["training"] = {"batch_size": 16, "epochs": 2} | table.get("training", {})
    return validate(table, "tiny")


@given(seed=st.integers(0, 999), alpha=st.sampled_from([0.2, 1.0]), cut=st.booleans())
def test_targets_say_how_much_of_each_image_is_in_the_mix(
    seed: int, alpha: float, cut: bool
) -> None:
    images = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 20, 30)
    shares = torch.eye(7)[:4]
    mixed, targets = mix(
        images, shares, 0.0 if cut else alpha, alpha if cut else 0.0, np.random.default_rng(seed)
    )
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(4))
    # The first image is 0 and the last 3, so the mean tells the last one's share of the first mix.
    torch.testing.assert_close(mixed[0].mean() / 3, targets[0, 3], atol=1e-5, rtol=0)
    if cut:
        assert set(mixed[0].unique().tolist()) <= {0.0, 3.0}


def test_nothing_is_mixed_unless_asked_and_both_come_about_evenly() -> None:
    images, shares = torch.rand(2, 1, 8, 8), torch.eye(7)[:2]
    assert mix(images, shares, 0, 0, np.random.default_rng(0)) == (images, shares)
    flat = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 8, 8)
    cut = [
        len(mix(flat, shares, 1.0, 1.0, np.random.default_rng(seed))[0][0].unique()) > 1
        for seed in range(200)
    ]
    assert 60 < sum(cut) < 140


def test_an_epochs_mixing_follows_from_its_seed(dataset: Dataset) -> None:
    mixing = recipe(training={"mixup": 0.4, "cutmix": 1.0})
    split = load_training_split(dataset, mixing, CPU)
    epochs = [list(Batches(mixing).train(split, epoch, 16)) for epoch in (0, 0, 1)]
    for one, other in zip(epochs[0], epochs[1], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(epochs[0][0][2], epochs[2][0][2])
    assert epochs[0][0][2].shape == (16, 7)


def teach(dataset: Dataset, path: Path, probabilities: list[float]) -> str:
    rows = dataset.indices("train")
    table = np.tile(np.array(probabilities, np.float32), (len(rows), 1))
    # In another order than the data set's.
    Predictions(dataset.names[rows][::-1], dataset.labels[rows][::-1], table).save(path)
    return str(path)


def test_teachers_are_a_part_of_the_target(dataset: Dataset, tmp_path: Path) -> None:
    one = teach(dataset, tmp_path / "one.parquet", [0.64, 0.36, 0, 0, 0, 0, 0])
    two = teach(dataset, tmp_path / "two.parquet", [0, 0, 1, 0, 0, 0, 0])
    distilled = recipe(
        training={"distill": [one, two], "distill_weight": 0.25, "distill_temperature": 2.0}
    )
    split = load_training_split(dataset, distilled, CPU)
    # Square roots 0.8 and 0.6 make 4/7 and 3/7; two teachers halve them; a quarter of that.
    told = torch.tensor([4 / 14, 3 / 14, 0.5, 0, 0, 0, 0]) * 0.25
    expected = told + 0.75 * torch.eye(7)[split.labels]
    torch.testing.assert_close(split.targets, expected)


def test_a_teacher_that_does_not_know_an_image_is_told(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "half.parquet"
    rows = dataset.indices("train")[:10]
    Predictions(
        dataset.names[rows], dataset.labels[rows], np.eye(7, dtype=np.float32)[[0] * 10]
    ).save(path)
    with pytest.raises(
        MienError, match=r"half.parquet has no prediction for the image image10.png"
    ):
        loop.start(recipe(training={"distill": [str(path)]}), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_a_loss_on_labels_alone_refuses_mixed_ones(
    dataset: Dataset, tmp_path: Path, key: str
) -> None:
    mixed = recipe(loss={"name": "squared-hinge"}, training={key: 0.2})
    with pytest.raises(MienError, match=f"training.{key}"):
        loop.start(mixed, dataset, tmp_path / "run")


def test_adjusted_logits_are_those_of_menon() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    shares = class_shares(labels)
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1]))
    loss = build_loss(recipe(loss={"logit_adjustment": 1.5}), None, None, shares)
    logits, targets = torch.randn(5, 7), torch.arange(5)
    expected = nn.functional.cross_entropy(logits + 1.5 * shares.log(), targets)
    torch.testing.assert_close(loss(logits, None, targets), expected)


def test_uphill_moves_by_rho_along_the_gradient_and_back() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    batch = torch.randn(8, 3)
    before = [p.detach().clone() for p in module.parameters()]
    loss = module(batch).square().mean()
    loss.backward()
    gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    statistics = module[1].running_mean.clone()  # type: ignore[union-attr, operator]
    with uphill(module, 0.05):
        moved = [p.detach() - b for p, b in zip(module.parameters(), before, strict=True)]
        for move, gradient in zip(moved, gradients, strict=True):
            torch.testing.assert_close(move, 0.05 * gradient / norm, atol=1e-6, rtol=1e-4)
        assert all(p.grad is None for p in module.parameters())
        higher = module(batch).square().mean()
        assert higher > loss
        higher.backward()
    assert torch.equal(module[1].running_mean, statistics)  # type: ignore[arg-type]
    assert module[1].momentum == 0.1
    for parameter, value in zip(module.parameters(), before, strict=True):
        assert torch.equal(parameter.detach(), value)
        assert parameter.grad is not None


def test_uphill_comes_back_from_gradients_that_overflowed() -> None:
    module = nn.Linear(3, 4)
    before = [p.detach().clone() for p in module.parameters()]
    module(torch.randn(8, 3)).sum().backward()
    assert module.weight.grad is not None
    module.weight.grad[0, 0] = torch.inf  # as a scaled loss in half precision makes them at first
    with uphill(module, 0.05):
        pass
    for parameter, value in zip(module.parameters(), before, strict=True):
        assert torch.equal(parameter.detach(), value)


def test_a_run_with_everything_goes_on_bit_for_bit(dataset: Dataset, tmp_path: Path) -> None:
    everything = recipe(
        optimizer={"name": "adamw", "learning_rate": 0.01, "sam": 0.05},
        augmentation={"elastic": 0.05, "flip": True},
        loss={"logit_adjustment": 0.5},
        training={
            "mixup": 0.2,
            "cutmix": 1.0,
            "distill": [teach(dataset, tmp_path / "t.parquet", [1 / 7] * 7)],
        },
    )
    device = Device(accelerator="cpu")
    whole = loop.train(loop.start(everything, dataset, tmp_path / "a"), dataset, device)
    broken = loop.start(everything, dataset, tmp_path / "b")

    def interrupt(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(broken, dataset, device, on_epoch=interrupt)
    # The run has its own copy of its teacher.
    (tmp_path / "t.parquet").unlink()
    loop.train(broken, dataset, device)
    expected = whole.weights()
    assert all(torch.equal(expected[n], t) for n, t in broken.weights().items())
