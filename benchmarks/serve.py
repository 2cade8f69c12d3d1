"""How much `mien serve` takes: requests a second and latencies over loopback, by clients at once.

    python benchmarks/serve.py [--photo FILE] [--seconds 10] [--clients 1 8 64] [--mixed 96]
                               [--workers N] [--detector NAME]

Starts a server of its own. Each client keeps one connection and sends the photo again as soon as it
has its answer; one that is told to come back later does. The last row is of clients that by turns
send good pictures and what has to be refused (too large, no picture, torn), and of which there are
more than one address may have at once.

Prints also the server's CPU time for each result, which other work on the machine disturbs less,
the answers by status, and the server's memory: before anything was asked, after each row, its peak,
and at ten moments of each row, by which `--seconds 600` shows whether it stays bounded. The clients
run in this one process and share the machine with the server. Ends with status 1 if the server has
answered with a defect or has not come to a good end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from urllib.parse import urlsplit

from mien import SAMPLE

MOST = 1_000_000
"""Bytes of an upload that the server accepts here."""

_MOMENTS = 10


@contextlib.contextmanager
def server(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `mien serve` and give its address and its process."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--quiet", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.terminate()


def megabytes(pid: int, field: str) -> float:
    """Return what Linux says of a process's memory; nan elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return float("nan")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, by Linux; nan elsewhere."""
    with contextlib.suppress(OSError):
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return float("nan")


def requests(netloc: str, photo: bytes, *, mixed: bool) -> list[bytes]:
    """Return what a client sends by turns: the photo, and if mixed what is to be refused too."""
    bodies = [photo]
    if mixed:
        bodies += [photo, photo + bytes(MOST), b"no picture", photo[: len(photo) // 3]]
    head = f"POST /v1/analyze HTTP/1.1\r\nHost: {netloc}\r\nContent-Type: image/jpeg\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


class Client:
    """One connection, one request at a time."""

    def __init__(self, url: str, photo: bytes, *, mixed: bool) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)
        self.requests = itertools.cycle(requests(parts.netloc, photo, mixed=mixed))
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def run(self, end: float) -> None:
        """Send requests until a time of `time.perf_counter`."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(next(self.requests))
            await writer.drain()
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
            headers = dict(line.split(": ", 1) for line in lines if line)
            await reader.readexactly(int(headers["content-length"]))
            self.statuses[status.split()[1]] += 1
            if status.split()[1] == "200":
                self.seconds.append(time.perf_counter() - start)
            await asyncio.sleep(float(headers.get("retry-after", 0)))
        writer.close()


@dataclass(frozen=True)
class Row:
    """What was measured of one number of clients."""

    elapsed: float
    cpu: float
    times: list[float]
    statuses: Counter[str]
    memory: list[float]


async def watch(pid: int, end: float) -> list[float]:
    """Return a process's memory in MB at ten moments until a time of `time.perf_counter`."""
    step = (end - time.perf_counter()) / _MOMENTS
    seen = []
    for _ in range(_MOMENTS):
        await asyncio.sleep(step)
        seen.append(megabytes(pid, "VmRSS"))
    return seen


async def load(
    url: str, pid: int, photo: bytes, clients: int, seconds: float, *, mixed: bool = False
) -> Row:
    """Let clients send at the same time and return what came of it."""
    made = [Client(url, photo, mixed=mixed) for _ in range(clients)]
    start, used = time.perf_counter(), cpu_seconds(pid)
    end = start + seconds
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch(pid, end))
        for client in made:
            group.create_task(client.run(end))
    return Row(
        time.perf_counter() - start,
        cpu_seconds(pid) - used,
        sorted(value for client in made for value in client.seconds),
        sum((client.statuses for client in made), Counter[str]()),
        watching.result(),
    )


def show(name: str, row: Row, pid: int) -> None:
    """Print a row."""
    times = row.times
    percentiles = statistics.quantiles(times, n=100) if len(times) > 1 else (times or [nan]) * 99
    print(
        f"{name:>8} {len(times) / row.elapsed:11.1f} {percentiles[49] * 1e3:10.1f} "
        f"{percentiles[98] * 1e3:10.1f} {row.cpu / max(len(times), 1) * 1e3:8.1f} "
        f"{megabytes(pid, 'VmRSS'):10.0f} {megabytes(pid, 'VmHWM'):8.0f}  "
        f"{dict(sorted(row.statuses.items()))}"
    )
    print(f"{'':>8} MB over time: {' '.join(f'{value:.0f}' for value in row.memory)}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--mixed", type=int, default=96, help="clients of the last row; 0: none")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--detector", default="auto")
    arguments = parser.parse_args()
    photo = arguments.photo.read_bytes()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {arguments.photo.name}, {len(photo):,} "
        f"bytes; {arguments.seconds:g} s a row"
    )
    options = ["--detector", arguments.detector, "--max-upload", str(MOST / 1e6)]
    if arguments.workers:
        options += ["--workers", str(arguments.workers)]
    answers: Counter[str] = Counter()
    with server(*options) as (url, process):
        pid = process.pid
        print(f"memory before the first request: {megabytes(pid, 'VmRSS'):.0f} MB")
        print(" clients  requests/s     p50 ms     p99 ms   CPU ms  memory MB  peak MB  statuses")
        asyncio.run(load(url, pid, photo, 1, 1))
        for clients in arguments.clients:
            row = asyncio.run(load(url, pid, photo, clients, arguments.seconds))
            show(str(clients), row, pid)
            answers += row.statuses
        if arguments.mixed:
            row = asyncio.run(load(url, pid, photo, arguments.mixed, arguments.seconds, mixed=True))
            show(f"{arguments.mixed} mixed", row, pid)
            answers += row.statuses
    print(f"the server ended with status {process.returncode}")
    sys.exit(process.returncode != 0 or "500" in answers)


if __name__ == "__main__":
    main()
