"""`POST /analyze` as DeepFace's server answers it, for clients that were written for that one."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mien.serving.limits import Limits
from mien.serving.problems import ProblemError, invalid
from mien.serving.schemas import problems
from mien.serving.service import Service, Upload
from mien.serving.uploads import decoded, received
from mien.serving.work import handle

_PROBLEMS = (401, 403, 408, 413, 415, 421, 422, 429, 503)


class DeepFaceRequest(BaseModel):
    """What DeepFace's clients send; other settings of theirs are passed over."""

    model_config = ConfigDict(strict=True)

    img: str = Field(
        description="A data URL or Base64. Paths and URLs, which DeepFace also takes, are refused."
    )
    actions: list[str] = Field(default=["emotion"], description="Of these only emotion is known.")


def add_deepface(app: FastAPI, service: Service) -> None:
    """Add the route."""

    @app.post(
        "/analyze",
        summary="DeepFace's form of request and answer",
        responses=problems(*_PROBLEMS),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": DeepFaceRequest.model_json_schema()}},
            }
        },
    )
    async def deepface(request: Request) -> JSONResponse:
        """Where there is no face, `results` is empty; DeepFace answers with an error."""
        (analyzed,) = await handle(request, service, _read, search=True)
        if analyzed.problem is not None:
            raise analyzed.problem
        return JSONResponse({"results": analyzed.picture.to_deepface()})


async def _read(request: Request, limits: Limits) -> list[Upload]:
    content = await received(request, limits)
    return [await asyncio.to_thread(_upload, content)]


def _upload(content: bytes) -> Upload:
    try:
        asked = DeepFaceRequest.model_validate_json(content)
    except ValidationError as error:
        raise invalid(error.errors(include_input=False, include_url=False)) from None
    if asked.actions != ["emotion"]:
        raise ProblemError("invalid-request", 'the only action is emotion: "actions": ["emotion"]')
    return Upload("image-1", decoded(asked.img))
