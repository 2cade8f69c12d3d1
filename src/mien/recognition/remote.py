"""Pictures that are fetched: from public addresses only, bounded in size and time.

Whoever may name a URL here makes this machine send a request, and a list of URLs is often somebody
else's. So a name is resolved once, every address that it has must be a public one, and that very
address is connected to: neither a redirect nor a name that changes its address in between leads
into a network that only this machine can reach (server-side request forgery).
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from mien.images.decode import UnreadableError
from mien.version import __version__

MAX_BYTES = 50_000_000
"""A larger answer is not read to its end."""

MAX_SECONDS = 20.0
"""From the first connection to the last byte."""

_MAX_REDIRECTS = 3
_MOVED = (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": f"mien/{__version__}", "Accept": "image/*", "Connection": "close"}


def fetch(url: str, *, private: bool = False) -> bytes:
    """Return what a URL answers; proxies and cookies are not used.

    Args:
        url: http or https, without a user's name.
        private: allow every address, this machine's and its local network's too.

    Raises:
        UnreadableError: the address is not allowed, the answer is no success, too large or too
            slow, or there is none.
    """
    deadline = time.monotonic() + MAX_SECONDS
    try:
        for _ in range(_MAX_REDIRECTS + 1):
            content, moved = _get(url, private, deadline)
            if moved is None:
                return content
            url = urljoin(url, moved)
    except TimeoutError as error:
        raise UnreadableError(f"no answer within {MAX_SECONDS:g} s") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnreadableError(f"cannot be fetched: {error}") from error
    raise UnreadableError(f"more than {_MAX_REDIRECTS} redirects")


def _get(url: str, private: bool, deadline: float) -> tuple[bytes, str | None]:
    """Return an answer's body, or where it says that the picture is."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UnreadableError("only http:// and https:// without a user's name are fetched")
    sock = _connect(parts, private, deadline)
    # Each step of a server may be slow, not only its silence: at the deadline the line is cut.
    cut = threading.Timer(_left(deadline), _shut, (sock,))
    cut.daemon = True
    cut.start()
    try:
        connection = http.client.HTTPConnection(parts.hostname)
        connection.sock = sock
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        query = f"?{quote(parts.query, safe='/%:@!$&()*+,;=~?')}" if parts.query else ""
        connection.request("GET", path + query, headers={"Host": parts.netloc, **_HEADERS})
        answer = connection.getresponse()
        moved = answer.getheader("Location")
        if answer.status in _MOVED and moved:
            return b"", moved
        if answer.status != http.client.OK:
            raise UnreadableError(f"the server answers {answer.status} {answer.reason}")
        content = answer.read(MAX_BYTES + 1)
    finally:
        cut.cancel()
        sock.close()
        _left(deadline)  # what was cut may look like an end
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"more than {MAX_BYTES // 1_000_000} MB")
    if answer.length:
        raise UnreadableError("the answer breaks off")
    return content, None


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _connect(parts: SplitResult, private: bool, deadline: float) -> socket.socket:
    assert parts.hostname is not None
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    address = _address(parts.hostname, port, private)
    sock = socket.create_connection((address, port), timeout=_left(deadline))
    if not secure:
        return sock
    try:
        context = ssl.create_default_context()
        return context.wrap_socket(sock, server_hostname=parts.hostname)
    except BaseException:
        sock.close()
        raise


def _address(host: str, port: int, private: bool) -> str:
    """Return an address of a host, all of whose addresses are allowed."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not private and not _public(address):
            raise UnreadableError(f"{host} is at {address}, which is not a public address")
    return found[0]


def _public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # Ways to write an IPv4 address, which is then what is reached.
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inner:
            return _public(str(inner))
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return _public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
