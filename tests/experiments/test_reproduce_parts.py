"""The parts of `mien reproduce` that need no process: order, devices, estimates, what is shown."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mien.data import cache
from mien.errors import MienError
from mien.experiments import folders, pool, view
from mien.experiments.estimate import Estimates, estimates_of, together
from mien.experiments.plan import EXPERIMENTS, Experiment, select
from mien.experiments.pool import Slot, slots_of
from mien.experiments.record import read, write
from mien.experiments.tasks import State, Task, ensemble_members, look, tasks_of
from mien.training.recipe import load
from mien.training.run import Run

CPU = Slot("CPU", "cpu")


@pytest.fixture
def dataset() -> cache.Dataset:
    return cache.from_arrays(
        images=np.zeros((6, 8, 8), np.uint8),
        labels=np.arange(6).astype(np.int8),
        splits=(np.arange(6) % 3).astype(np.uint8),
        names=np.array(list("abcdef")),
        split_names=cache.SPLITS,
    )


def _task(folder: Path, recipe: str = "foldnet-micro", *overrides: str) -> Task:
    (experiment,) = select((recipe,))
    return tasks_of([experiment], [0], overrides, folder)[0]


def _row(epoch: int, accuracy: float = 0.5, seconds: float = 10.0) -> dict[str, float]:
    return {
        "epoch": epoch,
        "train_loss": 1.0,
        "validation_accuracy": accuracy,
        "seconds": seconds,
    }


def test_seeds_are_the_outer_loop_and_baselines_come_first(tmp_path: Path) -> None:
    found = tasks_of(EXPERIMENTS, range(3), (), tmp_path)
    assert len({task.name for task in found}) == len(found) == 3 * len(EXPERIMENTS)
    assert [seed for seed, _ in itertools.groupby(task.seed for task in found)] == [0, 1, 2]
    order = [task.experiment.recipe for task in found if task.seed == 1]
    for experiment in EXPERIMENTS:
        if experiment.baseline is not None:
            assert order.index(experiment.baseline) < order.index(experiment.recipe)
    needing = [bool(task.recipe and task.recipe.model.weights) for task in found if not task.seed]
    free = [needs for task, needs in zip(found, needing, strict=False) if task.recipe is not None]
    assert free == sorted(free), "rows with published weights come last"
    assert found[0].experiment.group == "stand-in"


def test_the_ensemble_from_scratch_has_the_paper_s_seven_rows() -> None:
    rows = {1, 2, 3, 5, 6, 7, 10}
    assert {member.row for member in ensemble_members("paper")} == rows
    assert {member.row for member in ensemble_members("scratch")} == rows
    assert len(ensemble_members("scratch")) == 7
    assert ensemble_members("filters") == ()


def test_an_override_that_no_recipe_knows_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="no such key"):
        _task(tmp_path, "foldnet-micro", "training.epoch=3")


def test_a_row_without_its_published_weights_is_skipped(
    tmp_path: Path, dataset: cache.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "home"))
    task = _task(tmp_path, "foldnet-micro", "model.weights=keras-vggface-resnet50")
    look(task, dataset)
    assert task.state is State.SKIPPED
    assert task.reason.endswith("mien weights fetch keras-vggface-resnet50")


def test_a_row_may_begin_with_the_weights_of_a_run(tmp_path: Path, dataset: cache.Dataset) -> None:
    (tmp_path / "before").mkdir()
    task = _task(tmp_path, "foldnet-micro", f"model.weights={tmp_path / 'before'}")
    look(task, dataset)
    assert task.state is State.TRAIN


def test_a_recipe_that_the_package_lacks_is_skipped(tmp_path: Path, dataset: cache.Dataset) -> None:
    (task,) = tasks_of([Experiment("no-such", "None", "paper")], [0], (), tmp_path)
    look(task, dataset)
    assert (task.state, task.epochs) == (State.SKIPPED, 0)


def test_a_start_that_was_cut_off_is_started_anew(tmp_path: Path, dataset: cache.Dataset) -> None:
    task = _task(tmp_path)
    task.folder.mkdir()
    (task.folder / "run.json").write_text("{}")
    (task.folder / ".recipe.ab_c1.toml").write_text("summ")
    look(task, dataset)
    assert task.state is State.TRAIN
    folders.clear_begun(task.folder)
    assert not list(task.folder.iterdir())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, dataset: cache.Dataset) -> None:
    task = _task(tmp_path)
    task.folder.mkdir()
    (task.folder / "thesis.txt").write_text("two years of work")
    look(task, dataset)
    assert task.state is State.DIFFERS
    assert "is not a run" in task.reason
    folders.clear_begun(task.folder)
    assert (task.folder / "thesis.txt").is_file()


def test_a_run_differs_by_its_data_and_values_but_not_by_its_words(
    tmp_path: Path, dataset: cache.Dataset
) -> None:
    recipe = load("foldnet-micro")
    run = Run(tmp_path / "run")
    run.create(recipe.model_copy(update={"notes": "another"}), {"data": {"checksum": "abc"}})
    assert folders.differs(run, recipe, "abc") == ""
    assert "checksum is abc… there, def… here" in folders.differs(run, recipe, "def")
    other = load("foldnet-micro", ["input.filter.name=clahe", "optimizer.momentum=0.5"])
    assert folders.differs(run, other, "abc") == (
        "input.filter.name is not set there, clahe here; input.filter.place is not set there, "
        "after_resize here; optimizer.momentum is 0.95 there, 0.5 here"
    )


@pytest.mark.parametrize(
    ("devices", "jobs", "gpus", "expected"),
    [
        ("auto", 1, 0, [("this machine", None)]),
        ("auto", 1, 2, [("GPU 0", "0"), ("GPU 1", "1")]),
        ("1", 2, 2, [("GPU 1", "1"), ("GPU 1", "1")]),
        ("cpu", 2, 2, [("CPU", None), ("CPU", None)]),
    ],
)
def test_each_device_takes_one_run_a_job(
    devices: str,
    jobs: int,
    gpus: int,
    expected: list[tuple[str, str | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [(slot.name, slot.gpu) for slot in slots_of(devices, jobs, gpus)] == expected


def test_gpus_are_numbered_among_those_that_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [slot.gpu for slot in slots_of("1,0", 1, 2)] == ["6", "4"]


@pytest.mark.parametrize("devices", ["gpu", "0,0", "", "-1", "2"])
def test_devices_that_are_not_there_are_refused(devices: str) -> None:
    with pytest.raises(MienError, match=r"not understood|no GPU 2"):
        slots_of(devices, 1, 2)


def test_time_left_is_learned_from_epochs_of_the_same_network(tmp_path: Path) -> None:
    estimates = Estimates()
    task = _task(tmp_path, "foldnet-micro", "training.epochs=12")
    assert estimates.left(task) is None
    filtered = _task(tmp_path, "foldnet-micro-clahe", "training.epochs=12")
    estimates.learn(load("foldnet-micro-clahe"), 9.0)
    estimates.learn(load("foldnet-micro-clahe"), 11.0)
    assert estimates.left(task) == estimates.left(filtered) == 120
    task.history = [_row(1), _row(2)]
    assert estimates.left(task) == 100
    assert estimates.left(_task(tmp_path, "foldnet-micro", "input.size=24")) is None
    task.state = State.DONE
    assert estimates.left(task) == 0


def test_on_a_cpu_unknown_networks_are_timed(tmp_path: Path, dataset: cache.Dataset) -> None:
    short = _task(tmp_path, "foldnet-micro", "training.epochs=1", "input.size=16")
    long = _task(tmp_path, "foldnet-micro", "training.epochs=100", "input.size=16")
    estimates = estimates_of([short, long], dataset, on_cpu=True)
    one = estimates.left(short)
    assert one is not None
    assert one > 0
    assert estimates.left(long) == pytest.approx(100 * one)


def test_work_that_is_shared_takes_as_long_as_its_longest_part() -> None:
    assert together([10.0, 20.0, 30.0], 2) == (30.0, True)
    assert together([10.0, None, 50.0], 2) == (50.0, False)
    assert together([], 2) == (0.0, True)


def test_a_request_with_other_values_is_added_to_the_record(
    tmp_path: Path, dataset: cache.Dataset
) -> None:
    first = [("a-seed0", "a", 0)]
    write(tmp_path, dataset, only=("a",), seeds=1, overrides=(), runs=first)
    write(tmp_path, dataset, only=("a",), seeds=1, overrides=(), runs=first)
    short = ("training.epochs=3",)
    write(tmp_path, dataset, only=("b",), seeds=1, overrides=short, runs=[("b-seed0", "b", 0)])
    content = read(tmp_path)
    assert [request["only"] for request in content["requests"]] == [["a"], ["b"]]
    assert content["runs"]["a-seed0"]["overrides"] == []
    assert content["runs"]["b-seed0"]["overrides"] == ["training.epochs=3"]
    (tmp_path / "reproduce.json").write_text(json.dumps({"data": {}}))
    with pytest.raises(MienError, match="damaged"):
        read(tmp_path)


def _watched(tmp_path: Path) -> tuple[view.Watch, Task, Task]:
    running = _task(tmp_path, "foldnet-micro", "training.epochs=4")
    failed = _task(tmp_path, "foldnet-micro-clahe", "training.epochs=4")
    waiting = _task(tmp_path, "foldnet-micro-gaussian", "training.epochs=4")
    running.state = failed.state = State.RUNNING
    return view.Watch([running, failed, waiting], [CPU, CPU], Estimates()), running, failed


def _live_through(shown: view.Picture | view.Lines, running: Task, failed: Task) -> None:
    shown.started(running, CPU)
    shown.started(failed, CPU)
    shown.heard(running, {"steps": 1, "of": 400})
    for epoch, accuracy in ((1, 0.61), (2, 0.5325)):
        running.history.append(_row(epoch, accuracy))
        shown.heard(running, {"epoch": running.history[-1]})
    shown.heard(running, {"steps": 201, "of": 400})
    failed.state, failed.reason = State.FAILED, "it was killed (SIGKILL)"
    shown.ended(failed)
    shown.tick()


def test_the_picture_shows_run_epoch_accuracies_and_counts(tmp_path: Path) -> None:
    watch, running, failed = _watched(tmp_path)
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=120, color_system=None)
    with view.Picture(watch, console) as picture:
        _live_through(picture, running, failed)
        console.print(picture.draw())
    text = drawn.getvalue()
    line = next(line for line in text.splitlines() if "53.25%" in line)
    assert all(part in line for part in ("foldnet-micro, seed 0", "CPU", "epoch 3/4", "61.00%"))
    assert "foldnet-micro-clahe, seed 0: failed: it was killed (SIGKILL)" in text
    # One epoch of 10 s was learned from; four of them are to come.
    assert "1 running, 1 to do, 1 failed, about 40 s left" in text


def test_events_at_one_tick_of_a_coarse_clock_tell_no_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, running, _ = _watched(tmp_path)
    monkeypatch.setattr(view.time, "monotonic", lambda: 5.0)
    watch.started(running, CPU)
    for done in (1, 400):
        watch.heard(running, {"steps": done, "of": 400})
    assert watch.current[running.name].left is None


def test_lines_tell_starts_and_ends(tmp_path: Path) -> None:
    watch, running, failed = _watched(tmp_path)
    lines: list[str] = []
    shown = view.Lines(watch, lines.append)
    _live_through(shown, running, failed)
    running.state = State.DONE
    shown.ended(running)
    assert len(lines) == 4
    assert lines[0].startswith("foldnet-micro, seed 0: starts on CPU")
    assert "failed: it was killed (SIGKILL)" in lines[2]
    assert "done, validation accuracy 61.00%, 20 s of training" in lines[3]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (-9, "it was killed (SIGKILL; was the memory used up?)"),
        (-40, "it was killed (signal 40)"),
        (3, "it ended with the status 3"),
    ],
)
def test_a_child_s_end_is_told_without_its_log(tmp_path: Path, status: int, reason: str) -> None:
    assert pool._reason(status, tmp_path / "removed.txt", 7) == reason
