"""Child processes on devices: starting them, hearing them, stopping them."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.errors import MienError
from mien.experiments.child import Event, Job

_SECONDS_TO_STOP = 20


@dataclass(frozen=True)
class Slot:
    """Room for one process at a time.

    Attributes:
        name: what people call the device, such as `GPU 0`, `CPU` or `this machine`.
        accelerator: as in `mien.training.loop.Device`.
        gpu: what CUDA_VISIBLE_DEVICES is set to; None leaves it alone.
        threads: on the CPU; None leaves that to the libraries.
    """

    name: str
    accelerator: str
    gpu: str | None = None
    threads: int | None = None


def slots_of(devices: str, jobs: int, gpus: int) -> list[Slot]:
    """Return where runs can be trained at the same time.

    Args:
        devices: `auto` (all GPUs, or without any what torch finds), `cpu`, or the numbers of GPUs
            such as `0,1`.
        jobs: how many processes share a device.
        gpus: how many GPUs there are.

    Raises:
        MienError: `devices` is something else, or names a GPU that is not there.
    """
    if devices == "auto" and gpus:
        devices = ",".join(map(str, range(gpus)))
    if devices in ("auto", "cpu"):
        threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
        name = "CPU" if devices == "cpu" else "this machine"
        return [Slot(name, devices, threads=threads)] * jobs
    numbers = [part.strip() for part in devices.split(",")]
    if not all(number.isdigit() for number in numbers) or len(set(numbers)) < len(numbers):
        raise MienError(
            f"--devices {devices!r} is not understood", hint="give auto, cpu, or GPUs such as 0,1"
        )
    for number in numbers:
        if int(number) >= gpus:
            there = f"GPUs 0 to {gpus - 1}" if gpus else "no GPU"
            raise MienError(
                f"there is no GPU {number}: this machine has {there}",
                hint="choose others with --devices, or --devices cpu",
            )
    # Those of a job scheduler are numbered anew: our 0 is the first of them.
    allowed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return [
        Slot(f"GPU {number}", "cuda", allowed[int(number)] if allowed else number)
        for _ in range(jobs)
        for number in numbers
    ]


@dataclass(frozen=True)
class End:
    """A child has ended.

    Attributes:
        reason: empty where all went well, else the last line that it said or what killed it.
    """

    reason: str


class Pool:
    """Runs children; what they tell comes as (name, event or `End`) from `next`."""

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[str]] = {}
        self._heard: queue.Queue[tuple[str, Event | End]] = queue.Queue()

    def start(self, name: str, job: Job, slot: Slot, log: Path) -> None:
        """Start a child; what it says on standard error is appended to a log."""
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if slot.gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = slot.gpu
        if slot.threads is not None:
            environment.setdefault("OMP_NUM_THREADS", str(slot.threads))
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with log.open("ab") as errors:
            errors.write(f"--- {now} {name} on {slot.name}\n".encode())
            errors.flush()
            begin = errors.tell()
            child = subprocess.Popen(
                [sys.executable, "-m", "mien.experiments.child", job.to_json()],
                stdin=subprocess.PIPE,  # its end tells the child that we are gone
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # a terminal's Ctrl-C comes to us, and we stop them
            )
        self._children[name] = child
        threading.Thread(target=self._listen, args=(name, child, log, begin), daemon=True).start()

    def next(self, seconds: float) -> tuple[str, Event | End] | None:
        """Return what was heard next, or None where nothing was for so long."""
        try:
            name, event = self._heard.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(event, End):
            del self._children[name]
        return name, event

    def stop(self) -> None:
        """Stop all children; those that do not listen are killed. A second Ctrl-C kills at once."""
        children = list(self._children.values())
        try:
            for child in children:
                child.terminate()
            for child in children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_SECONDS_TO_STOP)
        finally:
            for child in children:
                child.kill()
                child.wait()

    def _listen(self, name: str, child: subprocess.Popen[str], log: Path, begin: int) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            with contextlib.suppress(ValueError):  # the half line of one that was killed
                event: Any = json.loads(line)
                self._heard.put((name, event))
        status = child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()
        self._heard.put((name, End(_reason(status, log, begin))))


def _reason(status: int, log: Path, begin: int) -> str:
    """Return why a child failed, from what it wrote to its log from a place on."""
    if status == 0:
        return ""
    if status < 0:
        known = {each.value for each in signal.Signals}  # not all of the real-time signals
        name = signal.Signals(-status).name if -status in known else f"signal {-status}"
        cause = "; was the memory used up?" if -status == 9 else ""
        return f"it was killed ({name}{cause})"
    said: list[str] = []
    with contextlib.suppress(OSError), log.open("rb") as file:  # it may have been removed
        file.seek(begin)
        lines = file.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else f"it ended with the status {status}"
