"""Writes that are gathered: nobody waits for company, and nobody is held up by a neighbour."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.together import Left, Together


class Table:
    """Takes numbers: odd ones are locked, a negative one breaks the whole write and stays impossible."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.unlocked = asyncio.Event()

    async def many(self, numbers: Sequence[int]) -> list[str | Left]:
        self.writes.append(list(numbers))
        await self.go_on.wait()
        if any(number < 0 for number in numbers):
            raise ValueError("negative")
        return [Left.OUT if number % 2 else str(number) for number in numbers]

    async def one(self, number: int) -> str:
        if number < 0:
            raise ValueError("negative")
        if number % 2:
            await self.unlocked.wait()
        return f"{number} alone"


async def test_what_comes_alone_is_written_at_once_and_what_comes_meanwhile_in_one_go() -> None:
    table = Table()
    together = Together(table.many, table.one)
    table.go_on.clear()
    first = together.write(2)
    await asyncio.sleep(0)
    others = [together.write(number) for number in (4, 6, 8)]
    await asyncio.sleep(0)
    table.go_on.set()

    assert await asyncio.gather(first, *others) == ["2", "4", "6", "8"]
    assert table.writes == [[2], [4, 6, 8]]


async def test_one_that_is_locked_holds_up_nobody() -> None:
    table = Table()
    together = Together(table.many, table.one)
    locked = together.write(3)

    assert await together.write(2) == "2"
    assert await together.write(4) == "4"
    assert not locked.done()
    table.unlocked.set()
    assert await locked == "3 alone"


async def test_one_that_cannot_be_written_fails_alone() -> None:
    table = Table()
    together = Together(table.many, table.one)
    impossible, possible, later = together.write(-1), together.write(2), together.write(4)

    assert await possible == "2 alone"
    assert await later == "4 alone"
    with pytest.raises(ValueError, match="negative"):
        await impossible
    assert await together.write(6) == "6"


async def test_what_is_given_up_before_its_write_is_not_written() -> None:
    table = Table()
    together = Together(table.many, table.one)
    table.go_on.clear()
    first = together.write(2)
    await asyncio.sleep(0)
    given_up, kept = together.write(4), together.write(6)
    given_up.cancel()
    table.go_on.set()

    assert await first == "2"
    assert await kept == "6"
    assert table.writes == [[2], [6]]
