"""The application in this process and the server as one of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

import httpx
from fastapi.testclient import TestClient

from mien.recognition.bundled import SAMPLE
from mien.recognition.recognizer import Recognizer
from mien.serving.app import create_app
from mien.serving.limits import Limits
from mien.serving.service import Service

URL = "http://127.0.0.1"
BOX = (10.0, 10.0, 40.0, 40.0)


@dataclass
class Switch:
    """A detector that finds `boxes`, and that waits while its `free` is not set."""

    boxes: list[tuple[float, ...]] = field(default_factory=lambda: [BOX])
    free: threading.Event = field(default_factory=threading.Event)
    calls: int = 0

    def __post_init__(self) -> None:
        self.free.set()

    def __call__(self, picture: np.ndarray, /) -> list[tuple[float, ...]]:
        self.calls += 1
        assert self.free.wait(30)
        return self.boxes


@dataclass
class Running:
    """An application under test: its client, its service and its detector."""

    client: TestClient
    service: Service
    detector: Switch


Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start an application: `serve(token=…, workers=…, upload=…)`, the last one of its limits."""
    with contextlib.ExitStack() as stack:

        def start(token: str | None = None, workers: int = 2, **limits: Any) -> Running:
            detector = Switch()
            service = Service(Recognizer(detector=detector, threads=1), Limits(**limits), workers)
            stack.callback(service.close)
            stack.callback(detector.free.set)
            client = TestClient(
                create_app(service, token), base_url=URL, raise_server_exceptions=False
            )
            return Running(stack.enter_context(client), service, detector)

        yield start


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A photo with one face."""
    return SAMPLE.read_bytes()


def problem(answer: httpx.Response, status: int, kind: str | None = None) -> dict[str, Any]:
    """Check that an answer is a problem of a status and kind, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = answer.json()
    assert content["type"] == ("about:blank" if kind is None else f"urn:mien:problem:{kind}")
    assert content["status"] == status
    assert content["title"]
    assert content["detail"]
    return content


@dataclass
class Server:
    """`mien serve` as a process."""

    process: subprocess.Popen[str]
    url: str


StartServer = Callable[..., Server]


@pytest.fixture(scope="module")
def start_server() -> Iterator[StartServer]:
    """Run `mien serve --port 0` with further options, until the module's tests are done."""
    processes = []

    def start(*options: str, **environment: str) -> Server:
        command = [sys.executable, "-m", "mien", "serve", "--port", "0", *options]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        processes.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, process.communicate()
        return Server(process, url)

    yield start
    for process in processes:
        process.kill()
        process.communicate()
