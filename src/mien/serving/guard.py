"""What every request passes: host, origin and token are checked, answers get their headers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.serving.metrics import Metrics
from mien.serving.problems import ProblemError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = ("/page/", "/v2/health/")
"""Needs no token, besides `/` and `/openapi.json`: the page itself, and whether it is there."""

_DISCARDED = 64_000_000
_DISCARD_SECONDS = 5.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """The outermost layer of the application.

    Args:
        app: what it guards.
        metrics: told of every answer.
        token: demanded of everything that is not open, or None.
        hosts: the names by which the server may be called; without a token others are refused,
            because a page of another site could point its own name at a loopback address (DNS
            rebinding).
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        token: str | None = None,
        hosts: frozenset[str] = LOOPBACK,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status, begun = 500, False
        body = _Body(receive, Headers(scope=scope))

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                await body.discard()
                if not body.complete:
                    headers["Connection"] = "close"
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, body.receive, answer)
        except ProblemError as problem:
            await problem.response()(scope, receive, answer)
        except asyncio.CancelledError:
            # A second signal ends the server, and with it what is under way.
            if not begun:
                body.give_up()
                ended = ProblemError("stopping", "it was ended at once", retry_after=5)
                await ended.response()(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - start
            self._metrics.answered(scope["method"], route, status, seconds)

    def _check(self, scope: Scope) -> None:
        """Refuse who may not use the server.

        Raises:
            ProblemError: the host, the origin or the token is wrong.
        """
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._token is None and _name(host) not in self._hosts:
            raise ProblemError("wrong-host", f"{host!r} is not a name of this server")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise ProblemError("cross-site", f"pages of {origin!r} may not use this server")
        # Browsers send no origin with a picture's or a script's address, but whose page has it.
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            raise ProblemError("cross-site", "pages of other sites may not use this server")
        path = scope["path"]
        if self._token is None or path in ("/", "/openapi.json") or path.startswith(OPEN):
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        right = secrets.compare_digest(given.strip().encode(), self._token.encode())
        if scheme.lower() != "bearer" or not right:
            raise ProblemError("unauthorized", "send the header Authorization: Bearer TOKEN")


class _Body:
    """The body of a request, of which what nobody wanted is thrown away before the answer.

    Who closes a connection while the other side still sends, may destroy the answer on its way.
    """

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        self.complete = not (
            "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        )
        # Who expects to be told to continue sends nothing until then.
        self._comes = "expect" not in headers

    async def receive(self) -> Message:
        self._comes = True
        message = await self._receive()
        self.complete = message["type"] != "http.request" or not message.get("more_body")
        return message

    def give_up(self) -> None:
        """Wait for nothing more of it."""
        self._comes = False

    async def discard(self) -> None:
        size = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while self._comes and not self.complete and size < _DISCARDED:
                    size += len((await self.receive()).get("body", b""))


def _name(host: str) -> str:
    """Return the name or address in a Host header, in small letters, without port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
