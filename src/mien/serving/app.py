"""The application: its routes and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from mien.recognition.bundled import SAMPLE
from mien.serving.deepface import add_deepface
from mien.serving.guard import LOOPBACK, Guard
from mien.serving.metrics import MEDIA_TYPE
from mien.serving.problems import install
from mien.serving.schemas import ANALYZE_BODY, Answer, Live, Models, Ready, complete, problems
from mien.serving.service import Service
from mien.serving.uploads import read_uploads
from mien.serving.work import handle
from mien.version import __version__

PAGE = Path(__file__).parent / "page"
_DESCRIPTION = "Faces in pictures and the emotions they express. No picture is stored or logged."
_ANALYZE_PROBLEMS = (401, 403, 408, 413, 415, 421, 422, 429, 503)


def create_app(
    service: Service, token: str | None = None, hosts: Sequence[str] = tuple(LOOPBACK)
) -> ASGIApp:
    """Return the application as an ASGI server runs it.

    Args:
        service: does the work.
        token: what clients have to send, or None.
        hosts: the names by which the server may be called.
    """
    app = FastAPI(
        title="mien",
        version=__version__,
        description=_DESCRIPTION,
        # The framework's pages load their scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install(app)
    describe = app.openapi
    secured = token is not None
    app.openapi = lambda: complete(describe(), secured)  # type: ignore[method-assign]
    _add_analysis(app, service)
    add_deepface(app, service)
    _add_state(app, service)
    _add_page(app)
    return Guard(app, service.metrics, token, frozenset(name.lower() for name in hosts))


def _add_analysis(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/analyze",
        summary="Find the faces in pictures and read their emotions",
        responses={200: {"model": Answer}, **problems(*_ANALYZE_PROBLEMS)},
        openapi_extra=ANALYZE_BODY,
    )
    async def analyze(
        request: Request,
        detect: bool = Query(True, description="False takes each picture as one face, cut out."),
    ) -> JSONResponse:
        """Send one picture or several.

        A lone picture that cannot be read is an error; among several it is a result.
        """
        analyzed = await handle(request, service, read_uploads, search=detect)
        if len(analyzed) == 1 and analyzed[0].problem is not None:
            raise analyzed[0].problem
        pictures = [one.to_dict() for one in analyzed]
        return JSONResponse({"model": service.name, "pictures": pictures})

    @app.get("/v1/models", summary="The model at work", responses=problems(401, 403, 421))
    async def models() -> Models:
        return Models.model_validate({"models": [service.describe()]})


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/v2/health/live", summary="Whether the process lives", responses=problems(403, 421))
    async def live() -> Live:
        return Live(live=True)

    @app.get(
        "/v2/health/ready",
        summary="Whether requests are let in",
        responses=problems(403, 421, 503),
    )
    async def ready() -> Ready:
        service.gate.check_open()
        return Ready(ready=True)

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **problems(401, 403, 421)},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=MEDIA_TYPE)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/page/sample.jpg", include_in_schema=False)
    async def sample() -> FileResponse:
        return FileResponse(SAMPLE)

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
