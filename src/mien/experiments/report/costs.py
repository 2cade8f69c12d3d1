"""What the runs took: time, epochs, machine, and the size of the networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean

from mien.errors import MienError
from mien.experiments.report.figures import Cost, Other, Result
from mien.experiments.report.run_folder import RunRecord
from mien.models.summary import summarize
from mien.training.recipe import Recipe
from mien.training.run import build_network


def costs(results: Sequence[Result], others: Sequence[Other]) -> tuple[Cost, ...]:
    """Return a row for each experiment that was run, and for each run that stands apart."""
    planned = [_cost(each.experiment.title, each.runs) for each in results if each.runs]
    return (*planned, *(_cost(each.run.name, [each.run]) for each in others))


def device(run: RunRecord) -> str:
    """Return where a run was trained; where it changed machines, all of them."""
    names = dict.fromkeys(_session(each) for each in run.sessions)
    return ", then ".join(names) or "not recorded"


def _session(session: object) -> str:
    if not isinstance(session, dict):
        return "not recorded"
    environment = session.get("environment") or {}
    name, count = str(session.get("device", "unknown")), int(session.get("devices") or 1)
    if name == "cpu":
        threads = environment.get("threads", "?")
        cores = f"{threads} thread{'' if threads == 1 else 's'}"
        return f"CPU ({environment.get('machine', 'unknown')}, {cores})"
    return f"{count} × {name}" if count > 1 else name


def _cost(title: str, runs: Sequence[RunRecord]) -> Cost:
    recipe = runs[0].recipe
    network = runs[0].is_network
    parameters, multiply_adds = _size(recipe) if recipe and network else (None, None)
    return Cost(
        title=title,
        seeds=tuple(run.seed for run in runs),
        seconds=fmean(sum(epoch.seconds for epoch in run.history) for run in runs),
        epochs=fmean(len(run.history) for run in runs) if network else math.nan,
        device=", ".join(dict.fromkeys(device(run) for run in runs)),
        parameters=parameters,
        multiply_adds=multiply_adds,
    )


def _size(recipe: Recipe) -> tuple[int | None, int | None]:
    channels = 3 if recipe.input.color else 1
    try:
        network = summarize(
            partial(build_network, recipe), size=recipe.input.size, channels=channels
        )
    except MienError:
        return None, None  # a network that this version of mien does not build any more
    return network.trainable, network.multiply_adds
