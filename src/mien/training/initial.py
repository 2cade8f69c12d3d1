"""The weights that a network begins with: published ones for its backbone, or those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mien.errors import MienError
from mien.files import sha256
from mien.training.recipe import Recipe
from mien.training.run import Run
from mien.weights.loading import load_into, record


def load_initial(
    network: nn.Module, recipe: Recipe, recorded: Mapping[str, Any] | None = None
) -> None:
    """Load what `recipe.model.weights` names; nothing where it is empty.

    Args:
        network: what `mien.training.run.build_network` built for the recipe.
        recipe: its `model.weights` is a name of the catalog or a file for `mien.weights.loading`,
            or the folder of a run of the same network, whose best weights are taken whole.
        recorded: what `record_initial` said when the run was started, where it was.

    Raises:
        MienError: the weights are not on this machine, belong to another network, or are those of
            a run that has been trained further since.
    """
    model = recipe.model
    if not model.weights:
        return
    if not Path(model.weights).is_dir():
        load_into(network, model.weights, architecture=model.name, options=model.options)
        return
    source = Run(model.weights)
    if recorded is not None and recorded.get("sha256") != sha256(source.weights_file):
        raise MienError(
            f"{source.weights_file} has changed since this run was started from it",
            hint="start a new run from it",
        )
    try:
        network.load_state_dict(source.weights())
    except RuntimeError as error:
        raise MienError(
            f"the weights of the run {model.weights} do not fit the network {model.name!r}",
            hint="model.name, model.options and input.color have to be those of that run: "
            f"{source.recipe_file}",
        ) from error


def record_initial(source: str) -> dict[str, Any]:
    """Return what a run keeps of its initial weights: where they are from, and their SHA-256.

    Args:
        source: a recipe's `model.weights`.

    Raises:
        MienError: the weights are not on this machine, or mien did not write them.
    """
    if not Path(source).is_dir():
        return record(source)
    run = Run(source)
    run.weights()  # says so where there are none
    return {"run": run.folder.resolve().name, "sha256": sha256(run.weights_file)}
