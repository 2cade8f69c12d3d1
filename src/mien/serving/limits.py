"""What a server accepts at most; every bound that keeps its memory and its time finite."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mien.errors import MienError


@dataclass(frozen=True)
class Limits:
    """What one server accepts.

    Attributes:
        upload: bytes of one request's body.
        pixels: pixels of one picture, by its header, before it is decoded.
        faces: faces of one picture that are classified; the surest ones are.
        pictures: pictures in one request.
        requests: requests that are accepted at once: being received, waiting, or at work.
        memory: bytes of all their bodies together, by what they announce.
        per_client: requests of one address that are accepted at once.
        seconds: how long a request may take from its first byte to its answer.

    Raises:
        MienError: a limit is not above 0, or one request fits in no queue.
    """

    upload: int = 20_000_000
    pixels: int = 50_000_000
    faces: int = 64
    pictures: int = 32
    requests: int = 128
    memory: int = 256_000_000
    per_client: int = 64
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise MienError(f"the limit {field.name} must be above 0")
        if self.memory < self.upload:
            raise MienError(
                f"all bodies together may have {self.memory:,} bytes, one alone {self.upload:,}",
                hint="lower the limit of an upload",
            )
