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
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from .conftest import Server, StartServer, problem
from .pictures import PICTURES

TOKEN = "a-token-for-the-tests"
KIND_OF = {413: "too-large", 415: "unknown-format", 422: "unreadable-picture"}


def _post(server: Server, content: bytes, **headers: str) -> httpx.Response:
    headers = {"content-type": "image/jpeg", **headers}
    return httpx.post(f"{server.url}/v1/analyze", content=content, headers=headers, timeout=60)


def _accepted(server: Server) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    (line,) = (line for line in lines if line.startswith("mien_accepted_requests "))
    return float(line.split()[1])


def _begin(server: Server, length: int, client: str = "127.0.0.1") -> http.client.HTTPConnection:
    """Send the head of a request from a loopback address, which takes a place in the server."""
    before = _accepted(server)
    netloc = urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(netloc, timeout=60, source_address=(client, 0))
    connection.putrequest("POST", "/v1/analyze")
    connection.putheader("Content-Type", "image/jpeg")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    deadline = time.monotonic() + 30
    while _accepted(server) <= before:
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


def test_a_second_signal_ends_it_at_once(start_server: StartServer, photo: bytes) -> None:
    server = start_server("--workers", "1")
    begun = _begin(server, len(photo))
    working = [_begin(server, len(photo)) for _ in range(3)]
    for connection in working:
        connection.send(photo)
    server.process.send_signal(signal.SIGTERM)
    while httpx.get(f"{server.url}/v2/health/ready").status_code == 200:
        pass
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    ended = begun.getresponse()
    assert ended.status == 503
    assert json.loads(ended.read())["type"] == "urn:mien:problem:stopping"
    begun.close()
    for connection in working:
        assert connection.getresponse().status in (200, 503)
        connection.close()
    assert server.process.wait(60) is not None
    assert "Traceback" not in server.process.communicate()[1]


def test_a_client_that_goes_or_dawdles_gives_its_place_back(start_server: StartServer) -> None:
    server = start_server("--timeout", "1")
    slow = _begin(server, 1000)
    _begin(server, 1000).close()
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


def test_who_trickles_or_does_not_read_is_cut(start_server: StartServer) -> None:
    """Each sends a byte now and then, for which uvicorn alone would wait for ever."""
    server = start_server("--timeout", "1")
    parts = urlsplit(server.url)
    where = (str(parts.hostname), int(parts.port or 0))
    head = f"Host: {parts.netloc}\r\n".encode()
    whole = b"GET /v2/health/live HTTP/1.1\r\n" + head
    # The head of a first request, that of a second one, and a body that no route asked for.
    begun = [b"", whole + b"\r\n", whole + b"Content-Length: 1000000\r\n\r\n"]
    for start in begun:
        with socket.create_connection(where, timeout=30) as slow:
            slow.sendall(start)
            assert _lasts(slow, b"GET / HTTP/1.1\r\nX-Slow: ") < 20
    with socket.create_connection(where, timeout=30) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        asked = b"GET /openapi.json HTTP/1.1\r\n" + head + b"\r\n"
        assert _refuses(deaf, asked * 100)
    assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert "Traceback" not in server.process.communicate()[1]


def _lasts(connection: socket.socket, line: bytes) -> float:
    """Send a line byte by byte, then more of it, and return the seconds until it is cut."""
    start = time.monotonic()
    while time.monotonic() < start + 30:
        try:
            connection.sendall(line[:1] or b"x")
            line = line[1:]
            connection.setblocking(False)
            while connection.recv(4096):
                pass
            break
        except BlockingIOError:
            connection.setblocking(True)
            time.sleep(0.1)
        except OSError:
            break
    return time.monotonic() - start


def _refuses(connection: socket.socket, content: bytes) -> bool:
    """Send without reading, and return whether the other side cuts the connection."""
    deadline = time.monotonic() + 30
    connection.settimeout(1)
    while time.monotonic() < deadline:
        try:
            connection.sendall(content)
        except TimeoutError:
            continue  # all buffers are full
        except ConnectionError:
            return True
    return False


def test_torn_and_changed_files_of_every_format_end_in_no_defect(
    start_server: StartServer, photo: bytes
) -> None:
    """A decoder that fails outside Python would take the whole process with it."""
    server = start_server()
    random = Random(7)
    url = f"{server.url}/v1/analyze?detect=false"
    with httpx.Client(timeout=60, headers={"content-type": "image/jpeg"}) as client:
        for picture in PICTURES:
            assert client.post(url, content=picture).status_code == 200
            for _ in range(4):
                torn = bytearray(picture[: random.randint(1, len(picture))])
                changed = bytearray(picture)
                for _ in range(random.randint(1, 8)):
                    changed[random.randrange(len(changed))] = random.randrange(256)
                for content in (torn, changed):
                    answer = client.post(url, content=bytes(content))
                    assert answer.status_code in (200, 413, 415, 422), answer.text
        assert client.post(url, content=photo).status_code == 200
    assert server.process.poll() is None


def test_many_at_once_are_answered_or_refused_and_refusals_arrive_whole(
    start_server: StartServer, photo: bytes
) -> None:
    server = start_server("--max-requests", "4", "--max-upload", "1", "--timeout", "300")
    # What is too large is sent although nobody reads it.
    kinds = [(photo, 200), (photo + bytes(3_000_000), 413), (b"words", 415), (photo[:20_000], 422)]
    refused: list[httpx.Response] = []

    def patient(i: int) -> tuple[int, int]:
        content, right = kinds[i % len(kinds)]
        while (answer := client.post("/v1/analyze", content=content)).status_code == 429:
            refused.append(answer)
            time.sleep(0.5)
        if right != 200:
            problem(answer, answer.status_code, KIND_OF[answer.status_code])
        return answer.status_code, right

    client = httpx.Client(base_url=server.url, headers={"content-type": "image/jpeg"}, timeout=300)
    with client, ThreadPoolExecutor(12) as pool:
        for status, right in pool.map(patient, range(24)):
            assert status == right
    assert refused
    for answer in refused:
        problem(answer, 429, "too-many-requests")
        assert answer.headers["retry-after"] == "1"
    assert _post(server, photo).status_code == 200


def test_all_places_taken_by_several_clients(start_server: StartServer, photo: bytes) -> None:
    server = start_server("--max-requests", "2")
    held = [_begin(server, len(photo), f"127.0.0.{client}") for client in (2, 3)]
    refused = _post(server, photo)
    problem(refused, 503, "busy")
    assert refused.headers["retry-after"] == "1"
    for connection in held:
        connection.send(photo)
        assert connection.getresponse().status == 200
        connection.close()
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
