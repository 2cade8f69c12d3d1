"""How much `mien serve` takes: requests a second and latencies over loopback, by clients at once.

    python benchmarks/serve.py [--photo FILE] [--seconds 10] [--clients 1 8 64] [--workers N]
                               [--detector NAME]

Starts a server of its own. Each client keeps one connection and sends the photo again as soon as it
has its answer. Prints also the server's CPU time for each result, which other work on the machine
disturbs less, the answers by status, and the server's memory after each round: with
`--seconds 600` it shows whether it stays bounded. The clients run in this one process and share
the machine with the server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from mien import SAMPLE


@contextlib.contextmanager
def server(*options: str) -> Iterator[tuple[str, int]]:
    """Run `mien serve` and give its address and its process's number."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--quiet", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
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


class Client:
    """One connection, one request at a time."""

    def __init__(self, url: str, photo: bytes) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)
        head = (
            f"POST /v1/analyze HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n"
        )
        self.request = head.encode() + photo
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def run(self, end: float) -> None:
        """Send requests until a time of `time.perf_counter`."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(self.request)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length))
            status = head.split()[1]
            self.statuses[status] += 1
            if status == "200":
                self.seconds.append(time.perf_counter() - start)
        writer.close()


async def load(url: str, photo: bytes, clients: int, seconds: float) -> list[Client]:
    """Let clients send the photo at the same time and return them."""
    made = [Client(url, photo) for _ in range(clients)]
    end = time.perf_counter() + seconds
    await asyncio.gather(*(client.run(end) for client in made))
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--workers", type=int)
    parser.add_argument("--detector", default="auto")
    arguments = parser.parse_args()
    photo = arguments.photo.read_bytes()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {arguments.photo.name}, {len(photo):,} "
        f"bytes; {arguments.seconds:g} s a row"
    )
    print("clients  requests/s     p50 ms     p99 ms   CPU ms  memory MB  peak MB  statuses")
    options = ["--detector", arguments.detector]
    if arguments.workers:
        options += ["--workers", str(arguments.workers)]
    with server(*options) as (url, pid):
        asyncio.run(load(url, photo, 1, 1))
        for clients in arguments.clients:
            start, used = time.perf_counter(), cpu_seconds(pid)
            made = asyncio.run(load(url, photo, clients, arguments.seconds))
            elapsed, used = time.perf_counter() - start, cpu_seconds(pid) - used
            times = sorted(value for client in made for value in client.seconds)
            statuses = sum((client.statuses for client in made), Counter[str]())
            percentiles = statistics.quantiles(times, n=100) if len(times) > 1 else times * 99
            print(
                f"{clients:7} {len(times) / elapsed:11.1f} {percentiles[49] * 1e3:10.1f} "
                f"{percentiles[98] * 1e3:10.1f} {used / max(len(times), 1) * 1e3:8.1f} "
                f"{megabytes(pid, 'VmRSS'):10.0f} {megabytes(pid, 'VmHWM'):8.0f}  {dict(statuses)}"
            )


if __name__ == "__main__":
    main()
