"""`mien serve` as a process: its addresses, its signals, its refusals over a real connection."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import Server, StartServer, problem

TOKEN = "a-token-for-the-tests"


def _post(server: Server, content: bytes, **headers: str) -> httpx.Response:
    headers = {"content-type": "image/jpeg", **headers}
    return httpx.post(f"{server.url}/v1/analyze", content=content, headers=headers, timeout=60)


def _begin(server: Server, length: int) -> http.client.HTTPConnection:
    """Send the head of a request, which takes a place in the server."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    connection.putrequest("POST", "/v1/analyze")
    connection.putheader("Content-Type", "image/jpeg")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    deadline = time.monotonic() + 30
    while "mien_accepted_requests 1.0" not in httpx.get(f"{server.url}/metrics").text:
        assert time.monotonic() < deadline
    return connection


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_was_accepted_be_finished(
    start_server: StartServer, photo: bytes, sent: signal.Signals
) -> None:
    server = start_server()
    assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
    connection = _begin(server, len(photo))
    connection.send(photo[:1000])
    server.process.send_signal(sent)
    deadline = time.monotonic() + 30
    while (ready := httpx.get(f"{server.url}/v2/health/ready")).status_code == 200:
        assert time.monotonic() < deadline
    problem(ready, 503, "stopping")
    problem(_post(server, photo), 503, "stopping")
    connection.send(photo[1000:])
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["pictures"][0]["status"] == "ok"
    connection.close()
    assert server.process.wait(60) == 0
    _, errors = server.process.communicate()
    assert "Traceback" not in errors


def test_a_second_signal_ends_it_at_once(start_server: StartServer) -> None:
    server = start_server()
    connection = _begin(server, 1000)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) is not None
    connection.close()


def test_a_client_that_goes_or_dawdles_gives_its_place_back(start_server: StartServer) -> None:
    server = start_server("--timeout", "1")
    _begin(server, 1000).close()
    slow = _begin(server, 1000)
    slow.send(b"x")
    answer = slow.getresponse()
    assert answer.status == 408
    assert json.loads(answer.read())["type"] == "urn:mien:problem:slow-upload"
    metrics = httpx.get(f"{server.url}/metrics").text
    assert "mien_accepted_requests 0.0" in metrics
    assert 'status="499"' in metrics
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert "Traceback" not in server.process.communicate()[1]


def test_what_is_no_http_and_who_says_nothing(start_server: StartServer) -> None:
    server = start_server("--timeout", "1")
    parts = urlsplit(server.url)
    where = (str(parts.hostname), int(parts.port or 0))
    with socket.create_connection(where, timeout=30) as garbage:
        garbage.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        answer = b"".join(iter(lambda: garbage.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["title"] == "Bad Request"
    with socket.create_connection(where, timeout=30) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\nHos")
        assert silent.recv(100) == b""


def test_many_at_once_are_answered_or_refused_and_refusals_arrive_whole(
    start_server: StartServer, photo: bytes
) -> None:
    server = start_server("--max-requests", "4", "--max-upload", "1")
    with ThreadPoolExecutor(24) as pool:
        # Every third body is too large, and sent although nobody reads it.
        bodies = [photo if i % 3 else photo + bytes(3_000_000) for i in range(48)]
        answers = list(pool.map(lambda body: _post(server, body), bodies))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 413, 429, 503}
    assert statuses.count(200) >= 2
    too_large = {s for s, body in zip(statuses, bodies, strict=True) if len(body) > 1_000_000}
    assert too_large == {413}
    assert all("retry-after" in a.headers for a in answers if a.status_code in (429, 503))
    assert _post(server, photo).status_code == 200


def test_only_this_machine_unless_asked_and_then_a_token(
    start_server: StartServer, photo: bytes
) -> None:
    server = start_server("--host", "0.0.0.0")
    problem(_post(server, photo), 401, "unauthorized")
    server.process.terminate()
    _, errors = server.process.communicate(timeout=60)
    token = errors.partition("#token=")[2].split()[0]
    assert len(token) >= 32
    chosen = start_server(MIEN_TOKEN=TOKEN)
    assert _post(chosen, photo, authorization=f"Bearer {TOKEN}").status_code == 200


def test_what_cannot_be_served_is_said(run_mien: Callable[..., Any]) -> None:
    short = run_mien("serve", "--port", 0, env={**os.environ, "MIEN_TOKEN": "short"})
    assert short.returncode == 1
    assert "at least 16 characters" in short.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = run_mien("serve", "--port", port)
    assert busy.returncode == 1
    assert f"cannot listen at 127.0.0.1, port {port}" in busy.stderr
    assert "--port" in busy.stderr
    unknown = run_mien("serve", "--model", "smal", "--port", 0)
    assert "did you mean 'small'?" in unknown.stderr
