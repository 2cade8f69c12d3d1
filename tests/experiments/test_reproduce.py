"""`mien reproduce` on real processes: runs that fail, are killed, stopped, resumed or done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from mien.classifiers import open_classifier
from mien.cli.main import cli
from mien.data import cache
from mien.errors import ExitStatus, MienError
from mien.evaluation.predict import predict
from mien.evaluation.predictions import Predictions
from mien.experiments import reproduce, tasks
from mien.experiments.child import Event
from mien.experiments.plan import Experiment
from mien.experiments.pool import Slot
from mien.experiments.reproduce import Request
from mien.experiments.tasks import State, Task
from mien.export.ensemble import measured
from mien.training.run import Run

EPOCHS = 5
TINY = (
    "input.size=16",
    "model.options.widths=[4,4,8]",
    "training.batch_size=8",
    f"training.epochs={EPOCHS}",
)
# The 5-layer CNN has no option `widths`: its run fails, as a run may.
PLAN = (
    Experiment("foldnet-micro", "Plain", "scratch", row=1, member=True),
    Experiment("cnn5-plain", "Failing", "scratch", row=2, member=True),
    Experiment("foldnet-micro-unsharp", "Mask", "scratch", 3, "foldnet-micro", member=True),
)
SLOT = Slot("CPU", "cpu")


def _dataset() -> cache.Dataset:
    count = 120
    labels = (np.arange(count) % 7).astype(np.int8)
    images = np.random.default_rng(0).integers(0, 60, (count, 16, 16))
    return cache.from_arrays(
        images=(images + labels[:, None, None] * 28).astype(np.uint8),
        labels=labels,
        splits=(np.arange(count) % 3).astype(np.uint8),
        names=np.array([f"image{i}.png" for i in range(count)]),
        split_names=cache.SPLITS,
    )


class _Killer:
    """Kills the process of the first task after its second epoch, as the kernel does."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, State]] = []

    def started(self, task: Task, slot: Slot) -> None:
        pass

    def heard(self, task: Task, event: Event) -> None:
        if task.name == "foldnet-micro-seed0" and event.get("epoch", {}).get("epoch") == 2:
            for process in _children(os.getpid()):
                os.kill(process, signal.SIGKILL)

    def ended(self, task: Task) -> None:
        self.ends.append((task.name, task.state))

    def tick(self) -> None:
        pass


def _children(process: int) -> list[int]:
    """Return the processes of this program's runs that a process has started."""
    result = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(process)], capture_output=True, text=True
    )
    lines = [line for line in result.stdout.splitlines() if "mien.experiments.child" in line]
    return [int(line.split()[0]) for line in lines]


@dataclass
class Work:
    """A work of which one run was killed, one has failed, and one is done."""

    request: Request
    dataset: cache.Dataset
    tasks: list[Task]
    ends: list[tuple[str, State]]

    def survey(self) -> list[Task]:
        return reproduce.survey(self.request, self.dataset, PLAN)

    def mien(self, *arguments: str) -> Any:
        """Run `mien reproduce` in this folder within this process."""
        command = ["reproduce", "--data", str(self.request.data), "--out", str(self.request.out)]
        return CliRunner().invoke(cli, [*command, *arguments], standalone_mode=False)


def _set(*overrides: str) -> list[str]:
    return [part for override in (*TINY, *overrides) for part in ("--set", override)]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    folder = tmp_path_factory.mktemp("work")
    dataset = _dataset()
    cache.save(dataset, folder / "data")
    request = Request(folder / "data", folder / "out", ("the", "plan"), 1, TINY)
    killer = _Killer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "EXPERIMENTS", PLAN)
        (folder / "out").mkdir()
        work = Work(request, dataset, reproduce.survey(request, dataset, PLAN), killer.ends)
        reproduce.run(request, dataset, work.tasks, [SLOT], killer)
        yield work


def _named(found: list[Task]) -> dict[str, Task]:
    return {task.experiment.title: task for task in found}


def test_runs_that_fail_or_are_killed_do_not_end_the_others(work: Work) -> None:
    found = _named(work.tasks)
    assert work.ends == [
        ("foldnet-micro-seed0", State.FAILED),
        ("cnn5-plain-seed0", State.FAILED),
        ("foldnet-micro-unsharp-seed0", State.DONE),
    ]
    assert "SIGKILL" in found["Plain"].reason
    assert "no option 'widths'" in found["Failing"].reason
    assert found["Failing"].reason in reproduce.log_file(found["Failing"]).read_text()
    assert not found["Failing"].folder.exists()
    assert len(found["Mask"].history) == EPOCHS


def test_predictions_of_every_split_are_written_in_half_precision(work: Work) -> None:
    done = _named(work.tasks)["Mask"]
    for split in cache.SPLITS:
        assert "halffloat" in str(pyarrow.parquet.read_schema(done.predictions(split)))
        written = Predictions.load(done.predictions(split))
        ours = predict(open_classifier(done.folder)[0], work.dataset, split)
        assert written.names.tolist() == ours.names.tolist()
        np.testing.assert_allclose(written.probabilities, ours.probabilities, atol=1e-3)


def test_the_record_says_what_was_asked(work: Work) -> None:
    content = json.loads((work.request.out / "reproduce.json").read_text())
    assert content["data"] == {"checksum": work.dataset.checksum, "images": 120}
    assert content["requests"][0]["overrides"] == list(TINY)
    assert content["runs"]["foldnet-micro-unsharp-seed0"] == {
        "recipe": "foldnet-micro-unsharp",
        "seed": 0,
        "overrides": list(TINY),
    }


def test_a_killed_run_goes_on_and_what_is_done_is_left_alone(work: Work) -> None:
    before = _named(work.survey())
    assert {title: task.state for title, task in before.items()} == {
        "Plain": State.RESUME,
        "Failing": State.TRAIN,
        "Mask": State.DONE,
    }
    assert 2 <= len(before["Plain"].history) < EPOCHS
    (before["Plain"].folder / ".checkpoint.half_written.pt").write_bytes(b"left by the kill")
    before["Mask"].predictions("test").unlink()
    train_written = before["Mask"].predictions("train").stat().st_mtime_ns
    found = [task for title, task in _named(work.survey()).items() if title != "Failing"]
    assert found[1].state is State.PREDICT
    assert found[1].reason == "test"
    killer = _Killer()
    killer.heard = lambda task, event: None  # type: ignore[method-assign]
    reproduce.run(work.request, work.dataset, found, [SLOT], killer)
    assert [task.state for task in found] == [State.DONE, State.DONE]
    assert [row["epoch"] for row in Run(found[0].folder).history()] == [1, 2, 3, 4, 5]
    assert len(Run(found[0].folder).info()["sessions"]) == 2
    assert not list(found[0].folder.glob(".*"))
    assert found[1].predictions("test").is_file()
    assert found[1].predictions("train").stat().st_mtime_ns == train_written
    assert len(Run(found[1].folder).info()["sessions"]) == 1


def test_members_are_combined_as_far_as_they_are_there(work: Work) -> None:
    mean, vote = reproduce.ensembles(work.request, work.dataset, work.survey())
    assert (mean.method, vote.method) == ("mean", "vote")
    assert mean.members == ("foldnet-micro-seed0", "foldnet-micro-unsharp-seed0")
    assert (mean.planned, mean.images, mean.problem) == (3, 40, "")
    members = [
        Predictions.load(work.request.out / name / "predictions" / "validation.parquet")
        for name in mean.members
    ]
    by_hand = (members[0].probabilities + members[1].probabilities) / 2
    assert mean.accuracy == pytest.approx((by_hand.argmax(axis=1) == members[0].labels).mean())
    assert mean.folder == work.request.out / "ensemble-scratch" / "mean-seed0"
    for split in cache.SPLITS:
        written = Predictions.load(vote.folder / "predictions" / f"{split}.parquet")
        assert len(written) == 40
    opened = predict(open_classifier(mean.folder)[0], work.dataset, "validation")
    np.testing.assert_allclose(opened.probabilities, by_hand, atol=1e-3)


def test_an_ensemble_s_predictions_are_traced_to_it_and_none_of_an_older_one_stay(
    work: Work,
) -> None:
    mean, _ = reproduce.ensembles(work.request, work.dataset, work.survey())
    # What an exported file says of itself: only of predictions that the ensemble made.
    assert measured(mean.folder, None)["accuracy"]["accuracy"] == mean.accuracy
    member = work.request.out / mean.members[0] / "predictions" / "test.parquet"
    kept = member.read_bytes()
    written = Predictions.load(member)
    replace(written, names=written.names[::-1] + "!").save(member)
    try:
        broken, _ = reproduce.ensembles(work.request, work.dataset, work.survey())
    finally:
        member.write_bytes(kept)
    assert broken.problem
    assert [path for path in broken.folder.rglob("*") if path.is_file()] == []


def test_the_command_skips_what_is_done_and_prints_validation_only(work: Work) -> None:
    done = work.request.out / "foldnet-micro-unsharp-seed0"
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    result = work.mien("--only", "foldnet-micro-unsharp", "--devices", "cpu", *_set(), "--json")
    assert result.return_value == ExitStatus.OK
    content = json.loads(result.stdout)
    (run,) = content["runs"]
    history = Run(done).history()
    assert run["state"] == "done"
    assert run["validation_images"] == 40
    assert run["validation_accuracy"] == pytest.approx(
        max(row["validation_accuracy"] for row in history), abs=0.03
    )
    assert run["seconds"] == pytest.approx(sum(row["seconds"] for row in history))
    assert "test" not in json.dumps(content["ensembles"])
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before
    shown = work.mien("--only", "foldnet-micro-unsharp", "--devices", "cpu", *_set())
    assert f"{run['validation_accuracy']:.2%}" in shown.stdout


def test_a_run_of_another_recipe_is_reported_and_never_overwritten(work: Work) -> None:
    done = work.request.out / "foldnet-micro-unsharp-seed0"
    before = {path: path.read_bytes() for path in done.rglob("*") if path.is_file()}
    other = _set("training.epochs=7", "optimizer.momentum=0.5")
    result = work.mien("--only", "foldnet-micro-unsharp", "--devices", "cpu", *other)
    assert result.return_value == ExitStatus.FAILURE
    assert "training.epochs is 5 there, 7 here" in result.stderr
    assert "optimizer.momentum is 0.95 there, 0.5 here" in result.stderr
    assert {path: path.read_bytes() for path in done.rglob("*") if path.is_file()} == before


def test_other_data_are_refused_before_anything_is_done(work: Work, tmp_path: Path) -> None:
    other = _dataset().subset("train")
    cache.save(other, tmp_path / "other")
    arguments = ["reproduce", "--data", str(tmp_path / "other"), "--out", str(work.request.out)]
    with pytest.raises(MienError, match="are of other data"):
        CliRunner().invoke(
            cli, [*arguments, "--only", "stand-in"], standalone_mode=False, catch_exceptions=False
        )


def test_a_dry_run_lists_what_would_be_done_and_writes_nothing(work: Work, tmp_path: Path) -> None:
    command = ["reproduce", "--data", str(work.request.data), "--out", str(tmp_path / "new")]
    arguments = [*command, "--only", "foldnet-micro", "--seeds", "2", "--dry-run", "--json"]
    result = CliRunner().invoke(cli, [*arguments, "--devices", "cpu", *_set()])
    assert [(run["name"], run["state"]) for run in json.loads(result.stdout)] == [
        ("foldnet-micro-seed0", "to train"),
        ("foldnet-micro-seed1", "to train"),
    ]
    assert not (tmp_path / "new").exists()


def test_two_works_in_one_folder_are_refused(work: Work) -> None:
    with reproduce.alone(work.request.out):
        result = work.mien("--only", "foldnet-micro", "--devices", "cpu", *_set())
    assert isinstance(result.exception, MienError)
    assert "another mien reproduce is at work" in result.exception.message


def _wait(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := what()):
        assert time.monotonic() < deadline, what
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return found


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    # A child of a killed parent may wait as a zombie for the init process.
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_nothing_is_left_behind_by_a_killed_work_and_sigterm_stops_one(
    work: Work, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "mien", "reproduce", "--data", str(work.request.data)]
    command += ["--out", str(tmp_path / "out"), "--only", "foldnet-micro", "--devices", "cpu"]
    command += _set("training.epochs=100000")
    run = Run(tmp_path / "out" / "foldnet-micro-seed0")

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with started() as parent:
        _wait(run.history, parent)
        (child,) = _children(parent.pid)
        parent.kill()
    deadline = time.monotonic() + 60
    while not _gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    epochs = len(run.history())
    with started() as parent:
        _wait(lambda: len(run.history()) > epochs, parent)
        (child,) = _children(parent.pid)
        parent.send_signal(signal.SIGTERM)
        _, errors = parent.communicate(timeout=60)
    assert parent.returncode == ExitStatus.INTERRUPTED
    assert f"goes on after epoch {epochs}" in errors
    assert "the same command goes on" in errors
    assert "Traceback" not in errors + (tmp_path / "out/logs/foldnet-micro-seed0.txt").read_text()
    assert _gone(child)
    rows = [row["epoch"] for row in run.history()]
    assert rows == list(range(1, len(rows) + 1))
