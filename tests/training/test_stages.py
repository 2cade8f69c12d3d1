"""Stages: what is frozen, when one ends, and that a run goes through them, killed or not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mien.data.cache import Dataset
from mien.errors import MienError
from mien.models.registry import create
from mien.training import loop
from mien.training.device import Device
from mien.training.freezing import Freeze
from mien.training.recipe import Loss, Recipe, load, names, validate
from mien.training.run import Run
from mien.training.stages import current_stage, epochs_since_best, stages_of

CPU = Device(accelerator="cpu")
STAGED: dict[str, Any] = {
    "summary": "tiny and staged",
    "model": {
        "name": "squeezenet1_1",
    },
    "training": {"epochs": 3, "batch_size": 16},
}


def staged(*stages: dict[str, Any], **changes: Any) -> Recipe:
    table = STAGED | {"stages": list(stages)} | changes
    return validate(table, "staged")


def rows(*accuracies: float, stage: int = 1) -> list[dict[str, float]]:
    return [{"validation_accuracy": a, "stage": stage} for a in accuracies]


def test_a_recipe_without_stages_is_one_in_which_all_learns() -> None:
    (stage,) = stages_of(load("foldnet-mini"))
    assert (stage.freeze, stage.epochs, stage.number) == ("nothing", 8, 1)


def test_a_stage_takes_from_the_recipe_what_it_does_not_say() -> None:
    recipe = staged(
        {"name": "a", "epochs": 5, "optimizer": {"learning_rate": 0.01}},
        {"name": "b", "class_weights": "balanced", "schedule": {"name": "cosine"}},
    )
    first, second = stages_of(recipe)
    assert (first.epochs, second.epochs) == (5, 3)
    assert first.optimizer.learning_rate == 0.01
    assert second.optimizer == recipe.optimizer
    assert (first.balanced, second.balanced) == (False, True)
    assert second.schedule.name == "cosine"


def test_a_stage_ends_after_its_epochs_or_early() -> None:
    stages = stages_of(
        staged({"name": "a", "epochs": 4, "early_stopping": 2}, {"name": "b", "epochs": 1})
    )
    assert current_stage(stages, []) == stages[0]
    assert current_stage(stages, rows(0.3, 0.2)) == stages[0]
    assert current_stage(stages, rows(0.3, 0.2, 0.1)) == stages[1]
    assert current_stage(stages, rows(0.3, 0.2, 0.4)) == stages[0]
    assert current_stage(stages, rows(0.3, 0.2, 0.4, 0.5)) == stages[1]
    assert current_stage(stages, rows(0.3, 0.2, 0.1) + rows(0.9, stage=2)) is None


def test_equal_accuracies_are_no_progress() -> None:
    assert epochs_since_best(rows(0.5, 0.5, 0.5)) == 2
    assert epochs_since_best(rows(0.4, 0.5)) == 0


def test_all_but_norms_lets_gradients_through_the_frozen_convolutions() -> None:
    torch.manual_seed(0)
    network = create("resnet50", size=48, scaling="unit")
    freeze = Freeze(network, "all-but-norms")
    layers: dict[str, nn.Module] = network.backbone.published_layers()  # type: ignore[operator, union-attr]
    convolution, norm = layers["conv1/7x7_s2"], layers["conv1/7x7_s2/bn"]
    before = {n: t.clone() for n, t in network.state_dict().items()}
    freeze.train(network)
    learned = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.1)
    loss = nn.functional.cross_entropy(network(torch.rand(4, 1, 48, 48) * 255), torch.arange(4))
    loss.backward()
    optimizer.step()
    assert torch.equal(_tensor(convolution, "weight"), before["backbone.conv1.conv.weight"])
    for part in ("weight", "bias", "running_mean", "running_var"):
        assert not torch.equal(_tensor(norm, part), before[f"backbone.conv1.norm.{part}"]), part
    changed = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert not [n for n in changed if ".conv" in n and ".norm" not in n]
    assert {"head.1.weight", "head.1.bias"} <= changed


def test_a_frozen_backbone_keeps_its_statistics_and_gets_no_gradients() -> None:
    network = create("resnet50", size=48, scaling="unit")
    freeze = Freeze(network, "backbone")
    freeze.train(network)
    before = {n: t.clone() for n, t in network.state_dict().items() if "backbone" in n}
    features: Tensor = network.embed(torch.rand(2, 1, 48, 48) * 255)  # type: ignore[operator]
    assert not features.requires_grad
    assert all(torch.equal(t, network.state_dict()[n]) for n, t in before.items())
    assert network.head.training  # type: ignore[union-attr]


def test_layers_before_a_named_one_are_frozen() -> None:
    """SENet-50 from Keras's layer 200 of 286 on."""
    network = create("senet50", size=48, scaling="unit")
    freeze = Freeze(network, "conv4_5_3x3")
    freeze.train(network)
    layers: dict[str, nn.Module] = network.backbone.published_layers()  # type: ignore[operator, union-attr]
    assert not _tensor(layers["conv4_5_1x1_reduce"], "weight").requires_grad
    assert not layers["conv4_5_1x1_reduce/bn"].training
    assert _tensor(layers["conv4_5_3x3"], "weight").requires_grad
    assert layers["conv4_5_3x3/bn"].training
    assert _tensor(layers["conv5_3_1x1_up"], "weight").requires_grad
    Freeze(network, "nothing").train(network)
    assert all(p.requires_grad for p in network.parameters())
    assert layers["conv1/7x7_s2/bn"].training


@pytest.mark.parametrize("name", ["resnet50", "senet50", "vgg16", "inception_resnet_v1"])
def test_published_layers_come_in_the_order_of_the_network(name: str) -> None:
    """What is frozen before a layer depends on it; seen by which blocks run first."""
    network = create(name, size=48, scaling="unit").eval()
    layers: dict[str, nn.Module] = network.backbone.published_layers()  # type: ignore[operator, union-attr]
    names_of = {id(module): key for key, module in layers.items()}
    run_first: list[str] = []
    for layer in layers.values():
        layer.register_forward_hook(lambda module, *_: run_first.append(names_of[id(module)]))
    with torch.inference_mode():
        network(torch.zeros(1, 1, 48, 48))

    def blocks(keys: list[str]) -> list[str]:
        return list(dict.fromkeys(key.split("_1x1")[0].split("_Branch")[0] for key in keys))

    assert blocks(run_first) == blocks(list(layers))


def test_a_layer_that_does_not_exist_is_told_with_the_nearest() -> None:
    with pytest.raises(MienError) as caught:
        Freeze(create("senet50", size=48), "conv4_5_3x")
    assert "conv4_5_3x3" in caught.value.hint


def test_a_network_without_a_backbone_cannot_be_frozen(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(MienError, match="backbone"):
        loop.start(staged({"name": "a", "freeze": "backbone"}), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _foldnet(*stages: dict[str, Any]) -> Recipe:
    options = {"widths": [4, 4, 8], "depths": [1, 1, 1]}
    return staged(
        *stages,
        model={"name": "foldnet", "options": options},
        input={"size": 16},
        training={"epochs": 2, "batch_size": 16, "ema": 0.5},
        loss={"name": "weighted-cluster"},
    )


STAGES = ({"name": "one", "epochs": 2}, {"name": "two", "optimizer": {"name": "muon"}})


def test_a_second_stage_begins_with_the_best_weights_of_the_first(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.training.trainer import Trainer

    entered: list[tuple[int, bool]] = []
    enter = Trainer._enter

    def spy(self: Trainer, stage: Any, *, from_best: bool) -> None:
        enter(self, stage, from_best=from_best)
        entered.append((stage.number, from_best))
        if from_best:
            best = self.run.weights()
            assert all(torch.equal(best[n], t) for n, t in self.bare_network.state_dict().items())

    monkeypatch.setattr(Trainer, "_enter", spy)
    run = loop.train(loop.start(_foldnet(*STAGES), dataset, tmp_path / "run"), dataset, CPU)
    assert entered == [(1, False), (2, True)]
    assert [row["stage"] for row in run.history()] == [1, 1, 2, 2]
    assert run.is_finished()


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_stopped_in_any_stage_goes_on_bit_for_bit(
    dataset: Dataset, tmp_path: Path, stop: int
) -> None:
    whole = loop.train(loop.start(_foldnet(*STAGES), dataset, tmp_path / "a"), dataset, CPU)
    broken = loop.start(_foldnet(*STAGES), dataset, tmp_path / "b")

    def interrupt(row: dict[str, float]) -> None:
        if row["epoch"] == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(broken, dataset, CPU, on_epoch=interrupt)
    assert not broken.is_finished()
    loop.train(broken, dataset, CPU)
    assert broken.is_finished()
    expected = whole.weights()
    assert all(torch.equal(expected[n], t) for n, t in broken.weights().items())


@pytest.mark.parametrize("write", [7, 8])
def test_a_run_killed_between_two_files_of_a_new_stage_goes_on_bit_for_bit(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    from mien.training.trainer import Trainer

    # Three files an epoch: the first two of the third, which begins the second stage.
    monkeypatch.setattr(Trainer, "_is_best", lambda self: True)
    whole = loop.train(loop.start(_foldnet(*STAGES), dataset, tmp_path / "a"), dataset, CPU)
    broken = loop.start(_foldnet(*STAGES), dataset, tmp_path / "b")
    written = itertools.count(1)

    def then_stop(save: Any) -> Any:
        def stopping(run: Run, content: Any) -> None:
            save(run, content)
            if next(written) == write:
                raise KeyboardInterrupt

        return stopping

    with monkeypatch.context() as patch:
        for name in ("save_checkpoint", "save_weights", "save_history"):
            patch.setattr(Run, name, then_stop(getattr(Run, name)))
        with pytest.raises(KeyboardInterrupt):
            loop.train(broken, dataset, CPU)
    loop.train(broken, dataset, CPU)
    expected = whole.weights()
    assert all(torch.equal(expected[n], t) for n, t in broken.weights().items())
    assert len(broken.history()) == 4


def test_a_stage_that_freezes_more_than_the_last_has_no_gradients_left_of_it() -> None:
    network = create("vgg16", size=48, scaling="unit")
    Freeze(network, "nothing")
    network(torch.rand(1, 1, 48, 48)).sum().backward()
    Freeze(network, "backbone")
    assert all(p.grad is None for p in network.backbone.parameters())  # type: ignore[union-attr]


def test_a_checkpoint_from_before_there_were_losses_goes_on(
    dataset: Dataset, tmp_path: Path
) -> None:
    recipe = _foldnet().model_copy(update={"loss": Loss()})
    run = loop.start(recipe, dataset, tmp_path / "run")

    def interrupt(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(run, dataset, CPU, on_epoch=interrupt)
    state = run.load_checkpoint()
    assert state is not None
    del state["loss"]
    run.save_checkpoint(state)
    assert loop.train(run, dataset, CPU).is_finished()


def test_early_stopping_ends_a_run_and_the_best_weights_stay(
    dataset: Dataset, tmp_path: Path
) -> None:
    recipe = staged(
        model={"name": "foldnet", "options": {"widths": [4, 4, 8], "depths": [1, 1, 1]}},
        input={"size": 16},
        training={"epochs": 30, "batch_size": 16, "early_stopping": 2},
        optimizer={"learning_rate": 1e-12},
    )
    run = loop.train(loop.start(recipe, dataset, tmp_path / "run"), dataset, CPU)
    history = run.history()
    assert len(history) < 30
    assert epochs_since_best(history) == 2
    assert run.is_finished()


def test_a_run_from_before_there_were_stages_is_read(tmp_path: Path, dataset: Dataset) -> None:
    run = loop.start(_foldnet(), dataset, tmp_path / "run")
    rows_ = [{"epoch": 1.0, "validation_accuracy": 0.5}, {"epoch": 2.0, "validation_accuracy": 0.4}]
    run.save_history(rows_)
    assert Run(run.folder).is_finished()
    run.save_history([*rows_, {"epoch": 3.0, "stage": 1.0, "validation_accuracy": 0.4}])
    assert [row["stage"] for row in run.history()] == [1, 1, 1]


@pytest.mark.parametrize("name", names())
def test_every_recipe_of_the_package_has_stages_that_fit_its_network(name: str) -> None:
    recipe = load(name)
    assert all(stage.epochs > 0 for stage in stages_of(recipe))
    freezes = {stage.freeze for stage in stages_of(recipe)} - {"nothing"}
    if freezes:
        options = {k: v for k, v in recipe.model.options.items() if k != "size"}
        network = create(recipe.model.name, size=recipe.input.size, channels=1, **options)
        for freeze in freezes:
            Freeze(network, freeze)
            frozen = [p for p in network.parameters() if not p.requires_grad]
            assert frozen, freeze


def _tensor(module: nn.Module, name: str) -> Tensor:
    value = getattr(module, name)
    assert isinstance(value, Tensor)
    return value
