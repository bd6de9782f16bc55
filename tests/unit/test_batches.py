"""Clients of a batch: each is reached by its own way, whatever becomes of the others."""

import asyncio
from collections.abc import Sequence

from live.batches import Line, batches_of
from schema.transport.wires import AsgiWire, Event, Form, texts
from tests.support.rig import until


class Client:
    """A sink that is reached by plain ASGI."""

    def __init__(self, form: Form[str], name: str) -> None:
        self.got: list[str] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self.is_gone = False
        self.wire = AsgiWire(self.send, form)
        self.line: Line | None = self.wire.line(name.encode())
        self.is_ready = True

    async def send(self, event: Event) -> None:
        if self.is_gone:
            raise OSError("gone")
        await self.takes.wait()
        self.got.append(event["text"])

    def put(self, payloads: Sequence[bytes]) -> bool:  # noqa: ARG002 -- nobody asks it
        return False

    def end(self, problem: Exception | None) -> None:
        pass


async def test_who_is_gone_and_who_waits_are_found_among_the_others() -> None:
    form = texts()
    clients = [Client(form, name) for name in "abcde"]
    clients[1].is_gone = True
    clients[3].takes.clear()
    (batch,) = batches_of(clients, 5)
    assert batch.deliver is not None
    batch.deliver(batch.peers, b"1")
    assert [client.got for client in clients] == [["a1"], [], ["c1"], [], ["e1"]]
    assert [client.wire.is_open for client in clients] == [True, False, True, True, True]
    assert [client.wire.is_ready for client in clients] == [True, False, True, False, True]
    assert [client.wire.blocked_at is None for client in clients] == [True, True, True, False, True]
    clients[3].takes.set()
    await until(lambda: clients[3].wire.is_ready)
    assert clients[3].got == ["d1"]


async def test_a_batch_has_those_who_are_reached_in_the_same_way_and_no_more_than_it_may() -> None:
    one, other = texts(), texts()
    clients = [Client(form, name) for form, name in zip((one, other) * 4, "abcdefgh", strict=True)]
    clients[6].line = None
    batches = batches_of(clients, 3)
    names = [[clients.index(sink) for sink in batch.sinks] for batch in batches]  # type: ignore[arg-type]
    assert names == [[0, 2, 4], [1, 3, 5], [7], [6]]
    assert [batch.deliver for batch in batches] == [one.deliver, other.deliver, other.deliver, None]
    for batch in batches:
        if batch.deliver is not None:
            batch.deliver(batch.peers, b"!")
    assert [client.got for client in clients] == [[f"{name}!"] for name in "abcdef"] + [[], ["h!"]]
