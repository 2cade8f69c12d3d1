"""Runs the application on a socket until it is told to stop, and then finishes its work."""

from __future__ import annotations

import ipaddress
import math
import re
import secrets
import socket
from dataclasses import dataclass
from types import FrameType

import uvicorn

from mien.errors import MienError, of_the_system
from mien.serving.app import create_app
from mien.serving.gate import Gate
from mien.serving.guard import LOOPBACK
from mien.serving.protocol import protocol
from mien.serving.service import Service

_TOKEN = re.compile("[!-~]{16,}")


@dataclass(frozen=True)
class Address:
    """Where a server listens and who may use it.

    Attributes:
        listener: the bound socket.
        url: by which a browser on this machine reaches it.
        hosts: the names by which it may be called.
        token: demanded of clients, or None.
    """

    listener: socket.socket
    url: str
    hosts: tuple[str, ...]
    token: str | None


def bind(host: str, port: int, names: tuple[str, ...] = (), token: str | None = None) -> Address:
    """Take an address to listen at; one that others can reach gets a token if none is given.

    Args:
        host: a name or address of this machine.
        port: 0 takes a free one.
        names: further names by which the server may be called, behind a proxy for instance.
        token: what clients have to send.

    Raises:
        MienError: the address cannot be had, or the token is too short or none for a header.
    """
    if token is not None and not _TOKEN.fullmatch(token):
        raise MienError(
            "the token must have at least 16 characters, of those that a header may have",
            hint=f"a good one: {secrets.token_urlsafe(24)}",
        )
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(where[:2], family=family, backlog=256)
    except OSError as error:
        hint = "choose another --port, or 0 for a free one" if host in LOOPBACK else None
        reason = of_the_system(error).message
        raise MienError(f"cannot listen at {host}, port {port}: {reason}", hint=hint) from error
    address, port = listener.getsockname()[:2]
    here = ipaddress.ip_address(address)
    if not here.is_loopback and token is None:
        token = secrets.token_urlsafe(24)
    if here.is_unspecified:
        address = "::1" if here.version == 6 else "127.0.0.1"
    shown = f"[{address}]" if ":" in address else address
    return Address(listener, f"http://{shown}:{port}", (*LOOPBACK, host, address, *names), token)


def serve(service: Service, address: Address, *, log: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what was accepted, and close the service.

    A second signal ends it at once.

    Args:
        service: does the work.
        address: from `bind`.
        log: write a line for every request to standard output: address, path and status.
    """
    seconds = service.limits.seconds
    config = uvicorn.Config(
        create_app(service, address.token, address.hosts),
        http=protocol(seconds),
        ws="none",
        lifespan="off",
        log_level="info" if log else "error",
        access_log=log,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(seconds),
        timeout_graceful_shutdown=math.ceil(seconds) + 1,
    )
    try:
        _Server(config, service.gate).run(sockets=[address.listener])
    finally:
        service.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which at a signal goes on until all that was accepted is done.

    Meanwhile it listens, says that it is not ready, and refuses new work: a balancer in front of
    it sees an answer, and not a closed port.
    """

    def __init__(self, config: uvicorn.Config, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Close the gate at the first signal, end at the second."""
        if self._gate.is_open:
            self._gate.close()
        else:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether it is time to end; called ten times a second."""
        if not self._gate.is_open and not self._gate.requests:
            self.should_exit = True
        return await super().on_tick(counter)
