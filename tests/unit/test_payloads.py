"""Events are rendered once, and their payloads kept no longer than somebody may ask for them."""

import weakref
from typing import Any

import pytest

from domain.errors import Unavailable
from live.events import Heartbeat
from live.payloads import Payloads
from tests.support.rig import NOW, Changed, Shown


class Renderer:
    """Counts, and makes payloads of a size."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.rendered = 0

    async def __call__(self, event: Any) -> bytes:
        self.rendered += 1
        return repr(event).encode().ljust(self.size)


async def test_each_is_rendered_once_while_its_version_is_the_last() -> None:
    render = Renderer()
    payloads, events = Payloads(render), (Shown(2, "b"), Changed(1, 2, "b"), Changed(0, 2, "b"))
    for _ in range(3):
        assert [await payloads.of(event) for event in events] == [repr(event).encode() for event in events]
        payloads.let_go()
    assert render.rendered == 3


async def test_an_event_is_held_as_long_as_its_payload_and_no_longer_than_its_version() -> None:
    payloads, event = Payloads(Renderer()), Shown(1, "a")
    held = weakref.ref(event)
    await payloads.of(event)
    payloads.let_go()
    del event
    assert held() is not None, "another at its place would be taken for it"
    await payloads.of(newer := Changed(1, 2, "b"))
    assert held() is not None, "clients that are slow may be served in turn with others"
    payloads.let_go()
    assert held() is None
    assert await payloads.of(newer) == repr(newer).encode()


async def test_what_cannot_be_had_is_tried_once_in_a_turn_and_then_again() -> None:
    tried = 0

    async def render(event: Any) -> bytes:
        nonlocal tried
        if isinstance(event, Heartbeat) or tried == 2:
            return repr(event).encode()
        tried += 1
        raise Unavailable("The database is away.")

    payloads, events = Payloads(render), (Changed(1, 2, "b"), Changed(0, 2, "b"), Changed(1, 2, "b"))
    for turn in (1, 2):
        for event in events:
            with pytest.raises(Unavailable):
                await payloads.of(event)
        assert tried == turn
        assert await payloads.of(Heartbeat("e", 1, NOW, 7))
        payloads.let_go()
    assert [await payloads.of(event) for event in events]


async def test_heartbeats_are_not_held() -> None:
    render = Renderer()
    payloads, beat = Payloads(render), Heartbeat("e", 1, NOW, 7)
    for _ in range(2):
        await payloads.of(beat)
    assert render.rendered == 2


async def test_payloads_of_one_version_hold_half_a_megabyte_and_the_newest_however_large() -> None:
    render = Renderer(100_000)
    payloads, events = Payloads(render), [Changed(number, 100, "a") for number in range(99)]
    for event in events:
        await payloads.of(event)
    for event in events[-5:]:
        await payloads.of(event)
    assert render.rendered == 99
    held = [weakref.ref(event) for event in events]
    del event, events
    assert sum(one() is not None for one in held) == 5
