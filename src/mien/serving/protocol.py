"""What uvicorn's HTTP leaves open: connections without end, heads without end, errors as text."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.serving.problems import MEDIA_TYPE, plain

MOST_CONNECTIONS = 512
"""More are closed as soon as they are opened."""


def protocol(seconds: float) -> type[H11Protocol]:
    """Return the protocol of a server whose clients have some seconds to say what they want."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.close()
            self.loop.call_later(seconds, self._end_if_silent)

        def send_400_response(self, msg: str) -> None:
            """Answer what is no HTTP."""
            body = bytes(plain(400, msg).body)
            head = h11.Response(
                status_code=400,
                reason=b"Bad Request",
                headers=[
                    (b"content-type", MEDIA_TYPE.encode()),
                    (b"content-length", str(len(body)).encode()),
                    (b"connection", b"close"),
                ],
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _end_if_silent(self) -> None:
            if getattr(self, "cycle", None) is None:  # no request has begun
                self.transport.close()

    return Protocol
