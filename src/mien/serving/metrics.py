"""What Prometheus is told: counts, times and the state of the queue; nothing of any picture."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mien.serving.gate import Gate
from mien.version import __version__

MEDIA_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FACES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        Gauge("mien_info", "The version of mien.", ["version"], registry=registry).labels(
            __version__
        ).set(1)
        self._requests = Counter(
            "mien_requests", "Answers.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "mien_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._pictures = Counter(
            "mien_pictures", "Pictures analyzed.", ["status"], registry=registry
        )
        self._faces = Counter("mien_faces", "Faces classified.", registry=registry)
        self._batches = Histogram(
            "mien_batch_faces",
            "Faces that were classified together.",
            buckets=_FACES,
            registry=registry,
        )

    def watch(self, gate: Gate) -> None:
        """Tell the state of a gate as well."""
        gauges = {
            "mien_accepted_requests": ("Requests under way.", lambda: gate.requests),
            "mien_accepted_bytes": ("Bytes of their bodies.", lambda: gate.bytes),
            "mien_ready": ("1 while requests are let in.", lambda: int(gate.is_open)),
        }
        for name, (text, value) in gauges.items():
            Gauge(name, text, registry=self._registry).set_function(value)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; `route` is a route's pattern, so that there are few of them."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def analyzed(self, status: str, faces: int) -> None:
        """Count a picture and its faces."""
        self._pictures.labels(status).inc()
        self._faces.inc(faces)

    def classified(self, faces: int) -> None:
        """Count a batch."""
        self._batches.observe(faces)

    def text(self) -> bytes:
        """Return all of them in Prometheus's text format."""
        return generate_latest(self._registry)
