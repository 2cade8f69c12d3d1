"""Who is let in: places for requests, bounded by number, by bytes and by client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from mien.serving.limits import Limits
from mien.serving.problems import ProblemError, oversized


class Gate:
    """The places of a server, used from its event loop alone.

    A request takes a place before its body is received and keeps it until its work is done or has
    been dropped, so that all that is accepted fits in memory and can be finished. Those for whom
    there is no place are refused at once, without a byte of theirs being kept.

    Attributes:
        requests: how many places are taken.
        bytes: how many bytes their bodies have, by what they announced.
        is_open: False once the server is about to stop.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._clients: Counter[str] = Counter()
        self.requests = 0
        self.bytes = 0
        self.is_open = True

    def close(self) -> None:
        """Let nobody in from now on; those inside keep their places."""
        self.is_open = False

    def check_open(self) -> None:
        """Raise the problem of a server that is about to stop, if it is."""
        if not self.is_open:
            raise ProblemError("stopping", "it finishes what it has accepted", retry_after=5)

    def enter(self, client: str, size: int) -> Place:
        """Give a place to a request.

        Args:
            client: the address from which it comes.
            size: the bytes of its body, or the most that it may have if it does not say.

        Raises:
            ProblemError: there is no place for it, now or ever.
        """
        limits = self._limits
        self.check_open()
        if size > limits.upload:
            raise oversized(limits.upload, size)
        if self._clients[client] >= limits.per_client:
            detail = f"a client may have {limits.per_client} requests under way"
            raise ProblemError("too-many-requests", detail, retry_after=1)
        if self.requests >= limits.requests or self.bytes + size > limits.memory:
            detail = f"{self.requests} requests of {self.bytes:,} bytes are under way"
            raise ProblemError("busy", detail, retry_after=1)
        self.requests += 1
        self.bytes += size
        self._clients[client] += 1
        return Place(self, client, size)

    def _leave(self, client: str, size: int) -> None:
        self.requests -= 1
        self.bytes -= size
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]


class Place:
    """A request's place in a `Gate`."""

    def __init__(self, gate: Gate, client: str, size: int) -> None:
        self._gate: Gate | None = gate
        self._client = client
        self._size = size

    def leave(self) -> None:
        """Give the place back; doing so twice does no harm."""
        if self._gate is not None:
            self._gate._leave(self._client, self._size)
            self._gate = None

    def leave_after(self, jobs: Iterable[Future[Any]]) -> None:
        """Give the place back when all jobs are done: a thread at work cannot be stopped."""
        loop = asyncio.get_running_loop()
        waiting = {job for job in jobs if not job.done()}
        if not waiting:
            self.leave()
            return

        def done(job: Future[Any]) -> None:
            waiting.discard(job)
            if not waiting:
                self.leave()

        def tell(job: Future[Any]) -> None:
            # A server that was ended at once has no loop any more, and no places.
            if not loop.is_closed():
                loop.call_soon_threadsafe(done, job)

        for job in list(waiting):
            job.add_done_callback(tell)
