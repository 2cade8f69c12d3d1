"""Training: begin a run folder, and bring it to its end.

Everything random in an epoch follows from the seed and the epoch's number, and a checkpoint is
written whole after each epoch. So a run that was killed goes on as if it had not been: on one
machine's CPU, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.files import atomic_directory
from mien.progress import Progress, silent
from mien.training.batches import labeled_rows, source_weights, training_rows, vote_shares
from mien.training.device import Device, is_first_process
from mien.training.distillation import teacher_shares
from mien.training.freezing import Freeze
from mien.training.initial import load_initial, record_initial
from mien.training.losses import balanced_weights, build_loss
from mien.training.recipe import Recipe
from mien.training.run import Row, Run, beginning, build_network, environment, now
from mien.training.stages import stages_of
from mien.training.trainer import Trainer, embedding_width


def start(
    recipe: Recipe, dataset: Dataset, folder: Path | str, data_folder: Path | str | None = None
) -> Run:
    """Begin a run folder for a recipe and a data set.

    Args:
        recipe: what is trained.
        dataset: what it is trained on.
        folder: the new run's.
        data_folder: where the data set lies, for `Run.data_folder`; kept relative to `folder`.

    Raises:
        MienError: the folder is not empty, the data set lacks a split, votes or a source, an
            exclusion list does not fit it, the architecture cannot be built, does not take images
            of the recipe's sizes, has no such layer to freeze or a loss that does not fit it, or
            its initial weights are missing.
    """
    check(recipe, dataset)
    run = Run(folder)
    # Fabric runs the whole program once for each device; the first process makes the folder.
    if is_first_process():
        info = beginning(recipe, dataset, folder, data_folder)
        if recipe.model.weights:
            info["weights"] = record_initial(recipe.model.weights)
        run.check_new()
        # A run without its copies could not be gone on with: all of it, or nothing.
        with atomic_directory(folder) as temporary:
            begun = Run(temporary)
            begun.create(recipe, info)
            begun.copy_files(recipe)
    return run


def check(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse what could not be trained, before a folder is made for it; see `start`."""
    training = recipe.training
    rows = [training_rows(dataset, recipe), labeled_rows(dataset, training.validation_split)]
    source_weights(dataset, rows[0], training.source_weights)
    if recipe.loss.targets == "votes":
        for part in rows:
            vote_shares(dataset, part)
    if training.distill:
        teacher_shares(training.distill, dataset.names[rows[0]], training.distill_temperature)
    network = _built(recipe)
    for stage in stages_of(recipe):
        Freeze(network, stage.freeze)
        weights = balanced_weights(torch.arange(7)) if stage.balanced else None
        build_loss(recipe, weights, embedding_width(network, recipe))
    load_initial(network, recipe)


def _built(recipe: Recipe) -> torch.nn.Module:
    """Return the recipe's network, tried on images of all its sizes."""
    sizes = {recipe.input.size, *(step.size for step in recipe.training.sizes)}
    try:
        network = build_network(recipe).eval()
        with torch.inference_mode():
            for size in sizes:
                network(torch.zeros(1, 3 if recipe.input.color else 1, size, size))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise MienError(
            f"the architecture {recipe.model.name!r} cannot be used with its options and images "
            f"of {', '.join(map(str, sorted(sizes)))} pixels: {reason}",
            hint="change input.size, training.sizes or model.options",
        ) from error
    return network


def train(
    run: Run,
    dataset: Dataset,
    device: Device | None = None,
    *,
    progress: Progress = silent,
    on_epoch: Callable[[Row], None] = lambda row: None,
) -> Run:
    """Train a run to its end, from its last checkpoint where there is one.

    Args:
        run: a folder that `start` made.
        dataset: the data set that the run was started with.
        device: where to compute; by default one GPU if there is one, else the CPU.
        progress: called with steps done and in all.
        on_epoch: called with each epoch's row of the history.

    Raises:
        MienError: the data set differs from the run's, the loss is not finite, or a checkpoint
            cannot be written; the last good checkpoint stays.
    """
    device = device or Device()
    fabric = device.fabric()
    fabric.launch()
    fabric.barrier()  # until the first process has made the folder
    run.check_data(dataset)
    if fabric.is_global_zero:
        run.add_session(
            {
                "started": now(),
                "device": str(fabric.device),
                "devices": fabric.world_size,
                "precision": device.resolved_precision(),
                "compiled": device.compiled,
                "environment": environment(),
            }
        )
    else:
        progress, on_epoch = silent, lambda row: None
    Trainer(run, dataset, fabric, compiled=device.compiled).fit(progress, on_epoch)
    return run
