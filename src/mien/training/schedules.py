"""Learning-rate schedules: each says by which factor the optimizer's rates are multiplied."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mien.training.recipe import Schedule


def step_factor(schedule: Schedule, step: int, steps: int) -> float:
    """Return the factor at a step (0, 1, …) of the `steps` of a stage.

    One-cycle here is Smith & Topin 2018's triangle without the final phase, down to zero. Keras's
    time decay, lr / (1 + decay · step), comes on top of any schedule.
    """
    return _shape(schedule, step / steps) / (1 + schedule.decay * step)


def _shape(schedule: Schedule, fraction: float) -> float:
    if schedule.name in ("constant", "plateau"):
        return 1.0
    if fraction < schedule.warmup:
        return fraction / schedule.warmup
    rest = (fraction - schedule.warmup) / max(1e-9, 1 - schedule.warmup)
    if schedule.name == "one-cycle":
        return 1 - rest
    return 0.5 * (1 + math.cos(math.pi * rest))


def plateau_factor(schedule: Schedule, accuracies: Sequence[float]) -> float:
    """Return the factor for the next epoch from the validation accuracies so far.

    As Keras's ReduceLROnPlateau(mode="max", min_delta=1e-4): the rate is multiplied by `factor`
    whenever `patience` epochs in a row brought no better accuracy; the count then starts anew.
    """
    if schedule.name != "plateau":
        return 1.0
    factor, best, waited = 1.0, -math.inf, 0
    for accuracy in accuracies:
        if accuracy > best + 1e-4:
            best, waited = accuracy, 0
            continue
        waited += 1
        if waited >= schedule.patience:
            factor, waited = factor * schedule.factor, 0
    return factor
