"""`mien serve`: recognition as an HTTP API and a page for the browser."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, needs, verb_options
from mien.cli.faces import face_options

if TYPE_CHECKING:
    from mien.recognition.recognizer import Recognizer

TOKEN_VARIABLE = "MIEN_TOKEN"


@click.command(
    short_help="Serve a page and an HTTP API that read emotions.",
    epilog="""\b
Examples:
  mien serve                               then open the address that it prints
  mien serve --port 9000 --model happy.onnx
  mien serve --host 0.0.0.0                for the network, with a token
  curl -F file=@photo.jpg http://127.0.0.1:8000/v1/analyze""",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen: this machine alone, or 0.0.0.0 for all that can reach it, of whom a "
    "token is then demanded.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="A further name by which the server may be called, behind a proxy; may be repeated.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Demand the token in this file; the variable {TOKEN_VARIABLE} does the same. Without "
    "either one is made where others can reach the server.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Pictures that are worked on at once; as many as there are cores by default.",
)
@click.option(
    "--max-upload",
    type=click.FloatRange(min=0, min_open=True),
    default=20,
    show_default=True,
    help="Megabytes of one request.",
)
@click.option(
    "--max-pixels",
    type=click.FloatRange(min=0, min_open=True),
    default=50,
    show_default=True,
    help="Million pixels of one picture.",
)
@click.option(
    "--max-faces",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Faces of one picture; the surest are kept.",
)
@click.option(
    "--max-pictures",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Pictures of one request.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Requests that are accepted at once, half of them of one client; others are refused.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30,
    show_default=True,
    help="Seconds that a request may take.",
)
@face_options
@verb_options
def serve(
    output: Output,
    host: str,
    port: int,
    names: tuple[str, ...],
    token_file: Path | None,
    workers: int | None,
    max_upload: float,
    max_pixels: float,
    max_faces: int,
    max_pictures: int,
    max_requests: int,
    timeout: float,
    recognizer: Callable[[Output], Recognizer],
) -> None:
    """Serve a page for photos and the webcam, and the HTTP API behind it.

    The page works without the internet; pictures stay on this machine and are neither stored nor
    logged. The API is described at /openapi.json and in docs/serve.md; errors are problem JSON
    (RFC 9457).

    SIGTERM and Ctrl-C let it finish what it has accepted; a second one ends it at once. With
    --verbose it writes a line for every request: address, path and status.
    """
    needs("mien serve", "serve")
    from mien.serving.limits import Limits
    from mien.serving.run import bind
    from mien.serving.run import serve as run
    from mien.serving.service import Service

    upload = round(max_upload * 1e6)
    limits = Limits(
        upload=upload,
        pixels=round(max_pixels * 1e6),
        faces=max_faces,
        pictures=max_pictures,
        requests=max_requests,
        memory=max(Limits.memory, upload),
        per_client=-(-max_requests // 2),
        seconds=timeout,
    )
    # Pillow warns of large pictures, for which there is a limit here.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    address = bind(host, port, names, _token(token_file))
    service = Service(recognizer(output), limits, workers)
    output.result(address.url)
    output.note(f"the model {service.name} is ready; Ctrl-C ends it")
    if address.token is not None:
        output.note(f"for a browser: {address.url}/#token={address.token}")
    run(service, address, log=output.verbosity > 0)


def _token(file: Path | None) -> str | None:
    import os

    if file is not None:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    return os.environ.get(TOKEN_VARIABLE) or None
