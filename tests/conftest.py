"""Fixtures that all tests share: the data that is not part of the repository, and the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Where FER2013 and the photos lie: beside the checkout, or where MIEN_TEST_DATA says.
_DATA = Path(
    os.environ.get("MIEN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)

RunMien = Callable[..., "subprocess.CompletedProcess[str]"]


def _folder(name: str) -> Path:
    folder = _DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs {name} of the test data, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def fer2013() -> Path:
    """The folder with FER2013 as Parquet shards and FER+'s votes."""
    return _folder("fer2013")


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder with four photos and `boxes.json`, the boxes of their 18 faces."""
    return _folder("photos")


@pytest.fixture(scope="session")
def run_mien() -> RunMien:
    """Run the program as a process: `run_mien("predict", path).stdout`."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mien", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload,no-any-return]

    return run


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """Let processes that tests start hear Ctrl-C also where the tests run in the background.

    A shell lets what it starts in the background ignore it, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
