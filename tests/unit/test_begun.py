"""Awaitables run at once as far as they come: coroutines, and what servers in other languages hand out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

import pytest

from schema.transport.begun import Begun, Ended, begin
from schema.transport.wires import AsgiWire, texts


class Bare:
    """Can be awaited, and nothing else: no coroutine, nothing to send to or throw into."""

    def __init__(self, future: "asyncio.Future[Any] | None" = None) -> None:
        self._future = future

    def __await__(self) -> Self:
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._future is not None and not self._future.done():
            self._future._asyncio_future_blocking = True
            return self._future
        raise StopIteration("value")


async def coroutine(future: "asyncio.Future[Any] | None" = None) -> str:
    if future is not None:
        await future
    return "value"


Make = Callable[..., Awaitable[Any]]
either = pytest.mark.parametrize("make", [coroutine, Bare])


@either
async def test_what_need_not_wait_has_ended(make: Make) -> None:
    begun = begin(make())
    assert isinstance(begun, Ended)
    assert begun.value == "value"


@either
async def test_what_waits_goes_on_when_it_is_awaited(make: Make) -> None:
    future = asyncio.get_running_loop().create_future()
    begun = begin(make(future))
    assert isinstance(begun, Begun)
    asyncio.get_running_loop().call_later(0.01, future.set_result, None)
    assert await begun == "value"


@either
async def test_a_cancellation_ends_it(make: Make) -> None:
    future = asyncio.get_running_loop().create_future()
    begun = begin(make(future))
    assert isinstance(begun, Begun)
    waiting = asyncio.ensure_future(begun)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert future.cancelled()


@either
async def test_a_wire_sends_by_either(make: Make) -> None:
    sent: list[str] = []
    future: asyncio.Future[None] | None = None

    def send(event: Any) -> Awaitable[Any]:
        sent.append(event["text"])
        return make(future)

    wire, changed = AsgiWire(send, texts()), asyncio.Event()
    wire.on_change = changed.set
    wire.write([(b"a",), (b"b", b"c")])
    assert (sent, wire.is_ready) == (["a", "bc"], True)
    future = asyncio.get_running_loop().create_future()
    wire.write([(b"d",), (b"e",)])
    assert (sent[2:], wire.is_ready) == (["d"], False)
    assert changed.is_set()
    changed.clear()
    future.set_result(None)
    await asyncio.wait_for(changed.wait(), 5)
    assert (sent[2:], wire.is_ready) == (["d", "e"], True)


@either
async def test_a_wire_that_is_cut_while_it_waits_sends_nothing_more(make: Make) -> None:
    sent: list[str] = []
    future = asyncio.get_running_loop().create_future()

    def send(event: Any) -> Awaitable[Any]:
        sent.append(event["text"])
        return make(future)

    wire = AsgiWire(send, texts())
    wire.write([(b"a",), (b"b",)])
    await asyncio.sleep(0.01)
    wire.cut(1013, "")
    await asyncio.sleep(0.01)

    assert (sent, wire.is_open, wire.is_ready, future.cancelled()) == (["a"], False, False, True)


@either
async def test_a_wire_whose_peer_goes_while_it_waits_is_ready_no_more(make: Make) -> None:
    future = asyncio.get_running_loop().create_future()
    wire, changed = AsgiWire(lambda _: make(future), texts()), asyncio.Event()
    wire.write([(b"a",), (b"b",)])
    wire.on_change = changed.set
    future.set_exception(OSError("gone"))
    await asyncio.wait_for(changed.wait(), 5)

    assert (wire.is_open, wire.is_ready) == (False, False)


async def test_what_is_cancelled_before_it_goes_on_is_ended_all_the_same() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def ending(begun: Begun[None]) -> None:
        await begun

    begun = begin(work())
    assert isinstance(begun, Begun)
    task = begun.task(ending(begun))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 5)
