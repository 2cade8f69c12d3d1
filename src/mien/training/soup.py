"""The weights of one or several runs as one network, its statistics measured anew.

M. Wortsman and others, "Model soups", ICML 2022 (arXiv 2203.05482): runs of which one began with
another's weights may be averaged weight by weight, which costs nothing when the network is used.
Y. Wu, J. Johnson, "Rethinking 'Batch' in BatchNorm", 2021 (arXiv 2105.07576): moving averages of a
batch normalization are noisy, and were taken of augmented images; here they are measured with the
weights at rest on images as they will be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.files import atomic_directory, relative, sha256
from mien.progress import Progress, silent
from mien.training.batches import training_rows
from mien.training.recipe import Recipe
from mien.training.run import Run, beginning, build_network, to_device_layout

IMAGES = 4096
"""So many training images, at most, measure the statistics."""
_BATCH = 256


def average(
    runs: Sequence[Run],
    shares: Sequence[float],
    dataset: Dataset,
    folder: Path | str,
    *,
    data_folder: Path | str | None = None,
    progress: Progress = silent,
) -> Run:
    """Make a run of the mean of runs' best weights, with new statistics of batch normalization.

    Args:
        runs: of the same network on the same input; the first one's recipe is the new run's.
        shares: of the runs in the mean, above 0; they are scaled to sum to 1.
        dataset: what the first run was trained on.
        folder: the new run's.
        data_folder: where the data set lies, for `Run.data_folder`.
        progress: told how many images were measured.

    Returns:
        A run without history and checkpoint. Its record says under `averaged` of which runs it is
        made, with the SHA-256 of their weights.

    Raises:
        MienError: the runs have no weights or are of different networks, the data set is not the
            first run's, or the folder is not empty.
    """
    first = runs[0].recipe()
    for run in runs[1:]:
        recipe = run.recipe()
        if (recipe.model.name, recipe.model.options, recipe.input) != (
            first.model.name,
            first.model.options,
            first.input,
        ):
            raise MienError(
                f"{run.folder} and {runs[0].folder} are of different networks or inputs",
                hint="only weights of the same network can be averaged; for others there is "
                "mien ensemble",
            )
    runs[0].check_data(dataset)
    target = Run(folder)
    target.check_new()
    portions = np.asarray(shares, np.float64) / np.sum(shares)
    network = build_network(first)
    network.load_state_dict(_mean([run.weights() for run in runs], portions.tolist()))
    # The first run's lists of excluded images lie in its folder.
    rows = training_rows(dataset, runs[0].with_copies(first))
    measure_statistics(network, first, dataset.images[rows[_spread(len(rows))]], progress)
    info = beginning(first, dataset, folder, data_folder) | {
        "averaged": [
            {
                "run": relative(run.folder, folder),
                "share": float(portion),
                "sha256": sha256(run.weights_file),
            }
            for run, portion in zip(runs, portions, strict=True)
        ]
    }
    with atomic_directory(folder) as temporary:
        made = Run(temporary)
        made.create(first, info)
        made.save_weights(network.state_dict())
    return target


@torch.no_grad()
def measure_statistics(
    network: nn.Module, recipe: Recipe, images: NDArray[np.uint8], progress: Progress = silent
) -> None:
    """Set the statistics of all batch normalizations to those of images; weights stay.

    Args:
        network: on the CPU; in evaluation mode afterwards.
        recipe: its preprocessing is applied, and half of the batches are mirrored where it
            augments by mirroring.
        images: uint8, N×H×W or N×H×W×3, as they lie in a data set.
        progress: told how many images were measured.
    """
    # As torch.optim.swa_utils.update_bn does, but that leaves dropout on.
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    network.eval()  # dropout and dropped branches are off
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    preprocessing = recipe.input.preprocessing()
    for number, start in enumerate(range(0, len(images), _BATCH)):
        batch = to_device_layout(preprocessing(images[start : start + _BATCH])).float()
        network(batch.flip(3) if recipe.augmentation.flip and number % 2 else batch)
        progress(min(start + _BATCH, len(images)), len(images))
    network.eval()


def _mean(weights: Sequence[dict[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Return the mean of what is a floating-point number, and the first one's counters."""
    return {
        name: torch.stack([s * each[name] for each, s in zip(weights, shares, strict=True)]).sum(0)
        if value.is_floating_point()
        else value
        for name, value in weights[0].items()
    }


def _spread(count: int) -> NDArray[np.intp]:
    """Return at most `IMAGES` of so many places, evenly spread and in an order of its own."""
    places = np.linspace(0, count - 1, min(IMAGES, count)).astype(np.intp)
    return np.random.default_rng(0).permutation(places)
