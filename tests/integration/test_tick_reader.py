"""The one connection by which a process hears ticks: what it passes on, and how it comes back when it is lost."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import orjson
import pytest
from redis.asyncio import Redis

from integrations.valkey import ticks
from integrations.valkey.client import connect
from integrations.valkey.ticks import BOARDS, EXECUTIONS, TICKS, TickReader
from tasks.loops import background
from tests.support.cut_proxy import valkey_through_proxy
from tests.support.live import until

CUP, LEAGUE, RUN = (UUID(int=number) for number in range(1, 4))


class Heard:
    """All that a listener hears."""

    def __init__(self) -> None:
        self.told: list[tuple[str, UUID, int | None]] = []
        self.subscriptions = 0
        self.answers = 0

    def tick(self, kind: str, entity_id: UUID, version: int | None) -> None:
        self.told.append((kind, entity_id, version))

    def subscribed(self) -> None:
        self.subscriptions += 1

    def heard(self) -> None:
        self.answers += 1


@asynccontextmanager
async def listening(valkey_url: str, *channels: bytes, **called: Any) -> AsyncIterator[tuple[TickReader, Heard]]:
    heard = Heard()
    async with connect(valkey_url) as client:
        reader = TickReader(client, channels, **called) if channels else TickReader(client, **called)
        async with background(reader.listen(heard)):
            await until(lambda: heard.subscriptions > 0)
            yield reader, heard


async def tell(valkey: Redis, channel: bytes, kind: str, entity_id: UUID, **more: object) -> None:
    assert await valkey.publish(channel, orjson.dumps({"kind": kind, "id": str(entity_id), **more})) == 1


async def test_it_listens_to_all_channels_before_it_says_so(valkey: Redis, valkey_url: str) -> None:
    async with listening(valkey_url) as (reader, heard):
        assert reader.is_alive
        for channel, kind, entity_id in ((TICKS, "league", LEAGUE), (EXECUTIONS, "execution", RUN)):
            await tell(valkey, channel, kind, entity_id)
        await tell(valkey, BOARDS, "board", CUP, version=7)
        await until(lambda: len(heard.told) == 3)
    assert heard.told == [("league", LEAGUE, None), ("execution", RUN, None), ("board", CUP, 7)]
    assert heard.subscriptions == 1
    assert not reader.is_alive


async def test_a_server_that_falls_silent_again_and_again_is_connected_to_anew_as_soon_as_at_first(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_HEARD_SECONDS", 0.02)
    monkeypatch.setattr(ticks, "_SILENT_SECONDS", 0.3)
    monkeypatch.setattr(ticks, "_FIRST_WAIT", 0.02)
    monkeypatch.setattr(ticks, "_LONGEST_WAIT", 60.0)
    with TemporaryDirectory() as folder:
        async with valkey_through_proxy(valkey_url, Path(folder)) as (proxy, url), listening(url) as (reader, heard):
            for times in range(2, 12):  # twice as long each time would be 20 seconds by now
                await until(lambda: reader.is_alive)
                proxy.hush()
                proxy.speak()  # to who connects anew
                await until(lambda times=times: heard.subscriptions >= times)  # type: ignore[misc]


async def test_a_connection_that_is_cut_is_made_again_and_that_is_told(valkey: Redis, valkey_url: str) -> None:
    async with listening(valkey_url) as (reader, heard):
        for times in (2, 3):
            assert await valkey.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
            await until(lambda times=times: heard.subscriptions == times)  # type: ignore[misc]
            assert reader.is_alive
        await tell(valkey, BOARDS, "board", CUP, version=7)
        await until(lambda: bool(heard.told))


async def test_a_server_that_is_away_is_asked_less_and_less_but_never_seldom(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ticks, "_FIRST_WAIT", 0.05)
    monkeypatch.setattr(ticks, "_LONGEST_WAIT", 0.4)
    reader = TickReader(connect("redis://127.0.0.1:1"))
    async with background(reader.listen(Heard())):
        await until(lambda: caplog.messages.count("ticks_lost") >= 7)
        assert not reader.is_alive
    moments = [record.created for record in caplog.records if record.getMessage() == "ticks_lost"]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.4, 0.4, 0.4), strict=False):
        assert pause >= least * 0.9


async def test_a_server_that_has_nothing_to_tell_is_heard_all_the_time_and_not_left(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_HEARD_SECONDS", 0.02)
    monkeypatch.setattr(ticks, "_SILENT_SECONDS", 1.0)
    async with listening(valkey_url) as (_, heard):
        before = heard.answers
        await until(lambda: heard.answers >= before + 80)
        assert heard.subscriptions == 1


@pytest.mark.parametrize(
    "unreadable",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b'{"kind":"league"}',
        b'{"id":"00000000-0000-0000-0000-000000000001"}',
        b'{"kind":"league","id":7}',
        b'{"kind":"league","id":"7"}',
        b'{"kind":"board","id":"00000000-0000-0000-0000-000000000001","version":"new"}',
        b'{"kind":"board","id":"00000000-0000-0000-0000-000000000001","version":[]}',
    ],
)
async def test_what_cannot_be_read_is_passed_over(
    valkey: Redis, valkey_url: str, unreadable: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(valkey_url, BOARDS) as (_, heard):
        await valkey.publish(BOARDS, unreadable)
        await tell(valkey, BOARDS, "board", CUP, version=0)
        await until(lambda: bool(heard.told))
    assert heard.told == [("board", CUP, 0)]
    assert heard.subscriptions == 1
    assert caplog.messages == ["tick_unreadable"]


async def test_what_is_heard_is_not_written_out_for_a_log(
    valkey: Redis, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(valkey_url, BOARDS) as (_, heard):
        caplog.set_level("DEBUG")
        caplog.set_level("DEBUG", "push_response")  # of the client, which would write each message out, logged or not
        await tell(valkey, BOARDS, "board", CUP, version=1, front="of some kilobytes")
        await until(lambda: bool(heard.told))
    assert not [text for text in caplog.messages if "some kilobytes" in text]


async def test_boards_that_moved_are_told_early_apart_and_to_listeners_when_they_can_be_read(
    valkey: Redis, valkey_url: str
) -> None:
    early: list[UUID] = []
    async with listening(valkey_url, early=early.append) as (_, heard):
        await tell(valkey, TICKS, "board", CUP)
        await tell(valkey, TICKS, "league", LEAGUE)
        await until(lambda: bool(heard.told))
    assert (early, heard.told) == ([CUP], [("league", LEAGUE, None)])
    async with listening(valkey_url, TICKS, early=early.append) as (_, heard):
        await tell(valkey, TICKS, "board", CUP)
        await until(lambda: bool(heard.told))
    assert (early, heard.told) == ([CUP], [("board", CUP, None)])


async def test_first_places_come_with_their_version_just_before_the_listener_hears_of_them(
    valkey: Redis, valkey_url: str
) -> None:
    told: list[tuple[UUID, int, int]] = []

    def front(tournament_id: UUID, version: int, read: Callable[[], object]) -> None:
        assert read() is None, "these are none"
        told.append((tournament_id, version, len(heard.told)))

    async with listening(valkey_url, front=front) as (_, heard):
        await tell(valkey, BOARDS, "board", CUP, version=7, front="none")
        await tell(valkey, BOARDS, "board", CUP, version=8)
        await tell(valkey, BOARDS, "board", CUP, front="none")
        await tell(valkey, BOARDS, "board", CUP, version=9, front=7)
        await until(lambda: len(heard.told) == 4)
    assert told == [(CUP, 7, 0)]
    assert heard.told == [("board", CUP, version) for version in (7, 8, None, 9)]
