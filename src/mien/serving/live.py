"""Shows a video in the browser while it is analyzed: the latest frame, marked, and its scores."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mien.recognition.annotate import annotate
from mien.recognition.results import Frame
from mien.serving.app import PAGE
from mien.serving.guard import Guard
from mien.serving.metrics import Metrics
from mien.serving.run import Address, bind

_PAGE = Path(__file__).parent / "live"
_LARGEST_SIDE = 1280  # of what is sent
_QUALITY = 80  # of JPEG
_PATIENCE = 1.0  # seconds that a request waits for a newer frame
_FAREWELL = 2.0  # seconds that the end waits for a browser that shows a frame just now


class LiveView:
    """The page, and what it shows.

    A browser asks for the frame after the one it has, gets the latest there is by then, and skips
    what it is too slow for. A frame is encoded only when somebody asks for it, and only the latest
    is kept.

    Args:
        paced: frames come faster than they are shown, as a file's do, so they wait for their time;
            not before somebody looks.
    """

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self._changed = threading.Condition()
        self._watched = threading.Event()
        self._told = threading.Event()  # that it has ended
        self._latest: Frame | None = None
        self._number = 0  # of the latest frame, from 1 on; not that in the video
        self._message = b""  # the latest frame as it is sent, once it was asked for
        self._ended = False
        self._start = 0.0

    def add(self, frame: Frame) -> None:
        """Show a frame, at its time."""
        if self._paced:
            self._wait_for(frame.seconds)
        with self._changed:
            self._latest, self._message = frame, b""
            self._number += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Say that no more frames come, and wait a little until somebody who looks has heard it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._watched.is_set():
            self._told.wait(_FAREWELL)

    def after(self, number: int) -> bytes:
        """Return a frame that is newer, as a line of JSON and a JPEG; nothing if none comes soon.

        The line says `number`, and `ended` where that is all.
        """
        self._watched.set()
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._number > number, _PATIENCE)
            if self._number > number and self._latest is not None:
                self._message = self._message or _message(self._latest, self._number)
                return self._message
            if not self._ended:
                return b""
            self._told.set()
            return b'{"ended": true}\n'

    def _wait_for(self, seconds: float) -> None:
        while not self._watched.wait(_PATIENCE):
            pass  # so that Ctrl-C is heard on every system
        self._start = self._start or time.monotonic() - seconds
        time.sleep(max(self._start + seconds - time.monotonic(), 0))


def _message(frame: Frame, number: int) -> bytes:
    line = json.dumps({"number": number, **frame.to_dict()}).encode() + b"\n"
    if frame.pixels is None:
        return line
    pixels: NDArray[Any] = frame.pixels
    scale = _LARGEST_SIDE / max(pixels.shape[:2])
    if scale < 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    marked = np.asarray(annotate(pixels, frame, compact=True))
    picture = cv2.cvtColor(marked, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return line + encoded.tobytes()


@contextlib.contextmanager
def live_view(port: int, *, paced: bool) -> Iterator[tuple[LiveView, str]]:
    """Serve a `LiveView` on this machine alone; give it and the address that shows it.

    The address has a token, without which no frame is given away.

    Args:
        port: 0 takes a free one.
        paced: see `LiveView`.

    Raises:
        MienError: the port cannot be had.
    """
    token = secrets.token_urlsafe(24)
    address = bind("127.0.0.1", port, token=token)
    view = LiveView(paced=paced)
    config = uvicorn.Config(
        _app(view, address),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([address.listener],), daemon=True)
    thread.start()
    try:
        yield view, f"{address.url}/#token={token}"
    finally:
        view.end()
        server.should_exit = True
        thread.join()


def _app(view: LiveView, address: Address) -> Guard:
    async def page(request: Request) -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    def frame(request: Request) -> Response:
        after = request.query_params.get("after", "")
        number = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        content = view.after(number)
        return Response(content, 200 if content else 204, media_type="application/octet-stream")

    routes = [
        Route("/", page),
        Route("/frame", frame),
        Mount("/page/live", StaticFiles(directory=_PAGE)),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    return Guard(Starlette(routes=routes), Metrics(), address.token, frozenset(address.hosts))
