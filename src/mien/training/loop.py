"""The training loop: an epoch of steps on the device, validation, a checkpoint, and on.

Everything random in an epoch follows from the seed and the epoch's number, and a checkpoint is
written whole after each epoch. So a run that was killed goes on as if it had not been: on one
machine's CPU, bit for bit.
"""

from __future__ import annotations

import datetime
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.progress import Progress, silent
from mien.training.batches import Batches, epoch_seed, load_split
from mien.training.optimizers import build_optimizer
from mien.training.recipe import Recipe
from mien.training.run import Run, build_network, environment
from mien.training.schedules import plateau_factor, step_factor

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Row = dict[str, float]
_SECONDS_BETWEEN_CURVES = 20


@dataclass(frozen=True)
class Device:
    """Where and how a run computes.

    Attributes:
        accelerator: as Fabric names it: `auto`, `cpu`, `cuda`, …
        devices: how many; more than one trains data-parallel, started by Fabric.
        precision: `auto` is bf16 mixed precision on a GPU and float32 elsewhere, since bf16 is
            slower than float32 on CPUs without instructions for it.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: Precision = "auto"

    def resolved_precision(self) -> str:
        """Return the precision that `auto` stands for here, or the one that was asked for."""
        if self.precision != "auto":
            return self.precision
        on_gpu = self.accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available()
        return "bf16-mixed" if on_gpu else "32-true"

    def fabric(self) -> Any:
        """Return the Fabric, not yet launched.

        Raises:
            MienError: there are no such devices, or they do not know the precision.
        """
        precision: Any = self.resolved_precision()
        # cuDNN may choose kernels whose sums differ from run to run; the same seed shall repeat.
        torch.backends.cudnn.deterministic = True
        try:
            return Fabric(accelerator=self.accelerator, devices=self.devices, precision=precision)
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            raise MienError(
                f"cannot train with the accelerator {self.accelerator}, devices {self.devices}, "
                f"precision {precision}: {error}"
            ) from error


def is_first_process() -> bool:
    """Say whether this is the process that writes: the only one, or the first of many devices."""
    # Set from the launcher's variables when Fabric is imported.
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


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
        MienError: the folder is not empty, the data set lacks a split, or the architecture cannot
            be built or does not take images of the recipe's sizes.
    """
    _check(recipe, dataset)
    run = Run(folder)
    data: dict[str, Any] = {"checksum": dataset.checksum, "images": len(dataset)}
    if data_folder is not None:
        data["folder"] = os.path.relpath(Path(data_folder).resolve(), Path(folder).resolve())
    # Fabric runs the whole program once for each device; the first process makes the folder.
    if is_first_process():
        run.create(
            recipe,
            {
                "data": data,
                "started": _now(),
                "seed": recipe.training.seed,
                "sessions": [],
            },
        )
    return run


@torch.inference_mode()
def _check(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse what could not be trained, before a folder is made for it."""
    dataset.indices(recipe.training.train_split)
    dataset.indices(recipe.training.validation_split)
    sizes = {recipe.input.size, *(step.size for step in recipe.training.sizes)}
    try:
        network = build_network(recipe).eval()
        for size in sizes:
            network(torch.zeros(1, 3 if recipe.input.color else 1, size, size))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise MienError(
            f"the architecture {recipe.model.name!r} cannot be used with its options and images "
            f"of {', '.join(map(str, sorted(sizes)))} pixels: {reason}",
            hint="change input.size, training.sizes or model.options",
        ) from error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


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
    checksum = run.info()["data"]["checksum"]
    if dataset.checksum != checksum:
        raise MienError(
            f"the data set's checksum {dataset.checksum[:12]}… is not the run's {checksum[:12]}…",
            hint="continue with the data that the run was started with",
        )
    if fabric.is_global_zero:
        run.add_session(
            {
                "started": _now(),
                "device": str(fabric.device),
                "devices": fabric.world_size,
                "precision": device.resolved_precision(),
                "environment": environment(),
            }
        )
    else:
        progress, on_epoch = silent, lambda row: None
    _Trainer(run, dataset, fabric).fit(progress, on_epoch)
    return run


class _Trainer:
    def __init__(self, run: Run, dataset: Dataset, fabric: Any) -> None:
        self.run, self.fabric = run, fabric
        self.recipe = recipe = run.recipe()
        self.batches = Batches(recipe, rank=fabric.global_rank, world_size=fabric.world_size)
        training = recipe.training
        self.train_split = load_split(dataset, training.train_split, recipe, fabric.device)
        self.validation = load_split(dataset, training.validation_split, recipe, fabric.device)
        torch.manual_seed(training.seed)
        network = build_network(recipe).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.bare_network = network
        optimizer = build_optimizer(network, recipe.optimizer)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.average: AveragedModel | None = None
        if training.ema:
            averaging = get_ema_multi_avg_fn(training.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
        self.history: list[Row] = []

    def fit(self, progress: Progress, on_epoch: Callable[[Row], None]) -> None:
        self._restore()
        epochs = self.recipe.training.epochs
        drawn = time.monotonic()
        for epoch in range(len(self.history), epochs):
            began = time.perf_counter()
            size = self.recipe.training.size_at(epoch / epochs, self.recipe.input.size)
            row: Row = {"epoch": epoch + 1, "size": size}
            row |= self._epoch(epoch, size, progress)
            row |= self._validate(size)
            # The last step may have spoilt the weights when its loss was still good.
            self._refuse_nonfinite(row["validation_loss"], epoch)
            row["seconds"] = time.perf_counter() - began
            self.history.append(row)
            self._keep()
            on_epoch(row)
            # A drawing takes longer than a short epoch.
            if self.fabric.is_global_zero and time.monotonic() - drawn > _SECONDS_BETWEEN_CURVES:
                self.run.draw_curves()
                drawn = time.monotonic()
        if self.fabric.is_global_zero and self.history:
            self.run.draw_curves()

    def _epoch(self, epoch: int, size: int, progress: Progress) -> Row:
        """Run the steps of one epoch; only the check of the loss waits for the device."""
        recipe, steps = self.recipe, self.batches.steps(self.train_split)
        plateau = plateau_factor(
            recipe.schedule, [row["validation_accuracy"] for row in self.history]
        )
        # Dropout draws from the global generator; the epoch's seed makes it repeatable.
        torch.manual_seed(epoch_seed(recipe.training.seed, epoch, self.fabric.global_rank + 1))
        loss_sum = torch.zeros((), device=self.fabric.device)
        hits = torch.zeros((), device=self.fabric.device)
        seen = 0
        self.network.train()
        factor = plateau
        for step, (images, labels) in enumerate(self.batches.train(self.train_split, epoch, size)):
            done = epoch * steps + step
            factor = plateau * step_factor(recipe.schedule, done / (recipe.training.epochs * steps))
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor
            logits = self.network(images)  # N×7
            loss = F.cross_entropy(logits, labels, label_smoothing=recipe.training.label_smoothing)
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.bare_network)
            loss_sum += loss.detach() * len(labels)
            hits += (logits.detach().argmax(dim=1) == labels).sum()
            seen += len(labels)
            if step % 20 == 0:
                self._refuse_nonfinite(loss_sum.item(), epoch)
            progress(done + 1, recipe.training.epochs * steps)
        self._refuse_nonfinite(loss_sum.item(), epoch)
        return {
            "learning_rate": self.rates[0] * factor,
            "train_loss": self._mean(loss_sum, seen),
            "train_accuracy": self._mean(hits, seen),
        }

    def _mean(self, total: Tensor, count: int) -> float:
        value: float = self.fabric.all_reduce(total / count, reduce_op="mean").item()
        return value

    def _refuse_nonfinite(self, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            raise MienError(
                f"the loss is not finite in epoch {epoch + 1}; the checkpoint of epoch {epoch} "
                f"is kept in {self.run.folder}",
                hint="try a smaller rate: --set optimizer.learning_rate=…",
            )

    @torch.inference_mode()
    def _validate(self, size: int) -> Row:
        network = self.average if self.average is not None else self.bare_network
        network.eval()
        with self.fabric.autocast():
            logits = torch.cat([network(x) for x in self.batches.evaluate(self.validation, size)])
        labels = self.validation.labels
        hits = (logits.argmax(dim=1) == labels).float()
        row: Row = {
            "validation_loss": F.cross_entropy(logits.float(), labels).item(),
            "validation_accuracy": hits.mean().item(),
        }
        # Batch norm's statistics differ a little between devices; the schedule must not.
        agreed: Row = self.fabric.broadcast(row)
        return agreed

    def _restore(self) -> None:
        state = self.run.load_checkpoint()
        if state is None:
            return
        self.bare_network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.history = state["history"]
        # A run that was killed after its checkpoint lacks the last row.
        if self.fabric.is_global_zero:
            self.run.save_history(self.history)

    def _keep(self) -> None:
        """Write the best weights, then the checkpoint, then what can be made from it."""
        if not self.fabric.is_global_zero:
            return
        network = self.average.module if self.average is not None else self.bare_network
        state: Mapping[str, Any] = {
            "network": self.bare_network.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
        }
        try:
            if self._is_best():
                self.run.save_weights(network.state_dict())
            self.run.save_checkpoint(state)
            self.run.save_history(self.history)
        except OSError as error:
            raise MienError(
                f"cannot write to {self.run.folder}: {error}; the last good checkpoint is kept",
                hint=f"make room and continue with: mien train --resume {self.run.folder}",
            ) from error

    def _is_best(self) -> bool:
        """Whether the last epoch is the best so far, among those of its size."""
        last = self.history[-1]
        rows = [row for row in self.history[:-1] if row["size"] == last["size"]]
        return all(row["validation_accuracy"] < last["validation_accuracy"] for row in rows)
