"""Averaged weights, and statistics measured anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mien.cli.main import main
from mien.data.cache import Dataset
from mien.errors import MienError
from mien.training import loop
from mien.training.device import Device
from mien.training.recipe import load
from mien.training.run import Run, load_classifier
from mien.training.soup import average, measure_statistics

CPU = Device(accelerator="cpu")


def test_a_soup_has_the_mean_of_the_weights_and_is_a_run(
    tmp_path: Path, dataset_folder: Path, dataset: Dataset, recipe_file: Path, first: Run
) -> None:
    recipe = load(str(recipe_file), [f"model.weights={first.folder}", "training.epochs=1"])
    second = loop.train(loop.start(recipe, dataset, tmp_path / "second"), dataset, CPU)
    folder = tmp_path / "soup"
    words = ["average", f"{first.folder}=3", f"{second.folder}=1", "--data", str(dataset_folder)]
    assert main([*words, "--out", str(folder)]) == 0
    made, weights = Run(folder), Run(folder).weights()
    one, other = first.weights(), second.weights()
    for name, parameter in first.network().named_parameters():
        expected = 0.75 * one[name] + 0.25 * other[name]
        torch.testing.assert_close(weights[name], expected)
        assert parameter.shape == expected.shape
    assert [each["share"] for each in made.info()["averaged"]] == [0.75, 0.25]
    assert made.info()["averaged"][1]["run"] == "../second"
    answers = load_classifier(folder).probabilities(dataset.images[:5])
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert main([*words, "--out", str(folder)]) == 1  # it is never overwritten


def test_the_statistics_are_those_of_the_images(dataset: Dataset, first: Run) -> None:
    recipe, network = first.recipe(), first.network()
    recipe = recipe.model_copy(
        update={"augmentation": recipe.augmentation.model_copy(update={"flip": False})}
    )
    norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    measure_statistics(network, recipe, dataset.images[:40])
    features = torch.cat(seen)
    assert len(features) == 40
    assert norm.running_mean is not None
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, features.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, features.var(dim=(0, 2, 3)))
    assert not norm.training


def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, dataset: Dataset, recipe_file: Path, first: Run
) -> None:
    wide = load(str(recipe_file), ["training.epochs=1", "model.options.widths=[8, 8, 16]"])
    other = loop.train(loop.start(wide, dataset, tmp_path / "other"), dataset, CPU)
    with pytest.raises(MienError, match="different networks") as caught:
        average([first, other], [1, 1], dataset, tmp_path / "soup")
    assert "mien ensemble" in str(caught.value.hint)
    begun = loop.start(wide, dataset, tmp_path / "begun")
    with pytest.raises(MienError, match="no weights yet"):
        average([begun], [1], dataset, tmp_path / "soup")
    assert not (tmp_path / "soup").exists()


@pytest.mark.parametrize("share", ["0", "-1", "inf", "nan"])
def test_a_share_is_above_zero(tmp_path: Path, share: str) -> None:
    words = ["average", f"runs/first={share}", "--data", "d", "--out", str(tmp_path / "soup")]
    assert main(words) == 2
