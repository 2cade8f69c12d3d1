"""One process's part of a training: epochs of steps, validation, checkpoints, stage after stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.models.embedding import embed
from mien.progress import Progress
from mien.training.averaging import MovingAverage
from mien.training.batches import Batches, epoch_seed, load_split, load_training_split
from mien.training.freezing import Freeze
from mien.training.initial import load_initial
from mien.training.losses import EMBEDDING_LOSSES, Loss, balanced_weights, build_loss, class_shares
from mien.training.optimizers import build_optimizer
from mien.training.recipe import Recipe
from mien.training.run import Row, Run, build_network
from mien.training.sam import uphill
from mien.training.schedules import plateau_factor, step_factor
from mien.training.stages import ResolvedStage, current_stage, rows_of, stages_of
from mien.training.winograd import use_winograd

_SECONDS_BETWEEN_CURVES = 20


class Trainer:
    """Trains a run from its last checkpoint.

    Args:
        run: its folder holds recipe and record.
        dataset: what it was started with.
        fabric: launched; names the device, and this process among those that train together.
        compiled: steps go through `torch.compile`.
    """

    stage: ResolvedStage
    freeze: Freeze
    step_module: Any
    optimizer: Any
    rates: list[float]
    average: MovingAverage | None

    def __init__(self, run: Run, dataset: Dataset, fabric: Any, *, compiled: bool = False) -> None:
        self.run, self.fabric, self.compiled = run, fabric, compiled
        self.recipe = recipe = run.recipe()
        self.stages = stages_of(recipe)
        self.batches = Batches(recipe, rank=fabric.global_rank, world_size=fabric.world_size)
        self.train_split = load_training_split(dataset, run.with_copies(recipe), fabric.device)
        self.validation = load_split(
            dataset, recipe.training.validation_split, recipe, fabric.device
        )
        self.steps = self.batches.steps(self.train_split)
        torch.manual_seed(recipe.training.seed)
        network = build_network(recipe)
        if not compiled:  # The compiler calls PyTorch's own convolutions.
            use_winograd(network)
        self.bare_network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.history: list[Row] = []

    def fit(self, progress: Progress, on_epoch: Callable[[Row], None]) -> None:
        """Train to the end; write checkpoint, best weights and history after each epoch."""
        self._restore()
        planned = sum(stage.epochs for stage in self.stages)
        drawn = time.monotonic()
        while (stage := current_stage(self.stages, self.history)) is not None:
            if stage is not self.stage:
                self._enter(stage, from_best=True)
            began = time.perf_counter()
            epoch = len(self.history)
            size = self.recipe.training.size_at(epoch / planned, self.recipe.input.size)
            row: Row = {"epoch": epoch + 1, "stage": stage.number, "size": size}
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

    def _restore(self) -> None:
        """Take up the last checkpoint, or begin with fresh, published or another run's weights."""
        state = self.run.load_checkpoint()
        if state is None:
            load_initial(self.bare_network, self.recipe, self.run.info().get("weights"))
            self._enter(self.stages[0], from_best=False)
            return
        self.bare_network.load_state_dict(state["network"])
        self.history = state["history"]
        number = self.history[-1].get("stage", 1)
        self._enter(self.stages[int(number) - 1], from_best=False)
        self.optimizer.load_state_dict(state["optimizer"])
        # A checkpoint from before losses had weights of their own has no such key.
        self.loss.load_state_dict(state.get("loss", {}))
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        # A run that was killed after its checkpoint lacks what is written after it.
        if self.fabric.is_global_zero:
            self._write_results()

    def _enter(self, stage: ResolvedStage, *, from_best: bool) -> None:
        """Make all that belongs to a stage; its weights are the best so far, or those at hand."""
        self.stage = stage
        network = self.bare_network
        if from_best:
            self.fabric.barrier()  # until the first process has written them
            network.load_state_dict(self.run.weights())
        self.freeze = Freeze(network, stage.freeze)
        self.batches.augmentation = stage.augmentation
        labels = self.train_split.labels
        weights = balanced_weights(labels) if stage.balanced else None
        width = embedding_width(network, self.recipe)
        self.loss = build_loss(self.recipe, weights, width, class_shares(labels))
        step: Any = _Step(network, self.loss, apart=self.recipe.loss.name == "triplet")
        optimizer = build_optimizer(step.parameters(), stage.optimizer)
        if self.compiled:
            step = torch.compile(step, dynamic=False)  # once for each size of the images
        self.step_module, self.optimizer = self.fabric.setup(step, optimizer)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.average = None
        if self.recipe.training.ema:
            self.average = MovingAverage(network, self.recipe.training.ema)

    def _epoch(self, epoch: int, size: int, progress: Progress) -> Row:
        """Run the steps of one epoch; nothing waits for a GPU before its end."""
        schedule = self.stage.schedule
        rows = rows_of(self.history, self.stage)
        plateau = plateau_factor(schedule, [row["validation_accuracy"] for row in rows])
        # Dropout draws from the global generator; the epoch's seed makes it repeatable.
        seed = self.recipe.training.seed
        torch.manual_seed(epoch_seed(seed, epoch, self.fabric.global_rank + 1))
        loss_sum = torch.zeros((), device=self.fabric.device)
        hits = torch.zeros((), device=self.fabric.device)
        seen = 0
        self.freeze.train(self.step_module)
        factor = plateau
        batches = self.batches.train(self.train_split, epoch, size)
        for step, (images, labels, targets) in enumerate(batches):
            done = len(rows) * self.steps + step  # of the stage
            factor = plateau * step_factor(schedule, done, self.stage.epochs * self.steps)
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor
            logits, loss = self.step_module(images, targets)  # N×7, a scalar
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            if self.stage.optimizer.sam:
                with uphill(self.step_module, self.stage.optimizer.sam):
                    self.fabric.backward(self.step_module(images, targets)[1])
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.bare_network)
            loss_sum += loss.detach() * len(labels)
            hits += (logits.detach().argmax(dim=1) == labels).sum()
            seen += len(labels)
            # On a CPU reading it costs nothing, and an epoch is long.
            if step % 20 == 0 and self.fabric.device.type == "cpu":
                self._refuse_nonfinite(loss_sum.item(), epoch)
            progress(*self._position(epoch, step))
        self._refuse_nonfinite(loss_sum.item(), epoch)
        return {
            "learning_rate": self.rates[0] * factor,
            "train_loss": self._mean(loss_sum, seen),
            "train_accuracy": self._mean(hits, seen),
        }

    def _position(self, epoch: int, step: int) -> tuple[int, int]:
        """Return the steps done and in all, as far as this and the stages to come go."""
        before = epoch - len(rows_of(self.history, self.stage))
        ahead = sum(stage.epochs for stage in self.stages[self.stage.number - 1 :])
        return epoch * self.steps + step + 1, (before + ahead) * self.steps

    def _mean(self, total: Tensor, count: int) -> float:
        value: float = self.fabric.all_reduce(total / count, reduce_op="mean").item()
        return value

    def _refuse_nonfinite(self, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            kept = f"the checkpoint of epoch {epoch} is kept in" if epoch else "nothing is kept in"
            raise MienError(
                f"the loss is not finite in epoch {epoch + 1}; {kept} {self.run.folder}",
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

    def _keep(self) -> None:
        """Write the checkpoint, then what can be made from it.

        In this order: the next stage begins with the best weights, and they must not be those of
        an epoch that is done again.
        """
        if not self.fabric.is_global_zero:
            return
        state: Mapping[str, Any] = {
            "network": self.bare_network.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "loss": self.loss.state_dict(),
            "history": self.history,
        }
        try:
            self.run.save_checkpoint(state)
            self._write_results()
        except OSError as error:
            raise MienError(
                f"cannot write to {self.run.folder}: {error}; the last good checkpoint is kept",
                hint=f"make room and continue with: mien train --resume {self.run.folder}",
            ) from error

    def _write_results(self) -> None:
        """Write the weights, where the last epoch is the best, and the history."""
        if self._is_best():
            network = self.average.module if self.average is not None else self.bare_network
            self.run.save_weights(network.state_dict())
        self.run.save_history(self.history)

    def _is_best(self) -> bool:
        """Whether the last epoch is the best so far, among those of its size."""
        last = self.history[-1]
        rows = [row for row in self.history[:-1] if row["size"] == last["size"]]
        return all(row["validation_accuracy"] < last["validation_accuracy"] for row in rows)


@torch.inference_mode()
def embedding_width(network: nn.Module, recipe: Recipe) -> int | None:
    """Return the width of what a network classifies, or None where it does not tell.

    None, too, where the recipe's loss does not ask for it: finding it out takes a forward pass.
    """
    if recipe.loss.name not in EMBEDDING_LOSSES or not hasattr(network, "classify"):
        return None
    parameter = next(network.parameters())
    training = network.training
    size, channels = recipe.input.size, 3 if recipe.input.color else 1
    blank = torch.zeros(1, channels, size, size, device=parameter.device)
    width = embed(network.eval(), blank).shape[1]
    network.train(training)
    return width


class _Step(nn.Module):
    """Network and loss as one module, so that several devices agree on the gradients of both.

    With `apart` the loss shapes the embedding alone. The head then learns beside it from the
    embedding as it is, so that there are logits to validate with; its gradient ends there.
    """

    def __init__(self, network: nn.Module, loss: Loss, *, apart: bool) -> None:
        super().__init__()
        self.network: Any = network
        self.loss = loss
        self.apart = apart

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits N×7 and the loss, which is not computed in half precision."""
        if not self.loss.needs_embedding:
            logits: Tensor = self.network(images)
            return logits, self.loss(logits.float(), None, targets)
        embedding = self.network.embed(images)
        logits = self.network.classify(embedding.detach() if self.apart else embedding)
        loss: Tensor = self.loss(logits.float(), embedding.float(), targets)
        if self.apart:
            loss = loss + F.cross_entropy(logits.float(), targets)
        return logits, loss
