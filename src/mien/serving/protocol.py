"""What uvicorn's HTTP leaves open: clients that never come to an end, and errors as text."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.serving.problems import MEDIA_TYPE, plain

MOST_CONNECTIONS = 512
"""More are closed as soon as they are opened."""


def protocol(seconds: float) -> type[H11Protocol]:
    """Return the protocol of a server whose clients may be slow, but not for ever.

    uvicorn's own clock for idle connections starts anew with each byte, so that a byte now and then
    would keep one open.

    Args:
        seconds: within which a request's head has to be there, from the connection or the last
            answer on, and within which a client has to take some of its answer.
    """

    class Protocol(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _room: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.close()
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for timer in (self._head, self._room):
                if timer is not None:
                    timer.cancel()

        def on_response_complete(self) -> None:
            # First, because the next request may be there already and be begun by this.
            self._expect_head()
            super().on_response_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._room = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            if self._room is not None:
                self._room.cancel()
            super().resume_writing()

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

        def _expect_head(self) -> None:
            if self._head is not None:
                self._head.cancel()
            self._head = self.loop.call_later(seconds, self._end_unless_begun, self.cycle)

        def _end_unless_begun(self, last: object) -> None:
            if self.cycle is last:
                # Closing would wait until the client has taken what it was sent.
                self.transport.abort()

    return Protocol
