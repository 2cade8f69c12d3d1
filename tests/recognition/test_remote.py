"""Pictures from URLs: what is refused, and that size and time are bounded; all on loopback."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from mien.images.decode import UnreadableError, decode
from mien.recognition import remote
from mien.recognition.bundled import SAMPLE
from mien.recognition.remote import fetch

PHOTO = SAMPLE.read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind = self.path.split("?")[0]
        if kind.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", kind.removeprefix("/to/"))
            self.end_headers()
            return
        if kind == "/missing.jpg":
            self.send_error(404)
            return
        self.send_response(200)
        length = len(PHOTO) + (kind == "/torn.jpg")
        if kind != "/endless.jpg":
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if kind == "/slow.jpg":
            for byte in PHOTO[:200]:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.05)
            return
        self.wfile.write(PHOTO)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_picture_comes_as_it_is(url: str) -> None:
    assert fetch(f"{url}/photo.jpg", private=True) == PHOTO
    assert fetch(f"{url}/endless.jpg?a=ü b", private=True) == PHOTO
    assert decode(fetch(f"{url}/to//photo.jpg", private=True)).width == 512


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing.jpg", "the server answers 404"),
        ("/torn.jpg", "breaks off"),
        ("/to/file:///etc/hostname", "only http"),
        ("/to//to//to//to//photo.jpg", "more than 3 redirects"),
    ],
)
def test_what_is_no_picture_has_a_reason(url: str, path: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        fetch(url + path, private=True)


@pytest.mark.parametrize(
    "address",
    [
        *("ftp://example.org/a.jpg", "file:///etc/hostname", "http://", "http://user@127.0.0.1/"),
        *("http://[", "https://127.0.0.1:99999/", "http://a b/", "http://\ud800.example/"),
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UnreadableError):
        fetch(address, private=True)


def test_nothing_private_is_asked(url: str) -> None:
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(UnreadableError, match="not a public address"):
            fetch(url.replace("127.0.0.1", host) + "/photo.jpg")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *(("93.184.216.34", True), ("2606:2800:220:1::1", True), ("64:ff9b::5db8:d822", True)),
        *(("10.0.0.1", False), ("172.16.3.4", False), ("192.168.1.1", False)),
        *(("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False)),
        *(("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False)),
        *(("fe80::1%eth0", False), ("fd00::1", False), ("ff02::1", False)),
        *(("::ffff:127.0.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False)),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert remote._public(address) is public


def test_one_private_address_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *arguments, **options: found)
    with pytest.raises(UnreadableError, match=r"photos\.example is at 10\.0\.0\.1"):
        fetch("http://photos.example/a.jpg")


def test_size_and_time_are_bounded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_BYTES", 1_000)
    for path in ("/photo.jpg", "/endless.jpg"):
        with pytest.raises(UnreadableError, match="more than"):
            fetch(url + path, private=True)
    monkeypatch.setattr(remote, "MAX_SECONDS", 0.3)
    with pytest.raises(UnreadableError, match=r"no answer within 0\.3 s"):
        fetch(f"{url}/slow.jpg", private=True)
