"""The program as a whole: help at every level, completion, exit statuses, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from mien.cli.main import VERBS, cli
from mien.data import cache
from mien.errors import ExitStatus
from mien.version import __version__


def _commands(command: click.Command, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield names
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, (*names, name))


@pytest.mark.parametrize("names", list(_commands(cli)), ids=" ".join)
def test_help_at_every_level_explains_every_option(names: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*names, "--help"])
    assert result.exit_code == 0
    command: click.Command = cli
    for name in names:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_help_lists_all_verbs_and_the_version_is_the_package_s(run_mien: Any) -> None:
    result = run_mien("--help")
    assert result.returncode == ExitStatus.OK
    assert all(verb in result.stdout for verb in VERBS)
    assert __version__ in run_mien("--version").stdout


def test_an_unknown_verb_is_refused_with_the_nearest(run_mien: Any) -> None:
    result = run_mien("evalute")
    assert result.returncode == ExitStatus.USAGE
    assert "did you mean 'evaluate'?" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell: str, run_mien: Any) -> None:
    assert "_MIEN_COMPLETE" in run_mien("completion", shell).stdout


def test_a_shell_s_completion_finds_verbs_and_options(run_mien: Any) -> None:
    environment = {**os.environ, "_MIEN_COMPLETE": "bash_complete"}
    asked = {**environment, "COMP_WORDS": "mien eva", "COMP_CWORD": "1"}
    assert "evaluate" in run_mien(env=asked).stdout
    asked = {**environment, "COMP_WORDS": "mien evaluate --sp", "COMP_CWORD": "2"}
    assert "--split" in run_mien(env=asked).stdout


def test_a_reader_that_goes_away_leaves_no_traceback() -> None:
    command = f"{sys.executable} -m mien recipes | true"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120
    )
    assert result.stderr == ""


def test_ctrl_c_ends_a_training_cleanly(tmp_path: Path, run_mien: Any) -> None:
    random = np.random.default_rng(0)
    dataset = cache.from_arrays(
        images=random.integers(0, 256, (64, 16, 16)).astype(np.uint8),
        labels=(np.arange(64) % 7).astype(np.int8),
        splits=(np.arange(64) % 2).astype(np.uint8),
        names=np.array([str(i) for i in range(64)]),
        split_names=("train", "validation"),
    )
    cache.save(dataset, tmp_path / "data")
    overrides = ["training.epochs=100000", "input.size=16", "training.sizes=[]"]
    overrides += ["training.batch_size=8", "model.options.widths=[4,4,8]"]
    command = [sys.executable, "-m", "mien", "train", "foldnet", "--data", str(tmp_path / "data")]
    command += ["--out", str(tmp_path / "run"), "--accelerator", "cpu"]
    command += [part for override in overrides for part in ("--set", override)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "history.csv").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == ExitStatus.INTERRUPTED
    assert "Traceback" not in errors
    assert errors.rstrip().endswith("interrupted")
