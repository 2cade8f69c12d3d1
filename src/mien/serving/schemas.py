"""What goes over the wire, as pydantic's models: they check requests and describe the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from mien.serving.problems import MEDIA_TYPE, PREFIX

BINARY = {"type": "string", "format": "binary"}
"""A file in a body, as OpenAPI describes it."""

_BASE64 = "A file's bytes in Base64, or a data URL with them."


PictureText = Annotated[str, Field(json_schema_extra={"format": "picture-base64"})]
"""A picture as text; the format tells it from other texts."""


class Pictures(BaseModel):
    """One picture or several as JSON, one of the two keys; no conversion, no unknown key."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"oneOf": [{"required": ["image"]}, {"required": ["images"]}]},
    )

    image: PictureText = Field(default="", description=_BASE64)
    images: list[PictureText] = Field(default=[], min_length=1, description=_BASE64)

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError("one_key", "Give either image or images")
        return self

    def texts(self) -> list[str]:
        """Return all pictures as they were sent."""
        return self.images or [self.image]


class FaceResult(BaseModel):
    """A face and what it expresses."""

    box: list[int] = Field(
        min_length=4,
        max_length=4,
        description="x, y, width, height in pixels of the picture as a viewer shows it.",
    )
    detection: float = Field(ge=0, le=1, description="How sure it is that this is a face.")
    emotion: str = Field(description="The likeliest emotion.")
    confidence: float = Field(ge=0, le=1, description="The probability of that emotion.")
    scores: dict[str, float] = Field(description="The probability of every emotion; sum 1.")
    uncertain: bool = Field(default=False, description="The confidence is below the threshold.")
    quality: list[str] = Field(
        default=[], description="What makes it hard to read: small, blurred, dark."
    )
    landmarks: list[list[float]] | None = Field(
        default=None,
        description="x and y of the person's right eye, left eye, nose, right and left corner of "
        "the mouth; null where the detector knows none.",
    )


class PictureResult(BaseModel):
    """A picture and its faces, from left to right."""

    image: str = Field(description="The file's name as it was sent, or image-1, image-2, …")
    status: Literal["ok", "no_face", "unreadable"]
    width: int
    height: int
    faces: list[FaceResult]
    faces_left_out: int = Field(description="Faces found beyond the server's limit.")
    reason: str | None = Field(default=None, description="Why a picture is unreadable.")


class Answer(BaseModel):
    """The results of all pictures of a request, in its order."""

    model: str = Field(description="The model's name, see GET /v1/models.")
    pictures: list[PictureResult]


class Model(BaseModel):
    """A model at work."""

    name: str
    labels: list[str]
    preprocessing: dict[str, Any]
    provenance: dict[str, Any] = Field(description="Where it comes from and how good it is.")


class Models(BaseModel):
    """The models of the server."""

    models: list[Model]


class Details(BaseModel):
    """A problem, as RFC 9457 describes it."""

    type: str = Field(description=f"{PREFIX}KIND, or about:blank where the status says all.")
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = Field(
        default=None, description="A pointer and a detail for each place."
    )


class Live(BaseModel):
    """The process lives."""

    live: Literal[True]


class Ready(BaseModel):
    """Requests are let in."""

    ready: Literal[True]


_DETAILS = "#/components/schemas/Details"
_RETRY = {
    "Retry-After": {
        "description": "Seconds after which a repetition is worth trying.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_TOKEN = "token"


def complete(openapi: dict[str, Any], secured: bool) -> dict[str, Any]:
    """Add to an OpenAPI document what its routes refer to.

    Args:
        openapi: is changed.
        secured: routes that know a 401 demand a token.
    """
    components = openapi["components"]
    components["schemas"]["Details"] = Details.model_json_schema()
    if secured:
        components["securitySchemes"] = {_TOKEN: {"type": "http", "scheme": "bearer"}}
        for methods in openapi["paths"].values():
            for operation in methods.values():
                if "401" in operation["responses"]:
                    operation["security"] = [{_TOKEN: []}]
    return openapi


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of a route's problems for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _DETAILS}}}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": "Problem", "content": content} for status in statuses
    }
    for status in described.keys() & {429, 503}:
        described[status]["headers"] = _RETRY
    return described


ANALYZE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "array", "minItems": 1, "items": BINARY}},
                    "additionalProperties": False,
                },
                "encoding": {"file": {"contentType": "image/*"}},
            },
            "application/json": {
                "schema": Pictures.model_json_schema(),
            },
            "image/*": {"schema": BINARY},
        },
    }
}
"""How the body of `POST /v1/analyze` is described; it is read by `mien.serving.uploads`."""
