"""From a request's body to pictures, in memory alone: multipart, JSON with Base64, or one file."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from mien.serving.limits import Limits
from mien.serving.problems import ProblemError, invalid, oversized
from mien.serving.schemas import Pictures
from mien.serving.service import Upload

_LONGEST_NAME = 255
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[^;,]*)*;base64,")


def announced(request: Request, limits: Limits) -> int:
    """Return how many bytes a request's body may turn out to have.

    Raises:
        ProblemError: what it says of its length is no number.
    """
    length = request.headers.get("content-length")
    if length is None:
        # Sent in chunks; who has no body at all is refused later, for that.
        return limits.upload
    if not (length.isascii() and length.isdigit()):
        raise ProblemError("invalid-request", "Content-Length is no number")
    return int(length)


def kind_of(request: Request) -> str:
    """Return the media type that a request's body is said to have, or ""."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_uploads(request: Request, limits: Limits) -> list[Upload]:
    """Return the pictures of a request, at least one; `unnamed` ones are numbered from 1.

    Raises:
        ProblemError: the body is of another kind, malformed, empty, or more than is accepted.
    """
    kind = kind_of(request)
    if kind == "multipart/form-data":
        uploads = await _multipart(request, limits)
    elif kind == "application/json":
        content = await received(request, limits)
        uploads = await asyncio.to_thread(_json, content, limits)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        uploads = [Upload("image-1", await received(request, limits))]
    else:
        raise ProblemError(
            "unknown-format",
            "send multipart/form-data with the field file, application/json, or image/*; not "
            + (kind or "a body without Content-Type"),
        )
    if not any(upload.content for upload in uploads):
        raise ProblemError("invalid-request", "there is no picture in it")
    return uploads


async def received(request: Request, limits: Limits) -> bytes:
    """Return the whole body of a request.

    Raises:
        ProblemError: it is larger than an upload may be.
    """
    return b"".join([chunk async for chunk in _bounded(request, limits.upload)])


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Yield a body as it arrives, up to a limit that may be less than what was announced."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise oversized(most)
        yield chunk


class _InMemory(MultiPartParser):
    """Starlette's parser, which otherwise writes what is larger than a megabyte to the disk."""

    def __init__(
        self, request: Request, stream: AsyncGenerator[bytes, None], limits: Limits, **most: int
    ) -> None:
        super().__init__(request.headers, stream, max_part_size=limits.upload, **most)
        self.spool_max_size = limits.upload + 1


async def form_of(request: Request, limits: Limits, *, files: int, fields: int) -> FormData:
    """Receive a form, in memory alone.

    Args:
        request: has the form as its body.
        limits: what is accepted.
        files: how many it may have.
        fields: how many that are no files it may have.

    Raises:
        ProblemError: it is malformed, or has more than that.
    """
    stream = _bounded(request, limits.upload)
    parser = _InMemory(request, stream, limits, max_files=files, max_fields=fields)
    try:
        return await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise _too_many(files) from error
        if error.message.startswith("Too many fields"):
            text = f"a form may have {fields} fields" if fields else "its fields need a file name"
            raise ProblemError("invalid-request", text) from error
        raise ProblemError("invalid-request", error.message) from error


async def _multipart(request: Request, limits: Limits) -> list[Upload]:
    form = await form_of(request, limits, files=limits.pictures, fields=0)
    uploads: list[Upload] = []
    for field, value in form.multi_items():
        if field != "file" or not isinstance(value, UploadFile):
            raise ProblemError("invalid-request", f"unknown field {field[:40]!r}, not file")
        name = (value.filename or f"image-{len(uploads) + 1}")[:_LONGEST_NAME]
        uploads.append(Upload(name, await value.read()))
    return uploads


def _json(content: bytes, limits: Limits) -> list[Upload]:
    try:
        texts = Pictures.model_validate_json(content).texts()
    except ValidationError as error:
        raise invalid(error.errors(include_input=False, include_url=False)) from None
    if len(texts) > limits.pictures:
        raise _too_many(limits.pictures)
    return [Upload(f"image-{number}", decoded(text)) for number, text in enumerate(texts, 1)]


def decoded(text: str) -> bytes:
    """Return the bytes that Base64 or a data URL with it stands for.

    Raises:
        ProblemError: it is neither.
    """
    if match := _DATA_URL.match(text):
        text = text[match.end() :]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProblemError(
            "invalid-request", "an image is neither Base64 nor a data URL with Base64"
        ) from error


def _too_many(most: int) -> ProblemError:
    return ProblemError("too-large", f"a request may have {most} pictures")
