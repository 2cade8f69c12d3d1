"""`POST /analyze` as DeepFace's server answers it, for clients that were written for that one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from mien.serving.limits import Limits
from mien.serving.problems import ProblemError, invalid
from mien.serving.schemas import BINARY, PictureText, problems
from mien.serving.service import Service, Upload
from mien.serving.uploads import decoded, form_of, kind_of, received
from mien.serving.work import handle

_PROBLEMS = (401, 403, 408, 413, 415, 421, 422, 429, 503)
_SETTINGS = 20
"""Text fields that a form may have."""


class DeepFaceRequest(BaseModel):
    """What DeepFace's clients send; other settings of theirs are passed over."""

    model_config = ConfigDict(strict=True)

    img: PictureText = Field(
        description="A data URL or Base64. Paths and URLs, which DeepFace also takes, are refused."
    )
    actions: list[Literal["emotion"]] = Field(
        default=["emotion"], min_length=1, description="Of these only emotion is known."
    )


class Region(BaseModel):
    """Where a face is, in pixels of the picture."""

    x: int
    y: int
    w: int
    h: int
    left_eye: tuple[int, int] | None = Field(description="The person's own; null if not known.")
    right_eye: tuple[int, int] | None


class DeepFaceFace(BaseModel):
    """A face and what it expresses."""

    emotion: dict[str, float] = Field(description="Percentages; sum 100.")
    dominant_emotion: str
    region: Region
    face_confidence: float = Field(ge=0, le=1)


class DeepFaceAnswer(BaseModel):
    """The faces of a picture, from left to right."""

    results: list[DeepFaceFace]


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": DeepFaceRequest.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["img"],
                    "properties": {
                        "img": BINARY,
                        "actions": {"type": "string", "enum": ["emotion", "[emotion]"]},
                    },
                },
                "encoding": {"img": {"contentType": "image/*"}},
            },
        },
    }
}


def add_deepface(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post(
        "/analyze",
        summary="DeepFace's form of request and answer",
        responses={200: {"model": DeepFaceAnswer}, **problems(*_PROBLEMS)},
        openapi_extra=_BODY,
    )
    async def deepface(request: Request) -> JSONResponse:
        """Where there is no face, `results` is empty; DeepFace answers with an error."""
        (analyzed,) = await handle(request, service, _read, search=True)
        if analyzed.problem is not None:
            raise analyzed.problem
        return JSONResponse({"results": analyzed.picture.to_deepface()})


async def _read(request: Request, limits: Limits) -> list[Upload]:
    kind = kind_of(request)
    if kind == "multipart/form-data":
        return [await _form(request, limits)]
    if kind != "application/json":
        raise ProblemError("unknown-format", "send application/json or multipart/form-data")
    content = await received(request, limits)
    return [await asyncio.to_thread(_upload, DeepFaceRequest.model_validate_json, content)]


async def _form(request: Request, limits: Limits) -> Upload:
    form = await form_of(request, limits, files=1, fields=_SETTINGS)
    values: dict[str, object] = dict(form)
    if isinstance(actions := values.get("actions"), str):
        # A form has no lists; DeepFace takes one as text, with or without its signs.
        values["actions"] = re.sub(r"[\[\]()\"'\s]", "", actions).split(",")
    file = values.get("img")
    if not isinstance(file, UploadFile):
        return await asyncio.to_thread(_upload, DeepFaceRequest.model_validate, values)
    _checked(DeepFaceRequest.model_validate, {**values, "img": ""})
    return Upload("image-1", await file.read())


def _upload(parse: Callable[[Any], DeepFaceRequest], content: Any) -> Upload:
    return Upload("image-1", decoded(_checked(parse, content).img))


def _checked(parse: Callable[[Any], DeepFaceRequest], content: Any) -> DeepFaceRequest:
    try:
        return parse(content)
    except ValidationError as error:
        raise invalid(error.errors(include_input=False, include_url=False)) from None
