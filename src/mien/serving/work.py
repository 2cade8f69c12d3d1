"""How one request with pictures goes through the server, and what ends it early."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias

from fastapi import Request
from starlette.requests import ClientDisconnect

from mien.serving.limits import Limits
from mien.serving.problems import ProblemError
from mien.serving.service import Analyzed, Service, Upload
from mien.serving.uploads import announced

Read: TypeAlias = Callable[[Request, Limits], Awaitable[list[Upload]]]
"""Receives a request's body and returns its pictures, at least one."""


async def handle(request: Request, service: Service, read: Read, *, search: bool) -> list[Analyzed]:
    """Take a place, receive the pictures, let them be analyzed, and give the place back.

    Raises:
        ProblemError: there is no place, the body is wrong, or it took too long.
    """
    limits = service.limits
    client = request.client.host if request.client else ""
    place = service.gate.enter(client, announced(request, limits))
    jobs: list[Future[Analyzed]] = []
    deadline = asyncio.get_running_loop().time() + limits.seconds
    try:
        try:
            async with asyncio.timeout_at(deadline):
                uploads = await read(request, limits)
        except TimeoutError as error:
            raise ProblemError("slow-upload", f"it may take {limits.seconds:g} s") from error
        jobs = service.submit(uploads, search=search)
        return await _results(request, jobs, deadline, limits.seconds)
    finally:
        for job in jobs:
            job.cancel()
        place.leave_after(jobs)


async def _results(
    request: Request, jobs: Sequence[Future[Analyzed]], deadline: float, seconds: float
) -> list[Analyzed]:
    """Wait for all jobs, as long as the client waits and there is time."""
    work = asyncio.ensure_future(_all(jobs))
    # The body has been received: what comes next is that the client goes away.
    gone = asyncio.ensure_future(request.receive())
    either: set[asyncio.Future[Any]] = {work, gone}
    left = deadline - asyncio.get_running_loop().time()
    try:
        await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        if gone.done():
            raise ClientDisconnect
        raise ProblemError("overdue", f"a request may take {seconds:g} s", retry_after=1)
    finally:
        gone.cancel()
        work.cancel()


async def _all(jobs: Sequence[Future[Analyzed]]) -> list[Analyzed]:
    return [await asyncio.wrap_future(job) for job in jobs]
