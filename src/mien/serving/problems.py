"""Every error that the server answers with: problem details as JSON (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:mien:problem:"

KINDS: dict[str, tuple[int, str]] = {
    "unauthorized": (401, "This server demands a token"),
    "cross-site": (403, "Other sites may not use this server"),
    "slow-upload": (408, "The request took too long to arrive"),
    "too-large": (413, "More than the server accepts"),
    "unknown-format": (415, "Not a format that the server reads"),
    "wrong-host": (421, "The server does not go by this name"),
    "invalid-request": (422, "The request is not as described"),
    "unreadable-picture": (422, "The picture cannot be read"),
    "too-many-requests": (429, "Too many requests at once from one client"),
    "busy": (503, "The server has as much work as it accepts"),
    "overdue": (503, "The work took too long"),
    "stopping": (503, "The server is about to stop"),
}
"""The kinds of problem: the end of `type`, with its status and its title."""

CLIENT_GONE = 499
"""What nginx calls it when a client did not wait for its answer."""


class ProblemError(Exception):
    """An error that a client is told.

    Args:
        kind: one of the `KINDS`.
        detail: what is wrong with this request, and how to mend it.
        retry_after: seconds after which a repetition is worth trying, or None.
        errors: what is wrong at which place, where there may be several.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        retry_after: int | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.title = KINDS[kind]
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.errors = list(errors)

    def response(self) -> JSONResponse:
        """Return the answer that tells it."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.kind == "unauthorized":
            headers["WWW-Authenticate"] = "Bearer"
        more = {"errors": self.errors} if self.errors else {}
        return _response(
            self.status, PREFIX + self.kind, self.title, self.detail, headers=headers, **more
        )


def install(app: FastAPI) -> None:
    """Let an application answer all its errors so, the framework's own among them."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return invalid(error.errors()).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase.lower()
        detail = f"{request.method} {request.url.path}: {phrase}"
        return plain(error.status_code, detail, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_GONE)  # for the metrics; nobody reads it

    @app.exception_handler(Exception)
    async def _defect(request: Request, error: Exception) -> JSONResponse:
        # What was sent may be in the message of an error, so only the place is told.
        return plain(500, "a defect of the server; its log says more")


def plain(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer that tells a problem of which the status says all."""
    return _response(status, "about:blank", HTTPStatus(status).phrase, detail, headers=headers)


def oversized(most: int, size: int | None = None) -> ProblemError:
    """Return the problem of a body with more bytes than it may have, however many if known."""
    has = f"; this one has {math.ceil(size / 1e5) / 10:,} MB" if size is not None else ""
    return ProblemError("too-large", f"a request may have {most / 1e6:,g} MB{has}")


def invalid(errors: Sequence[Any]) -> ProblemError:
    """Return pydantic's errors as a problem, without the values, which may be pictures."""
    found = [
        {"pointer": "/" + "/".join(map(str, error["loc"])), "detail": error["msg"]}
        for error in errors
    ]
    first = found[0]
    return ProblemError("invalid-request", f"{first['pointer']}: {first['detail']}", errors=found)


def _response(
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    content = {"type": kind, "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)
