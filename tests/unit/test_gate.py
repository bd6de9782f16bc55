"""The gate of a worker: suspects run alone."""

import asyncio

from tasks.gate import Gate


class Visitor:
    def __init__(self, gate: Gate, *, alone: bool) -> None:
        self.is_inside = False
        self.go = asyncio.Event()
        self._way = gate.alone if alone else gate.together
        self.task = asyncio.create_task(self._visit())

    async def _visit(self) -> None:
        async with self._way():
            self.is_inside = True
            await self.go.wait()
        self.is_inside = False

    async def leave(self) -> None:
        self.go.set()
        await self.task


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_many_go_together_and_one_alone_waits_for_them() -> None:
    gate = Gate(patience=60)
    one, two = Visitor(gate, alone=False), Visitor(gate, alone=False)
    await settle()
    suspect = Visitor(gate, alone=True)
    await settle()
    late = Visitor(gate, alone=False)
    await settle()
    assert [visitor.is_inside for visitor in (one, two, suspect, late)] == [True, True, False, False]

    await one.leave()
    await two.leave()
    await settle()
    assert (suspect.is_inside, late.is_inside) == (True, False)
    await suspect.leave()
    await settle()
    assert late.is_inside
    await late.leave()


async def test_suspects_go_one_after_the_other() -> None:
    gate = Gate(patience=60)
    suspects = [Visitor(gate, alone=True) for _ in range(3)]
    for _ in range(3):
        await settle()
        inside = [visitor for visitor in suspects if visitor.is_inside]
        assert len(inside) == 1
        await inside[0].leave()


async def test_nobody_waits_for_ever_to_be_alone() -> None:
    gate = Gate(patience=0.01)
    first, suspect = Visitor(gate, alone=False), Visitor(gate, alone=True)
    async with asyncio.timeout(5):
        while not suspect.is_inside:  # noqa: ASYNC110 it is its patience that is waited for
            await asyncio.sleep(0.01)
    late = Visitor(gate, alone=False)
    await settle()
    assert first.is_inside
    assert late.is_inside
    for visitor in (first, suspect, late):
        await visitor.leave()


async def test_a_cancelled_visitor_blocks_nobody() -> None:
    gate = Gate(patience=60)
    first = Visitor(gate, alone=False)
    await settle()
    suspect = Visitor(gate, alone=True)
    await settle()
    suspect.task.cancel()
    await asyncio.gather(suspect.task, return_exceptions=True)
    late = Visitor(gate, alone=False)
    await settle()
    assert late.is_inside
    first.task.cancel()
    late.task.cancel()
    await asyncio.gather(first.task, late.task, return_exceptions=True)
    last = Visitor(gate, alone=True)
    await settle()
    assert last.is_inside
    await last.leave()


async def test_the_wait_for_a_turn_is_no_impatience() -> None:
    gate = Gate(patience=0.05)
    suspects = [Visitor(gate, alone=True) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0.15)  # longer than anybody's patience
        (inside,) = [visitor for visitor in suspects if visitor.is_inside]
        await inside.leave()
        await settle()
