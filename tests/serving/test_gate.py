"""The places of a server: how many there are, who gets none, and when one is free again."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from mien.errors import MienError
from mien.serving.gate import Gate
from mien.serving.limits import Limits
from mien.serving.problems import ProblemError


def _refusal(gate: Gate, client: str, size: int) -> tuple[str, int | None]:
    with pytest.raises(ProblemError) as caught:
        gate.enter(client, size)
    return caught.value.kind, caught.value.retry_after


def test_places_are_bounded_by_number_bytes_and_client() -> None:
    gate = Gate(Limits(upload=100, requests=3, memory=150, per_client=2))
    assert _refusal(gate, "a", 101) == ("too-large", None)
    first = gate.enter("a", 100)
    assert _refusal(gate, "b", 51) == ("busy", 1)
    gate.enter("a", 10)
    assert _refusal(gate, "a", 1) == ("too-many-requests", 1)
    gate.enter("b", 10)
    assert _refusal(gate, "c", 1) == ("busy", 1)
    assert (gate.requests, gate.bytes) == (3, 120)
    first.leave()
    first.leave()
    assert (gate.requests, gate.bytes) == (2, 20)
    gate.enter("a", 100)


def test_a_closed_gate_keeps_those_inside() -> None:
    gate = Gate(Limits())
    place = gate.enter("a", 1)
    gate.close()
    assert _refusal(gate, "a", 1) == ("stopping", 5)
    assert gate.requests == 1
    place.leave()
    assert gate.requests == 0


def test_a_place_is_kept_until_the_last_job_is_done() -> None:
    async def scenario() -> list[int]:
        gate = Gate(Limits())
        jobs: list[Future[None]] = [Future() for _ in range(3)]
        jobs[0].set_result(None)
        gate.enter("a", 7).leave_after(jobs)
        seen = [gate.requests]
        for job in jobs[1:]:
            await asyncio.to_thread(job.set_result, None)
            await asyncio.sleep(0.01)
            seen.append(gate.requests)
        return seen

    assert asyncio.run(scenario()) == [1, 1, 0]


@pytest.mark.parametrize("wrong", [{"faces": 0}, {"seconds": -1.0}, {"upload": 10, "memory": 9}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(MienError, match=r"limit|bytes"):
        Limits(**wrong)  # type: ignore[arg-type]
