"""Outages: what they are, and that what may be done twice is done again until the server is back, for so long."""

from collections.abc import Iterator

import pytest

from runtime.errors import SetupError
from runtime.outage import is_outage, outlasting


async def test_what_fails_while_a_server_is_away_is_done_again() -> None:
    answers: Iterator[object] = iter([ConnectionRefusedError(), TimeoutError(), "done", "never"])

    async def work() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await outlasting(work, pause=0) == "done"


async def test_a_server_that_stays_away_is_told_about() -> None:
    async def work() -> None:
        raise ConnectionRefusedError

    with pytest.raises(SetupError, match=r"^A server went away and stays away \(ConnectionRefusedError\): "):
        await outlasting(work, patience=0.01, pause=0)


async def test_a_fault_of_ours_is_not_done_again() -> None:
    calls: list[int] = []

    async def work() -> None:
        calls.append(1)
        raise FileNotFoundError(2, "No such file", "season.json")

    with pytest.raises(FileNotFoundError):
        await outlasting(work)
    assert calls == [1]


def test_what_was_done_together_failed_by_an_outage_when_each_part_did() -> None:
    away = ConnectionRefusedError()

    assert is_outage(ExceptionGroup("", [away, ExceptionGroup("", [TimeoutError()])]))
    assert not is_outage(ExceptionGroup("", [away, KeyError()]))
